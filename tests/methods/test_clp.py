"""CLP: which frames it sees, what its memory holds, its ablations, and data that it refuses."""

import numpy as np
import pytest
import torch
from tests.methods.made import RUN, random_batch, small_config, small_method
from tests.training.made import changed, moving_squares

import duchenne
from duchenne.data.clip_samplers import Clip, Run
from duchenne.errors import InputError, UsageError
from duchenne.methods.clp.config import CLPConfig
from duchenne.methods.clp.method import CLP

FAST = {"size_px": 32, "batch_size": 4, "max_steps": 1, "quiet": True}


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "squares"
    moving_squares(folder)
    return folder


def step(method, clips=4, seed=0):
    torch.manual_seed(seed)
    batch = method.augment(random_batch(method, clips))
    output = method.training_step(batch)
    output.loss.backward()
    method.after_step()
    output.loss = output.loss.detach()
    return batch, output


def test_sequence_and_separate_frames():
    clip = Clip(0, 0, 1 / 25, (Run(np.arange(60), np.arange(60) / 25, 44),))
    sampler = CLP.sampler(CLPConfig())
    drawn = np.stack([sampler.draw(clip, np.random.default_rng(seed)) for seed in range(300)])
    assert sampler.frames == drawn.shape[1] == 11
    assert (np.diff(drawn[:, :9]) == 2).all()
    assert set(drawn[:, 0]) == set(range(44))
    assert set(drawn[:, 9:].ravel()) == set(range(60))
    assert (drawn[:, 9] != drawn[:, 10]).all()
    assert CLP.sampler(CLPConfig(terms="tcl")).frames == 9
    assert CLP.sampler(CLPConfig(terms="cir")).frames == 2


def test_frames_of_a_sequence_share_their_draw_and_views_do_not():
    method = small_method("clp")
    batch = random_batch(method, 3)
    batch.images[:] = batch.images[:, :1]  # every frame of a clip is the same picture
    torch.manual_seed(0)
    views = method.augment(batch)
    assert views.images.shape == (3, 4 + 2 * 2, 3, 32, 32)
    assert views.rows.shape == (3, 8)
    assert torch.equal(views.rows[:, 4:6], views.rows[:, 6:])
    sequence = views.images[:, :4]
    assert torch.allclose(sequence, sequence[:, :1].expand_as(sequence))
    others = [views.images[:, 0], *views.images[:, 4:].unbind(1)]
    for number, one in enumerate(others):
        assert all(not torch.allclose(one, other, atol=0.02) for other in others[number + 1 :])
    method = small_method("clp", augment_per="frame")
    assert not torch.allclose(method.augment(batch).images[:, 0], method.augment(batch).images[:, 1], atol=0.02)


def test_keys_enter_the_memory_after_the_step_with_their_person():
    method = small_method("clp")
    before = method.memory.rows.clone()
    torch.manual_seed(0)
    batch = method.augment(random_batch(method, 4))
    output = method.training_step(batch)
    assert torch.equal(method.memory.rows, before)
    keys = output.kept["keys"]
    assert float((keys @ before.T).max()) < 0.999  # never scored against themselves
    method.after_step()
    written = method.memory.ids("identity") >= 0
    assert sorted(method.memory.ids("identity")[written].tolist()) == [0, 0, 0, 0, 1, 1, 1, 1]
    rows = method.memory.rows[written]
    assert torch.allclose((rows @ keys.T).amax(1), torch.ones(8), atol=1e-5)


def test_keys_of_the_same_person_are_no_support():
    """With a memory of two people, a step of one of them is that with the other's keys alone."""
    losses = {}
    for mask in ("subject", "none"):
        method = small_method("clp", mask_same=mask, terms="cir")
        method.memory.rows.copy_(torch.nn.functional.normalize(torch.randn(24, 128), dim=1))
        method.memory.ids("identity").copy_(torch.arange(24) % 2)
        losses[mask] = method, float(step(method)[1].loss)
    assert losses["subject"][1] != losses["none"][1]
    method = small_method("clp", terms="cir")
    method.memory.ids("identity").fill_(0)
    torch.manual_seed(0)
    batch = method.augment(random_batch(method, 4))
    batch.subjects[:] = 0
    assert float(method.training_step(batch).loss.detach()) == 0.0
    batch.subjects[:] = 1
    assert float(method.training_step(batch).loss.detach()) > 0


@pytest.mark.parametrize("mask", ["subject", "clip"])
def test_identities(mask):
    method = small_method("clp", mask_same=mask, mask_negatives=True)
    step(method)
    found = {"subject": [0] * 4 + [1] * 4, "clip": [0, 0, 1, 1, 2, 2, 3, 3]}[mask]
    assert sorted(value for value in method.memory.ids("identity").tolist() if value >= 0) == found


def test_ablations_have_only_their_parts():
    both, tcl, cir = (small_method("clp", terms=terms) for terms in ("both", "tcl", "cir"))
    assert {name for name, _ in tcl.named_children()} == {"encoder", "tcl_head"}
    assert {name for name, _ in cir.named_children()} == {"encoder", "cir_head", "key_network", "memory"}
    for method, logged in ((both, {"tcl", "cir"}), (tcl, {"tcl"}), (cir, {"cir"})):
        batch, output = step(method)
        assert {"tcl", "cir"} & set(output.logs) == logged
        frames = {"both": 8, "tcl": 4, "cir": 4}[method.config.terms]
        assert batch.images.shape[1] == frames
        assert all(parameter.grad is not None for parameter in method.parameters() if parameter.requires_grad)
    logs = step(both)[1]
    assert float(logs.loss) == pytest.approx(float(logs.logs["tcl"]) + 0.1 * float(logs.logs["cir"]), rel=1e-5)


