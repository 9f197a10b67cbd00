"""EmoCo: what moves and what does not, memories by emotion, masks, and what it needs of the data."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from tests.methods.made import random_batch, small_method

import duchenne
from duchenne.config import from_mapping, load_mapping
from duchenne.errors import InputError, UsageError
from duchenne.facs import EMOTIONS
from duchenne.methods.emoco.config import EmoCoConfig
from duchenne.methods.emoco.loss import emotion_contrastive_loss
from duchenne.methods.emoco.method import EmoCo
from duchenne.training.recipes import recipe_names

NAME = "emoco"


def batch_of(method, clips=6, seed=0):
    torch.manual_seed(seed)
    return method.augment(random_batch(method, clips, seed))


def step(method, batch):
    output = method.training_step(batch)
    output.loss.backward()
    method.after_step()
    return output


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Six people, each with two clips of an emotion and one of none."""
    out = tmp_path_factory.mktemp("emotions") / "faces"
    duchenne.synth(out, subjects=6, clips=3, frames=4, size_px=32, quiet=True)
    return out


def test_shapes_of_the_paper():
    with torch.device("meta"):
        method = EmoCo(EmoCoConfig())
    assert method.queue.rows.shape == (7, 65536, 128)
    assert [layer.weight.shape for layer in method.head if hasattr(layer, "weight")] == [(2048, 2048), (128, 2048)]
    assert method.classifier.weight.shape == (7, 128)
    assert method.classifier.bias is None
    assert method.config.classes == EMOTIONS[:7]


def test_keys_enter_the_memory_of_their_emotion_after_the_step():
    method = small_method(NAME)
    batch = batch_of(method)
    before = method.queue.rows.clone()
    output = method.training_step(batch)
    assert torch.equal(method.queue.rows, before)
    output.loss.backward()
    method.after_step()
    labels = batch.labels["emotion"][:, 0]
    for emotion in range(7):
        number = int((labels == emotion).sum())
        assert int(method.queue.filled[emotion]) == number
        assert torch.equal(method.queue.rows[emotion, number:], before[emotion, number:])
    assert torch.allclose(method.queue.rows.norm(dim=-1), torch.ones(7, 12), atol=1e-5)
    assert all(parameter.grad is None for parameter in method.key_network.parameters())


def test_more_faces_of_an_emotion_than_its_memory_holds():
    method = small_method(NAME, memory=4)
    batch = batch_of(method, 6)
    batch.labels["emotion"][:] = 3
    output = step(method, batch)
    keys = output.kept["keys"]
    assert int(method.queue.filled[3]) == 4
    assert int(method.queue.filled.sum()) == 4
    assert torch.allclose(torch.roll(method.queue.rows[3], -int(method.queue.place[3]), 0), keys[2:], atol=1e-6)
    assert torch.isfinite(step(method, batch).loss)


def test_the_loss_is_that_of_the_formula():
    method = small_method(NAME)
    batch = batch_of(method)
    queues, weight = method.queue.rows.clone(), method.classifier.weight
    output = method.training_step(batch)
    keys, labels = output.kept["keys"], output.kept["labels"]
    torch.manual_seed(0)
    query = torch.nn.functional.normalize(method.head(method.encoder(batch.images[:, 0])), dim=1)
    expected = emotion_contrastive_loss(query, keys, queues, weight, labels)
    assert float(output.logs["contrast"]) == pytest.approx(float(expected.detach()), abs=1e-4)
    total = output.logs["emotion"] + output.logs["contrast"]
    assert float(output.loss.detach()) == pytest.approx(float(total), abs=1e-6)


