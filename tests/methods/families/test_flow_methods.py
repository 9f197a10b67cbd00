"""FAb-Net and the twin-cycle autoencoder: flows, losses, curriculum and stages, against loops from the papers."""

import base64
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.made import SMALL, random_batch, small_config, small_method
from tests.training.made import moving_squares

import duchenne
from duchenne.cli.main import main
from duchenne.data.prepared import Prepared
from duchenne.errors import InputError, UsageError
from duchenne.losses.reconstruction import reconstruction_loss
from duchenne.losses.window import window_mean
from duchenne.methods.fab_net.loss import merge_sources
from duchenne.methods.fab_net.method import FabNet
from duchenne.methods.families.flow_figures import pairs_of
from duchenne.methods.families.flow_method import Curriculum
from duchenne.methods.twin_cycle.loss import Codes, code_distance, feature_consistency, flow_size, merge_flows
from duchenne.modules.backbones.strided import build_strided
from duchenne.modules.flow import FlowDecoder, clamped, polynomial, sample
from duchenne.training.checkpoints import load_checkpoint
from duchenne.training.runs import load_encoder
from duchenne.training.watching.figures import draw_figures


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_sample(source, flow):
    """Bilinear reading with the corner pixels' centres at -1 and 1, and the border outside."""
    channels, height, width = source.shape
    out = np.zeros((channels, height, width))
    for i in range(height):
        for j in range(width):
            x = min(max(2 * j / (width - 1) - 1 + flow[0, i, j], -1), 1)
            y = min(max(2 * i / (height - 1) - 1 + flow[1, i, j], -1), 1)
            column, line = (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)
            left, top = min(math.floor(column), width - 2), min(math.floor(line), height - 2)
            for di, wi in ((0, 1 - (line - top)), (1, line - top)):
                for dj, wj in ((0, 1 - (column - left)), (1, column - left)):
                    out[:, i, j] += wi * wj * source[:, top + di, left + dj]
    return out


def test_one_pixel_to_the_right_reads_the_neighbour():
    source = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    assert torch.allclose(sample(source, flow), source, atol=1e-5)
    flow[:, 0] = 2 / 3  # a pixel of four
    expected = torch.tensor([[1.0, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]])
    assert torch.allclose(sample(source, flow)[0, 0], expected, atol=1e-5)
    flow.zero_()[:, 1] = 2 / 2  # a pixel of three, down
    expected = torch.tensor([[4.0, 5, 6, 7], [8, 9, 10, 11], [8, 9, 10, 11]])
    assert torch.allclose(sample(source, flow)[0, 0], expected, atol=1e-5)


def test_sampling_against_a_loop():
    source, flow = torch.rand(2, 3, 5, 5, dtype=torch.float64), 0.7 * drawn(2, 2, 5, 5)
    found = sample(source, flow)
    for number in range(2):
        expected = naive_sample(source[number].numpy(), flow[number].numpy())
        assert np.allclose(found[number].numpy(), expected, atol=1e-12)


def test_sampling_moves_the_flow_but_not_the_source():
    source = torch.rand(1, 3, 6, 6, requires_grad=True)
    flow = (0.1 * torch.randn(1, 2, 6, 6)).requires_grad_()
    sample(source, flow).square().sum().backward()
    assert source.grad is None
    assert float(flow.grad.abs().sum()) > 0


def test_sampling_is_the_same_inside_autocast():
    source, flow = torch.rand(1, 3, 8, 8), 0.3 * torch.randn(1, 2, 8, 8)
    outside = sample(source, flow)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(sample(source, flow), outside)


def test_a_clamped_flow_stays_inside():
    flow = drawn(1, 2, 4, 4)
    grid = torch.linspace(-1, 1, 4, dtype=torch.float64)
    places = clamped(flow)[0] + torch.stack([grid.expand(4, 4), grid[:, None].expand(4, 4)])
    assert float(places.abs().max()) <= 1 + 1e-12
    small = 0.01 * flow[:, :, 1:3, 1:3]
    inner = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    inner[:, :, 1:3, 1:3] = small
    assert torch.allclose(clamped(inner), inner)


