"""The pretrain job: what a run holds, exact resume, interruption, and what is refused."""

import json
import logging
import signal
import subprocess
import sys
import time
import warnings

import pytest
import torch
import yaml
from tests.methods.made import SMALL
from tests.training.made import changed

import duchenne
from duchenne.data.folds import k_fold
from duchenne.data.prepared import Prepared
from duchenne.errors import DuchenneError, InputError, UsageError
from duchenne.methods.registry import METHODS, method_class
from duchenne.training.checkpoints import load_checkpoint
from duchenne.training.config import TrainingConfig
from duchenne.training.held_out import training_rows
from duchenne.training.launching.fabric import process_kept
from duchenne.training.recipes import load_recipe, recipe_names
from duchenne.training.runs import initial_encoder, load_encoder, random_encoder
from duchenne.training.schedules import Plateau, rate_factor
from duchenne.training.weights import read_state

FAST = {
    "size_px": 32,
    "batch_size": 4,
    "max_steps": 6,
    "lr": 0.01,
    "log_every": 2,
    "validation_share": 0.0,
    "quiet": True,
}


def quick(name):
    """The fields of a method in few steps; with the network that is quickest where the method leaves the choice."""
    network = {"backbone": "compact", "size_px": 64} if hasattr(method_class(name).Config, "backbone") else {}
    return {**SMALL[name], **FAST, **network}


@pytest.fixture(scope="module")
def run(squares, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    duchenne.pretrain("temporal_ranking", data=squares, out=out, **FAST)
    return out


VALIDATED = tuple(name for name in METHODS if method_class(name).validates())
"""Their exact resuming is seen by `test_validation_keeps_the_best`, in which scores are resumed, too."""
UNVALIDATED = tuple(name for name in METHODS if name not in VALIDATED)


def weights(run):
    return load_encoder(run).encoder.state_dict()


def test_what_a_run_holds(run, squares):
    assert {path.name for path in run.iterdir()} == {
        "config.yaml", "encoder.safetensors", "encoder.json", "checkpoint.pt", "checkpoint.json", "log.jsonl",
        "methods.txt",
    }  # fmt: skip
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["method"] == "temporal_ranking"
    assert config["margin"] == 0.03
    assert config["data"] == [str(squares)]
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert {"loss", "accuracy", "spread", "lr", "images_per_s", "waiting"} <= lines[0].keys()
    record = load_encoder(run).record
    assert record.steps == 6
    assert record.size_px == 32
    text = (run / "methods.txt").read_text().replace("\n", " ")
    assert all(part in text for part in ("Cite", "margin 0.03", "interval 1", "crop_min 0.89"))


def test_the_test_split_is_never_seen(run):
    (seen,) = load_encoder(run).record.trained_on
    assert seen.dataset == "squares"
    assert seen.labels is False
    assert seen.subjects == ("squares:S0", "squares:S1")


def test_training_changes_the_weights_and_initial_is_the_start(run):
    start, end = initial_encoder(run).encoder.state_dict(), weights(run)
    assert not torch.equal(start["backbone.conv1.weight"], end["backbone.conv1.weight"])
    again = initial_encoder(run).encoder.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in start.items())
    other = random_encoder(load_encoder(run).record, seed=5)
    assert other.feature_dim == load_encoder(run).encoder.feature_dim
    assert not torch.equal(other.backbone.conv1.weight, start["backbone.conv1.weight"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "float32") for name in UNVALIDATED), ("clp", "bf16"), ("temporal_ranking", "bf16")],
)
def test_resume_is_exact(name, precision, squares, tmp_path):
    fields = {**quick(name), "precision": precision, "schedule": "cosine"}
    whole = duchenne.pretrain(name, data=squares, out=tmp_path / "whole", **fields)
    assert whole.finished
    part = {**fields, "save_every": 3}
    interrupted_after(3, name, squares, tmp_path / "part", part)
    assert not (tmp_path / "part" / "encoder.safetensors").exists()
    duchenne.pretrain(name, data=squares, out=tmp_path / "part", resume=True, **part)
    found, expected = weights(tmp_path / "part"), weights(tmp_path / "whole")
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_bf16_is_what_convolutions_compute_in(name, squares, tmp_path, monkeypatch):
    seen = set()
    forward = torch.nn.Conv2d.forward

    def record(self, x):
        out = forward(self, x)
        if self.training:  # validation and figures are in float32
            seen.add((x.dtype, out.dtype))
        return out

    monkeypatch.setattr(torch.nn.Conv2d, "forward", record)
    for precision, expected in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        seen.clear()
        fields = {**quick(name), "max_steps": 2, "precision": precision, "schedule": "constant"}
        duchenne.pretrain(name, data=squares, out=tmp_path / precision, **fields)
        assert {out for _, out in seen} == {expected}
        assert (torch.float32, expected) in seen  # pictures are not rounded before