def test_one_memory_for_all_emotions():
    method = small_method(NAME, queues="single")
    assert method.queue.rows.shape == (12, 128)
    step(method, batch_of(method))
    assert int(method.queue.filled) == 6
    assert torch.isfinite(step(method, batch_of(method, seed=1)).loss)
    masked = small_method(NAME, queues="single", mask_unfilled=True, mask_own_image=True)
    batch = batch_of(masked, 2)
    assert float(step(masked, batch).logs["contrast"]) == 0  # nothing is written yet
    assert float(masked.training_step(batch).logs["contrast"]) > 0  # the other image's key, of whatever emotion
    batch = replace(batch, rows=torch.full((2, 1), 7))
    alone = small_method(NAME, queues="single", mask_unfilled=True, mask_own_image=True)
    step(alone, batch)
    assert float(alone.training_step(batch).logs["contrast"]) == 0  # both keys are of the queries' own image


def test_each_loss_alone():
    emotion = small_method(NAME, contrast_weight=0.0)
    assert emotion.key_network is None
    output = step(emotion, batch_of(emotion))
    assert "contrast" not in output.logs
    assert float(output.loss.detach()) == pytest.approx(float(output.logs["emotion"]))
    contrast = small_method(NAME, emotion_weight=0.0, normalisation="l2")
    output = step(contrast, batch_of(contrast))
    assert float(output.loss.detach()) == pytest.approx(float(output.logs["contrast"]), abs=1e-6)
    assert contrast.classifier.weight.grad.abs().max() == 0


def test_masks():
    """Before any key is written nothing is a negative; then keys of the same image are not."""
    method = small_method(NAME, mask_unfilled=True, mask_own_image=True)
    batch = batch_of(method, 6)
    assert float(step(method, batch).logs["contrast"]) == 0
    assert int((method.queue.ids("image") >= 0).sum()) == 6
    labels = batch.labels["emotion"][:, 0]
    again = method.training_step(batch)
    others = torch.tensor([int((labels == label).sum()) - 1 for label in labels])
    assert (float(again.logs["contrast"]) > 0) == bool(others.max() > 0)
    batch.labels["emotion"][:] = torch.arange(6)[:, None]
    alone = small_method(NAME, mask_unfilled=True, mask_own_image=True)
    step(alone, batch)
    assert float(alone.training_step(batch).logs["contrast"]) == 0  # the only written key is the image's own
    literal = small_method(NAME)
    step(literal, batch)
    assert float(literal.training_step(batch).logs["contrast"]) > 0


def test_stages_start_with_equal_networks():
    method = small_method(NAME)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter.add_(1)
    method.start_stage(0)
    own, other = method.key_network.network.state_dict(), torch.nn.Sequential(method.encoder, method.head).state_dict()
    assert all(torch.equal(value, other[key]) for key, value in own.items())


@pytest.mark.slow
def test_resume_is_exact_with_memories(faces, tmp_path):
    fields = {"data": faces, "recipe": "smoke/emoco", "mask_own_image": True, "quiet": True, "device": "cpu"}
    whole = duchenne.pretrain(NAME, out=tmp_path / "whole", max_steps=4, schedule="constant", **fields)
    part = tmp_path / "part"
    duchenne.pretrain(NAME, out=part, max_steps=2, schedule="constant", **fields)
    duchenne.pretrain(NAME, out=part, max_steps=4, schedule="constant", resume=True, **fields)
    states = [torch.load(out / "checkpoint.pt", weights_only=True)["method"] for out in (whole.out, part)]
    assert any(key.startswith("queue.") for key in states[0])
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    trained_on = json.loads((part / "encoder.json").read_text())["trained_on"][0]
    assert trained_on["labels"] is True
    with pytest.raises(UsageError, match="trained with the labels"):
        duchenne.evaluate("linear", model=str(part), data=faces, out=tmp_path / "scores", quiet=True)


def test_a_run_counts_frames_without_emotion(faces, tmp_path):
    result = duchenne.pretrain(NAME, data=faces, out=tmp_path / "run", recipe="smoke/emoco", balanced=True, quiet=True)
    assert any("lack emotion labels and were left out" in note for note in result.notes)  # the odd clips, and contempt
    assert any("--memory 64 is more than half of the" in note and "the rarest emotion" in note for note in result.notes)
    assert not any("more than once" in note for note in result.notes)


