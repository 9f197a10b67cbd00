"""EmoCo's contrastive loss: time and memory of scoring a batch against the full queues, beyond the queues themselves.

    python benchmarks/speed/emoco_loss.py [--batch 256] [--classes 7] [--memory 65536] [--runs 5] [--device auto]

Forward and backward for a batch of evenly mixed emotions and for one of a single emotion, with the paper's 128 numbers
a row. Memory is the highest resident size beyond what was there before the call, in a process of its own for each case
(on a GPU: allocated).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from torch.nn import functional

from duchenne.devices import resolve_device
from duchenne.methods.emoco.loss import emotion_contrastive_loss
from duchenne.modules.queue import Queue
from measuring import machine, now, use

DIM = 128
LIMIT_MIB = 400


def measure(case: str, batch: int, classes: int, size: int, runs: int, device: torch.device) -> dict[str, object]:
    """Seconds of each run and MiB of the first one."""
    queue = Queue(size, DIM, classes=classes).to(device)
    query, key = (functional.normalize(torch.randn(batch, DIM, device=device), dim=1) for _ in range(2))
    weight = torch.randn(classes, DIM, device=device)
    labels = (
        torch.arange(batch, device=device) % classes if case == "mixed" else torch.zeros(batch, device=device).long()
    )

    def call(rows: int = batch) -> None:
        leaf = query[:rows].clone().requires_grad_()
        emotion_contrastive_loss(leaf, key[:rows], queue.rows, weight, labels[:rows]).backward()

    call(1)  # what the first call loads is not counted
    before = use(device, begin=True)
    call()
    mib, seconds = use(device) - before, []
    for _ in range(runs):
        start = now(device)
        call()
        seconds.append(now(device) - start)
    return {"mib": mib, "seconds": seconds, "queues_mib": queue.rows.numel() * queue.rows.element_size() / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--memory", type=int, default=65536)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--case", choices=("mixed", "one"), help="print one case as JSON and nothing else")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    if arguments.case:
        found = measure(
            arguments.case, arguments.batch, arguments.classes, arguments.memory, arguments.runs, device
        )  # fmt: skip
        print(json.dumps(found))
        return
    results = {}
    for case in ("mixed", "one"):
        command = [sys.executable, __file__, "--case", case]
        for name in ("batch", "classes", "memory", "runs", "device"):
            command += [f"--{name}", str(getattr(arguments, name))]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        results[case] = found
        seconds = found["seconds"]
        print(
            f"{case + ' emotions' if case == 'mixed' else 'one emotion':15} {statistics.median(seconds):6.3f} s "
            f"({min(seconds):.3f} to {max(seconds):.3f}), {found['mib']:.0f} MiB beyond the queues' "
            f"{found['queues_mib']:.0f} (aim: at most {LIMIT_MIB})"
        )
    about = machine(device)
    print(f"batch {arguments.batch}, {arguments.classes} queues of {arguments.memory}; {about}")
    if arguments.out:
        arguments.out.write_text(json.dumps({"results": results, "machine": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
