"""How a picture lies, its colours and its fields: as FFmpeg shows it, and by hand."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as Pillow
from tests.faces.heif import write_heic
from tests.faces.media import Image, quadrants, set_matrix, write_video

from duchenne.errors import InputError
from duchenne.faces.decode import Found, Picture, probe, read_pictures
from duchenne.faces.recordings.listing import Assembly

ONE = 1 << 16
WAYS: dict[str, tuple[tuple[int, int, int, int], Callable[[Image], Image]]] = {
    "none": ((1, 0, 0, 1), lambda a: a),
    "hflip": ((-1, 0, 0, 1), np.fliplr),
    "vflip": ((1, 0, 0, -1), np.flipud),
    "half": ((-1, 0, 0, -1), lambda a: np.rot90(a, 2)),
    "clockwise": ((0, 1, -1, 0), lambda a: np.rot90(a, -1)),
    "anticlockwise": ((0, -1, 1, 0), np.rot90),
    "transpose": ((0, 1, 1, 0), lambda a: np.swapaxes(a, 0, 1)),
    "antitranspose": ((0, -1, -1, 0), lambda a: np.rot90(np.swapaxes(a, 0, 1), 2)),
}


def close(image: Image, wanted: Image, tolerance: float = 12.0) -> bool:
    return image.shape == wanted.shape and float(np.abs(image.astype(float) - wanted).mean()) < tolerance


def by_ffmpeg(path: Path, shape: tuple[int, ...], *options: str) -> Image:
    """All frames as Debian's FFmpeg shows them, (N, H, W, 3)."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), *options, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, *shape[:2], 3)


