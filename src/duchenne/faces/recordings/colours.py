"""From a decoded frame to 8-bit RGB as a screen shows it: square pixels, upright, the right colours."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError

_HD_LINES: Final = 720
_UNSPECIFIED: Final = 2  # ISO/IEC 23091-2, as all numbers here
_BT709: Final = 1
_BT2020: Final = 9
_CONSTANT_LUMINANCE: Final = 10  # BT.2020, too
_DERIVED: Final = (12, 13)  # from the primaries
_TRANSFERS: Final = {16: "PQ", 18: "HLG"}
_WHITE: Final = 203.0  # cd/m2: a white sheet in HDR (ITU-R BT.2408)
_PEAK: Final = 1000.0  # cd/m2: the brightest that is told apart from still brighter
_KNEE: Final = 0.5  # up to here, of white, nothing is changed
_GRID: Final = 33
# From BT.2020 to BT.709 primaries (ITU-R BT.2087).
_PRIMARIES: Final = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
_LUMA: Final = np.array([0.2627, 0.6780, 0.0593])


def transfer(frame: Any) -> str:
    """`PQ` or `HLG` where the frame is HDR video, else nothing."""
    return _TRANSFERS.get(int(frame.color_trc), "")


class Pictures:
    """Makes pictures of the frames of one stream."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._path = path
        self._ratio = float(stream.sample_aspect_ratio or 1)
        self._coder = stream.codec_context
        self._coded: Any = None
        self._mapped: tuple[Any, ...] | None = None
        self._is_apng = stream.codec_context.name == "apng"
        self._first: tuple[int, int, int, int] | None = None

    def picture(self, frame: Any) -> NDArray[np.uint8]:
        """(H, W, 3) RGB uint8: square pixels, upright; HDR reduced to what 8-bit video shows.

        Raises:
            InputError: when its colours are of a kind that FFmpeg does not convert (YCgCo, ICtCp).
        """
        orientation = display_matrix(frame)
        if self._is_apng:  # FFmpeg hands the orientation of all to the first picture alone
            orientation = self._first = orientation or self._first
        hdr = transfer(frame)
        if hdr:
            frame = self._tone_mapped(frame, hdr)
        ratio = self._ratio_now()
        width = round(frame.width * ratio) if 0.2 < ratio < 5 else frame.width
        # FFmpeg takes colours without a tag for those of standard definition, whatever the size.
        untagged = int(frame.colorspace) == _UNSPECIFIED and frame.height >= _HD_LINES and not frame.format.is_rgb
        frame.colorspace = _nearest(frame)
        try:
            image = frame.reformat(
                width=width, height=frame.height, format="rgb24", src_colorspace=_BT709 if untagged else None
            ).to_ndarray()
        except BlockingIOError:  # no threads
            raise
        except OSError as error:
            raise InputError(
                f"{self._path}: its colours (matrix {int(frame.colorspace)} of ISO/IEC 23091-2) cannot be converted; "
                "convert it to BT.709."
            ) from error
        return image if orientation is None else oriented(image, orientation)

    def _ratio_now(self) -> float:
        """Width of a pixel by its height: what the container says, until the pictures themselves say something else.

        Frames do not tell it one by one. The decoder does, and knows of a change as many frames early as it holds back.
        """
        coded = self._coder.sample_aspect_ratio or self._coded
        if self._coded not in (None, coded):
            self._ratio = float(coded)
        self._coded = coded
        return self._ratio

    def _tone_mapped(self, frame: Any, kind: str) -> Any:
        import av

        key = (frame.width, frame.height, frame.format.name, kind)
        if self._mapped is None or self._mapped[0] != key:
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            with tempfile.TemporaryDirectory() as folder:
                table = Path(folder, "table.cube")
                write_table(table, kind)
                # The table is read while the filter is made.
                name = str(table).replace("\\", "/").replace(":", "\\:")
                lut = graph.add("lut3d", f"file='{name}'")
            steps = [
                source,
                graph.add("scale", "in_color_matrix=bt2020:flags=bicubic+accurate_rnd+full_chroma_int"),
                graph.add("format", "gbrp16le"),
                lut,
                graph.add("buffersink"),
            ]
            for one, other in pairwise(steps):
                one.link_to(other)
            graph.configure()
            self._mapped = (key, graph)
        graph = self._mapped[1]
        graph.push(frame)
        return graph.pull()


