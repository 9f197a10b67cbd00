"""What computes, and in how many threads; a device that was asked for is honoured or refused, never ignored.

Imports torch and OpenCV late.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from duchenne.errors import UsageError

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bf16"]
"""In which a network multiplies."""


def resolve_device(name: str = "auto") -> torch.device:
    """The device for a name.

    Args:
        name: `auto` (CUDA where there is one, else MPS, else the CPU), `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        UsageError: when the name is unknown or this machine has no such device.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device {name!r}; choose auto, cpu, cuda, cuda:N or mps.") from error
    number = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= number:
        raise UsageError(f"device {name!r} was asked for, but torch sees {number} CUDA devices; use --device cpu.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"device {name!r} was asked for, but this machine has none; use --device cpu.")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"there is no device {name!r}; choose auto, cpu, cuda, cuda:N or mps.")
    return device


def computes_bf16(device: torch.device) -> bool:
    """Whether products in bfloat16 run natively there, so that they are faster than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def processor_name() -> str:
    """What the processor calls itself; elsewhere than on Linux what Python knows of it, at least its architecture."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread inside.

    Small products gain little from a second core, and threads that wait for each other take those of other processes.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keeps OpenCV from splitting its work, which costs a third more processor time that other stages could use."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
