"""Flags that are given twice, to no purpose, or wrongly; and how a sentence names them here and in Python."""

from pathlib import Path

import pytest

import duchenne
from duchenne.cli.main import main
from duchenne.errors import UsageError


@pytest.mark.parametrize("form", ["--recipe {}", "--recipe={}"])
def test_of_two_recipes_the_last_counts(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*recipes: str) -> str:
        words = [word for recipe in recipes for word in form.format(recipe).split()]
        assert main(["pretrain", "moco", "--show", *words]) == 0
        return capsys.readouterr().out

    last = shown("smoke/moco")
    assert "recipe smoke/moco" in last
    assert last != shown("cpu/moco")
    assert shown("cpu/moco", "smoke/moco") == last


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "--device", "cpu"], "--device: is where the time of a --model is taken; name one"),
        (["info", "--all", "--device", "nonsense"], "--device: is where the time of a --model is taken; name one"),
        (
            ["info", "--run", "rr", "--device", "cpu"],
            "--device: is where figures from --data are drawn; name prepared folders",
        ),
        (["compare", "evaluated", "--ablations"], "--ablations: are those on the data sets of --published; name one"),
        (["detect", "a.mp4", "--camera-address"], "--camera-address: says what --camera may be; name a camera"),
    ],
)
def test_what_would_change_nothing_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"duchenne {words[0]}: {said}, or leave it out.\n"


def test_python_refuses_the_same() -> None:
    with pytest.raises(UsageError, match=r"^device: is where the time of a model is taken"):
        duchenne.info(device="nonsense")
    with pytest.raises(UsageError, match=r"^ablations: are those on the data sets of published"):
        duchenne.compare(["evaluated"], ablations=True)


def test_a_sentence_names_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = str(tmp_path), str(tmp_path / "out")
    for words in (["synth"], ["prepare", "videos", "--root", folder]):
        assert main([*words, "--out", out, "--size", "5"]) == 2
        assert f"duchenne {words[0]}: --size 5: must be at least 32" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"^size_px 5: must be at least 32"):
        duchenne.synth(out, size_px=5)
    with pytest.raises(UsageError, match=r"^size_px 5: must be at least 32"):
        duchenne.prepare("videos", root=folder, out=out, size_px=5)


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (["--end-s", "2"], {"end_s": 2.0}, "--end-s is 2.0; it must be after --start-s (3.0)."),
        (["--sequence", "5", "--chapters"], {"sequence": 5.0, "chapters": True}, "--sequence and --chapters exclude"),
        (["--baseline", "x"], {"baseline": "x"}, "--baseline `x` is neither a file nor seconds"),
        (["--baseline", "5-2"], {"baseline": "5-2"}, "--baseline `5-2` ends before it begins"),
    ],
)
def test_detect_names_flags_here_and_fields_in_python(
    words: list[str], given: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", "none.mp4", "--start-s", "3", *words]) == 2
    assert capsys.readouterr().err.startswith(f"duchenne detect: {said}")
    with pytest.raises(UsageError) as caught:
        duchenne.detect("none.mp4", start_s=3.0, **given)
    assert str(caught.value).startswith(said.replace("--", "").replace("-s ", "_s "))
