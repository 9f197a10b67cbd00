"""Memory of `detect` over a long video: the process's resident memory while it reads, which should not grow.

    python benchmarks/speed/detect_memory.py VIDEO [--minutes 30] [--height 360] [--report] [--model M]

The video is repeated to that length at 25 frames a second. Printed are the memory after the first tenth, which holds
models and full queues, the largest after it, and a line fitted to the rest in MiB per hour of video. `--report` also
makes the page, which keeps the table.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import psutil

from duchenne.detection.detect import detect_files
from duchenne.detection.settings import DetectArguments
from duchenne.faces.decode import read_pictures

RATE = 25


def repeated(video: Path, out: Path, minutes: float, height: int) -> int:
    """The video forwards and backwards, encoded once and copied until it is long enough; gives its frames."""
    pictures = [picture.image for picture in read_pictures(video)]
    pictures += pictures[-2:0:-1]
    width = 2 * round(pictures[0].shape[1] * height / pictures[0].shape[0] / 2)
    once = out.with_name("once.mp4")
    with av.open(str(once), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "20", "bf": "0"}
        for image in pictures:
            small = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(stream.encode(None))
    times = max(1, round(minutes * 60 * RATE / len(pictures)))
    with av.open(str(once)) as source, av.open(str(out), "w") as container:
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
        stream = container.add_stream_from_template(source.streams.video[0])
        step = Fraction(1, RATE) / packets[0].time_base
        data = [(bytes(packet), packet.is_keyframe) for packet in packets]
        for number in range(times * len(data)):
            content, is_key = data[number % len(data)]
            packet = av.Packet(content)
            packet.pts = packet.dts = round(number * step)
            packet.time_base, packet.is_keyframe, packet.stream = packets[0].time_base, is_key, stream
            container.mux(packet)
    return times * len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--model", default="blendshapes")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    process, over = psutil.Process(), threading.Event()
    samples: list[tuple[float, float]] = []

    def watch() -> None:
        while not over.wait(0.5):
            samples.append((time.perf_counter(), process.memory_info().rss / 2**20))

    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "long.mp4"
        frames = repeated(given.video, video, given.minutes, given.height)
        thread = threading.Thread(target=watch, daemon=True)
        start_s = time.perf_counter()
        thread.start()
        report = Path(folder) / "long.html" if given.report else None
        done = detect_files(video, DetectArguments(output=Path(folder) / "long.csv", report=report), model=given.model)
        spent_s = time.perf_counter() - start_s
        over.set()
        thread.join()
    assert done.outcomes[0].frames == frames, done.outcomes
    at, memory = np.array(samples).T
    shares = (at - start_s) / spent_s
    rest = shares > 0.1
    hours = shares * frames / RATE / 3600
    slope = np.polyfit(hours[rest], memory[rest], 1)[0]
    print(
        f"{frames} frames ({frames / RATE / 60:.1f} min) in {spent_s:.0f} s, {frames / spent_s:.1f} frames/s; "
        f"after a tenth {memory[rest][0]:.0f} MiB, largest {memory[rest].max():.0f}, at the end {memory[-1]:.0f}; "
        f"{slope:+.1f} MiB per hour of video"
    )


if __name__ == "__main__":
    main()
