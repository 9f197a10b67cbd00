"""The right stream, all pictures of many, files that make one recording, and formats that are not opened at all."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import tracemalloc
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from tests.faces.media import Image, flat, quadrants, write_video
from tests.faces.test_clock import write_shifted

from duchenne.errors import InputError, UsageError
from duchenne.faces.decode import Found, probe, read_pictures
from duchenne.faces.recordings.listing import (
    Assembly,
    frames_of_sequence,
    join_chapters,
    list_media,
    list_sequences,
)
from duchenne.faces.recordings.stills import eight_bit

LEVELS = list(range(20, 220, 20))


def write_streams(path: Path, pictures: list[tuple[str, Image, str]], *, frames: int = 5, sound: bool = False) -> Path:
    """Streams side by side: codec, picture, and `default`, `attached_pic` or nothing."""
    with av.open(str(path), "w", format="mp4" if path.suffix == ".m4a" else None) as container:
        audio = container.add_stream("aac" if path.suffix != ".mp3" else "libmp3lame", rate=44_100) if sound else None
        streams = []
        for codec, image, kind in pictures:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height = image.shape[1], image.shape[0]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
            stream.disposition = getattr(av.stream.Disposition, kind) if kind else av.stream.Disposition(0)
            streams.append((stream, image, kind))
        if audio is not None:
            for number in range(20):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), format="fltp", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 44_100, 1152 * number, Fraction(1, 44_100)
                container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
        for stream, image, kind in streams:
            for number in range(1 if kind == "attached_pic" else frames):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_preview_beside_the_video_is_not_taken(tmp_path: Path, suffix: str) -> None:
    path = write_streams(
        tmp_path / f"a.{suffix}", [("mpeg4", flat(200, (90, 160)), "default"), ("mpeg4", quadrants(240, 320), "")]
    )
    found = Found()
    pictures = list(read_pictures(path, found=found))
    assert [picture.image.shape for picture in pictures] == [(240, 320, 3)] * 5
    assert found.notes == ["holds 2 video streams; number 2 (320 x 240) was read"]


def test_covers_are_no_video(tmp_path: Path) -> None:
    cover = ("mjpeg", flat(200, (480, 480)), "attached_pic")
    path = write_streams(tmp_path / "a.mp4", [cover, ("mpeg4", quadrants(), "default")], sound=True)
    found = Found()
    assert [picture.image.shape for picture in read_pictures(path, found=found)] == [(48, 64, 3)] * 5
    assert found.notes == []
    for suffix in ("m4a", "mp3"):
        path = write_streams(tmp_path / f"b.{suffix}", [cover], sound=True)
        with pytest.raises(InputError, match=r"holds sound and a cover, but no video"):
            list(read_pictures(path))


def test_all_pictures_of_many(tmp_path: Path) -> None:
    images = [Pillow.fromarray(flat(level)) for level in LEVELS]
    options = {"save_all": True, "append_images": images[1:], "duration": [100, 300] + [100] * (len(LEVELS) - 2)}
    images[0].save(tmp_path / "a.webp", lossless=True, **options)
    images[0].save(tmp_path / "a.png", **options)
    cv2.imwritemulti(str(tmp_path / "a.tiff"), [flat(level) for level in LEVELS])
    write_video(tmp_path / "a.mjpeg", map(flat, LEVELS), codec="mjpeg", pixels="yuvj420p")
    timed = [0, 0.1, 0.4, *(0.5 + 0.1 * np.arange(len(LEVELS) - 3))]
    even = list(np.arange(len(LEVELS)) / 25)
    for name, times, note in [
        ("a.webp", timed, ""), ("a.png", timed, ""), ("a.tiff", even, "10 pages and no times"),
        ("a.mjpeg", even, "has no times; 25 frames a second were taken"),
    ]:  # fmt: skip
        found = Found()
        pictures = list(read_pictures(tmp_path / name, found=found))
        np.testing.assert_allclose([picture.image.mean() for picture in pictures], LEVELS, atol=2, err_msg=name)
        np.testing.assert_allclose([picture.time_s for picture in pictures], times, atol=1e-3, err_msg=name)
        assert note in " ".join(found.notes)
        part = Found()
        assert len(list(read_pictures(tmp_path / name, found=part, end_s=times[4] - 1e-3))) == 4
        assert note in " ".join(part.notes)
        info = probe(tmp_path / name)
        assert not info.is_image
        assert info.frames in (len(LEVELS), None)


@pytest.mark.parametrize("alpha", [False, True])
def test_the_cover_of_an_animated_avif_is_not_all_of_it(tmp_path: Path, alpha: bool) -> None:
    """The cover is a picture as large as the sequence, and comes before it; each may have another one of its alpha."""
    images = [Pillow.fromarray(flat(level)) for level in LEVELS[:4]]
    if alpha:
        for image in images:
            image.putalpha(128)
    images[0].save(tmp_path / "a.avif", save_all=True, append_images=images[1:], duration=[100, 200, 300, 400])
    pictures = list(read_pictures(tmp_path / "a.avif"))
    np.testing.assert_allclose([picture.image.mean() for picture in pictures], LEVELS[:4], atol=3)
    np.testing.assert_allclose([picture.time_s for picture in pictures], [0, 0.1, 0.3, 0.6], atol=1e-3)
    assert probe(tmp_path / "a.avif").frames == 4


def test_an_animated_png_with_much_said_before_it(tmp_path: Path) -> None:
    """A profile or a comment of 9 kB stands before the mark of the animation; a mark in a comment makes none."""
    images = [Pillow.fromarray(flat(level)) for level in LEVELS[:4]]
    for name, more, count in (("a.png", images[1:], 4), ("b.png", [], 1)):
        images[0].save(tmp_path / name, save_all=True, append_images=more, duration=100)
        data = (tmp_path / name).read_bytes()
        said = b"tEXtComment\0" + b"acTL " * 1800
        comment = struct.pack(">I", len(said) - 4) + said + struct.pack(">I", zlib.crc32(said))
        (tmp_path / name).write_bytes(data[:33] + comment + data[33:])  # behind the signature and IHDR
        pictures = list(read_pictures(tmp_path / name))
        assert [picture.image.mean() for picture in pictures] == LEVELS[:count]
        assert [picture.time_s for picture in pictures] == pytest.approx([0, 0.1, 0.2, 0.3][:count])
        assert probe(tmp_path / name).is_image == (count == 1)


def test_the_preview_of_a_photograph_is_no_second_frame(tmp_path: Path) -> None:
    """A reduced picture (NewSubfileType 1) behind the first in a TIFF; a second JPEG behind one that lists it (MPF)."""
    Pillow.fromarray(quadrants()).save(
        tmp_path / "a.tiff", save_all=True, append_images=[Pillow.fromarray(flat(9, (12, 16)))]
    )
    data = bytearray((tmp_path / "a.tiff").read_bytes())
    first = struct.unpack_from("<I", data, 4)[0]
    second = struct.unpack_from("<I", data, first + 2 + 12 * struct.unpack_from("<H", data, first)[0])[0]
    struct.pack_into("<HHII", data, second + 2, 254, 4, 1, 1)  # in place of its first entry, its width or its like
    struct.pack_into("<HHII", data, second + 14, 256, 4, 1, 16)
    (tmp_path / "a.tiff").write_bytes(bytes(data))
    jpeg = cv2.imencode(".jpg", quadrants())[1].tobytes()
    listed = jpeg[:2] + b"\xff\xe2\x00\x06MPF\0" + jpeg[2:] + jpeg
    (tmp_path / "a.jpg").write_bytes(listed)
    for name in ("a.tiff", "a.jpg"):
        assert [picture.image.shape for picture in read_pictures(tmp_path / name)] == [(48, 64, 3)]
        assert probe(tmp_path / name).is_image


def test_12_bits_in_16_are_as_bright_as_8(tmp_path: Path) -> None:
    """The camera's 4095 is white; a 16-bit picture that uses its range is not touched."""
    grey = quadrants().mean(axis=2).astype(np.uint16)
    for factor, shift in ((16, 4), (257, 8)):
        cv2.imwrite(str(tmp_path / "a.png"), grey * factor)
        cv2.imwrite(str(tmp_path / "a.tif"), grey * factor)
        for name in ("a.png", "a.tif"):
            image = next(read_pictures(tmp_path / name)).image
            np.testing.assert_allclose(image[:, :, 0], grey * factor >> shift, atol=1)