def test_data_without_emotions_is_an_error_before_the_first_step(faces, tmp_path):
    data = tmp_path / "faces"
    shutil.copytree(faces, data)
    table = pd.read_parquet(data / "frames.parquet")
    for kept, why in ((["surprise"], "names neutral, happiness, sadness, fear"), ([], "names neutral, happiness")):
        table["emotion"] = table["emotion"].where(table["emotion"].isin(kept), None).astype("string")
        table.to_parquet(data / "frames.parquet")
        with pytest.raises(InputError, match=rf"emoco learns from .* column `emotion` .* {why}"):
            duchenne.pretrain(NAME, data=data, out=tmp_path / "run", recipe="smoke/emoco", quiet=True)
    table.drop(columns="emotion").to_parquet(data / "frames.parquet")
    with pytest.raises(InputError, match=r"emoco learns from .* column `emotion`"):
        duchenne.pretrain(NAME, data=data, out=tmp_path / "run", recipe="smoke/emoco", quiet=True)


def test_emotions_that_the_data_show_become_the_classes(faces, tmp_path):
    out = duchenne.pretrain(NAME, data=faces, out=tmp_path / "run", recipe="smoke/emoco", quiet=True).out
    frames = pd.read_parquet(faces / "frames.parquet")
    shown = set(frames["emotion"][frames["split"] != "test"].dropna())
    classes = load_mapping(out / "config.yaml")["emotions"]
    assert classes == [name for name in EMOTIONS[:7] if name in shown]
    absent = next(name for name in EMOTIONS[:7] if name not in shown)
    with pytest.raises(InputError, match=f"names {absent} nowhere"):
        duchenne.pretrain(
            NAME, data=faces, out=tmp_path / "other", recipe="smoke/emoco", emotions=["neutral", absent], quiet=True
        )


def test_a_single_memory_smaller_than_a_batch_is_refused(faces, tmp_path):
    fields = {"data": faces, "recipe": "smoke/emoco", "memory": 4, "quiet": True}
    with pytest.raises(UsageError, match="memory 4 is smaller than the 8 keys"):
        duchenne.pretrain(NAME, out=tmp_path / "single", queues="single", **fields)
    assert duchenne.pretrain(NAME, out=tmp_path / "each", **fields).steps == 3


def test_recipes_of_the_ablation_differ_in_what_they_ablate():
    recipes = [name for name in recipe_names() if name.startswith("emoco/")]
    found = {name: load_mapping(f"src/duchenne/recipes/{name}.yaml") for name in recipes}
    configs = {}
    for name, values in found.items():
        fields = {key: value for key, value in values.items() if key not in ("method", "weights")}
        configs[name] = from_mapping(EmoCoConfig, fields, where=name)
    assert configs["emoco/affectnet"] == EmoCoConfig() == configs["emoco/lambda_1"]
    assert configs["emoco/single_queue"].queues == "single"
    assert configs["emoco/l2"].normalisation == "l2"
    assert (configs["emoco/contrast_only"].emotion_weight, configs["emoco/contrast_only"].queues) == (0, "per_class")
    assert configs["emoco/emotion_only"].contrast_weight == 0
    sweep = {name.removeprefix("emoco/lambda_"): config for name, config in configs.items() if "/lambda_" in name}
    for name, config in sweep.items():
        weight, _, way = name.partition("_")
        way = way or "intra_class"
        assert config == replace(EmoCoConfig(), emotion_weight=float(weight), normalisation=way), name
        assert weight in sweep
        assert f"{weight}_l2" in sweep
    assert len(recipes) == 6 + len(sweep) == 16


@pytest.mark.parametrize("fields, why", [
    ({"emotions": ["fear"]}, "at least two"), ({"emotions": ["fear", "fear"]}, "each once"),
    ({"temperature": 0.0}, "above 0"), ({"emotion_weight": 0.0, "contrast_weight": 0.0}, "nothing would be learned"),
    ({"emotion_weight": 0.0}, "prototypes at random"),
])  # fmt: skip
def test_wrong_settings(fields, why):
    with pytest.raises(UsageError, match=why):
        from_mapping(EmoCoConfig, fields, where="recipe")
