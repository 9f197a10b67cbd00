"""The page of `duchenne review`: an idle server, seeking in half an hour of 1080 lines, and painting 100,000 frames.

    python benchmarks/reviewing/page.py [--seconds 60] [--seeks 40]        # needs Debian's chromium

The recording is one minute that is repeated (copied, not encoded again). Two are made: a keyframe every second, as
phones write, and one every ten seconds, x264's default. A third is the copy of the second that the page offers where
seeking is slow; what it takes to make is printed too.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import psutil
from playwright.sync_api import Page, sync_playwright

from duchenne.reviewing.copying import copy_recording

RATE, MINUTES = 25, 30


def minute(path: Path, keyframes: int) -> None:
    """A minute of a moving picture, H.264, some 10 MB."""
    coarse = np.random.default_rng(0).integers(60, 200, (34, 60, 3), dtype=np.uint8)
    ground = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "crf": "26", "g": str(keyframes), "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(60 * RATE):
            image = np.roll(ground, 3 * number, axis=1)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def repeat(source: Path, path: Path) -> None:
    """Half an hour of it, with rising time stamps."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        stream = None
        for turn in range(MINUTES):
            with av.open(str(source)) as container:
                given = container.streams.video[0]
                stream = stream or out.add_stream_from_template(given)
                for packet in container.demux(given):
                    if packet.dts is None:
                        continue
                    shift = int(turn * 60 / given.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    out.mux(packet)


def table(path: Path, number: int) -> None:
    """One face, eighteen action units."""
    draw = np.random.default_rng(1)
    aus = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 45)
    rows = pd.DataFrame(
        {
            "source": path.stem.removesuffix("_aus") + ".mp4", "frame": np.arange(number),
            "time_s": (np.arange(number) / RATE).round(6), "face": 0, "score": 0.9, "x": 700.0, "y": 300.0,
            "width": 400.0, "height": 480.0, "flag": None,
            **{f"AU{au:02d}_s": draw.random(number).round(3) for au in aus},
        }
    )  # fmt: skip
    rows.to_csv(path, index=False)


def seeks(page: Page, number: int, count: int) -> list[float]:
    """Milliseconds from the key to the picture, at random places."""
    found: list[float] = page.evaluate(
        """async ({number, count}) => {
          const {player} = review, took = [];
          let state = 1;
          for (let i = 0; i < count; i++) {
            state = (state * 48271) % 2147483647;
            const aim = state % number, began = performance.now();
            await new Promise(done => {
              const look = () => { if (player.shown === aim) { player.removeEventListener("frame", look); done(); } };
              player.addEventListener("frame", look);
              player.seek(aim);
            });
            took.push(performance.now() - began);
          }
          return took;
        }""",
        {"number": number, "count": count},
    )
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="of idling")
    parser.add_argument("--seeks", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, keyframes in (("second", RATE), ("ten_seconds", 10 * RATE)):
            minute(folder / "minute.mp4", keyframes)
            repeat(folder / "minute.mp4", folder / f"{name}.mp4")
            table(folder / f"{name}_aus.csv", 60 * RATE * MINUTES)
        began, used = time.monotonic(), time.process_time()
        copy_recording(folder / "minute.mp4", folder / "copied.mp4")
        took_s, used_s = time.monotonic() - began, time.process_time() - used
        print(f"copying a minute: {took_s:.0f} s, {used_s:.0f} s of processors; load {os.getloadavg()[0]:.1f}")
        repeat(folder / "copied.mp4", folder / "tcopy.mp4")
        table(folder / "tcopy_aus.csv", 60 * RATE * MINUTES)
        for name in ("minute.mp4", "copied.mp4"):
            (folder / name).unlink()
        command = [sys.executable, "-m", "duchenne.cli.main", "review", str(folder), "--no-browser"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                page.goto(address)
                for key, name in (("r0", "second"), ("r2", "ten seconds"), ("r1", "second, the copy")):
                    page.evaluate("key => review.open(key)", key)
                    while not page.evaluate("review.player.ready && review.player.times.length"):
                        time.sleep(0.1)
                    took = sorted(seeks(page, 60 * RATE * MINUTES, given.seeks))
                    shown = ", ".join(
                        f"{one:.0f}" for one in (statistics.median(took), took[int(0.95 * len(took))], took[-1])
                    )
                    load = os.getloadavg()[0]
                    print(f"seek, keyframe every {name}: median, 95 %, slowest: {shown} ms; load {load:.1f}")
                whole = [page.evaluate("(review.curves.paint(), review.curves.painted)") for _ in range(9)]
                print(f"painting 18 curves of {60 * RATE * MINUTES} frames: median {statistics.median(whole):.1f} ms")
                process = psutil.Process(server.pid)
                time.sleep(3)
                before, began = process.cpu_times(), time.monotonic()
                time.sleep(given.seconds)
                after, took_s = process.cpu_times(), time.monotonic() - began
                used = after.user + after.system - before.user - before.system
                print(f"idle server, page open: {100 * used / took_s:.2f} % of one core over {took_s:.0f} s")
                print(f"server: {process.memory_info().rss >> 20} MiB; load of the machine {os.getloadavg()[0]:.1f}")
                browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
