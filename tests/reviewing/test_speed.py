"""How fast the page is: the copy in which frames are found quickly, when it is offered, and an idle server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from playwright.sync_api import Browser, Page
from tests.faces.media import write_video
from tests.reviewing.conftest import until
from tests.reviewing.made import numbered, recordings, serving, start

from duchenne.reviewing.copying import copy_recording

RATE, SOUND = 25, 44100


def with_sound(path: Path, frames: int, loud_from: int, begin_s: float = 0.0) -> Path:
    """Numbered frames with one keyframe, and a tone from a frame on; its clock begins at `begin_s`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "1000"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        audio = container.add_stream("aac", rate=SOUND)
        audio.layout = "mono"
        step = SOUND // RATE
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number + round(begin_s * RATE), Fraction(1, RATE)
            container.mux(video.encode(frame))
            tone = 0.3 * np.sin(np.arange(step) / 8) * (number >= loud_from)
            heard = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
            heard.sample_rate, heard.time_base = SOUND, Fraction(1, SOUND)
            heard.pts = number * step + round(begin_s * SOUND)
            container.mux(audio.encode(heard))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def loud_s(path: Path) -> float:
    """When the tone begins, after the first picture."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
    with av.open(str(path)) as container:
        return next(f.time for f in container.decode(audio=0) if np.abs(f.to_ndarray()).max() > 0.05) - first


def test_the_sound_goes_along_and_stays_in_step(tmp_path: Path) -> None:
    for begin_s in (0.0, 2.0):
        source = with_sound(tmp_path / f"at_{begin_s:g}.mp4", 60, loud_from=30, begin_s=begin_s)
        copy = tmp_path / f"copy_{begin_s:g}.mp4"
        assert copy_recording(source, copy) == 60
        assert abs(loud_s(copy) - loud_s(source)) < 1e-3
        assert abs(loud_s(copy) - 30 / RATE) < 0.03  # a frame of AAC lasts 23 ms


def test_a_copy_has_a_keyframe_a_second(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "a.mp4", 80, loud_from=0)
    copy_recording(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        packets = [
            (packet.pts * packet.time_base, packet.is_keyframe)
            for packet in container.demux(video=0)
            if packet.pts is not None
        ]
    keys = [time for time, is_key in packets if is_key]
    assert [round(float(time), 4) for time, _ in packets] == [round(number / RATE, 4) for number in range(80)]
    assert max(np.diff([*map(float, keys), 80 / RATE])) <= 1.0 + 1e-6


@pytest.mark.parametrize("rate", [5, 60])
def test_a_second_is_one_at_any_rate(tmp_path: Path, rate: int) -> None:
    images = [numbered(number % 256) for number in range(3 * rate)]
    times = [round(1000 * number / rate) for number in range(3 * rate)]
    source = write_video(tmp_path / "a.mp4", images, times_ms=times)
    copy_recording(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None and packet.is_keyframe]
        assert [round(float(packet.pts * packet.time_base), 3) for packet in packets] == [0, 1, 2]


@pytest.mark.slow
def test_slow_seeks_offer_a_copy(tmp_path: Path, show: Callable[..., Page]) -> None:
    with serving(recordings(tmp_path / "films")) as site:
        page = show(site)
        took = (
            "took => { const {player} = review; player.took = took; player.began = performance.now() - took[0]; "
            "player.arrived(); }"
        )
        page.evaluate(took, [120, 150, 900, 130])
        assert page.is_hidden("#copy")
        page.evaluate(took, [240, 260, 20, 250])
        until(page, "!document.getElementById('copy').hidden")
        assert "few keyframes" in page.inner_text("#hint")
        page.click("#copy")
        until(page, "/^(done|failed)/.test(document.getElementById('job-step').textContent)", seconds=60)
        until(page, "review.player.ready && review.info.copy")
        assert page.is_hidden("#hint")
        page.evaluate(took, [240, 260, 20, 250])
        assert page.is_hidden("#copy")


@pytest.mark.slow
def test_an_idle_server_hardly_computes(tmp_path: Path, chromium: Browser) -> None:
    process, site = start(recordings(tmp_path / "films"))
    try:
        page = chromium.new_page()
        page.goto(site.address)
        until(page, "globalThis.review && review.player.ready")
        page.wait_for_timeout(1500)  # portraits and what else is fetched at first
        before = psutil.Process(process.pid).cpu_times()
        page.wait_for_timeout(4000)
        after = psutil.Process(process.pid).cpu_times()
        page.close()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert after.user + after.system - before.user - before.system <= 0.04  # a hundredth of a core
