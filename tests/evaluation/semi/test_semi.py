"""Semi-supervised classifiers: the machine and the groups against naive sums, and what they win and do not lose."""

import itertools
import json
from typing import get_args

import numpy as np
import pytest
import torch
from tests.evaluation.conftest import make

import duchenne
from duchenne.cli.main import main
from duchenne.data.folds import Fold
from duchenne.errors import UsageError
from duchenne.evaluation.arguments import Prior
from duchenne.evaluation.protocols.label_share import reduced
from duchenne.evaluation.semi import group_sparse, learning
from duchenne.evaluation.semi.group_sparse import (
    EXACT,
    GAMMA,
    SPARSITY_ROUNDS,
    Groups,
    fit_group_sparse,
    infer,
    learn_groups,
)
from duchenne.evaluation.semi.learning import learn_semi
from duchenne.evaluation.semi.margins import fit_units
from duchenne.evaluation.semi.rbm import LabelMachine, fit_machine
from duchenne.metrics import roc_auc

NAN = float("nan")
PATTERNS = np.array([[1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1], [0] * 8])


def label_vectors(generator, rows, *, coupled):
    """Made-up labels of eight action units: three combinations and neutral faces, or all independent."""
    chosen = PATTERNS[generator.choice(4, rows, p=[0.25, 0.2, 0.2, 0.35])]
    share = np.where(chosen > 0, 0.95, 0.03) if coupled else np.full((rows, 8), 0.25)
    return (generator.random((rows, 8)) < share).astype(np.float32)


def study(seed, *, coupled, rows=600, tested=1500, width=30, noise=5.0, often=0.8, seldom=0.06):
    """Noisy linear features; every second label is seldom known. Returns features, labels, folds, groups, truth."""
    generator = np.random.default_rng(seed)
    truth = label_vectors(generator, rows + tested, coupled=coupled)
    mixing = np.random.default_rng(99).normal(size=(8, width))
    features = (truth @ mixing + noise * generator.normal(size=(len(truth), width))).astype(np.float32)
    known = generator.random(truth.shape) < np.where(np.arange(8) % 2 == 0, often, seldom)
    train = np.arange(len(truth)) < rows
    labels = np.where(known | ~train[:, None], truth, np.nan)
    return features, labels, [Fold(train=train, test=~train)], np.arange(len(truth)) % 30 + 30 * ~train, truth


def machine_of(seed=0):
    drawn = torch.Generator().manual_seed(seed)
    parts = [torch.randn(*shape, generator=drawn, dtype=torch.float64) for shape in ((4,), (3,), (4, 3))]
    return LabelMachine(*parts, alone=torch.zeros(4, dtype=torch.float64))


def naive_probabilities(machine):
    """Of all label vectors, by summing over all states of the hidden units."""
    b, c, w = (part.numpy() for part in (machine.visible, machine.hidden, machine.weight))
    found = {}
    for y in itertools.product((0, 1), repeat=len(b)):
        states = itertools.product((0, 1), repeat=len(c))
        found[y] = sum(np.exp(b @ y + c @ h + np.array(y) @ w @ h) for h in map(np.array, states))
    total = sum(found.values())
    return {y: value / total for y, value in found.items()}


def test_the_likelihood_is_exact():
    machine = machine_of()
    probabilities = naive_probabilities(machine)
    rows = np.array(list(probabilities), dtype=np.float64)
    assert np.allclose(np.exp(machine.log_likelihood(rows)), list(probabilities.values()), atol=1e-12)
    energy = machine.free_energy(torch.from_numpy(rows)).numpy()
    assert np.allclose(np.exp(-energy) / np.exp(-energy).sum(), list(probabilities.values()), atol=1e-12)


def test_missing_labels_are_summed_out():
    machine = machine_of(1)
    probabilities = naive_probabilities(machine)
    expected = sum(value for y, value in probabilities.items() if y[0] == 1 and y[2] == 0)
    found = machine.log_likelihood(np.array([[1, NAN, 0, NAN], [NAN] * 4]))
    assert np.exp(found) == pytest.approx([expected, 1.0], rel=1e-12)