def test_the_nearest_polynomial_against_a_solver():
    flow = drawn(2, 2, 5, 7)
    y, x = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 7), indexing="ij"))
    powers = np.stack([np.ones(35), x, y, x * x, x * y, y * y], axis=1)
    found = polynomial(flow, 2)
    for number in range(2):
        for axis in range(2):
            values = flow[number, axis].numpy().ravel()
            fitted = powers @ np.linalg.lstsq(powers, values, rcond=None)[0]
            assert np.allclose(found[number, axis].numpy().ravel(), fitted, atol=1e-12)
    turned = torch.from_numpy(np.stack([0.1 * x - 0.2 * y + 0.3, 0.2 * x + 0.1 * y]).reshape(1, 2, 5, 7))
    assert torch.allclose(polynomial(turned, 1), turned, atol=1e-12)


def test_a_smooth_pose_flow_leaves_small_parts_to_the_au_flow():
    method = small_method("twin_cycle", pose_degree=2).train()  # BatchNorm by the batch: flows of visible size
    target, source = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        found, maps = method.move(target, source), method.pose_decoder(torch.randn(4, 512))
    assert torch.allclose(polynomial(found.pose_flow, 2), found.pose_flow, atol=1e-5)
    assert not torch.allclose(polynomial(found.au_flow, 2), found.au_flow, atol=1e-3)
    assert not torch.allclose(polynomial(maps[:, :2], 2), maps[:, :2], atol=1e-3)  # it would not be smooth by itself
    method.training_step(method.augment(random_batch(method, 3))).loss.backward()
    assert all(torch.isfinite(value.grad).all() for value in method.parameters() if value.grad is not None)
    assert float(method.pose_decoder[-2].weight.grad.abs().sum()) > 0


def naive_window(losses, low, high):
    ordered = sorted(losses)
    start = math.floor(low * len(losses) + 1e-9)
    kept = ordered[start : max(math.floor(high * len(losses) + 1e-9), start + 1)]
    return sum(kept) / len(kept)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.integers(0, 5), st.integers(1, 5))
def test_window_against_a_loop(losses, low, width):
    bounds = low / 10, min(1.0, (low + width) / 10)
    found = window_mean(torch.tensor(losses, dtype=torch.float64), *bounds)
    assert float(found) == pytest.approx(naive_window(losses, *bounds), rel=1e-12, abs=1e-12)


def test_only_the_window_gets_a_gradient():
    losses = torch.tensor([5.0, 1, 3, 2, 4, 9, 8, 7, 6, 0], requires_grad=True)
    window_mean(losses, 0.1, 0.6).backward()
    assert losses.grad.tolist() == pytest.approx([0.2, 0.2, 0.2, 0.2, 0.2, 0, 0, 0, 0, 0])
    for wrong in ((0.5, 0.5), (-0.1, 0.5), (0.5, 1.1)):
        with pytest.raises(ValueError, match="low < high"):
            window_mean(losses, *wrong)


def naive_merge(values, weights):
    """Pixel by pixel: values (K, C, H, W), weights (K, H, W)."""
    out = np.zeros(values.shape[1:])
    for i in range(values.shape[2]):
        for j in range(values.shape[3]):
            shares = [math.exp(weights[k, i, j]) for k in range(len(values))]
            for k, share in enumerate(shares):
                out[:, i, j] += share / sum(shares) * values[k, :, i, j]
    return out


@pytest.mark.parametrize(("merge", "channels", "kinds"), [(merge_sources, 3, 3), (merge_flows, 2, 2)])
def test_merging_against_a_loop(merge, channels, kinds):
    values, weights = drawn(2, kinds, channels, 3, 4), drawn(2, kinds, 3, 4, seed=1)
    found = merge(values, weights)
    for number in range(2):
        assert np.allclose(found[number], naive_merge(values[number].numpy(), weights[number].numpy()), atol=1e-12)
    with pytest.raises(ValueError, match="need"):
        merge(values, weights[:, :1])