def test_sum_over_clips_weighs_the_temporal_term_by_their_number():
    mean, total = (step(small_method("clp", terms="tcl", tcl_reduction=how))[1] for how in ("mean", "sum"))
    assert float(total.loss) == pytest.approx(4 * float(mean.loss), rel=1e-5)


def test_query_and_key_statistics_differ():
    """Keys are normalised with other neighbours than their queries, and keep statistics of their own."""
    method = small_method("clp", bn_splits=2)
    method.start_stage(0)
    step(method)
    query, key = method.encoder.backbone.bn1, method.key_network.network[0].backbone.bn1
    assert not torch.allclose(query.running_mean, key.running_mean, atol=1e-4)
    torch.manual_seed(0)
    batch = method.augment(random_batch(method, 4))
    frames = batch.images[:, 4:6].flatten(0, 1)
    as_query = method.cir_head(method.encoder(frames))
    assert not torch.allclose(method.key_network(frames), as_query, atol=1e-3)


@pytest.mark.parametrize("name", ["clp", "moco", "cvc"])
def test_momentum_encoder_starts_from_the_weights_that_were_given(name):
    method = small_method(name)
    with torch.no_grad():
        method.encoder.backbone.conv1.weight.fill_(0.5)  # as a file of weights does
    key = method.key_network.network[0].backbone.conv1.weight
    assert not torch.equal(key, method.encoder.backbone.conv1.weight)
    method.start_stage(0)
    assert torch.equal(key, method.encoder.backbone.conv1.weight)
    with torch.no_grad():
        method.encoder.backbone.conv1.weight.fill_(1.5)
    step(method)
    assert torch.allclose(key, torch.full_like(key, 0.5 + 1.0 * (1 - method.config.key_momentum)), atol=1e-5)


def test_memory_in_half_precision():
    method = small_method("clp", memory_dtype="bfloat16")
    output = step(method)[1]
    assert method.memory.rows.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    assert float(output.loss) == pytest.approx(float(step(small_method("clp"))[1].loss), abs=0.02)


@pytest.mark.parametrize(
    ("fields", "error", "sentence"),
    [
        ({"memory": 6, "support": 3}, UsageError, "memory 6 is smaller than the 8 keys of one step"),
        ({"batch_size": 2, "bn_splits": 2}, UsageError, "batch_size 2 is too small for clp; it needs at least 4"),
        ({"length": 15, "stride": 3}, InputError, "none of its 4 clips is long enough"),
        ({"support": 24}, UsageError, "support must be at least 1 and below memory"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(fields, error, sentence, squares, tmp_path):
    small = {"backbone": "resnet18", "length": 4, "memory": 24, "support": 10, "bn_splits": 1, **FAST}
    with pytest.raises(error, match=sentence):
        duchenne.pretrain("clp", data=squares, out=tmp_path / "run", **{**small, **fields})
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_a_memory_that_is_large_for_the_data_is_said(squares):
    from duchenne.data.prepared import Prepared
    from duchenne.methods.registry import method_class

    def notes(name, rows, **fields):
        return method_class(name).notes(small_config(name, **fields), Prepared([squares]), np.arange(rows))

    for name, flag in (("clp", "memory"), ("moco", "memory"), ("cvc", "cycle_memory")):
        size = getattr(small_config(name), flag)
        many = 2 * max(size, small_config(name).memory)
        assert notes(name, many) == []
        assert f"--{flag.replace('_', '-')} {size} is more than half of the" in notes(name, 2 * size - 1)[-1]
    assert notes("clp", 10, terms="tcl") == []


def test_one_person_alone_is_refused(squares, tmp_path):
    from duchenne.data.prepared import Prepared

    data = Prepared([squares])
    config = small_config("clp", batch_size=4)
    one = np.flatnonzero((data.frames["subject"] == "S0").to_numpy(dtype=bool))
    with pytest.raises(InputError, match="only one subject may be used"):
        CLP.complete(config, data, one, RUN)
    assert CLP.complete(small_config("clp", batch_size=4, mask_same="clip"), data, one, RUN)
    assert CLP.complete(small_config("clp", batch_size=4, mask_same="none"), data, one, RUN)
    assert CLP.complete(small_config("clp", batch_size=4, terms="tcl", memory=2, support=1), data, one, RUN)
    frames = data.frames
    short = np.flatnonzero(((frames["subject"] == "S0") | (frames["frame"] < 6)).to_numpy(dtype=bool))
    with pytest.raises(InputError, match="only one subject may be used and has clips that are long enough"):
        CLP.complete(config, data, short, RUN)  # sequences of 7 frames: nobody else is ever seen
    assert CLP.complete(small_config("clp", batch_size=4, stride=1), data, short, RUN)
    assert CLP.complete(small_config("clp", batch_size=4, terms="cir"), data, short, RUN)
    data = changed(
        squares,
        tmp_path / "some",
        lambda frames: frames.assign(subject=frames["subject"].mask(frames["clip"] == "clip 1")),
    )
    with pytest.raises(InputError, match="is empty in 30 rows"):
        CLP.complete(config, data, np.arange(len(data)), RUN)


@pytest.mark.parametrize(
    "field",
    [
        {"beta": 0.0}, {"length": 2}, {"offset": -2}, {"separate_frames": 10},
        {"mask_negatives": True, "mask_same": "none"},
    ],
)  # fmt: skip
def test_configuration_out_of_range(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        CLPConfig(**field)