def interrupted_after(steps, name, data, out, fields):
    """Runs a job that breaks down after some steps, as a killed process would."""
    from duchenne.training.loop import Trainer

    original = Trainer._train_step

    def train_step(self, batch, meter):
        if self.step >= steps:
            raise RuntimeError("power cut")
        return original(self, batch, meter)

    Trainer._train_step = train_step
    try:
        with pytest.raises(RuntimeError, match="power cut"):
            duchenne.pretrain(name, data=data, out=out, **fields)
    finally:
        Trainer._train_step = original


def test_ctrl_c_saves_and_exits_130(squares, tmp_path):
    out = tmp_path / "run"
    words = ["pretrain", "temporal_ranking", "--data", str(squares), "--out", str(out), "--size-px", "32",
             "--batch-size", "4", "--log-every", "1", "--max-steps", "100000", "--quiet"]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "duchenne.cli.main", *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "state saved; go on with --resume" in complaint
    assert "Traceback" not in complaint
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert state["step"] == last["step"]


@pytest.mark.slow
def test_two_processes_train_like_one(squares, tmp_path):
    """Real processes through the command; without crops nothing but the split of the batch differs."""
    fields = {"size_px": 32, "batch_size": 4, "max_steps": 2, "precision": "float32", "crop_min": 1.0, "crop_max": 1.0,
              "validation_share": 0.0}  # fmt: skip
    words = [word for key, value in fields.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "duchenne.cli.main", "pretrain", "temporal_ranking", "--quiet", *words]
    command += ["--data", str(squares), "--out", str(tmp_path / "two"), "--devices", "2", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == f"{tmp_path / 'two'}: 2 steps\n"  # once, not by each process
    duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "one", bn_splits=2, quiet=True, **fields)
    found, expected = weights(tmp_path / "two"), weights(tmp_path / "one")
    for key, value in expected.items():
        assert torch.allclose(found[key].float(), value.float(), atol=1e-5), key


MINUS_THE_LOSS = ("fab_net", "knowledge_driven", "moco", "simclr", "twin_cycle")
"""What their score is; the others' are shares."""


@pytest.mark.parametrize("name", UNVALIDATED)
def test_no_validation_without_a_score(name, squares, tmp_path):
    with pytest.raises(UsageError, match="has no validation score; set it to 0"):
        duchenne.pretrain(name, data=squares, out=tmp_path / "run", **{**SMALL[name], **FAST, "validation_share": 0.5})


@pytest.mark.slow
@pytest.mark.parametrize("name", VALIDATED)
def test_validation_keeps_the_best(name, squares, tmp_path):
    fields = {**quick(name), "validation_share": 0.5, "validate_every": 2}
    duchenne.pretrain(name, data=squares, out=tmp_path / "run", **fields)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["validation"] for line in lines if "validation" in line}
    last = lines[-1]["step"]
    assert list(scores) == list(range(2, last + 1, 2))
    final = {line["step"] for line in lines if line.get("stage") == lines[-1].get("stage")}
    scores = {step: score for step, score in scores.items() if step in final}  # only the last stage's encoder is kept
    assert name in MINUS_THE_LOSS or all(0 <= score <= 1 for score in scores.values())
    best = load_encoder(tmp_path / "run")
    assert best.path.name == "encoder_best.safetensors"
    assert best.record.validation == max(scores.values())
    assert best.record.steps == next(step for step, score in scores.items() if score == max(scores.values()))
    assert load_encoder(tmp_path / "run" / "encoder.safetensors").record.steps == last
    interrupted_after(3, name, squares, tmp_path / "part", {**fields, "save_every": 3})
    duchenne.pretrain(name, data=squares, out=tmp_path / "part", resume=True, **{**fields, "save_every": 3})
    found, expected = weights(tmp_path / "part"), weights(tmp_path / "run")
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_excluded_fold_is_the_one_that_evaluate_tests(squares, tmp_path):
    prepared = Prepared([squares])
    fold = k_fold(prepared.subject_names(), 3)
    duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "run", exclude_fold="1/3", **FAST)
    (seen,) = load_encoder(tmp_path / "run").record.trained_on
    tested = set(prepared.subject_names()[fold == 1])
    assert tested
    assert not tested & set(seen.subjects)
    assert initial_encoder(tmp_path / "run").encoder is not None
    for wrong in ("3/3", "0/1", "first"):
        with pytest.raises(UsageError, match="must be I/K"):
            duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "no", exclude_fold=wrong, **FAST)


