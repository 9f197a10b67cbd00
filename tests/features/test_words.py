"""Help texts list every word that is understood."""

import re

from duchenne.features import resolve, words


def listed(text: str) -> set[str]:
    parts = re.sub(r"(\w+)\[(:\w+)\]", r"\1, \1\2", text).split(", ")
    return set(parts) - {"RUN", "encoder.safetensors", "or several as A+B"}


def test_help_texts_list_what_the_sources_understand() -> None:
    def of(*kinds: str) -> set[str]:
        return {word for kind in resolve._SOURCES for word in kind.WORDS if kind.__name__ in kinds}

    pictures = of("EncoderSource", "PixelSource")
    assert listed(words.PICTURE_MODELS) == pictures
    assert listed(words.FACE_MODELS) == pictures | of("ColumnSource")
    assert listed(words.ALL_MODELS) == {word for kind in resolve._SOURCES for word in kind.WORDS}