@pytest.mark.parametrize("kind", ["tiff", "folder"])
@pytest.mark.parametrize("deep", ["16", "12", "float", "8"])
def test_pictures_that_belong_together_are_scaled_alike(tmp_path: Path, kind: str, deep: str) -> None:
    """A ramp at three strengths, the darkest first, which tells neither how many bits there are nor what is white.

    By hand: 65535 and 4095 are 255 of 8 bits, fractions go by the largest of all.
    """
    white = {"16": 65535, "12": 4095, "float": 40.0, "8": 255}[deep]
    ramp = np.tile(np.linspace(0, 1, 64)[:, None], (48, 1, 3))
    shares = (0.0, 0.05, 1.0)
    stored = {"float": np.float32, "8": np.uint8}.get(deep, np.uint16)
    images = [(white * share * ramp).astype(stored) for share in shares]
    if kind == "tiff":
        cv2.imwritemulti(str(tmp_path / "a.tif"), images)
        pictures = list(read_pictures(tmp_path / "a.tif"))
    else:
        for number, image in enumerate(images):
            cv2.imwrite(str(tmp_path / f"{number}.tif"), image)
        pictures = list(read_pictures(tmp_path, Assembly(sequence_fps=25)))
    for picture, share in zip(pictures, shares, strict=True):
        np.testing.assert_allclose(picture.image, 255 * share * ramp, atol=1.01)


