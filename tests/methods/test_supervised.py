"""The supervised baseline and what the methods with labels share: the loss, the weightings, what is left out."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score as one_f1
from tests.methods.made import RUN, random_batch, small_config, small_method
from tests.training.made import changed, moving_squares

import duchenne
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.losses.weighted_bce import class_weights, prior_shift, selective_weights, weighted_bce
from duchenne.methods.registry import method_class
from duchenne.methods.supervised.config import SupervisedConfig
from duchenne.methods.supervised.method import Supervised
from duchenne.training.held_out import labelled_rows, split_subjects, training_rows

SHARES = (0.1, 0.5, 0.8)


def drawn(rows=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 2, (rows, 3), generator=generator)
    weights = torch.rand(rows, 3, generator=generator, dtype=torch.float64)
    return scores, labels, weights


def naive(scores, labels, weights):
    total, known = 0.0, 0
    for b in range(len(scores)):
        for c in range(scores.shape[1]):
            y = int(labels[b, c])
            if y >= 0:
                p = 1 / (1 + math.exp(-float(scores[b, c])))
                total -= float(weights[b, c]) * (y * math.log(p) + (1 - y) * math.log(1 - p))
                known += 1
    return total / max(known, 1)


def test_loss_value_and_gradient():
    scores, labels, weights = drawn()
    assert float(weighted_bce(scores, labels, weights)) == pytest.approx(naive(scores, labels, weights), rel=1e-12)
    leaf = scores.clone().requires_grad_()
    weighted_bce(leaf, labels, weights).backward()
    step = 1e-6
    for b, c in [(0, 0), (3, 1), (6, 2)]:
        up, down = scores.clone(), scores.clone()
        up[b, c] += step
        down[b, c] -= step
        slope = (naive(up, labels, weights) - naive(down, labels, weights)) / (2 * step)
        assert float(leaf.grad[b, c]) == pytest.approx(slope, abs=1e-8)
    assert (leaf.grad[labels < 0] == 0).all()


def test_loss_of_nothing_known_and_wrong_shapes():
    leaf = torch.randn(4, 3).requires_grad_()
    loss = weighted_bce(leaf, torch.full((4, 3), -1), torch.ones(4, 3))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (leaf.grad == 0).all()
    with pytest.raises(ValueError, match="one shape"):
        weighted_bce(torch.zeros(4, 3), torch.zeros(4, 2), torch.ones(4, 3))


def test_loss_is_the_same_under_autocast():
    scores, labels, weights = (value[:4].float() for value in drawn())
    plain = weighted_bce(scores, labels, weights)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(weighted_bce(scores, labels, weights), plain)


def test_balanced_weights_even_out_the_classes():
    labels = (torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) < torch.tensor(SHARES)).int()
    weights = class_weights(labels, labels.float().mean(0).tolist(), "balanced")
    for c in range(3):
        assert float(weights[labels[:, c] == 1, c].sum()) == pytest.approx(2000, rel=1e-4)
        assert float(weights[labels[:, c] == 0, c].sum()) == pytest.approx(2000, rel=1e-4)


def test_inverse_frequency_is_the_formula_of_the_literature():
    labels = torch.tensor([[1, 0, -1]])
    weights = class_weights(labels, SHARES, "inverse_frequency")[0]
    total = sum(1 / p for p in SHARES)
    assert weights[:2].tolist() == pytest.approx([3 / p / total for p in SHARES[:2]])
    assert weights[2] == 0
    assert class_weights(labels, SHARES, "none").tolist() == [[1, 1, 0]]


def naive_selective(labels, draws, absent):
    """Label by label: sort the examples of the larger class by their draw and keep the first half."""
    out = np.zeros(labels.shape)
    for c in range(labels.shape[1]):
        members = {y: [b for b in range(len(labels)) if labels[b, c] == y] for y in (0, 1)}
        if not members[0] or not members[1]:
            for b in members[0] + members[1]:
                out[b, c] = absent
            continue
        half = (len(members[0]) + len(members[1])) / 2
        for rows in members.values():
            if len(rows) > half:
                for b in sorted(rows, key=lambda b: draws[b, c])[: math.ceil(half)]:
                    out[b, c] = 1
            else:
                for b in rows:
                    out[b, c] = half / len(rows)
    return out


@pytest.mark.parametrize("absent", [0.0, 1.0])
def test_selective_weights(absent):
    generator = torch.Generator().manual_seed(3)
    labels = (torch.rand(21, 4, generator=generator) < torch.tensor([0.1, 0.5, 0.9, 0.0])).int()
    labels[torch.rand(21, 4, generator=generator) < 0.2] = -1
    draws = torch.rand(21, 4, generator=generator)
    found = selective_weights(labels, draws, absent=absent)
    assert np.allclose(found, naive_selective(labels.numpy(), draws.numpy(), absent), atol=1e-6)
    assert (found[labels < 0] == 0).all()
    per_label = selective_weights(labels, draws, per_label=True, absent=absent)
    rates = [(labels[:, c] == 1).sum() / (labels[:, c] >= 0).sum() for c in range(4)]
    inverse = [float(1 / rate) for rate in rates[:3]]
    for c in range(3):
        known = labels[:, c] >= 0
        assert per_label[known, c].tolist() == pytest.approx([3 * inverse[c] / sum(inverse)] * int(known.sum()))
    assert set(per_label[labels[:, 3] >= 0, 3].tolist()) == {absent}


def test_the_prior_is_taken_back():
    """A constant fitted under balanced weights says 0; corrected, it says how often the label is there."""
    assert torch.sigmoid(prior_shift(SHARES, "balanced")).tolist() == pytest.approx(SHARES)
    assert torch.sigmoid(prior_shift(SHARES, "selective")).tolist() == pytest.approx(SHARES)
    assert prior_shift(SHARES, "none").tolist() == [0, 0, 0]
    labels = (torch.rand(20000, 1, generator=torch.Generator().manual_seed(1)) < 0.1).int()
    share = [float(labels.float().mean())]
    bias = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([bias], max_iter=50)

    def closure():
        optimiser.zero_grad()
        loss = weighted_bce(bias.expand(len(labels), 1), labels, class_weights(labels, share, "balanced"))
        loss.backward()
        return loss

    optimiser.step(closure)
    assert float(torch.sigmoid(bias.detach())) == pytest.approx(0.5, abs=1e-3)
    assert torch.sigmoid(bias.detach() + prior_shift(share, "balanced")).item() == pytest.approx(share[0], abs=1e-3)


def test_probabilities_of_the_method():
    method = small_method("supervised", weighting="balanced", positive_shares=(0.1, 0.3)).eval()
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        expected = torch.sigmoid(method.judge(images) + torch.logit(torch.tensor([0.1, 0.3])))
        assert torch.allclose(method.probability(images), expected)


def test_validation_is_the_mean_f1_over_everything():
    method = small_method("supervised").eval()
    batch = random_batch(method, 12)
    with torch.no_grad():
        whole = method.validation_counts(batch)
        parts = sum(method.validation_counts(batch.select(slice(a, a + 5))) for a in (0, 5, 10))
        said = (method.judge(batch.images[:, 0].float() / 255) > 0).numpy()
    assert torch.equal(whole, parts)
    truth = batch.labels["aus"][:, 0].numpy()
    from duchenne.metrics import f1_score

    assert method.validation_of(whole) == pytest.approx(f1_score(truth, said).mean())
    batch.labels["aus"][:, :, 1] = -1  # coded in other people only: no F1 of 0, which halved the mean
    with torch.no_grad():
        part = method.validation_counts(batch)
    assert method.validation_of(part) == pytest.approx(one_f1(truth[:, 0], said[:, 0], zero_division=0))
    with pytest.raises(ValueError, match="aus must name each action unit once"):
        SupervisedConfig(aus=(12, 12))


@pytest.mark.parametrize("name", ["selective", "selective_per_label", "balanced", "inverse_frequency", "none"])
def test_every_weighting_trains(name):
    method = small_method("supervised", weighting=name)
    torch.manual_seed(0)
    output = method.training_step(method.augment(random_batch(method, 6)))
    output.loss.backward()
    assert torch.isfinite(output.loss)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder, clips=9, frames=12)
    return folder


FAST = {"size_px": 32, "batch_size": 4, "max_steps": 2, "quiet": True, "schedule": "constant"}


def test_a_run_end_to_end_names_its_labels(squares, tmp_path):
    run = tmp_path / "run"
    duchenne.pretrain("supervised", data=squares, out=run, validation_share=0.5, **FAST)
    record = json.loads((run / "encoder.json").read_text())
    assert record["trained_on"][0]["labels"] is True
    config = (run / "config.yaml").read_text()
    assert "aus:\n- 1\n- 12" in config
    assert "with their labels" in (run / "methods.txt").read_text().replace("\n", " ")
    with pytest.raises(UsageError, match="was trained with the labels of"):
        duchenne.evaluate("linear", model=str(run), data=squares, out=tmp_path / "scores", folds=3, quiet=True)


def test_people_are_held_out_whole(squares, tmp_path):
    prepared = Prepared([squares])
    trained, held = split_subjects(prepared, training_rows(prepared), 0.3, seed=0)
    subjects = prepared.subject_ids()
    assert len(held)
    assert not set(subjects[trained]) & set(subjects[held])
    with pytest.raises(InputError, match="only one subject"):
        split_subjects(prepared, np.flatnonzero(subjects == 0), 0.3, seed=0)


def test_namesakes_of_other_data_sets_are_held_out_together(squares, tmp_path):
    import shutil

    import yaml

    from duchenne.data.folds import people_of

    other = tmp_path / "other"
    shutil.copytree(squares, other)
    info = yaml.safe_load((other / "dataset.yaml").read_text())
    (other / "dataset.yaml").write_text(yaml.safe_dump({**info, "name": "other"}))
    prepared = Prepared([squares, other])
    names = people_of(prepared.subject_names()).to_numpy()
    for seed in range(5):
        trained, held = split_subjects(prepared, np.arange(len(prepared)), 0.3, seed=seed)
        assert not set(names[trained]) & set(names[held])


def test_action_units_that_cannot_be_learned(squares):
    prepared = Prepared([squares])
    rows = np.flatnonzero(prepared.occurrence([12])[:, 0] == 0)
    found = Supervised.complete(small_config("supervised", aus=(), positive_shares=()), prepared, rows, RUN)
    assert found.aus == (1,)
    assert 0 < found.positive_shares[0] < 1
    with pytest.raises(InputError, match="do not show AU12 both present and absent"):
        Supervised.complete(small_config("supervised"), prepared, rows, RUN)


def test_plateau_needs_clips_held_out(squares, tmp_path):
    with pytest.raises(UsageError, match="schedule plateau needs clips held out"):
        duchenne.pretrain(
            "supervised", data=squares, out=tmp_path / "run", validation_share=0.0, **{**FAST, "schedule": "plateau"}
        )


@pytest.fixture(scope="module")
def partly_coded(tmp_path_factory):
    """Twenty people, of whom the first six are coded; nobody is a test subject."""
    folder = tmp_path_factory.mktemp("partly")
    moving_squares(folder / "whole", clips=40, frames=8)

    def only_six(frames):
        others = frames["subject"].str[1:].astype(int) >= 6
        frames = frames.assign(split="train")
        frames.loc[others, [name for name in frames if name.startswith("AU")]] = np.nan
        return frames.assign(emotion=frames["emotion"].mask(others))

    return changed(folder / "whole", folder / "part", only_six)


def people(data, rows):
    return {int(name[1:]) for name in data.column("subject", None).iloc[rows]}


@pytest.mark.parametrize(("name", "fields"), [("supervised", {"aus": (), "positive_shares": ()}), ("emoco", {})])
def test_people_without_labels_are_never_held_out(name, fields, partly_coded):
    rows = np.arange(len(partly_coded))
    method, config = method_class(name), small_config(name, **fields)
    among = labelled_rows(method, method.complete(config, partly_coded, rows, RUN), partly_coded, rows)
    assert people(partly_coded, among) == set(range(6))
    drawn = set()
    for seed in range(30):
        trained, held = split_subjects(partly_coded, rows, 0.2, seed, among)
        assert len(people(partly_coded, held)) == 2  # a fifth of six, rounded up
        assert people(partly_coded, trained) == set(range(20)) - people(partly_coded, held)
        drawn |= people(partly_coded, held)
    assert drawn == set(range(6))


def test_the_draw_is_what_it_was_where_all_have_labels_or_none_is_needed(squares):
    data, knowledge = Prepared([squares]), method_class("knowledge_driven")
    rows = np.arange(len(data))
    assert labelled_rows(knowledge, small_config("knowledge_driven"), data, rows) is None  # landmarks are no labels
    uneven = np.flatnonzero(rows % 5 == 3)[::-1]  # some frames of everybody
    for seed in range(10):
        for one, two in zip(split_subjects(data, rows, 0.3, seed), split_subjects(data, rows, 0.3, seed, uneven)):
            assert np.array_equal(one, two)
    with pytest.raises(InputError, match="only one subject with labels"):
        split_subjects(data, rows, 0.3, 0, np.flatnonzero(data.subject_ids() == 1))


@pytest.mark.parametrize("seed", [2, 3])
def test_validation_finds_labels_whatever_the_seed(seed, partly_coded, tmp_path):
    fields = {**FAST, "aus": (), "max_steps": 1, "validation_by": "subject", "validation_share": 0.1, "seed": seed}
    result = duchenne.pretrain("supervised", data=partly_coded, out=tmp_path / "run", **fields)
    assert (result.out / "encoder_best.safetensors").is_file()


def test_cl_ile_knows_people_with_labels_alone(partly_coded):
    config = small_config("cl_ile", aus=(), positive_shares=(), subject_numbers=())
    found = method_class("cl_ile").complete(config, partly_coded, np.arange(len(partly_coded)), RUN)
    coded = [int(name.rpartition(":")[2][1:]) < 6 for name in partly_coded.subject_list()]
    assert found.subject_numbers == tuple(np.flatnonzero(coded).tolist())
    assert len(found.subject_numbers) == 6
