"""CLP's cross-identity reconstruction against its full memory: time and memory of a step, beyond the memory itself.

    python benchmarks/speed/clp_loss.py [--batch 256] [--memory 65536] [--support 32768] [--threads 2] [--runs 7]
                                        [--device auto]

Forward and backward of the loss, with and without the masks of the query's own person; then what a step does besides:
pushing the keys, and dealing the memory into support and negatives again. Beside them the plain way to deal: a random
selection of rows, which copies the memory. Memory is the highest resident size beyond what was there before the call,
in a process of its own for each case (on a GPU: allocated). The aim: 0.3 s and 400 MiB for the loss on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable

import torch
from torch.nn import functional

from duchenne.devices import resolve_device
from duchenne.methods.clp.loss import cross_identity_reconstruction_loss
from duchenne.modules.split_memory import SplitMemory
from measuring import machine, now, spread, use

DIM = 128
LIMIT_S, LIMIT_MIB = 0.3, 400
CASES = {
    "loss": "loss, forward and backward",
    "masked": "the same, the query's own person masked",
    "deal": "push and deal, in place",
    "copies": "loss on a random selection of rows",
}


def measure(case: str, batch: int, size: int, support: int, runs: int, device: torch.device) -> dict[str, object]:
    """Seconds of each run and MiB of the first one."""
    memory = SplitMemory(size, DIM, support, ids=["identity"]).to(device)
    people = torch.arange(size, device=device) % 500
    memory.ids("identity").copy_(people)
    query, key = (functional.normalize(torch.randn(batch, DIM, device=device), dim=1) for _ in range(2))
    own = torch.arange(batch, device=device) % 500

    def loss(first: torch.Tensor, second: torch.Tensor, *, masked: bool = False) -> None:
        leaf = query.clone().requires_grad_()
        same = own[:, None] == memory.split(memory.ids("identity"))[0] if masked else None
        cross_identity_reconstruction_loss(leaf, key, first, second, same_identity=same).backward()

    def deal() -> None:
        memory.push(key, identity=own)
        memory.deal()

    def copies() -> None:
        order = torch.randperm(size).to(device)
        loss(memory.rows[order[:support]], memory.rows[order[support:]])

    calls: dict[str, Callable[[], None]] = {
        "loss": lambda: loss(*memory.split()),
        "masked": lambda: loss(*memory.split(), masked=True),
        "deal": deal,
        "copies": copies,
    }
    loss(memory.rows[:2], memory.rows[2:4])  # what the first call loads is not counted
    before = use(device, begin=True)
    calls[case]()
    mib, seconds = use(device) - before, []
    for _ in range(runs):
        start = now(device)
        calls[case]()
        seconds.append(now(device) - start)
    return {"mib": mib, "seconds": seconds, "memory_mib": memory.rows.numel() * memory.rows.element_size() / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--memory", type=int, default=65536)
    parser.add_argument("--support", type=int, default=32768)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--case", choices=list(CASES), help="measure one of them in this process and print JSON")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    torch.set_num_threads(arguments.threads)
    sizes = (arguments.batch, arguments.memory, arguments.support, arguments.runs)
    if arguments.case:
        print(json.dumps(measure(arguments.case, *sizes, device)))
        return
    print(machine(device))
    print(f"batch {sizes[0]}, memory {sizes[1]:,} x {DIM}, support {sizes[2]:,}")
    for case, words in CASES.items():
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--case", case], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        seconds = found["seconds"]
        print(f"{words:<42} {spread(seconds)} s  {found['mib']:6.1f} MiB", end="")
        met = statistics.median(seconds) <= LIMIT_S and found["mib"] <= LIMIT_MIB
        print(f"  aim {'met' if met else 'missed'}" if case in ("loss", "masked") else "")
    print(f"The memory itself: {found['memory_mib']:.0f} MiB.")


if __name__ == "__main__":
    main()