def test_the_machine_learns_what_goes_together():
    generator = np.random.default_rng(0)
    labels = label_vectors(generator, 600, coupled=True)
    machine = fit_machine(np.where(generator.random(labels.shape) < 0.3, np.nan, labels), hidden=3)
    fresh = label_vectors(generator, 2000, coupled=True)
    mean = fresh.mean(axis=0)
    alone = (fresh * np.log(mean) + (1 - fresh) * np.log(1 - mean)).sum(axis=1).mean()
    assert machine.log_likelihood(fresh).mean() > alone + 1.0  # nats a face, at the best shares of each label alone
    both, one = (machine.log_likelihood(np.array([[1, there, *[NAN] * 6]]))[0] for there in (1, 0))
    assert np.exp(both) / (np.exp(both) + np.exp(one)) == pytest.approx(0.870, abs=0.08)  # by hand: .2263 / .2600


def test_independent_labels_depend_on_nothing():
    labels = label_vectors(np.random.default_rng(0), 4000, coupled=False)
    machine = fit_machine(labels, hidden=3, l2=0.01)
    spread = machine.dependence(torch.from_numpy(labels[:500].astype(np.float64))).std()
    assert float(spread) < 0.1


def test_wrong_machines():
    with pytest.raises(ValueError, match="hidden"):
        fit_machine(np.ones((2, 2)), hidden=11)
    with pytest.raises(ValueError, match="no label"):
        fit_machine(np.full((2, 2), np.nan))


def test_units_reach_the_minimum_of_their_loss():
    """The gradient of the loss, written anew in float64, is nothing at the end."""
    features, labels, folds, *_ = study(0, coupled=True, rows=150, tested=10, seldom=0.4)
    rows, known = features[folds[0].train] / 5, labels[folds[0].train]
    machine, plain = fit_machine(known, hidden=2), None
    for strength in (0.0, 1.0):
        units = fit_units(rows, known, machine, strength=strength, l2=0.1, start=plain)
        assert plain is None or np.array_equal(units.bias, plain.bias)
        plain = units
        weight = torch.tensor(units.weight, dtype=torch.float64, requires_grad=True)
        total = 0.5 * 0.1 * weight.square().sum()
        x, bias = torch.from_numpy(rows.astype(np.float64)), torch.from_numpy(units.bias.astype(np.float64))
        for item in range(8):
            for value, sign in ((1, 1.0), (0, -1.0)):
                chosen = torch.from_numpy(known[:, item] == value)
                margin = x[chosen] @ weight[:, item] + bias[item]
                total = total + 0.5 * (1 - sign * margin).clamp(min=0).square().mean() / 8
        predicted = torch.sigmoid(2 * (x @ weight + bias) + machine.alone)
        fixed = torch.from_numpy(np.nan_to_num(known).astype(np.float64))
        vector = torch.where(torch.from_numpy(np.isnan(known)), predicted, fixed)
        total = total + strength * machine.dependence(vector).mean() / 8
        (gradient,) = torch.autograd.grad(total, weight)
        assert float(gradient.abs().max()) < 2e-3


def test_units_with_a_prior_need_a_start():
    machine = fit_machine(np.eye(3))
    with pytest.raises(ValueError, match="plain units"):
        fit_units(np.zeros((3, 2), np.float32), np.eye(3), machine, strength=1.0, l2=1.0)


def test_groups_follow_what_goes_together():
    labels = label_vectors(np.random.default_rng(0), 3000, coupled=True)
    found = set(learn_groups(labels).members)
    assert {(0, 1, 2), (3, 4, 5), (5, 6, 7), (3, 4, 5, 6, 7)} & found >= {(0, 1, 2)}
    assert any({3, 5} <= set(group) for group in found)
    assert any({5, 7} <= set(group) for group in found)  # AU 5 of both: groups overlap
    assert set(learn_groups(label_vectors(np.random.default_rng(0), 3000, coupled=False)).members) == {
        (label,) for label in range(8)
    }


