"""Areas of the face: tables, boxes from landmarks, and that boxes follow the pixels exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.augment.made import SIZE, face

from duchenne import facs
from duchenne.augment.geometry import draw_geometry, move_points, warp
from duchenne.faces.align import _TEMPLATE, RIGID_POINTS
from duchenne.faces.areas import counterparts, parse_box, parse_boxes, parse_pairs, write_pairs
from duchenne.faces.boxes import area_boxes, clip_boxes, mirror_boxes, move_boxes

AREAS = parse_boxes(facs.AREA_BOXES)
FLIP = counterparts(facs.SYMMETRIC_AREAS, 8)


def test_tables():
    assert len(facs.AREA_EDGES) == 26
    into = [sum(target == area for _, target in facs.AREA_EDGES) for area in range(1, 9)]
    assert into == [2, 4, 4, 4, 4, 4, 3, 1]
    assert all((target, source) in facs.AREA_EDGES for source, target in facs.AREA_EDGES)
    assert set(facs.AU_AREAS) == set(facs.ACTION_UNITS)
    assert sorted(au for aus in facs.AREA_GROUPS.values() for au in aus) == list(facs.ACTION_UNITS)
    printed = {au: areas for au, areas in facs.AU_AREAS.items() if au not in (5, 20, 45)}
    shared = {
        (p, q): tuple(au for au, areas in printed.items() if {p, q} <= set(areas))
        for p in range(1, 9) for q in range(p + 1, 9)
    }  # fmt: skip
    shared = {pair: aus for pair, aus in shared.items() if aus}
    assert len(shared) == 15
    assert shared.pop((2, 6)) == shared.pop((3, 5)) == (6,)
    assert shared == facs.AREA_RELATIONS
    assert FLIP == (0, 2, 1, 3, 5, 4, 6, 7)


def test_texts():
    left, top, right, bottom = parse_box("17 -0.1; min 17-21 -0.1; 27; max 40,41 +0.15")
    assert left == ((17,), "mean", -0.1)
    assert top == ((17, 18, 19, 20, 21), "min", -0.1)
    assert right == ((27,), "mean", 0.0)
    assert bottom == ((40, 41), "max", 0.15)
    assert parse_pairs(("3-2", "5-6"), 8) == ((2, 3), (5, 6))
    assert parse_pairs(write_pairs(tuple(facs.AREA_RELATIONS)), 8) == tuple(facs.AREA_RELATIONS)


@pytest.mark.parametrize("text, why", [
    ("17; 18; 19", "3 edges"), ("17; 18; 19; 68", "from 0 to 67"), ("17; 18-20; 19; 20", "several with min"),
    ("17; up 18; 19; 20", "cannot read"), ("17; min 20-18; 19; 20", "from 0 to 67"), ("17; -1; 19; 20", "neither"),
])  # fmt: skip
def test_wrong_boxes(text, why):
    with pytest.raises(ValueError, match=why):
        parse_box(text)


def test_wrong_pairs():
    with pytest.raises(ValueError, match="not a pair"):
        parse_pairs(("2-9",), 8)
    with pytest.raises(ValueError, match="more than once"):
        parse_pairs(("2-3", "3-2"), 8)
    with pytest.raises(ValueError, match="more than one counterpart"):
        counterparts(((2, 3), (3, 4)), 8)
    with pytest.raises(ValueError, match="at least one"):
        parse_boxes(())


def test_values_of_one_face():
    """The first area, edge by edge, and that every box is where its name says."""
    points, boxes = face()[0].numpy(), area_boxes(face(), AREAS)[0].numpy()
    unit = np.linalg.norm(points[[36, 39]].mean(0) - points[[42, 45]].mean(0))
    brows = points[17:27, 1].min()
    assert boxes[0] == pytest.approx([points[17, 0], brows - 0.9 * unit, points[26, 0], brows], abs=1e-4)
    assert boxes[4] == pytest.approx(
        [(points[1, 0] + points[17, 0]) / 2, points[41, 1] + 0.1 * unit, points[33, 0], points[48, 1]], abs=1e-4
    )
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert middle[1, 0] < SIZE / 2 < middle[2, 0]
    assert middle[4, 0] < SIZE / 2 < middle[5, 0]
    assert middle[0, 1] < middle[3, 1] < middle[4, 1] < middle[6, 1] < middle[7, 1]


def test_the_standard_crop_holds_all_areas():
    """In the crop of this library the forehead box begins at the top border, and no area is cut by much."""
    points = face(size=224)
    points[0, list(RIGID_POINTS)] = torch.from_numpy(_TEMPLATE * 224).float()
    _, share = clip_boxes(area_boxes(points, AREAS), 224, 16)
    assert (share > 0.8).all()


def painted(box, size=SIZE):
    """(1, 1, S, S): how much of each pixel lies in a box."""
    cells = torch.arange(size)
    wide = ((box[2].clamp(0, size) - cells).clamp(0, 1) - (box[0].clamp(0, size) - cells).clamp(0, 1)).clamp(0)
    high = ((box[3].clamp(0, size) - cells).clamp(0, 1) - (box[1].clamp(0, size) - cells).clamp(0, 1)).clamp(0)
    return (high[:, None] * wide)[None, None]


def extent(picture):
    """Left, top, right, bottom of where a picture is over one half."""
    rows, columns = (np.flatnonzero((picture[0, 0] > 0.5).any(axis).numpy()) for axis in (1, 0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 20.0]), st.booleans())
def test_boxes_follow_the_pixels(seed, rotation, mirror):
    """Paint a box, warp the picture, and find the box again (to a pixel); the mirrored box is its counterpart's."""
    torch.manual_seed(seed)
    area = seed % 8
    boxes = area_boxes(face(seed), AREAS).round()
    boxes, _ = clip_boxes(boxes, SIZE, 12)
    matrices = draw_geometry(1, SIZE, crop_min=0.8, crop_max=1.0, rotation=rotation)
    picture, moved = warp(painted(boxes[0, area]), matrices), move_boxes(boxes, matrices)
    if mirror:
        picture, moved, area = picture.flip(-1), mirror_boxes(moved, SIZE, FLIP), FLIP[area]
    moved, share = clip_boxes(moved, SIZE, 1)
    # Of a rotated box that the border cuts, the corner that reaches furthest may lie outside the picture.
    if share[0, area] < (0.2 if rotation == 0 else 0.999):
        return
    tolerance = 1.0 if rotation == 0 else 2.5  # the painted corner of a rotated box is thinner than half a pixel
    assert moved[0, area].tolist() == pytest.approx(extent(picture), abs=tolerance)


