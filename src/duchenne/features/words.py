"""What `--model` may say, for help texts: without an import of the sources themselves, which need torch."""

from typing import Final

_ENCODERS: Final = ("RUN", "encoder.safetensors", "random[:RUN]", "initial:RUN", "package.module:builder", "pixels")
_COLUMNS: Final = ("blendshapes", "landmarks")
_FILES: Final = ("features:FILE.parquet",)

PICTURE_MODELS: Final = f"{', '.join(_ENCODERS)}, or several as A+B"
"""Sources that need a picture only."""
FACE_MODELS: Final = f"{', '.join(_ENCODERS + _COLUMNS)}, or several as A+B"
"""Sources that can look at new faces."""
ALL_MODELS: Final = f"{', '.join(_ENCODERS + _COLUMNS + _FILES)}, or several as A+B"
"""Those and what has features of stored faces only."""