def naive_infer(predicted, labels, noise, groups):
    """One face at a time, with the groups' own vectors side by side: y = [I I ... I] v."""
    out = []
    for x, known in zip(predicted, labels, strict=True):
        there = ~np.isnan(known)
        trust = np.where(there, EXACT, 1 / noise)
        target = np.where(there, np.nan_to_num(known), x)
        alpha = np.full(len(groups.members), GAMMA[0] / GAMMA[1])
        for _ in range(SPARSITY_ROUNDS):
            sizes = [len(group) for group in groups.members]
            places = np.concatenate([np.array(group) for group in groups.members])
            collect = np.zeros((len(x), sum(sizes)))
            collect[places, np.arange(sum(sizes))] = 1
            prior, start = np.zeros((sum(sizes), sum(sizes))), 0
            for number, group in enumerate(groups.members):
                inside = slice(start, start + len(group))
                prior[inside, inside] = np.linalg.inv(groups.shapes[number][np.ix_(group, group)]) * alpha[number]
                start += len(group)
            covariance = np.linalg.inv(prior + collect.T @ np.diag(trust) @ collect)
            mean = covariance @ collect.T @ (trust * target)
            start = 0
            for number, group in enumerate(groups.members):
                inside = slice(start, start + len(group))
                inverse = np.linalg.inv(groups.shapes[number][np.ix_(group, group)])
                energy = mean[inside] @ inverse @ mean[inside] + np.trace(inverse @ covariance[inside, inside])
                alpha[number] = (GAMMA[0] + len(group) / 2) / (GAMMA[1] + energy / 2)
                start += len(group)
        out.append(np.where(there, np.nan_to_num(known), collect @ mean))
    return np.stack(out)


def test_inference_against_a_loop():
    generator = np.random.default_rng(3)
    groups = learn_groups(label_vectors(generator, 500, coupled=True))
    predicted, noise = generator.normal(0.3, 0.4, (6, 8)), generator.uniform(0.05, 0.5, 8)
    labels = np.where(generator.random((6, 8)) < 0.3, generator.integers(0, 2, (6, 8)), np.nan)
    assert np.allclose(
        infer(predicted, labels, noise, groups), naive_infer(predicted, labels, noise, groups), atol=1e-8
    )


def test_a_known_label_speaks_for_the_others_of_its_group():
    groups = learn_groups(label_vectors(np.random.default_rng(0), 3000, coupled=True))
    predicted, noise = np.full((2, 8), 0.3), np.full(8, 0.5)
    labels = np.full((2, 8), np.nan)
    labels[:, 0] = [1, 0]
    present, absent = infer(predicted, labels, noise, groups)
    assert present[1] > absent[1] + 0.1
    assert present[2] > absent[2] + 0.1
    assert abs(present[6] - absent[6]) < 0.02


def test_labels_that_are_never_known_are_refused():
    with pytest.raises(ValueError, match="never known"):
        fit_group_sparse(np.zeros((3, 2)), np.array([[1, NAN], [0, NAN], [1, NAN]]), l2=1.0, inferred_weight=0.0)
    assert isinstance(learn_groups(np.array([[1, NAN], [NAN, 0]])), Groups)


def gains(prior, *, coupled, l2=(0.1, 1.0), seeds=(0, 1)):
    """Mean AUC with the prior, less that of the same classifiers without any, per seed."""
    found = []
    for seed in seeds:
        features, labels, folds, groups, truth = study(seed, coupled=coupled)
        test = folds[0].test
        auc = roc_auc(truth[test], learn_semi(features, labels, folds, groups, prior=prior, l2=l2).score[test])
        rows = (features - features[~test].mean(0)) / features[~test].std(0)
        plain = []
        for penalty in l2:
            if prior == "rbm":
                machine = fit_machine(labels[~test])
                units = fit_units(rows[~test], labels[~test], machine, strength=0.0, l2=penalty)
            else:
                model = fit_group_sparse(rows[~test], labels[~test], l2=penalty, inferred_weight=0.0)
                units = lambda x, model=model: x @ model.weight[:-1] + model.weight[-1]  # noqa: E731
            plain.append(roc_auc(truth[test], units(rows[test])).mean())
        found.append(auc.mean() - max(plain))  # the better l2, told by the tested faces themselves
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("prior", get_args(Prior))
def test_beats_the_plain_classifier_where_labels_go_together_and_many_are_missing(prior):
    assert gains(prior, coupled=True).mean() > 0.008


@pytest.mark.slow
@pytest.mark.parametrize("prior", get_args(Prior))
def test_equals_the_plain_classifier_where_labels_are_independent(prior):
    assert np.abs(gains(prior, coupled=False, l2=(1.0,))).max() < 0.003


@pytest.mark.parametrize("prior", get_args(Prior))
def test_a_prior_of_other_labels_would_be_seen_to_harm(prior, monkeypatch):
    """So the two tests above can fail: a prior that counts, learned where labels go together, on independent ones."""
    others = label_vectors(np.random.default_rng(7), 600, coupled=True)
    monkeypatch.setitem(learning.STRENGTHS, prior, (max(learning.STRENGTHS[prior]),))
    monkeypatch.setattr(learning, "fit_machine", lambda labels: fit_machine(others[:, : labels.shape[1]]))
    monkeypatch.setattr(group_sparse, "learn_groups", lambda labels: learn_groups(others[:, : labels.shape[1]]))
    assert gains(prior, coupled=False, l2=(1.0,)).mean() < -0.005