def test_one_pixel_without_bounds_leaves_the_others_bright(tmp_path: Path) -> None:
    image = np.full((48, 64, 3), 20, np.float32)
    odd = image.copy()
    odd[3, 5] = np.inf
    cv2.imwritemulti(str(tmp_path / "a.tif"), [image, odd, image / 2])
    levels = [picture.image[0, 0, 0] for picture in read_pictures(tmp_path / "a.tif")]
    assert levels == [255, 255, 128]


def test_floats_take_little_beside_themselves() -> None:
    """A picture of 36 MB was copied five times on its way to 8 bits."""
    image = np.random.default_rng(0).random((2000, 1500, 3), dtype=np.float32)
    tracemalloc.start()
    shown = eight_bit(image)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.7 * image.nbytes
    np.testing.assert_array_equal(shown, np.rint(image * 255).astype(np.uint8))


def test_its_size_is_known_without_looking_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def through(_: object) -> None:
        raise AssertionError("all pages were looked at")

    cv2.imwritemulti(str(tmp_path / "a.tif"), [np.full((48, 64, 3), 900, np.uint16)] * 3)
    monkeypatch.setattr("duchenne.faces.recordings.pages.largest_value", through)
    assert probe(tmp_path / "a.tif") == (64, 48, 3, 25.0, False)


def test_big_tiff_and_fractions(tmp_path: Path) -> None:
    Pillow.fromarray(quadrants()).save(tmp_path / "big.tif", big_tiff=True)
    cv2.imwrite(str(tmp_path / "float.tif"), (quadrants()[:, :, ::-1] / 255).astype(np.float32))
    for name in ("big.tif", "float.tif"):
        (picture,) = read_pictures(tmp_path / name)
        np.testing.assert_allclose(picture.image, quadrants(), atol=1)


def test_a_folder_of_frames_is_one_recording(tmp_path: Path) -> None:
    folder = tmp_path / "s01"
    folder.mkdir()
    for number, level in enumerate(LEVELS, 1):  # frame2 comes before frame10
        cv2.imwrite(str(folder / f"frame{number}.png"), flat(level))
    (folder / "notes.txt").write_text("x")
    (folder / "._frame1.png").write_text("x")
    assembly = Assembly(sequence_fps=50)
    pictures = list(read_pictures(folder, assembly))
    assert [picture.image[0, 0, 0] for picture in pictures] == LEVELS
    np.testing.assert_allclose([picture.time_s for picture in pictures], np.arange(len(LEVELS)) / 50)
    assert probe(folder, assembly) == (64, 48, len(LEVELS), 50, False)
    assert list_sequences([tmp_path]) == list_sequences([folder]) == [folder]
    (folder / "frame3.png").write_bytes(b"\x89PNG")
    seen: list[int] = []
    with pytest.raises(InputError, match=r"1 of 10 pictures could not be read; the first: .*frame3\.png"):
        seen.extend(picture.frame for picture in read_pictures(folder, assembly))
    assert seen == [0, 1, 3, 4, 5, 6, 7, 8, 9]  # the others keep their place
    assert len(list(read_pictures(folder, assembly, end_s=0.04))) == 2
    with pytest.raises(InputError, match="is no folder, which sequence needs"):
        list_sequences([folder / "frame1.png"])
    assert [path.name for path in frames_of_sequence(folder)][:3] == ["frame1.png", "frame2.png", "frame3.png"]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [([1, 2, 3, 7, 8, 20], "jump in 2 places (first: frame_3.png, frame_7.png); if pictures are missing, 14 by"),
     ([1, 6, 11, 21], "jump in 1 place (first: frame_11.png, frame_21.png); if pictures are missing, 1 by"),
     ([0, 1, 2, 3], ""), ([5, 10, 15], ""), ([4], "")],
)  # fmt: skip
def test_numbers_that_jump_in_a_folder_of_frames_are_said(tmp_path: Path, numbers: list[int], said: str) -> None:
    """The pictures after a gap move up, and codes that are joined by time do not."""
    for number in numbers:
        cv2.imwrite(str(tmp_path / f"frame_{number}.png"), flat(90))
    found = Found()
    assert len(list(read_pictures(tmp_path, Assembly(sequence_fps=25), found))) == len(numbers)
    assert [said in note for note in found.notes] == [True] * bool(said)