def _nearest(frame: Any) -> int:
    """The colour matrix that FFmpeg converts by, for those that differ little from it and are not converted."""
    matrix = int(frame.colorspace)
    if matrix in _DERIVED:
        return _BT2020 if int(frame.color_primaries) == _BT2020 else _BT709
    return _BT2020 if matrix == _CONSTANT_LUMINANCE else matrix


def write_table(path: Path, kind: str) -> None:
    """Writes what becomes of HDR colours as a 3D table (.cube); see `to_standard`."""
    level = np.linspace(0, 1, _GRID)
    blue, green, red = np.meshgrid(level, level, level, indexing="ij")
    colours = to_standard(np.stack([red, green, blue], axis=-1).reshape(-1, 3), kind)
    rows = "\n".join("{:.6f} {:.6f} {:.6f}".format(*row) for row in colours)
    path.write_text(f"LUT_3D_SIZE {_GRID}\n{rows}\n", encoding="ascii")


def to_standard(colours: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """HDR colours as 8-bit video shows them.

    Light comes from the transfer functions of ITU-R BT.2100 (HLG for a screen of 1,000 cd/m2). Up to half as bright as
    a white sheet (203 cd/m2, BT.2408) nothing is changed, so faces look as in 8-bit video; what is brighter is pressed
    together, so that 1,000 cd/m2 and more become white. Primaries go from BT.2020 to BT.709.

    Args:
        colours: (N, 3) R'G'B' in [0, 1].
        kind: `PQ` or `HLG`.

    Returns:
        (N, 3) R'G'B' in [0, 1], BT.709 primaries, coded for a screen with gamma 2.4 (BT.1886), white 1.
    """
    if kind == "PQ":
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = colours ** (1 / m2)
        light = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(colours <= 0.5, colours**2 / 3, (np.exp((colours - c) / a) + b) / 12)
        light = _PEAK * scene * np.maximum(scene @ _LUMA, 1e-9)[:, None] ** 0.2
    relative = np.minimum(light, _PEAK) / _WHITE
    brightest = relative.max(axis=1, keepdims=True)
    over, most = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE), (_PEAK / _WHITE - _KNEE) / (1 - _KNEE)
    pressed = np.where(brightest > _KNEE, _KNEE + (1 - _KNEE) * over * (1 + over / most**2) / (1 + over), brightest)
    relative = relative * pressed / np.maximum(brightest, 1e-9)
    standard: NDArray[np.float64] = np.clip(relative @ _PRIMARIES.T, 0, 1) ** (1 / 2.4)
    return standard


def display_matrix(frame: Any) -> tuple[int, int, int, int] | None:
    """(a, b, c, d) of the matrix by which a frame is to be shown, where there is one that is not the identity.

    A point (x, y) goes to (a x + c y, b x + d y).
    """
    data = _side_data(frame).get("DISPLAYMATRIX")
    if data is None:
        return None
    matrix = np.frombuffer(bytes(data), dtype="=i4")
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    return None if a > 0 and d > 0 and b == c == 0 else (a, b, c, d)


def _side_data(frame: Any) -> Any:
    try:
        return frame.side_data
    except ValueError:  # PyAV fails on all where one is of a kind it has no name for: EXIF, the views of 3D video
        from av.sidedata.sidedata import Type

        Type._missing_ = classmethod(lambda cls, _: cls.VIDEO_HINT)  # type: ignore[assignment]  # which nothing reads
        return frame.side_data


def oriented(image: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The picture turned and mirrored by a display matrix, to the nearest of the eight ways that a picture can lie."""
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, left, up = image.swapaxes(0, 1), c < 0, b < 0
    else:
        left, up = a < 0, d < 0
    image = image[::-1] if up else image
    return np.ascontiguousarray(image[:, ::-1] if left else image)
