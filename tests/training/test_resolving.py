"""Every resolved value says where it comes from."""

import pytest

from duchenne.cli.main import main
from duchenne.errors import UsageError
from duchenne.training.recipes import resolved


def test_values_come_with_their_source() -> None:
    found = {setting.name: setting[1:] for setting in resolved("emoco", "emoco/lambda_0.5", {"lr": 0.01})}
    assert found["emotion_weight"] == ("0.5", "recipe emoco/lambda_0.5")
    assert found["lr"] == ("0.01", "command line")
    assert found["batch_size"] == ("256", "default of emoco"), "the training's own is 64"
    assert found["temperature"] == ("0.2", "default of emoco")
    assert found["momentum"] == ("0.9", "default")
    assert found["max_steps"] == ("null", "default")
    with pytest.raises(UsageError, match="lr must be above 0"):
        resolved("emoco", None, {"lr": -1.0})


def test_show_prints_them_and_trains_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pretrain", "emoco", "--show", "--recipe", "emoco/lambda_0.5", "--devices=2", "--no-balanced"]
    assert main(words) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["devices"].split()[1:] == ["2", "command", "line"]
    assert lines["balanced"].endswith("command line")
    assert lines["emotion_weight"].endswith("recipe emoco/lambda_0.5")
    assert lines["lr"].split()[1:] == ["0.03", "default", "of", "emoco"]
