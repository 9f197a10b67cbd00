"""Which files are opened at all, and how: a whitelist of formats, nothing but the file itself."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

from duchenne.errors import InputError
from duchenne.files import check_file

VIDEO_SUFFIXES: Final = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe", ".m2v", ".m1v", ".ts",
    ".mts", ".m2ts", ".m2t", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".mxf", ".dv", ".vob",
    ".mod", ".tod", ".gif", ".apng", ".mjpeg", ".mjpg", ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".ivf",
    ".y4m",
})  # fmt: skip
"""Files that a folder is searched for as videos (an animated GIF is one)."""
IMAGE_SUFFIXES: Final = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".ppm", ".pgm", ".heic",
    ".heif", ".hif", ".avif", ".avifs",
})  # fmt: skip
"""Files that a folder is searched for as images."""
MOST_PIXELS: Final = 120_000_000
"""Larger pictures are refused before memory is taken for them: in work one takes about 16 bytes a pixel, of floats 36,
or 72 where these have 64 bits."""

# Containers, streams without one, and single pictures. Not among them is whatever names other files or addresses
# (playlists, SDP, concat lists, DASH, IMF) or looks for parts of itself beside it (MLV), draws text, or is made up by
# FFmpeg (lavfi, devices).
_FORMATS: Final = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "m4v", "h261", "h263", "h264", "hevc", "vvc", "obu", "av1",
    "ivf", "vc1", "vc1test", "mjpeg", "mjpeg_2000", "mpjpeg", "smjpeg", "asf", "asf_o", "flv", "live_flv", "kux",
    "ogg", "mxf", "gxf", "lxf", "dv", "nut", "nuv", "nsv", "rm", "ivr", "wtv", "ty", "pva", "dhav", "yuv4mpegpipe",
    "gif", "apng", "jpegxl_anim", "r3d", "cine", "ser",
    "gif_pipe", "jpeg_pipe", "jpegls_pipe", "jpegxl_pipe", "j2k_pipe", "png_pipe", "bmp_pipe", "tiff_pipe",
    "webp_pipe", "ppm_pipe", "pgm_pipe", "pbm_pipe", "pam_pipe", "pgmyuv_pipe", "pfm_pipe", "phm_pipe", "hdr_pipe",
    "exr_pipe", "dpx_pipe", "cri_pipe", "psd_pipe", "pcx_pipe", "sgi_pipe", "sunrast_pipe", "qoi_pipe", "xwd_pipe",
    "xbm_pipe", "xpm_pipe", "photocd_pipe", "pictor_pipe", "gem_pipe", "dds_pipe", "pgx_pipe", "vbn_pipe",
    "qdraw_pipe",
    "mp3", "aac", "wav", "flac", "caf", "aiff", "amr",  # sound only, so that the sentence can say so
)  # fmt: skip
_OPTIONS: Final = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}


@contextmanager
def open_container(path: Path) -> Iterator[Any]:
    """Opens a recording with PyAV, by its content.

    Raises:
        InputError: when it is no regular file, cannot be read, or is of no format that is read.
    """
    import av  # here, because it is only needed where something is decoded

    check_file(path)
    with ExitStack() as opened:
        try:
            # A file object: FFmpeg would take `a:b.mp4` for a protocol and `%d` for a pattern.
            file = opened.enter_context(path.open("rb"))
            kind = "apng" if is_animated_png(file) else None  # FFmpeg looks for it in the first 2 kB alone
            file.seek(0)
            container = opened.enter_context(av.open(file, format=kind, container_options=_OPTIONS))
        except (MemoryError, BlockingIOError):
            raise
        except (av.error.FFmpegError, ValueError, EOFError) as error:
            raise InputError(
                f"{path}: is not an image or video that can be read, or is cut off; replace it."
            ) from error
        except OSError as error:
            raise unreadable(path, error) from error
        yield container


def is_animated_png(file: IO[bytes]) -> bool:
    """Whether an open file is a PNG with more than one picture (APNG); it says so before the first."""
    file.seek(0)
    if file.read(8) != b"\x89PNG\r\n\x1a\n":
        return False
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind in (b"acTL", b"IDAT"):
            return bool(kind == b"acTL")
        file.seek(size + 4, os.SEEK_CUR)
    return False


@contextmanager
def enough(path: Path) -> Iterator[None]:
    """Names the file over which memory or threads ran out; a damaged header may be what asked for so much.

    Raises:
        InputError: in place of a MemoryError or BlockingIOError, which FFmpeg's are, too.
    """
    try:
        yield
    except (MemoryError, BlockingIOError) as error:
        what = "memory" if isinstance(error, MemoryError) else "memory for a thread"
        raise InputError(
            f"{path}: there is not enough {what} to decode it; close other programs, or raise the limit (`ulimit -v`); "
            "where it is this file alone, it is damaged: replace it."
        ) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """The sentence for a file that the system does not give."""
    return InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions.")


def check_pixels(path: object, width: int, height: int) -> None:
    """Refuses a picture that would take too much memory.

    Raises:
        InputError: when it has more than `MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{path}: has {width} x {height} pixels, more than the {MOST_PIXELS // 10**6} million that are read; "
            "save it smaller."
        )