def test_an_excluded_person_is_not_learned_from_another_folder_either(squares, tmp_path):
    """Recordings are often prepared twice: all of them, and under another name those that are coded."""
    unknown = dict.fromkeys(("AU01", "AU12", "AU01_i", "AU12_i"))
    changed(squares, tmp_path / "all", lambda frames: frames.assign(**unknown))
    text = (tmp_path / "all" / "dataset.yaml").read_text()
    (tmp_path / "all" / "dataset.yaml").write_text(text.replace("name: squares", "name: everything"))
    coded, both = Prepared([squares]), Prepared([squares, tmp_path / "all"])
    folds = k_fold(coded.subject_names(), 3)
    for fold in range(3):
        tested = set(coded.column("subject")[folds == fold])
        assert tested
        assert not tested & set(both.column("subject", training_rows(both, f"{fold}/3")))


def test_recipes_and_precedence(squares, tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("method: temporal_ranking\nmargin: 0.5\nsize_px: 32\nbatch_size: 4\nmax_steps: 1\n")
    out = tmp_path / "run"
    duchenne.pretrain("temporal_ranking", data=squares, out=out, recipe=str(recipe), batch_size=3, quiet=True)
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert (config["margin"], config["batch_size"], config["interval"]) == (0.5, 3, 1)


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_load(name):
    import importlib.resources as resources

    from duchenne.config import from_mapping, load_mapping
    from duchenne.training.config import method_run_config

    method = load_mapping(resources.files("duchenne") / "recipes" / f"{name}.yaml")["method"]
    assert from_mapping(method_run_config(method), load_recipe(name, method), where=name) is not None


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"margn": 1}, UsageError, "unknown key `margn`; did you mean `margin`"),
        ({"interval": "2"}, UsageError, "`interval` must be a whole number"),
        ({"interval": 9}, InputError, "long enough"),
        ({"recipe": "cpu/temporal"}, UsageError, "did you mean `cpu/temporal_ranking`"),
        ({"device": "cuda:99"}, UsageError, "use device cpu"),
        ({"device": "tpu9"}, UsageError, "no device"),
        ({"bn_splits": 4}, UsageError, "needs at least 8"),
    ],
)
def test_what_is_refused(fields, kind, message, squares, tmp_path):
    with pytest.raises(kind, match=message):
        duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "run", **{**FAST, **fields})
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(run, squares):
    with pytest.raises(UsageError, match="holds a run already"):
        duchenne.pretrain("temporal_ranking", data=squares, out=run, **FAST)
    with pytest.raises(UsageError, match="begun with another margin"):
        duchenne.pretrain("temporal_ranking", data=squares, out=run, resume=True, **{**FAST, "margin": 1.0})
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(UsageError, match="has trained 6 steps, more than the 4 that are asked for; raise max_steps"):
        duchenne.pretrain("temporal_ranking", data=squares, out=run, resume=True, **{**FAST, "max_steps": 4})
    assert (run / "config.yaml").read_bytes() == before


def test_runs_of_versions_with_fewer_settings_go_on(run, squares, tmp_path):
    """A setting that config.yaml lacks is taken at its default: as that, and only as that, the run can be resumed."""
    import shutil

    older = tmp_path / "older"
    shutil.copytree(run, older)
    config = yaml.safe_load((older / "config.yaml").read_text())
    for newer in ("sync_batchnorm", "plateau_patience", "crop_max"):
        del config[newer]
    (older / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match=r"was begun with another crop_max; "):
        duchenne.pretrain("temporal_ranking", data=squares, out=older, resume=True, **{**FAST, "crop_max": 0.95})
    assert duchenne.pretrain("temporal_ranking", data=squares, out=older, resume=True, **FAST).finished
    assert yaml.safe_load((older / "config.yaml").read_text())["crop_max"] == 223 / 224


def test_what_suits_the_data_badly_is_said_before_the_first_step(squares, tmp_path, capsys):
    from duchenne.cli.main import main

    told: list[tuple[str, bool]] = []
    log = tmp_path / "run" / "log.jsonl"
    result = duchenne.pretrain(
        "supervised", data=squares, out=tmp_path / "run", aus=(1,), schedule="constant",
        tell=lambda note: told.append((note, log.exists())), **{**FAST, "size_px": 48, "max_steps": 2},
    )  # fmt: skip
    assert [note for note, _ in told] == list(result.notes)
    assert not any(begun for _, begun in told)
    assert result.notes[-2:] == ("The crops of squares (32 px) are enlarged to 48 px.", "Coded, but not learned: AU12.")
    words = ["pretrain", "supervised", "--data", str(squares), "--out", str(tmp_path / "run"), "--aus", "1", "--quiet"]
    words += ["--size-px", "48", "--batch-size", "4", "--max-steps", "2", "--lr", "0.01", "--log-every", "2"]
    assert main([*words, "--validation-share", "0", "--schedule", "constant", "--resume"]) == 0
    assert capsys.readouterr().err.splitlines() == list(result.notes)


