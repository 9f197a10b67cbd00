"""RoIAlign against ONNX Runtime's, against a loop over samples, and its gradients."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from duchenne.modules.roi_align import roi_align


def onnx_roi_align(features, boxes, output, scale, sampling):
    """ONNX Runtime's answer for (B, C, H, W) features and (B, A, 4) boxes."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node(
        "RoiAlign", ["x", "rois", "batch"], ["y"], output_height=output, output_width=output, mode="avg",
        sampling_ratio=sampling, spatial_scale=scale, coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("x", kind, [None] * 4),
        helper.make_tensor_value_info("rois", kind, [None, 4]),
        helper.make_tensor_value_info("batch", onnx.TensorProto.INT64, [None]),
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", kind, [None] * 4)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    areas = boxes.shape[1]
    numbers = np.repeat(np.arange(len(boxes)), areas)
    found = session.run(None, {"x": features.numpy(), "rois": boxes.reshape(-1, 4).numpy(), "batch": numbers})[0]
    return torch.from_numpy(found).view(len(boxes), areas, *found.shape[1:])


def naive(features, box, output, scale, sampling):
    """One box of one map (C, H, W), sample after sample, in float64."""
    channels, height, width = features.shape
    out = np.zeros((channels, output, output))
    x0, y0, x1, y1 = (float(value) * scale - 0.5 for value in box)
    for row in range(output):
        for column in range(output):
            for i in range(sampling):
                for j in range(sampling):
                    y = y0 + (y1 - y0) * (row + (i + 0.5) / sampling) / output
                    x = x0 + (x1 - x0) * (column + (j + 0.5) / sampling) / output
                    if not (-1 <= y <= height and -1 <= x <= width):
                        continue
                    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
                    top, left = min(int(y), height - 2), min(int(x), width - 2)
                    for dy in (0, 1):
                        for dx in (0, 1):
                            weight = (1 - abs(y - top - dy)) * (1 - abs(x - left - dx))
                            out[:, row, column] += weight * features[:, top + dy, left + dx].numpy()
    return out / sampling**2


def case(seed=0, batch=3, areas=8, channels=5, height=7, width=9, scale=1 / 16, dtype=torch.float32):
    """Boxes of all kinds: inside, across the border, wholly outside, of no extent."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, channels, height, width, generator=generator, dtype=dtype)
    span = torch.tensor([width, height]) / scale
    first = (torch.rand(batch, areas, 2, generator=generator, dtype=dtype) * 1.6 - 0.3) * span
    extent = torch.rand(batch, areas, 2, generator=generator, dtype=dtype) * 0.6 * span
    extent[:, 0] = 0
    return features, torch.cat([first, first + extent], dim=-1), scale


@pytest.mark.parametrize("output, sampling", [(2, 2), (1, 2), (3, 1), (2, 4)])
@pytest.mark.parametrize("seed", range(4))
def test_equals_onnx_runtime(output, sampling, seed):
    features, boxes, scale = case(seed, areas=16)
    found = roi_align(features, boxes, output=output, scale=scale, sampling=sampling)
    assert found.shape == (3, 16, 5, output, output)
    assert torch.allclose(found, onnx_roi_align(features, boxes, output, scale, sampling), atol=1e-5)


def test_equals_onnx_runtime_on_a_map_of_a_resnet():
    features, boxes, scale = case(channels=64, height=14, width=14)
    assert torch.allclose(
        roi_align(features, boxes, scale=scale), onnx_roi_align(features, boxes, 2, scale, 2), atol=1e-5
    )


def test_equals_a_loop():
    features, boxes, scale = case(dtype=torch.float64)
    found = roi_align(features, boxes, scale=scale)
    for picture in range(3):
        for area in range(8):
            expected = naive(features[picture], boxes[picture, area], 2, scale, 2)
            assert np.allclose(found[picture, area].numpy(), expected, atol=1e-12)


def test_gradients():
    features, boxes, scale = case(batch=2, areas=3, channels=2, height=4, width=4, dtype=torch.float64)
    features.requires_grad_()
    boxes = (boxes + torch.tensor([3.0, 2.0, 11.0, 13.0])).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, b: roi_align(f, b, scale=scale), (features, boxes))


def test_a_box_of_the_whole_map_averages_quarters():
    features = torch.rand(1, 2, 4, 4)
    found = roi_align(features, torch.tensor([[[0.0, 0.0, 4.0, 4.0]]]))
    assert torch.allclose(found[0, 0], torch.nn.functional.avg_pool2d(features[0], 2), atol=1e-6)


def test_memory_format_and_precision():
    features, boxes, scale = case()
    last = features.to(memory_format=torch.channels_last)
    assert torch.allclose(roi_align(last, boxes, scale=scale), roi_align(features, boxes, scale=scale), atol=1e-6)
    half = roi_align(features.bfloat16(), boxes, scale=scale)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), roi_align(features, boxes, scale=scale), atol=0.05)


def test_wrong_shapes():
    with pytest.raises(ValueError, match="need features"):
        roi_align(torch.rand(2, 3, 4, 4), torch.rand(3, 8, 4))
    with pytest.raises(ValueError, match="need features"):
        roi_align(torch.rand(2, 3, 4, 4), torch.rand(2, 4))
