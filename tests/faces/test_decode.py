"""Decoding: what people see, in order, with the container's times; and one sentence for what cannot be read."""

from __future__ import annotations

import gc
import os
import re
import warnings
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from tests.faces.media import flat, quadrants, turn, write_video

from duchenne.errors import InputError
from duchenne.faces.decode import probe, read_pictures
from duchenne.faces.recordings.ends import ending
from duchenne.faces.recordings.formats import VIDEO_SUFFIXES
from duchenne.faces.recordings.listing import list_media

LEVELS = list(range(20, 220, 10))


def close(image: np.ndarray, wanted: np.ndarray, tolerance: float = 12.0) -> bool:
    return image.shape == wanted.shape and float(np.abs(image.astype(float) - wanted).mean()) < tolerance


@pytest.mark.parametrize("codec,options", [("mpeg4", {"bf": "2"}), ("libx264", {})])
def test_frames_come_in_the_order_in_which_they_are_shown(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    path = write_video(tmp_path / "a.mp4", map(flat, LEVELS), codec=codec, options=options)
    pictures = list(read_pictures(path))
    assert [picture.frame for picture in pictures] == list(range(len(LEVELS)))
    np.testing.assert_allclose([picture.image.mean() for picture in pictures], LEVELS, atol=4)
    np.testing.assert_allclose([picture.time_s for picture in pictures], np.arange(len(LEVELS)) / 25, atol=1e-3)
    info = probe(path)
    assert (info.width, info.height, info.frames, info.is_image) == (64, 48, len(LEVELS), False)
    assert info.rate == pytest.approx(25, rel=0.01)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_times_are_those_of_the_container(tmp_path: Path, suffix: str) -> None:
    times = [0, 40, 80, 500, 520, 1500, 1540]
    path = write_video(tmp_path / f"a.{suffix}", [flat(level) for level in LEVELS[: len(times)]], times_ms=times)
    np.testing.assert_allclose([picture.time_s * 1000 for picture in read_pictures(path)], times, atol=1)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_turned_videos_stand_upright(tmp_path: Path, quarters: int) -> None:
    path = write_video(tmp_path / "a.mp4", [quadrants()] * 3)
    turn(path, quarters)
    wanted = np.rot90(quadrants(), -quarters)
    pictures = list(read_pictures(path))
    assert len(pictures) == 3
    assert all(close(picture.image, wanted) for picture in pictures)
    assert probe(path)[:2] == (wanted.shape[1], wanted.shape[0])


def test_oblong_pixels_are_made_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [quadrants()] * 2, aspect=Fraction(3, 2))
    assert probe(path)[:2] == (96, 48)
    assert close(next(read_pictures(path)).image, quadrants(48, 96))


def test_odd_sizes_and_deep_colour(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [quadrants(47, 61)] * 2, codec="ffv1", pixels="yuv444p")
    assert close(next(read_pictures(path)).image, quadrants(47, 61))
    path = write_video(tmp_path / "b.mkv", [quadrants()] * 2, codec="ffv1", pixels="yuv444p10le")
    assert close(next(read_pictures(path)).image, quadrants())


def test_animated_gif_is_a_video(tmp_path: Path) -> None:
    images = [Pillow.fromarray(flat(level)) for level in LEVELS[:5]]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 100, 300, 100, 100])
    pictures = list(read_pictures(tmp_path / "a.gif"))
    np.testing.assert_allclose([picture.image.mean() for picture in pictures], LEVELS[:5], atol=4)
    np.testing.assert_allclose([picture.time_s for picture in pictures], [0, 0.1, 0.2, 0.5, 0.6], atol=1e-6)
    assert not probe(tmp_path / "a.gif").is_image


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "bmp", "webp"])
def test_images(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), quadrants()[:, :, ::-1])
    (picture,) = read_pictures(tmp_path / f"a.{suffix}")
    assert (picture.frame, picture.time_s) == (0, 0.0)
    assert close(picture.image, quadrants())
    assert probe(tmp_path / f"a.{suffix}") == (64, 48, 1, None, True)


def test_grey_alpha_and_16_bit_images_become_rgb(tmp_path: Path) -> None:
    grey = quadrants().mean(axis=2).astype(np.uint8)
    pictures = {
        "grey.png": (grey, np.repeat(grey[:, :, None], 3, axis=2)),
        "grey16.png": (grey.astype(np.uint16) * 257, np.repeat(grey[:, :, None], 3, axis=2)),
        "colour16.tiff": (quadrants()[:, :, ::-1].astype(np.uint16) * 257, quadrants()),
        "alpha.png": (np.dstack([quadrants()[:, :, ::-1], np.full((48, 64), 128, np.uint8)]), quadrants()),
    }
    for name, (stored, wanted) in pictures.items():
        cv2.imwrite(str(tmp_path / name), stored)
        image = next(read_pictures(tmp_path / name)).image
        assert image.dtype == np.uint8
        assert close(image, wanted, 1.5), name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(tmp_path: Path, orientation: int) -> None:
    """All eight EXIF orientations, mirrored ones too."""
    undo = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: np.swapaxes(a, 0, 1), 6: np.rot90, 7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(undo[orientation](quadrants()))
    Pillow.fromarray(stored).save(tmp_path / "a.jpg", quality=95, exif=exif)
    assert close(next(read_pictures(tmp_path / "a.jpg")).image, quadrants())


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "50%d:x.mp4"
    cv2.imwrite(str(tmp_path / "a.png"), quadrants()[:, :, ::-1])
    (tmp_path / "a.png").rename(path)
    assert close(next(read_pictures(path)).image, quadrants())