def test_chapters_are_one_time_line(tmp_path: Path) -> None:
    names = ["GH010042.MP4", "GH020042.MP4", "GH030042.MP4"]
    for number, name in enumerate(names):
        write_video(tmp_path / name, [flat(20 + 20 * number)] * (5 + number))
    write_video(tmp_path / "GH010043.MP4", [flat(100)] * 3)
    joined = join_chapters(list_media([tmp_path]))
    first = tmp_path / names[0]
    assert joined == {first: tuple(tmp_path / name for name in names[1:]), tmp_path / "GH010043.MP4": ()}
    found = Found()
    pictures = list(read_pictures(first, Assembly(chapters=joined[first]), found))
    assert [picture.frame for picture in pictures] == list(range(18))
    np.testing.assert_allclose([picture.time_s for picture in pictures], np.arange(18) / 25, atol=1e-3)
    assert pictures[6].image.mean() == pytest.approx(40, abs=4)
    assert "chapter GH020042.MP4 begins at 0.20 s" in found.notes
    assert probe(first, Assembly(chapters=joined[first])).frames == 18
    part = Found()
    assert len(list(read_pictures(first, Assembly(chapters=joined[first]), part, end_s=0.3))) == 8
    assert [note for note in part.notes if "begins" in note] == ["chapter GH020042.MP4 begins at 0.20 s"]


def test_names_of_chapters() -> None:
    def joined(*names: str) -> list[list[str]]:
        return [[str(first), *map(str, others)] for first, others in join_chapters(map(Path, names)).items()]

    assert joined("GOPR0001.MP4", "GP020001.MP4", "GP010001.MP4") == [["GOPR0001.MP4", "GP010001.MP4", "GP020001.MP4"]]
    assert joined("VTS_01_2.VOB", "VTS_01_1.VOB", "VTS_02_1.VOB") == [
        ["VTS_01_1.VOB", "VTS_01_2.VOB"],
        ["VTS_02_1.VOB"],
    ]
    assert (
        joined("a_part2.mp4", "a_part10.mp4", *(f"a_part{n}.mp4" for n in (1, *range(3, 10))))[0][-1] == "a_part10.mp4"
    )
    assert joined("p01.mp4", "p02.mp4", "s1/GH010001.MP4", "s2/GH020001.MP4") == [
        ["p01.mp4"], ["p02.mp4"], ["s1/GH010001.MP4"], ["s2/GH020001.MP4"],
    ]  # fmt: skip
    assert joined("Part 1.mp4", "Part 2.mp4", "s1 Teil-1.mp4", "s1 Teil-2.mp4", "s2part0.mp4", "s2part1.mp4") == [
        ["Part 1.mp4", "Part 2.mp4"], ["s1 Teil-1.mp4", "s1 Teil-2.mp4"], ["s2part0.mp4", "s2part1.mp4"],
    ]  # fmt: skip
    for word in ("attempt", "excerpt_", "p01_prompt", "pt", "s1_pt", "apart", "Urteil", "Tépart"):  # trials, patients
        assert joined(f"{word}1.mp4", f"{word}2.mp4") == [[f"{word}1.mp4"], [f"{word}2.mp4"]]
    with pytest.raises(UsageError, match=r"a_part1\.mp4: the chapter after it is missing"):
        joined("a_part1.mp4", "a_part3.mp4")
    for names in (("GH020042.MP4", "GH030042.MP4"), ("GP010042.MP4", "GP020042.MP4"), ("a_part2.mp4", "a_part3.mp4"),
                  ("VTS_01_2.VOB", "VTS_01_3.VOB")):  # fmt: skip
        with pytest.raises(UsageError, match=f"^{names[0]}: the chapter before it is missing; add it"):
            joined(*names)


def test_folders_list_what_phones_and_cameras_write(tmp_path: Path) -> None:
    names = ["a.avif", "b.HEIC", "c.heif", "d.mjpeg", "e.h264", "f.hevc", "g.apng", "h.mod"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in list_media([tmp_path])] == sorted(names)


