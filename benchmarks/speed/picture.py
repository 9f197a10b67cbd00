"""How long `Detector` takes for single pictures, each by itself, as in a service.

    python benchmarks/speed/picture.py PICTURE... [--calls 100]

Prints, for each picture and each longest side, the median, the fastest and the slowest tenth of a call, and the
processor time of one.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import cv2
import numpy as np

import duchenne


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--calls", type=int, default=100)
    arguments = parser.parse_args()
    start = time.perf_counter()
    with duchenne.Detector() as detector:
        print(f"Python {platform.python_version()}; opening: {time.perf_counter() - start:.2f} s\n")
        print("| picture | pixels | faces | ms a call (10 % to 90 %) | processor, ms |\n|---|---|--:|---|--:|")
        for path in arguments.pictures:
            whole = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            for side in (320, 640, 1280):
                scale = side / max(whole.shape[:2])
                if scale > 1:
                    continue
                picture = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                faces = len(detector(picture).faces)
                spent = []
                before = time.process_time()
                for _ in range(arguments.calls):
                    began = time.perf_counter()
                    detector(picture)
                    spent.append(1000 * (time.perf_counter() - began))
                used = 1000 * (time.process_time() - before) / arguments.calls
                low, middle, high = np.quantile(spent, (0.1, 0.5, 0.9))
                shape = f"{picture.shape[1]} x {picture.shape[0]}"
                print(f"| {path.name} | {shape} | {faces} | {middle:.0f} ({low:.0f} to {high:.0f}) | {used:.0f} |")


if __name__ == "__main__":
    main()