@pytest.mark.slow
@pytest.mark.parametrize("prior", get_args(Prior))
def test_a_prior_that_is_ignored_would_be_seen_not_to_help(prior, monkeypatch):
    monkeypatch.setitem(learning.STRENGTHS, prior, (0.0,))
    assert gains(prior, coupled=True).mean() < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("prior", get_args(Prior))
def test_hidden_labels_are_never_looked_at(prior):
    features, labels, folds, groups, _ = study(0, coupled=True, rows=200, tested=50)
    units = np.arange(len(labels))
    (part,) = reduced(folds, units, groups, 0.4, 0)
    assert part.unlabelled.sum() + part.train.sum() == folds[0].train.sum()
    other = labels.copy()
    other[part.unlabelled] = 1 - np.nan_to_num(labels[part.unlabelled])
    other[part.test] = 1 - labels[part.test]
    one, two = (learn_semi(features, given, [part], groups, prior=prior, l2=(1.0,)) for given in (labels, other))
    assert np.array_equal(one.score, two.score, equal_nan=True)
    assert one.unlabelled == (int(part.unlabelled.sum()),)
    moved = features.copy()
    moved[part.unlabelled] += 3.0
    assert not np.array_equal(learn_semi(moved, labels, [part], groups, prior=prior, l2=(1.0,)).score, one.score)


def test_an_action_unit_that_cannot_be_trained_gets_no_score():
    features, labels, folds, groups, _ = study(0, coupled=True, rows=200, tested=50)
    labels[folds[0].train, 3] = np.nan
    score = learn_semi(features, labels, folds, groups, prior="rbm", l2=(1.0,)).score[folds[0].test]
    assert np.isnan(score[:, 3]).all()
    assert np.isfinite(np.delete(score, 3, axis=1)).all()


@pytest.mark.slow
@pytest.mark.parametrize("prior", get_args(Prior))
def test_from_the_command(prior, tmp_path, capsys):
    make(tmp_path / "faces")
    words = ["evaluate", "semi", "--prior", prior, "--model", "landmarks", "--data", str(tmp_path / "faces"), "--out"]
    words += [str(tmp_path / "out"), "--folds", "2", "--label-share", "0.5", "--label-unit", "frames", "--no-baselines"]
    assert main([*words, "--sample-faces", "0", "--maps", "none", "--l2", "0.1", "--quiet"]) == 0
    assert "AUC" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["protocol"]["name"], summary["protocol"]["prior"]) == ("semi", prior)
    found = summary["models"]["landmarks"]
    assert len(found["prior_strength"]["0"]) == 2
    half, everything = found["label_efficiency"]
    assert (half["share"], everything["share"]) == (0.5, 1.0)
    # Whether the prior counted, and how many faces had no labels, is known of the share, and not of all labels alone.
    assert found["unlabelled_rows"]["0"] == [0, 0]
    assert half["unlabelled_rows"]["0"] == pytest.approx([half["training_frames"]] * 2, abs=1)
    assert len(half["prior_strength"]["0"]) == len(half["l2"]["0"]) == 2
    assert "prior_strength" not in everything


def test_settings_without_meaning(tmp_path):
    make(tmp_path / "faces")
    given = {"model": "pixels", "data": tmp_path / "faces", "out": tmp_path / "out", "quiet": True}
    with pytest.raises(UsageError, match="evaluate semi: needs prior"):
        duchenne.evaluate("semi", **given)
    with pytest.raises(UsageError, match="prior: is for `evaluate semi`, not for `evaluate linear`"):
        duchenne.evaluate("linear", prior="rbm", **given)
    with pytest.raises(UsageError, match="`prior` must be one of 'rbm', 'group_sparse'"):
        duchenne.evaluate("semi", prior="groups", **given)
    with pytest.raises(UsageError, match="one emotion"):
        duchenne.evaluate("semi", prior="rbm", target="emotion", **given)
    with pytest.raises(UsageError, match="inverse_frequency"):
        duchenne.evaluate("semi", prior="rbm", weighting="inverse_frequency", **given)