REFUSED = {
    "playlist.m3u8": "#EXTM3U\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
    "address.mp4": "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "list.mp4": "ffconcat version 1.0\nfile {other}\n",
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period/></MPD>',
    "text.txt": "hello\n" * 99,
    # Magic Lantern's raw video, whose parts lie beside it as mlv.m00, mlv.m01 ...
    "mlv.mp4": "MLVI4\0\0\0v2.0"
    + "\0" * 20
    + "\1\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0RAWI\0\1\0\0"
    + "\0" * 8
    + "\x40\0\x40\0\1"
    + "\0" * 235
    + "VIDF\x40\0\0\0"
    + "\0" * 56,
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_but_the_file_itself_is_opened(tmp_path: Path, name: str) -> None:
    """Playlists, SDP, concat lists: no other file, no address, no port."""
    write_video(tmp_path / "other.ts", [flat(9)] * 5, codec="mpeg2video")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        (tmp_path / name).write_text(REFUSED[name].format(other="other.ts", port=server.getsockname()[1]))
        with pytest.raises(InputError, match="is not an image or video that can be read"):
            list(read_pictures(tmp_path / name))
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    code = "import sys; from duchenne.faces.decode import *; list(read_pictures(sys.argv[1]))"
    for path in (tmp_path / "a.mp4", Path("/dev/zero")):
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
        assert "is a pipe or a device, not a file" in done.stderr
    with pytest.raises(InputError, match="is a folder, not a file"):
        list(read_pictures(tmp_path))


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("x" * 5000 + ".mp4", "a\0b.mp4"):
        with pytest.raises(InputError, match=r"cannot be (read|a file name)"):
            list(read_pictures(tmp_path / name))
        with pytest.raises(InputError, match="there is no such file"):
            list_media([tmp_path / name])


def test_frames_that_a_capture_card_dropped_are_said(tmp_path: Path) -> None:
    """AVI notes a frame that was lost as a chunk of no bytes. Times hold; whoever counts frames by them must know."""
    path = write_video(tmp_path / "a.avi", map(flat, LEVELS), codec="mjpeg", pixels="yuvj420p")
    data, dropped = path.read_bytes(), {3, 4, 9}
    start = data.index(b"movi") + 4
    written, index, place, number = bytearray(data[:start]), b"", start, 0
    while data[place : place + 4] == b"00dc":
        size = struct.unpack_from("<I", data, place + 4)[0]
        kept = b"" if number in dropped else data[place + 8 : place + 8 + size + size % 2]
        length = 0 if number in dropped else size
        index += struct.pack("<4sIII", b"00dc", 16, len(written) - start + 4, length)
        written += struct.pack("<4sI", b"00dc", length) + kept
        place, number = place + 8 + size + size % 2, number + 1
    struct.pack_into("<I", written, data.rindex(b"LIST", 0, start) + 4, len(written) - start + 4)
    written += b"idx1" + struct.pack("<I", len(index)) + index
    struct.pack_into("<I", written, 4, len(written) - 8)
    path.write_bytes(bytes(written))
    found = Found()
    times = [picture.time_s for picture in read_pictures(path, found=found)]
    np.testing.assert_allclose(times, [number / 25 for number in range(10) if number not in dropped], atol=1e-3)
    assert found.notes == ["3 of its 10 frames hold no picture; frame numbers count pictures, times hold"]


def test_a_recording_trimmed_between_key_frames(tmp_path: Path) -> None:
    """Trimmed without encoding anew, as phones and archives do: what was before the edit list's start is not shown."""
    path = write_video(tmp_path / "a.mp4", map(flat, range(0, 200, 4)), codec="libx264", options={"g": "25", "bf": "0"})
    with av.open(str(path)) as whole, av.open(str(tmp_path / "cut.mp4"), "w") as cut:
        stream = cut.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.pts is not None and packet.pts >= 25 * packet.duration:
                packet.pts -= 35 * packet.duration  # from frame 25, a key frame, on; time 0 is frame 35
                packet.dts = packet.pts
                packet.stream = stream
                cut.mux(packet)
    pictures = list(read_pictures(tmp_path / "cut.mp4"))
    assert pictures[0].image.mean() == pytest.approx(4 * 35, abs=4)
    np.testing.assert_allclose([picture.time_s for picture in pictures], np.arange(15) / 25, atol=1e-3)


def test_pictures_that_come_late_are_said(tmp_path: Path) -> None:
    found = Found()
    list(read_pictures(write_shifted(tmp_path / "a.mkv", 12.0, sound_s=11.2), found=found))
    assert found.notes == ["its first picture comes at 0.80 s"]