def test_resume_without_a_run(squares, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "run", resume=True, **FAST)


def test_loss_that_is_not_finite_stops(squares, tmp_path):
    with pytest.raises(DuchenneError, match="lower lr"):
        duchenne.pretrain(
            "temporal_ranking",
            data=squares,
            out=tmp_path / "run",
            **{**FAST, "lr": 1e3, "weight_decay": 100.0, "max_steps": 20},
        )


def test_foreign_and_damaged_files(run, tmp_path):
    with pytest.raises(InputError, match="no such encoder"):
        load_encoder(tmp_path / "encoder.safetensors")
    with pytest.raises(InputError, match="no finished run"):
        load_encoder(tmp_path)
    (tmp_path / "encoder.json").write_text((run / "encoder.json").read_text())
    (tmp_path / "encoder.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(InputError, match="damaged"):
        load_encoder(tmp_path)
    (tmp_path / "encoder.json").write_text("{}")
    with pytest.raises(InputError, match="not an encoder record"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello world", b"step,loss\n1,2\n", b"\x80\x02X"])
def test_files_that_torch_did_not_write(content, tmp_path):
    path = tmp_path / "some.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a duchenne checkpoint"):
        load_checkpoint(path)
    with pytest.raises(InputError, match="read safely"):
        read_state(path)


def test_a_new_start_leaves_nothing_of_an_interrupted_one(squares, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.yaml", "log.jsonl", "encoder_best.json", "encoder_best.safetensors"):
        (run / name).write_text("{}\n")
    duchenne.pretrain("temporal_ranking", data=squares, out=run, **FAST)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert load_encoder(run).path.name == "encoder.safetensors"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_checkpoint_executes_nothing(run, squares, tmp_path):
    import pickle
    import shutil

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "checkpoint.pt").write_bytes(pickle.dumps({"step": Evil()}))
    with pytest.raises(InputError, match=r"is not the file that checkpoint\.json belongs to"):
        duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "run", resume=True, **FAST)
    (tmp_path / "run" / "checkpoint.json").unlink()  # as runs of earlier versions
    with pytest.raises(InputError, match="not a duchenne checkpoint"):
        duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "run", resume=True, **FAST)
    assert not (tmp_path / "owned").exists()


def test_schedules():
    config = TrainingConfig(schedule="cosine", warmup_steps=4)
    rates = [rate_factor(config, step, 104) for step in range(104)]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[54] == pytest.approx(0.5)
    assert 0 < rates[-1] < 1e-3
    assert rate_factor(TrainingConfig(), 77, 100) == 1.0


def test_a_plateau_lowers_the_learning_rate():
    config = TrainingConfig(schedule="plateau", validation_share=0.1, plateau_patience=2, plateau_factor=0.5)
    plateau, seen = Plateau(), []
    for score in (0.1, 0.3, 0.2, 0.3, 0.2, 0.4, 0.1, 0.1):
        best = plateau.take(score, config)
        seen.append((best, plateau.factor))
    assert [best for best, _ in seen] == [True, True, False, False, False, True, False, False]
    assert [factor for _, factor in seen] == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]
    constant = Plateau()
    for score in (0.1, 0.0, 0.0, 0.0):
        constant.take(score, TrainingConfig())
    assert constant.factor == 1


def test_whoever_draws_after_a_training_draws_on(squares, tmp_path):
    """Every step seeds torch: left so, each repetition of a study would draw the same after its training."""
    expected = torch.rand(3, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(5)
    found = [torch.rand(1)]
    for number in range(2):
        duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / str(number), **{**FAST, "max_steps": 1})
        found.append(torch.rand(1))
    assert torch.equal(torch.cat(found), expected)


@pytest.mark.slow
def test_the_process_is_left_as_it_was(squares, tmp_path):
    logger, threads = logging.getLogger("lightning_fabric"), torch.get_num_threads()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        torch.set_num_threads(1)
        duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "run", **{**FAST, "max_steps": 2})
        torch.set_num_threads(3)
        filters = list(warnings.filters)
        duchenne.pretrain("temporal_ranking", data=squares, out=tmp_path / "run", resume=True, **FAST)
        assert torch.get_num_threads() == 3
        assert logger.level == logging.DEBUG
        assert warnings.filters == filters
        with process_kept():
            torch.set_num_threads(2)
        assert torch.get_num_threads() == 3
    finally:
        logger.setLevel(level)
        torch.set_num_threads(threads)
