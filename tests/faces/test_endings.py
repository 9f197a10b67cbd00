"""What is cut off or damaged is never read as whole; what nobody can tell is said."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from tests.faces.media import Image, flat, write_video

from duchenne.errors import InputError
from duchenne.faces.decode import Found, read_pictures
from duchenne.faces.recordings.ends import ending

CODECS = {
    "gif": "gif", "wmv": "wmv2", "flv": "flv", "avi": "mjpeg", "mkv": "mpeg4", "webm": "libvpx", "mp4": "mpeg4",
    "mov": "mjpeg", "mxf": "mpeg2video", "ogv": "libvpx", "ivf": "libvpx", "3gp": "h263", "apng": "apng",
}  # fmt: skip
OPEN_ENDED = {"h264": "libx264", "m2v": "mpeg2video", "mjpeg": "mjpeg", "ts": "mpeg2video"}
PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p", "apng": "rgb24"}


def noise(seed: int, size: tuple[int, int] = (144, 176)) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 11, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A recording of 12 frames of every kind."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        suffix: write_video(
            folder / f"a.{suffix}", map(noise, range(12)), codec=codec, pixels=PIXELS.get(codec, "yuv420p")
        )
        for suffix, codec in (CODECS | OPEN_ENDED).items()
    }


def read(path: Path, end_s: float | None = None) -> tuple[int, str]:
    """How many pictures came, and the sentence."""
    number = 0
    try:
        for _ in read_pictures(path, end_s=end_s):
            number += 1
    except InputError as error:
        return number, str(error)
    return number, ""


@pytest.mark.parametrize("suffix", CODECS)
def test_no_cut_goes_unnoticed(recordings: dict[str, Path], tmp_path: Path, suffix: str) -> None:
    data = recordings[suffix].read_bytes()
    assert read(recordings[suffix]) == (12, "")
    assert ending(recordings[suffix])[0] == "whole"
    cut = tmp_path / f"cut.{suffix}"
    for share in (0.3, 0.6, 0.8, 0.97):
        cut.write_bytes(data[: int(share * len(data))])
        _, sentence = read(cut)
        assert str(cut) in sentence
        assert "truncated" in sentence or "cut off" in sentence or "no picture" in sentence
    cut.write_bytes(data[:-1])
    assert read(cut)[1]


@pytest.mark.parametrize("suffix", OPEN_ENDED)
def test_what_nobody_can_tell_is_said(recordings: dict[str, Path], suffix: str) -> None:
    found = Found()
    assert len(list(read_pictures(recordings[suffix], found=found))) == 12
    assert "nobody can tell whether it is whole" in " ".join(found.notes)


@pytest.mark.parametrize("suffix", ["mkv", "ogv", "avi", "mov", "flv", "m2v", "wmv", "apng", "h264"])
def test_damage_inside_is_not_painted_over(recordings: dict[str, Path], tmp_path: Path, suffix: str) -> None:
    """Eighty bytes in the middle of a recording, as from a bad sector."""
    data = recordings[suffix].read_bytes()
    generator = random.Random(0)
    noticed = 0
    for _ in range(8):
        hit = bytearray(data)
        place = generator.randrange(len(data) // 4, len(data) * 3 // 4)
        hit[place : place + 80] = generator.randbytes(80)
        (tmp_path / f"hit.{suffix}").write_bytes(bytes(hit))
        noticed += bool(read(tmp_path / f"hit.{suffix}")[1])
    assert noticed >= {"mov": 3, "avi": 3, "h264": 5}.get(suffix, 7)  # their codes can be wrong and readable


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "least"),
    [("a.mkv", "ffv1", "yuv420p", 8), ("a.avi", "dvvideo", "yuv420p", 8), ("a.flv", "flashsv", "bgr24", 5)],
)
def test_what_a_decoder_only_writes_into_its_log(
    tmp_path: Path, name: str, codec: str, pixels: str, least: int
) -> None:
    """A bad sector inside: these decoders give the picture and mark nothing, whatever they are asked for."""
    options = {"level": "3", "slicecrc": "1"} if codec == "ffv1" else {}
    images = [noise(number, (576, 720)) for number in range(6)]
    path = write_video(tmp_path / name, images, codec=codec, pixels=pixels, options=options)
    assert read(path) == (6, "")
    assert av.logging.get_level() is None  # as it was
    data, generator, noticed = path.read_bytes(), random.Random(0), 0
    for _ in range(8):
        place = generator.randrange(len(data) // 4, len(data) * 3 // 4)
        path.write_bytes(data[:place] + generator.randbytes(4096) + data[place + 4096 :])
        noticed += "is damaged" in read(path)[1]
    assert noticed >= least


def test_a_cluster_lost_inside_matroska(tmp_path: Path) -> None:
    """The head of a cluster is gone: all of it is passed over, and what is read decodes without an error."""
    path = write_video(tmp_path / "a.mkv", map(noise, range(60)), codec="mpeg4", options={"g": "10"}, cluster_ms=400)
    data = bytearray(path.read_bytes())
    clusters = [place for place in range(len(data)) if data[place : place + 4] == b"\x1f\x43\xb6\x75"]
    assert len(clusters) > 4
    data[clusters[2] : clusters[2] + 4] = bytes(4)
    path.write_bytes(bytes(data))
    number, sentence = read(path)
    assert number < 60
    assert "is damaged" in sentence
    assert read(path, 0.6) == (15, "")  # of cluster 0 and 1, which begin at 0 and 0.4 s
    number, sentence = read(path, 2.0)
    assert number < 50
    assert "is damaged" in sentence


@pytest.mark.parametrize(("suffix", "codec"), [("mov", "png"), ("mp4", "libx264"), ("mkv", "mpeg4"), ("ogv", "libvpx")])
def test_an_end_hides_no_damage_before_it(tmp_path: Path, suffix: str, codec: str) -> None:
    """The packet of frame 20 of 50, at 0.8 s, is overwritten; every frame is a key frame."""
    path = write_video(
        tmp_path / f"a.{suffix}", map(noise, range(50)), codec=codec, options={"g": "1"},
        pixels="rgb24" if codec == "png" else "yuv420p",
    )  # fmt: skip
    with av.open(str(path)) as container:
        packet = list(container.demux(video=0))[20]
        place, size = packet.pos, packet.size
    assert place is not None
    data = bytearray(path.read_bytes())
    data[place + 40 : place + size] = random.Random(0).randbytes(size - 40)
    path.write_bytes(bytes(data))
    assert read(path, 0.4) == (10, "")
    _, sentence = read(path, 1.6)
    assert "is damaged" in sentence
    assert " of 50 " not in sentence


def test_an_end_asks_for_nothing_behind_it(tmp_path: Path) -> None:
    """Cut off at 70 % of 50 frames, or of an unknown end."""
    path = write_video(tmp_path / "a.mp4", map(noise, range(50)), codec="mjpeg", pixels="yuvj420p", faststart=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    assert read(path, 0.8) == (20, "")
    number, sentence = read(path, 1.8)
    assert number < 45
    assert "is truncated" in sentence
    found = Found()
    path = write_video(tmp_path / "a.ts", map(noise, range(50)), codec="mpeg2video")
    assert len(list(read_pictures(path, found=found, end_s=0.8))) == 20
    assert found.notes == []
    assert read(path, 0.01) == (1, "")


@pytest.mark.parametrize("codec", ["flv", "libx264"])
def test_a_tag_lost_inside_flash(tmp_path: Path, codec: str) -> None:
    """A bit of a tag's kind (9 is video, 18 data), of its length, or of its picture's kind: FFmpeg passes over it."""
    data = write_video(tmp_path / "a.flv", map(noise, range(12)), codec=codec).read_bytes()
    place, tags = 13, []
    while place < len(data):
        tags += [place] if data[place] == 9 else []
        place += 11 + int.from_bytes(data[place + 1 : place + 4], "big") + 4
    assert len(tags) >= 12
    for offset, bit in ((0, 0x02), (0, 0x04), (1, 0x01), (11, 0x40), (11, 0x80), (11, 0x04)):
        hit = bytearray(data)
        hit[tags[4] + offset] ^= bit
        (tmp_path / "hit.flv").write_bytes(bytes(hit))
        assert "is damaged" in read(tmp_path / "hit.flv")[1], (offset, bit)


def test_jpegs_and_tiffs_with_damage(tmp_path: Path) -> None:
    """Decoders fill what they cannot read; the strips of a TIFF have a check sum (deflate) or codes that end (LZW)."""
    image = noise(3)
    image = np.clip(image + np.random.default_rng(0).normal(0, 9, image.shape), 0, 255).astype(np.uint8)
    kinds = {
        "a.jpg": [cv2.IMWRITE_JPEG_RST_INTERVAL, 4], "b.jpg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        "a.tif": [cv2.IMWRITE_TIFF_COMPRESSION, 8], "b.tif": [cv2.IMWRITE_TIFF_COMPRESSION, 5], "a.png": [],
    }  # fmt: skip
    generator = random.Random(1)
    for name, options in kinds.items():
        data = cv2.imencode(Path(name).suffix, image, options)[1].tobytes()
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name) == (1, "")
        noticed = 0
        for _ in range(12):
            hit = bytearray(data)
            place = generator.randrange(len(data) // 3, len(data) * 2 // 3)
            hit[place : place + 30] = generator.randbytes(30)
            (tmp_path / name).write_bytes(bytes(hit))
            number, sentence = read(tmp_path / name)
            noticed += number == 0 and "replace it" in sentence
        assert noticed >= {"a.png": 12, "a.tif": 6}.get(name, 9), name


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("a.tif", [cv2.IMWRITE_TIFF_COMPRESSION, 7, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 16], 10),
        ("b.tif", [cv2.IMWRITE_TIFF_COMPRESSION, 32773], 6), ("a.jp2", [], 12),
    ],
)  # fmt: skip
def test_what_libraries_only_warn_of(
    tmp_path: Path, name: str, options: list[int], least: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """JPEG and PackBits in TIFF with 500 zeros inside; a JPEG 2000 whose rest is zeros."""
    image = np.clip(noise(3).astype(float) + np.random.default_rng(0).normal(0, 9, (144, 176, 3)), 0, 255)
    data = cv2.imencode(Path(name).suffix, image.astype(np.uint8), options)[1].tobytes()
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path / name) == (1, "")
    generator, noticed = random.Random(1), 0
    for _ in range(12):
        place = generator.randrange(len(data) // 4, len(data) * 3 // 4)
        zeros = bytes(500 if name.endswith("tif") else len(data) - place)
        (tmp_path / name).write_bytes(data[:place] + zeros + data[place + len(zeros) :])
        number, sentence = read(tmp_path / name)
        noticed += number == 0 and "replace it" in sentence
    assert noticed >= least
    assert "WARN" not in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["wmv", "webp"])
def test_a_rest_of_zeros(recordings: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """As in a file that was made as long as it should become, and then not copied to its end."""
    path = tmp_path / f"a.{kind}"
    if kind == "webp":
        pictures = [Pillow.fromarray(noise(number)) for number in range(12)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    else:
        path.write_bytes(recordings[kind].read_bytes())
    assert read(path) == (12, "")
    data = path.read_bytes()
    for share in (0.2, 0.5, 0.8, 0.9):
        place = int(share * len(data))
        path.write_bytes(data[:place] + bytes(len(data) - place))
        assert "is damaged" in read(path)[1], share


def test_a_tiff_that_lost_its_last_page(tmp_path: Path) -> None:
    cv2.imwritemulti(str(tmp_path / "a.tiff"), [flat(level) for level in (30, 90, 150)])
    data = (tmp_path / "a.tiff").read_bytes()
    (tmp_path / "a.tiff").write_bytes(data[: len(data) * 9 // 10])
    number, sentence = read(tmp_path / "a.tiff")
    assert number == 2
    assert "2 of 3 frames were read" in sentence


def test_webcams_that_pad_their_jpegs_are_whole(tmp_path: Path) -> None:
    """Two bytes too many before the end mark: libjpeg says so, and the picture is as it was."""
    data = cv2.imencode(".jpg", noise(5))[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(data[:-2] + b"\x55\x55" + data[-2:])
    assert read(tmp_path / "a.jpg") == (1, "")


@pytest.mark.parametrize("kind", ["png", "jpg", "tiff", "webp", "bmp"])
def test_pictures_too_large_for_memory_are_refused(tmp_path: Path, kind: str) -> None:
    """By what the header says: 20,000 x 20,000 pixels are 1.2 GB, whatever the size of the file."""
    path = tmp_path / f"a.{kind}"
    Pillow.fromarray(flat(9)).save(path)
    data = bytearray(path.read_bytes())
    if kind == "png":
        data[16:24] = struct.pack(">II", 20_000, 20_000)
        import zlib

        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == "jpg":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", 20_000, 20_000)
    elif kind == "bmp":
        data[18:26] = struct.pack("<ii", 20_000, -20_000)
        data[30] = 1  # compressed: its size is not that of its pixels
    elif kind == "webp":
        wide = 19_999
        chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + wide.to_bytes(3, "little") * 2
        data[12:12] = chunk
        data[4:8] = struct.pack("<I", len(data) - 8)
    else:
        place = struct.unpack_from("<I", data, 4)[0] + 2
        for tag in range(place, place + 12 * struct.unpack_from("<H", data, place - 2)[0], 12):
            if struct.unpack_from("<H", data, tag)[0] in (256, 257):
                struct.pack_into("<HII", data, tag + 2, 4, 1, 20_000)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"has 20000 x 20000 pixels, more than the 120 million"):
        list(read_pictures(path))
