"""Help texts list every word that is understood."""

import re

from duchenne.features import resolve, words
from duchenne.features.source import SingleSource


def listed(text: str) -> set[str]:
    parts = re.sub(r"(\w+)\[(:\w+)\]", r"\1, \1\2", text).split(", ")
    return set(parts) - {"RUN", "encoder.safetensors", "or several as A+B"}


def test_help_texts_list_what_the_sources_understand() -> None:
    kinds = resolve._SOURCES
    pictures = {word for kind in kinds if kind.sees_pictures for word in kind.WORDS}
    faces = {word for kind in kinds if kind.features_of is not SingleSource.features_of for word in kind.WORDS}
    assert listed(words.PICTURE_MODELS) == pictures
    assert listed(words.FACE_MODELS) == faces > pictures
    assert listed(words.ALL_MODELS) == {word for kind in kinds for word in kind.WORDS} > faces
    assert "pixels" in pictures
    assert "landmarks" in faces - pictures
    listing = resolve.__doc__ or ""
    assert all(word.partition(":")[0] in listing for word in listed(words.ALL_MODELS))