CASES = {
    "reconstruction": (
        lambda x: reconstruction_loss(x, drawn(2, 3, 2, 2, seed=1)).sum(),
        lambda x: sum(np.mean(np.abs(x[n] - drawn(2, 3, 2, 2, seed=1).numpy()[n])) for n in range(2)),
        (2, 3, 2, 2),
    ),
    "codes": (
        lambda x: code_distance(x, drawn(3, 4, seed=1)).sum(),
        lambda x: sum(np.mean((x[n] - drawn(3, 4, seed=1).numpy()[n]) ** 2) for n in range(3)),
        (3, 4),
    ),
    "flow": (
        lambda x: flow_size(x).sum(),
        lambda x: sum(np.mean(np.abs(x[n])) for n in range(2)),
        (2, 2, 3, 3),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name):
    loss, naive, shape = CASES[name]
    leaf = drawn(*shape).requires_grad_()
    found = loss(leaf)
    assert float(found.detach()) == pytest.approx(naive(leaf.detach().numpy()), rel=1e-12)
    found.backward()
    for place in [tuple(0 for _ in shape), tuple(side - 1 for side in shape)]:
        values = []
        for shift in (1e-6, -1e-6):
            moved = leaf.detach().numpy().copy()
            moved[place] += shift
            values.append(naive(moved))
        assert float(leaf.grad[place]) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


def test_feature_consistency_asks_for_the_right_codes():
    source, target = Codes(torch.zeros(1, 2), torch.ones(1, 2)), Codes(2 * torch.ones(1, 2), 3 * torch.ones(1, 2))
    right = (Codes(target.pose, source.au), Codes(source.pose, target.au), Codes(target.pose, target.au))
    assert torch.equal(feature_consistency(source, target, *right), torch.zeros(6, 1))
    wrong = (Codes(source.pose, target.au), Codes(target.pose, source.au), Codes(source.pose, source.au))
    assert feature_consistency(source, target, *wrong).flatten().tolist() == [4.0] * 6


def test_the_whole_loss_of_the_twin_cycle_against_a_loop():
    method = small_method("twin_cycle", curriculum=False).double().eval()
    images = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    batch = random_batch(method, 2)
    batch.images = images
    found = float(method.training_step(batch).loss.detach())

    def code(picture):
        x = torch.from_numpy(picture)[None]
        return {"au": method.encoder(x)[0], "pose": method.other_encoder(x)[0]}

    def flow(which, first, second):
        decoder = method.pose_decoder if which == "pose" else method.au_decoder
        return decoder(torch.cat([first[which], second[which]])[None])[0].detach().numpy()

    def distance(one, other):
        return float((one - other).detach().square().mean())

    total = 0.0
    for target, source in images.numpy():
        goal, start = code(target), code(source)
        maps = {which: flow(which, start, goal) for which in ("pose", "au")}
        moved = {which: naive_sample(source, values[:2]) for which, values in maps.items()}
        both = naive_merge(np.stack([maps["pose"][:2], maps["au"][:2]]), np.stack([maps["pose"][2], maps["au"][2]]))
        merged = naive_sample(source, both)
        total += 10 * np.abs(merged - target).mean()
        of = {which: code(picture) for which, picture in moved.items()} | {"both": code(merged)}
        total += distance(of["pose"]["pose"], goal["pose"]) + distance(of["pose"]["au"], start["au"])
        total += distance(of["au"]["pose"], start["pose"]) + distance(of["au"]["au"], goal["au"])
        total += distance(of["both"]["pose"], goal["pose"]) + distance(of["both"]["au"], goal["au"])
        for which in ("pose", "au"):
            back = naive_sample(moved[which], flow(which, of[which], start)[:2])
            total += np.abs(back - source).mean()
        grid = np.linspace(-1, 1, 32)
        places = np.stack(np.meshgrid(grid, grid))
        total += 0.1 * np.abs(np.clip(maps["au"][:2] + places, -1, 1) - places).mean()
    assert found == pytest.approx(total / 2, rel=1e-10)


def test_the_windows_of_a_run_that_stalls():
    curriculum = Curriculum(small_config("fab_net", window_steps=None, window_patience=2))
    windows = []
    for _ in range(40):
        windows.append(curriculum.window())
        curriculum.validated(-1.0)
    expected = [(0.0, 0.5), (0.1, 0.6), (0.2, 0.7), (0.3, 0.8), (0.4, 0.9)]
    assert list(dict.fromkeys(windows)) == expected
    assert windows.count((0.0, 0.5)) == 4  # the first is the best; the window moves when more than two are not better


def test_a_better_validation_keeps_the_window():
    curriculum = Curriculum(small_config("fab_net", window_steps=None, window_patience=2))
    for number in range(20):
        curriculum.validated(-1 / (number + 1))
    assert curriculum.window() == (0.0, 0.5)


def test_a_stage_has_scores_of_its_own():
    """The second one begins with random masks, and never beat the first, so that its window moved by the clock."""
    method = FabNet(small_config("fab_net", sources=3, window_steps=None, window_patience=2))
    method.curriculum.validated(-0.05)
    method.start_stage(1)
    for number in range(40):
        method.curriculum.validated(-0.2 + number / 1000)
    assert method.curriculum.window() == (0.0, 0.5)


def test_a_window_that_moves_by_steps():
    curriculum = Curriculum(small_config("fab_net", window_steps=3))
    windows = []
    for _ in range(20):
        windows.append(curriculum.window()[0])
        curriculum.stepped()
        curriculum.validated(0.0)
    assert windows == [0.0] * 3 + [0.1] * 3 + [0.2] * 3 + [0.3] * 3 + [0.4] * 8


def test_both_codes_come_from_the_shared_layers():
    method = small_method("twin_cycle").eval()
    x = torch.rand(3, 3, 32, 32)
    codes = method.codes(x)
    assert torch.allclose(codes.au, method.encoder(x), atol=1e-6)
    assert torch.allclose(codes.pose, method.other_encoder(x), atol=1e-6)
    assert method.encoder.backbone.layer2 is method.other_encoder.backbone.layer2
    assert method.encoder.backbone.layer3 is not method.other_encoder.backbone.layer3
    swapped = small_method("twin_cycle", code="pose").eval()
    assert torch.allclose(swapped.codes(x).pose, swapped.encoder(x), atol=1e-6)
    assert set(swapped.other_encoders()) == {"au"}


def test_the_encoder_is_the_papers():
    network = build_strided("strided8")
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [module.out_channels for module in convolutions] == [32, 64, 128, 256, 256, 256, 256, 256]
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) == 6
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in build_strided("strided8_bn").modules()) == 7
    assert network(torch.rand(1, 3, 256, 256)).shape == (1, 256)
    assert FlowDecoder(512, 8, 2).eval()(torch.rand(1, 512)).shape == (1, 2, 256, 256)
    widths = [module.out_channels for module in FlowDecoder(512, 8, 2) if isinstance(module, torch.nn.Conv2d)]
    assert widths == [256, 256, 256, 256, 128, 64, 32, 2]
    with pytest.raises(ValueError, match="too small"):
        network(torch.rand(1, 3, 128, 128))
    with pytest.raises(ValueError, match="no stage"):
        network.feature_map(torch.rand(1, 3, 256, 256), "layer9")
    with pytest.raises(ValueError, match="no backbone"):
        build_strided("strided12")


