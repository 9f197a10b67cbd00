"""Times count from the start of the recording, as players show them, and always rise."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.faces.media import flat, write_video

from duchenne.faces.decode import Found, read_pictures
from duchenne.faces.recordings.clock import Clock

FRAMES = 20
WRAP_S = 2**33 / 90_000  # of the clock of MPEG-TS and MPEG-PS


def write_shifted(
    path: Path,
    start_s: float,
    *,
    codec: str = "mpeg4",
    sound_s: float | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """FRAMES frames, 25 a second, whose stamps begin at `start_s`; sound that begins at `sound_s` beside it."""
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=48_000) if sound_s is not None else None
        if sound is not None and sound_s is not None:
            for number in range(12):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                samples.sample_rate = 48_000
                samples.pts, samples.time_base = round(sound_s * 48_000) + 1024 * number, Fraction(1, 48_000)
                container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(flat(20 + 10 * number), format="rgb24")
            frame.pts, frame.time_base = round(start_s * 90_000) + 3600 * number, Fraction(1, 90_000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def stamps_of_ffprobe(path: Path) -> tuple[float, list[float]]:
    """Start of the container and the stamps of its video, as FFmpeg's own tool reads them."""

    def ask(*what: str) -> list[str]:
        command = ["ffprobe", "-v", "error", *what, "-of", "csv=p=0", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    stamps = ask("-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time")
    return float(ask("-show_entries", "format=start_time")[0].strip(",")), [float(one.strip(",")) for one in stamps]


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    "name,start_s,codec",
    [
        ("a.ts", 1.56, "mpeg2video"), ("a.vob", 0.58, "mpeg2video"), ("a.mkv", 1234.5, "mpeg4"),
        ("a.webm", 61.2, "libvpx"), ("fragments.mp4", 0.16, "libx264"), ("wrap.ts", WRAP_S - 0.4, "mpeg2video"),
        ("wrap.vob", WRAP_S - 0.4, "mpeg2video"),
    ],
)  # fmt: skip
def test_times_count_from_the_start_of_the_container(tmp_path: Path, name: str, start_s: float, codec: str) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+delay_moov", "use_editlist": "0"} if "fragments" in name else {}
    path = write_shifted(tmp_path / name, start_s, codec=codec, options=options)
    begin_s, stamps = stamps_of_ffprobe(path)
    found = Found()
    times = [picture.time_s for picture in read_pictures(path, found=found)]
    np.testing.assert_allclose(times, np.arange(FRAMES) / 25, atol=1e-3)
    np.testing.assert_allclose(times, np.array(stamps) - begin_s, atol=1e-3)
    if "wrap" not in name:
        assert abs(begin_s) > 0.05
        assert found.start_s == pytest.approx(begin_s, abs=1e-3)
    assert found.end_s == pytest.approx(FRAMES / 25, abs=2e-3)


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_video_that_begins_after_its_sound_does_so(tmp_path: Path, suffix: str) -> None:
    """A conference is recorded from the first word; the first picture comes later, and players show it then."""
    codec = {"mkv": "mpeg4", "ts": "mpeg2video"}[suffix]
    path = write_shifted(tmp_path / f"a.{suffix}", 12.0, codec=codec, sound_s=11.2)
    times = [picture.time_s for picture in read_pictures(path)]
    np.testing.assert_allclose(
        times, 0.8 + np.arange(FRAMES) / 25, atol=0.022 if suffix == "ts" else 1e-3
    )  # AAC's 21 ms


def test_joined_files_are_one_rising_time_line(tmp_path: Path) -> None:
    """Two .ts in one: the second one's clock starts over."""
    one = write_shifted(tmp_path / "one.ts", 5.0, codec="mpeg2video")
    later = write_shifted(tmp_path / "later.ts", 900.0, codec="mpeg2video")
    for other in (one, later):
        joined = tmp_path / "joined.ts"
        joined.write_bytes(one.read_bytes() + other.read_bytes())
        found = Found()
        times = [picture.time_s for picture in read_pictures(joined, found=found)]
        np.testing.assert_allclose(times, np.arange(2 * FRAMES) / 25, atol=1e-3)
        assert "its clock jumps from 0.76 to" in " ".join(found.notes)
        assert "at frame 20" in " ".join(found.notes)
        part = Found()
        assert len(list(read_pictures(joined, found=part, end_s=1.2))) == 30
        assert (part.start_s, part.notes) == (found.start_s, found.notes[:1])