def into(path: Path, other: Path) -> Path:
    """The same stream in another container."""
    with av.open(str(path)) as given, av.open(str(other), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return other


@pytest.mark.ffmpeg
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("way", WAYS)
def test_all_eight_display_matrices(tmp_path: Path, way: str, suffix: str) -> None:
    """Front cameras of phones mirror; a mirror reads as a rotation by 0 or 180 degrees."""
    path = write_video(tmp_path / f"a.{suffix.replace('mkv', 'mp4')}", [quadrants()] * 2)
    matrix, show = WAYS[way]
    set_matrix(path, tuple(ONE * value for value in matrix))
    if suffix == "mkv":  # which has the matrix as angles and a mirror
        path = into(path, tmp_path / "a.mkv")
    image = next(read_pictures(path)).image
    assert close(image, show(quadrants()))
    assert close(image, by_ffmpeg(path, image.shape)[0], 4.0)
    assert probe(path)[:2] == image.shape[1::-1]


@pytest.mark.parametrize("imir", [None, 0, 1])
@pytest.mark.parametrize("irot", [None, 1, 2, 3])
@pytest.mark.parametrize("grid", [None, (2, 3)])
def test_heic_is_whole_and_upright(
    tmp_path: Path, grid: tuple[int, int] | None, irot: int | None, imir: int | None
) -> None:
    """Quarter turns anticlockwise, then a mirror: 0 turns top and bottom round, 1 left and right."""
    size = (100, 150) if grid else (64, 96)
    path = write_heic(tmp_path / "a.heic", quadrants(*size), grid=grid, irot=irot, imir=imir)
    wanted = np.rot90(quadrants(*size), irot or 0)
    wanted = wanted if imir is None else np.fliplr(wanted) if imir else np.flipud(wanted)
    (picture,) = read_pictures(path)
    assert close(picture.image, wanted, 6.0)
    assert probe(path) == (wanted.shape[1], wanted.shape[0], 1, None, True)


@pytest.mark.parametrize(("matrix", "primaries", "like"), [(10, 9, 9), (12, 9, 9), (12, 1, 1), (13, 1, 1)])
def test_matrices_that_ffmpeg_does_not_convert(tmp_path: Path, matrix: int, primaries: int, like: int) -> None:
    """BT.2020 with constant luminance, and matrices derived from the primaries, ended in a traceback."""
    images = [
        next(
            read_pictures(
                write_planes(
                    tmp_path / f"{one}.mkv", (120, 90, 180), (64, 96), colorspace=one, color_primaries=primaries
                )
            )
        ).image
        for one in (matrix, like)
    ]
    assert np.array_equal(*images)


@pytest.mark.parametrize("matrix", [8, 14])
def test_colours_that_cannot_be_converted_are_one_sentence(tmp_path: Path, matrix: int) -> None:
    path = write_planes(tmp_path / "a.mkv", (120, 90, 180), (64, 96), colorspace=matrix)
    with pytest.raises(InputError, match=rf"a\.mkv: its colours \(matrix {matrix} of .*\) cannot be converted"):
        list(read_pictures(path))


@pytest.mark.parametrize(("irot", "orientation"), [(None, 1), (None, 6), (3, 6), (1, 3)])
@pytest.mark.parametrize("grid", [None, (2, 3)])
def test_heic_with_exif(tmp_path: Path, grid: tuple[int, int] | None, irot: int | None, orientation: int) -> None:
    """Every camera writes EXIF beside `irot`; what it says of the orientation does not count again."""
    size = (100, 150) if grid else (64, 96)
    path = write_heic(tmp_path / "a.heic", quadrants(*size), grid=grid, irot=irot, orientation=orientation)
    (picture,) = read_pictures(path)
    assert close(picture.image, np.rot90(quadrants(*size), irot or 0), 6.0)


ORIENTATIONS = {
    1: "none", 2: "hflip", 3: "half", 4: "vflip", 5: "transpose", 6: "clockwise", 7: "antitranspose",
    8: "anticlockwise",
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_of_photographs_and_animations(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    many = suffix != "jpg"
    images = [quadrants(), np.flipud(quadrants())][: 1 + many]
    first, *others = map(Pillow.fromarray, images)
    path = tmp_path / f"a.{suffix}"
    first.save(path, exif=exif, quality=95, **({"save_all": True, "append_images": others} if many else {}))
    show = WAYS[ORIENTATIONS[orientation]][1]
    pictures = list(read_pictures(path))
    assert [close(picture.image, show(image)) for picture, image in zip(pictures, images, strict=True)] == [
        True for _ in images
    ]


@pytest.mark.parametrize("orientation", [1, 2, 6, 7])
def test_avif(tmp_path: Path, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(quadrants()).save(tmp_path / "a.avif", quality=95, exif=exif)
    turned = {1: lambda a: a, 2: np.fliplr, 6: lambda a: np.rot90(a, -1), 7: WAYS["antitranspose"][1]}[orientation]
    (picture,) = read_pictures(tmp_path / "a.avif")
    assert close(picture.image, turned(quadrants()), 6.0)


def write_planes(path: Path, levels: tuple[int, int, int], size: tuple[int, int], **tags: int) -> Path:
    """A lossless video of one Y'CbCr colour, with or without tags that say what it means; 10 bits if over 255."""
    deep = max(levels) > 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = size[1], size[0], "yuv420p10le" if deep else "yuv420p"
        frame = av.VideoFrame(size[1], size[0], stream.pix_fmt)
        for plane, level in zip(frame.planes, levels, strict=True):
            plane.update(np.full(plane.buffer_size // (1 + deep), level, "<u2" if deep else "u1").tobytes())
        for name, value in tags.items():
            setattr(frame, name, value)
            setattr(stream.codec_context, name, value)
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "height,tag,levels", [(720, 2, (63, 102, 240)), (480, 2, (81, 90, 240)), (480, 1, (63, 102, 240))]
)
def test_untagged_colours_of_high_definition_are_bt709(
    tmp_path: Path, height: int, tag: int, levels: tuple[int, int, int]
) -> None:
    """Pure red is (63, 102, 240) in BT.709 and (81, 90, 240) in BT.601 (both Recommendations)."""
    path = write_planes(tmp_path / "a.mkv", levels, (height, 64), colorspace=tag)
    red = next(read_pictures(path)).image[5, 5]
    np.testing.assert_allclose(red, (255, 0, 0), atol=2)


@pytest.mark.parametrize(
    "transfer,code,light", [(18, 0.5, 50.7), (18, 0.25, 9.6), (16, 0.5081, 100.0), (16, 0.3, 10.0)]
)
def test_hdr_is_shown_as_bright_as_8_bit_video(tmp_path: Path, transfer: int, code: float, light: float) -> None:
    """Grey of so many cd/m2 (BT.2100, by hand), of the 203 that white has: below half, nothing is changed."""
    luma = round(64 + 876 * code)
    path = write_planes(
        tmp_path / "a.mkv", (luma, 512, 512), (64, 64), color_trc=transfer, colorspace=9, color_primaries=9
    )
    found = Found()
    grey = next(iter(list(read_pictures(path, found=found)))).image[5, 5]
    np.testing.assert_allclose(grey, 255 * (light / 203) ** (1 / 2.4), atol=2)
    assert "is HDR video" in found.notes[0]


@pytest.mark.ffmpeg
def test_interlaced_video_is_one_moment_per_frame(tmp_path: Path) -> None:
    """A bar that moves 8 pixels from field to field, as DV of 1998 has it: combed in the frame, not in the picture."""
    fields = np.zeros((24, 48, 160, 3), np.uint8)
    for number, field in enumerate(fields):
        field[:, 8 * (number % 12) : 8 * (number % 12) + 40] = 230
    frames = fields[::2].copy()
    frames[:, 1::2] = fields[1::2, 1::2]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"flags": "+ildct+ilme", "x264opts": "tff=1", "crf": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = 160, 48, "yuv420p"
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = Found()
    pictures = list(read_pictures(tmp_path / "a.mkv", found=found))
    np.testing.assert_allclose([picture.time_s for picture in pictures], np.arange(12) / 25, atol=1e-3)
    combed = np.abs(np.diff(frames[5].astype(float), axis=0)).mean()
    smooth = np.abs(np.diff(pictures[5].image.astype(float), axis=0)).mean()
    assert combed > 20
    assert smooth < combed / 4
    wanted = by_ffmpeg(tmp_path / "a.mkv", (48, 160), "-vf", "yadif")
    assert close(pictures[5].image, wanted[5], 3.0)
    assert "interlaced" in found.notes[0]
    part = Found()
    assert len(list(read_pictures(tmp_path / "a.mkv", found=part, end_s=0.2))) == 5
    assert part.notes == found.notes


def test_pixels_that_change_their_shape(tmp_path: Path) -> None:
    """A broadcast that goes from 4:3 to 16:9 and back: 64 x 48 pixels are 64, 85 (48 * 16 / 9), and 64 wide."""
    parts = []
    for name, aspect in (("a", Fraction(1)), ("b", Fraction(4, 3)), ("c", Fraction(1))):
        path = write_video(tmp_path / f"{name}.ts", [quadrants()] * 20, codec="mpeg2video", aspect=aspect)
        parts.append(path.read_bytes())
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    widths = [picture.image.shape[1] for picture in read_pictures(tmp_path / "joined.ts")]
    assert len(widths) == 60
    for place in (0, 20, 40):  # but for two frames before a change
        assert set(widths[place : place + 18]) == {85 if place == 20 else 64}
    assert set(widths[58:]) == {64}


def test_mirrored_recordings_are_turned_round(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [quadrants()] * 2)
    pictures: list[Picture] = list(read_pictures(path, Assembly(mirrored=True)))
    assert len(pictures) == 2
    assert all(close(picture.image, np.fliplr(quadrants())) for picture in pictures)