def test_truncated_video_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(40)]
    path = write_video(tmp_path / "a.mp4", images, faststart=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"a\.mp4: is (truncated|damaged).* (\d+) of 40 frames were read") as caught:
        list(read_pictures(path))
    pictures = []
    try:
        for picture in read_pictures(path):
            pictures.append(picture)
    except InputError:
        pass
    read = re.search(r"(\d+) of 40", str(caught.value))
    assert read is not None
    assert 10 < len(pictures) == int(read[1]) < 35


@pytest.mark.parametrize("suffix,codec", [("mkv", "mpeg4"), ("webm", "libvpx")])
def test_truncated_matroska_is_not_taken_for_whole(tmp_path: Path, suffix: str, codec: str) -> None:
    """Its header holds no number of frames, and what is left of it decodes without an error."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(20)]
    path = write_video(tmp_path / f"a.{suffix}", images, codec=codec)
    assert len(list(read_pictures(path))) == 20
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"is truncated; \d+ frames were read") as caught:
        list(read_pictures(path))
    read = re.search(r"(\d+) frames", str(caught.value))
    assert read is not None
    assert 5 < int(read[1]) < 15


@pytest.fixture(scope="module", params=["mpeg4", "libx264"])
def broadcast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MPEG-TS file of 40 frames with a key frame every 8."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (96, 128, 3), dtype=np.uint8) for _ in range(40)]
    return write_video(tmp_path_factory.mktemp("ts") / "a.ts", images, codec=request.param, options={"g": "8"})


@pytest.mark.parametrize("bytes_over", [0, 77])
def test_truncated_broadcasts_are_not_taken_for_whole(broadcast: Path, tmp_path: Path, bytes_over: int) -> None:
    """MPEG-TS says nowhere how long it is: what tells is a packet that is not whole, or a picture that is not."""
    data = broadcast.read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[: len(data) * 6 // 10 // 188 * 188 + bytes_over])
    assert ending(cut)[0] == ("cut" if bytes_over else "unknown")
    what = "truncated" if bytes_over else "damaged in 1 place"
    with pytest.raises(InputError, match=rf"cut\.ts: is {what}; 2\d frames were read"):
        list(read_pictures(cut))


def test_whole_broadcasts_are_whole(broadcast: Path, tmp_path: Path) -> None:
    """Also one that begins in the middle, as recordings do, two in a row, and one with something else at its end."""
    data = broadcast.read_bytes()
    assert len(list(read_pictures(broadcast))) == 40
    other = tmp_path / "other.ts"
    for content in (data[len(data) // 3 // 188 * 188 :], data + data, data + b"made by a camera"):
        other.write_bytes(content)
        assert len(list(read_pictures(other))) > 16


def test_files_are_closed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [flat(9)] * 3)
    (tmp_path / "b.mp4").write_bytes(b"hello world\n" * 100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        probe(path)
        next(read_pictures(path))
        list(read_pictures(path))
        with pytest.raises(InputError):
            probe(tmp_path / "b.mp4")
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


BAD = {
    "text.mp4": (b"hello world\n" * 100, "is not an image or video"),
    "zero.png": (b"", r"is empty \(0 bytes\)"),
    "zero.mp4": (b"", r"is empty \(0 bytes\)"),
    "noise.jpg": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4, "is truncated|cannot be read as an image"),
    "plain.txt": (b"hello world\n" * 100, "holds no picture|is not an image"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    content, sentence = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    for attempt in (lambda: probe(path), lambda: list(read_pictures(path))):
        with pytest.raises(InputError, match=sentence) as caught:
            attempt()
        assert str(caught.value).startswith(f"{path}: ")
        assert str(caught.value).count("\n") == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", ["png", "jpg", "mp4"])
def test_half_a_file_is_not_a_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    if suffix == "mp4":
        write_video(path, [image] * 20)  # its index is at the end, which is missing
    else:
        cv2.imwrite(str(path), image)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"truncated|cut off"):
        list(read_pictures(path))


def test_missing_and_forbidden(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4: there is no such file"):
        list(read_pictures(tmp_path / "gone.mp4"))
    path = write_video(tmp_path / "a.mp4", [flat(9)] * 2)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(InputError, match=r"a\.mp4: cannot be read \(Permission denied\)"):
        list(read_pictures(path))


def test_list_media(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MOV", "sub/c.avi", "sub/d.png", "sub/notes.txt", ".hidden.mp4", ".git/e.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub" / "back").symlink_to(tmp_path)

    def names(*inputs: str | Path, **options: frozenset[str]) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in list_media(inputs, **options)]

    assert names(tmp_path) == ["a.MOV", "b.mp4", "sub/c.avi", "sub/d.png"]
    assert names(tmp_path, suffixes=VIDEO_SUFFIXES) == ["a.MOV", "b.mp4", "sub/c.avi"]
    assert names(tmp_path / "b.mp4", tmp_path / "*.mp4") == ["b.mp4"]
    assert names(tmp_path / "sub" / "notes.txt") == ["sub/notes.txt"]
    assert names(tmp_path / "*" / "*.avi") == ["sub/c.avi"]
    (tmp_path / "none").mkdir()
    for bad, sentence in [("nowhere", "there is no such file or folder"), ("none", "holds no images or videos")]:
        with pytest.raises(InputError, match=rf"{bad}: {sentence}"):
            list_media([tmp_path / bad])