def test_stamps_that_are_all_alike_count_by_the_rate(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mkv", [flat(level) for level in range(0, 200, 20)], times_ms=[40 * n for n in range(10)]
    )
    data = bytearray(path.read_bytes())
    place = 0
    while (place := data.find(b"\xa3", place)) >= 0:  # SimpleBlock: size, track 1, time in the cluster, flags
        width = 9 - data[place + 1].bit_length()
        if data[place + 1 + width] == 0x81 and data[place + 4 + width] in (0, 0x80):
            data[place + 2 + width : place + 4 + width] = b"\0\0"
        place += 1
    path.write_bytes(bytes(data))
    times = [picture.time_s for picture in read_pictures(path)]
    assert len(times) == 10
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-3)


def test_clock_by_hand() -> None:
    def times(stamps: list[float | None], *, start_s: float | None = None, forward: bool = False) -> list[float]:
        clock = Clock(start_s, 0.04, forward)
        return [round(clock.next(stamp), 6) for stamp in stamps]

    assert times([None, None, None]) == [0, 0.04, 0.08]
    assert times([7.0, 7.04, 7.08]) == [0, 0.04, 0.08]
    assert times([7.0, 7.04], start_s=6.5) == [0.5, 0.54]
    assert times([6.9, 7.04], start_s=7.0) == [0, 0.14]
    assert times([0, 0.04, 0.08, 0, 0.04, 0.12]) == [0, 0.04, 0.08, 0.12, 0.16, 0.24]
    assert times([0, 0.04, 60.0, 60.04]) == [0, 0.04, 60.0, 60.04]  # a camera that was paused
    assert times([0, 0.04, 60.0, 60.04], forward=True) == [0, 0.04, 0.08, 0.12]
    assert times([0, 0.04, 0.04, 0.12, 0.16]) == [0, 0.04, 0.08, 0.12, 0.16]  # one stamp was written twice
    assert times([0, 0.04, 0.03, 0.12]) == [0, 0.04, 0.06, 0.12]


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("number", [5, 40])
def test_avi_with_frames_that_are_shown_in_another_order(tmp_path: Path, codec: str, number: int) -> None:
    """AVI has no times of showing, only the order of decoding: stamps of H.264 went 1, 4, 3, 5, 2."""
    levels = [40 + 4 * place for place in range(number)]
    path = write_video(
        tmp_path / "a.avi", map(flat, levels), codec=codec, options={"bf": "3", "x264-params": "b-adapt=0"}
    )
    found = Found()
    pictures = list(read_pictures(path, found=found))
    assert [picture.time_s for picture in pictures] == pytest.approx([place / 25 for place in range(number)])
    assert [int(picture.image.mean()) for picture in pictures] == pytest.approx(levels, abs=3)
    assert (found.start_s, found.end_s, found.notes) == (0.0, pytest.approx(number / 25), [])


@pytest.mark.parametrize("start_s", [0.0, 1.4, 10 / 3, 1000 / 7])
@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_times_are_those_of_the_same_recording_that_starts_at_0(tmp_path: Path, suffix: str, start_s: float) -> None:
    """1.96 - 1.56 is 0.3999999999999999, and the container's start is rounded to microseconds."""
    found = list(read_pictures(write_shifted(tmp_path / f"a.{suffix}", start_s, codec="mpeg2video")))
    times = [picture.time_s for picture in found]
    step = 1e-3 if suffix == "mkv" else 1 / 90_000  # as exactly as the container counts
    for number, time_s in enumerate(times):
        assert time_s == pytest.approx(number / 25, abs=step)
        if start_s in (0.0, 1.4):
            assert time_s == number / 25