def test_several_sources_learn_in_two_stages():
    method = small_method("fab_net", sources=3, curriculum=False)
    assert [stage.name for stage in method.stages()] == ["one source", "several sources"]
    for number, trained in ((0, {"encoder", "decoder"}), (1, {"encoder", "mask_decoder"})):
        method.start_stage(number)
        method.zero_grad()
        torch.manual_seed(0)
        method.training_step(method.augment(random_batch(method, 3))).loss.backward()
        found = {key.split(".")[0] for key, value in method.named_parameters() if value.grad is not None}
        assert found == trained
        assert all(torch.isfinite(value.grad).all() for value in method.parameters() if value.grad is not None)


def test_equal_sources_make_what_one_makes():
    method = small_method("fab_net", sources=2).eval()
    target, source = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        one, _ = method.make(target, source[:, None])
        two, flows = method.make(target, source[:, None].expand(-1, 2, -1, -1, -1))
    assert torch.allclose(one, two, atol=1e-6)
    assert flows.shape == (2, 2, 2, 32, 32)


@pytest.mark.parametrize("name", ["fab_net", "twin_cycle"])
def test_settings_that_cannot_work_are_refused(name, tmp_path):
    moving_squares(tmp_path / "squares")
    given_fields = {
        "data": tmp_path / "squares",
        "out": tmp_path / "run",
        "quiet": True,
        "max_steps": 1,
        "batch_size": 2,
    }
    with pytest.raises(UsageError, match=r"layers 5 with size_px 32"):
        duchenne.pretrain(name, size_px=32, **given_fields)
    with pytest.raises(UsageError, match=r"window_steps N, or curriculum=False"):
        duchenne.pretrain(name, size_px=32, layers=5, validation_share=0.0, **given_fields)
    with pytest.raises(UsageError, match="window_share"):
        duchenne.pretrain(name, size_px=32, layers=5, window_share=1.5, **given_fields)