@given(st.integers(0, 10_000))
def test_areas_of_moved_landmarks_are_the_moved_areas(seed):
    """Without rotation the definition commutes with every transform, and with mirroring."""
    torch.manual_seed(seed)
    points = face(seed)
    matrices = draw_geometry(1, SIZE, crop_min=0.6, crop_max=1.0)
    direct = area_boxes(move_points(points, matrices), AREAS)
    assert torch.allclose(direct, move_boxes(area_boxes(points, AREAS), matrices), atol=1e-3)
    mirrored = points[:, list(facs.LANDMARK_FLIP)] * torch.tensor([-1.0, 1.0]) + torch.tensor([SIZE, 0.0])
    assert torch.allclose(area_boxes(mirrored, AREAS), mirror_boxes(area_boxes(points, AREAS), SIZE, FLIP), atol=1e-3)


@given(st.lists(st.floats(-50, 150), min_size=4, max_size=4), st.floats(1, 32))
def test_clipped_boxes_lie_inside_and_are_large_enough(values, smallest):
    x0, y0, x1, y1 = values
    box = torch.tensor([[[min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]]])
    clipped, share = clip_boxes(box, SIZE, smallest)
    assert clipped.min() >= -1e-4
    assert clipped.max() <= SIZE + 1e-4
    assert (clipped[..., 2:] - clipped[..., :2]).min() >= smallest - 1e-3
    assert 0 <= float(share) <= 1
    if box.min() >= 0 and box.max() <= SIZE and (box[..., 2:] - box[..., :2]).min() >= smallest:
        assert torch.allclose(clipped, box, atol=1e-4)


def test_edges_that_change_places_are_put_in_order():
    points = face()
    points[0, 57, 1], points[0, 8, 1] = points[0, 8, 1].clone(), points[0, 57, 1].clone()
    boxes = area_boxes(points, AREAS)
    assert (boxes[..., 2:] >= boxes[..., :2]).all()
