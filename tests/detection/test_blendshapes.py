"""The table from blendshapes to action units, against a loop over names."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from duchenne.detectors.blendshapes import AU_BLENDSHAPES, BlendshapeModel
from duchenne.faces.batch import FaceBatch
from duchenne.faces.landmarks import BLENDSHAPES
from duchenne.facs import ACTION_UNITS


def batch_of(blendshapes: np.ndarray) -> FaceBatch:
    return FaceBatch(np.zeros((len(blendshapes), 68, 2), np.float32), blendshapes, None)


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.just(52)), elements=st.floats(0, 1, width=32)))
def test_scores_are_the_means_of_the_named_blendshapes(values: np.ndarray) -> None:
    model = BlendshapeModel()
    scores = model.score(batch_of(values))
    assert scores.shape == (len(values), len(model.columns))
    for row, face in enumerate(values):
        named = dict(zip(BLENDSHAPES, map(float, face), strict=True))
        for column, (au, names) in zip(scores[row], AU_BLENDSHAPES.items(), strict=True):
            if au in (6, 9):
                assert np.isnan(column)
            else:
                assert abs(column - sum(named[name] for name in names) / len(names)) < 1e-6


def test_the_table_is_the_documented_one() -> None:
    documented = {
        1: "browInnerUp", 2: "browOuterUp", 4: "browDown", 5: "eyeWide", 7: "eyeSquint", 10: "mouthUpperUp",
        12: "mouthSmile", 14: "mouthDimple", 15: "mouthFrown", 17: "mouthShrugLower", 20: "mouthStretch",
        24: "mouthPress", 26: "jawOpen", 45: "eyeBlink",
    }  # fmt: skip
    for au, names in AU_BLENDSHAPES.items():
        assert au in ACTION_UNITS
        stem = documented.get(au)
        expected = () if stem is None else (stem,) if stem in BLENDSHAPES else (f"{stem}Left", f"{stem}Right")
        assert names == expected
    assert list(AU_BLENDSHAPES) == sorted(AU_BLENDSHAPES)


def test_sides_are_the_subjects_and_their_mean_is_the_score() -> None:
    values = np.random.default_rng(0).random((3, 52), dtype=np.float32)
    plain, model = BlendshapeModel(), BlendshapeModel(sides=True)
    scores = dict(zip(model.columns, model.score(batch_of(values)).T, strict=True))
    assert model.columns[:16] == plain.columns
    assert len(model.columns) == 16 + 2 * 11
    for column, expected in zip(plain.columns, plain.score(batch_of(values)).T, strict=True):
        assert np.array_equal(scores[column], expected, equal_nan=True)
        if f"{column[:4]}_left" in scores:
            both = (scores[f"{column[:4]}_left"] + scores[f"{column[:4]}_right"]) / 2
            assert np.allclose(both, expected)
    assert np.array_equal(scores["AU12_left"], values[:, BLENDSHAPES.index("mouthSmileLeft")])
    assert not {"AU01_left", "AU06_left", "AU17_left", "AU26_left"} & set(scores)


def test_a_face_without_blendshapes_has_no_scores() -> None:
    values = np.stack([np.full(52, np.nan, np.float32), np.full(52, 0.5, np.float32)])
    scores = BlendshapeModel().score(batch_of(values))
    assert np.isnan(scores[0]).all()
    assert np.isfinite(scores[1]).sum() == 14
    assert BlendshapeModel().score(batch_of(values[:0])).shape == (0, 16)


def test_an_always_zero_blendshape_never_becomes_a_score() -> None:
    dead = {name for name in BLENDSHAPES if name.startswith(("cheekSquint", "noseSneer"))}
    assert not dead & {name for names in AU_BLENDSHAPES.values() for name in names}