@pytest.mark.slow
def test_a_run_with_validations_resumes_exactly_and_keeps_both_codes(tmp_path):
    moving_squares(tmp_path / "squares")
    fields = {
        **SMALL["twin_cycle"], "size_px": 32, "data": tmp_path / "squares", "batch_size": 4, "validation_share": 0.3,
        "validate_every": 1, "window_steps": None, "window_patience": 1, "log_every": 1, "save_every": 2, "quiet": True,
        "lr": 0.01, "device": "cpu",
    }  # fmt: skip
    whole = duchenne.pretrain("twin_cycle", out=tmp_path / "whole", max_steps=8, **fields)
    duchenne.pretrain("twin_cycle", out=tmp_path / "parts", max_steps=4, **fields)
    duchenne.pretrain("twin_cycle", out=tmp_path / "parts", max_steps=8, resume=True, **fields)
    one, other = (load_checkpoint(tmp_path / name / "checkpoint.pt")["method"] for name in ("whole", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    lines = [json.loads(line) for line in (whole.out / "log.jsonl").read_text().splitlines()]
    assert {line["window"] for line in lines if "window" in line} > {0.0}  # it moved
    au, pose = load_encoder(whole.out / "encoder.safetensors"), load_encoder(whole.out / "encoder_pose.safetensors")
    x = torch.rand(2, 3, 32, 32)
    assert not torch.allclose(au.encoder(x), pose.encoder(x))
    assert torch.equal(au.encoder.backbone.layer1[0].weight, pose.encoder.backbone.layer1[0].weight)
    assert (whole.out / "encoder_best_pose.safetensors").exists()
    assert (whole.out / "figures" / "flows.png").stat().st_size > 10_000


def test_three_sources_train_from_start_to_end(tmp_path):
    moving_squares(tmp_path / "squares")
    run = duchenne.pretrain(
        "fab_net", data=tmp_path / "squares", out=tmp_path / "run", sources=3, layers=5, size_px=32, batch_size=3,
        validation_share=0.0, window_steps=1, max_steps=2, log_every=1, quiet=True, device="cpu",
    )  # fmt: skip
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["one source"] * 2 + ["several sources"] * 2
    assert all(math.isfinite(line["loss"]) for line in lines)


@pytest.mark.slow
def test_figures_are_drawn_anew_of_other_faces_and_shown_on_the_page(tmp_path, capsys):
    moving_squares(tmp_path / "squares", frames=8)
    moving_squares(tmp_path / "others", clips=8, frames=12)
    fields = {"layers": 5, "size_px": 32, "batch_size": 2, "max_steps": 1, "validation_share": 0.0, "quiet": True}
    fields |= {"data": tmp_path / "squares", "device": "cpu"}
    run = duchenne.pretrain("twin_cycle", out=tmp_path / "run", curriculum=False, log_every=1, **fields).out
    picture = run / "figures" / "flows.png"
    first = picture.read_bytes()
    assert main(["info", "--run", str(run), "--data", str(tmp_path / "others"), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(picture), str(run / "curves.html")]
    others = picture.read_bytes()
    assert others != first
    assert base64.b64encode(picture.read_bytes()).decode() in (run / "curves.html").read_text()
    assert draw_figures(run, tmp_path / "squares", device="cpu") == [picture]
    assert picture.read_bytes() not in (
        others,
        first,
    )  # a training leaves out the test split, whose clips are drawn too
    assert main(["info", "--data", str(tmp_path / "others")]) == 2
    (run / "checkpoint.json").unlink()
    torch.save({"step": 1, "method": {}}, run / "checkpoint.pt")
    with pytest.raises(InputError, match="is not of this run"):
        draw_figures(run, tmp_path / "squares")
    del fields["layers"]
    fields["size_px"] = 64
    plain = duchenne.pretrain("simclr", out=tmp_path / "plain", backbone="compact", **fields)
    with pytest.raises(UsageError, match="simclr draws no figures"):
        draw_figures(plain.out, tmp_path / "squares")


@pytest.mark.parametrize("frames", [2, 3, 24])
def test_figures_show_two_frames_of_a_clip(tmp_path, frames):
    """Of a clip of two frames they showed one face moved onto itself."""
    duchenne.synth(tmp_path / "faces", subjects=2, clips=1, frames=frames, size_px=32, quiet=True)
    data = Prepared([tmp_path / "faces"])
    target, source = pairs_of(data, np.arange(len(data)), 32, torch.device("cpu"))
    assert (target - source).abs().amax(dim=(1, 2, 3)).min() > 0
