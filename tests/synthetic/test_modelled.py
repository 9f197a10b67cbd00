"""Three-dimensional heads: the rasteriser against plain loops, files, faces that a tracker finds, bad input."""

from __future__ import annotations

import gzip
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("numba")
pytest.importorskip("anny")

import anny

from duchenne.cli.main import main
from duchenne.errors import InputError, UsageError
from duchenne.synthetic.anatomy import SYNTH_AUS
from duchenne.synthetic.modelled import assets, bake, prepare_modelled, raster
from duchenne.synthetic.modelled.mesh import Binding, read_binding, read_obj, read_target
from duchenne.synthetic.modelled.wrinkles import KINDS, strengths
from duchenne.synthetic.people import draw_scene
from duchenne.synthetic.sampling import plan_clip, stream
from duchenne.synthetic.synth import render_clip, synth

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Anny's shapes are read once for all tests here."""
    paths = anny.paths
    own = paths.get_anny_cache_path()
    if not own.exists():
        paths.set_anny_cache_path(tmp_path_factory.mktemp("anny"))
    yield
    paths.set_anny_cache_path(own)


@pytest.fixture(scope="module")
def heads_folder(shared: Path, shapes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baked once for all tests here."""
    folder = tmp_path_factory.mktemp("heads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(assets.VARIABLE, str(shared / "data" / "makehuman"))
        patch.setenv("DUCHENNE_HEADS", str(folder))
        bake.heads()
    return folder


@pytest.fixture
def files(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MakeHuman's, without heads, which take two minutes to bake."""
    folder = shared / "data" / "makehuman"
    monkeypatch.setenv(assets.VARIABLE, str(folder))
    return folder


@pytest.fixture
def makehuman(files: Path, heads_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUCHENNE_HEADS", str(heads_folder))
    return files


def test_the_depth_buffer_against_plain_loops() -> None:
    draw = np.random.default_rng(0)
    points = draw.uniform(0, 24, (30, 3))
    faces = draw.integers(0, 30, (40, 3))
    faces = faces[[len(set(face)) == 3 for face in faces]]
    depth, seen, weights = np.full((24, 24), -1e9), np.full((24, 24), -1, np.int32), np.zeros((24, 24, 2))
    uv, kinds = np.zeros((len(faces), 3, 2)), np.zeros(len(faces), dtype=np.int64)
    raster.fill(points, faces, uv, kinds, np.zeros((2, 2, 4), np.uint8), depth, seen, weights)
    assert (seen >= 0).mean() > 0.3
    for y in range(24):
        for x in range(24):
            best, who = -1e9, -1
            for number, face in enumerate(faces):
                corners = points[face]
                if np.linalg.det([corners[1, :2] - corners[0, :2], corners[2, :2] - corners[0, :2]]) >= 0:
                    continue  # seen from behind
                share = np.linalg.solve(np.vstack([corners[:, :2].T, np.ones(3)]), [x + 0.5, y + 0.5, 1])
                if (share >= 0).all() and share @ corners[:, 2] > best:
                    best, who = share @ corners[:, 2], number
            assert seen[y, x] == who
            if who >= 0:
                assert depth[y, x] == pytest.approx(best)
                assert weights[y, x].sum() <= 1 + 1e-9


def test_normals_point_outwards() -> None:
    """A tetrahedron around the origin, counter-clockwise from outside with y up, drawn with y down."""
    points = np.array([[0, 0, 1.0], [1, 0, -0.5], [-0.5, 0.9, -0.5], [-0.5, -0.9, -0.5]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    found = raster.normals(points * [1, -1, 1], faces)
    assert ((found * points * [1, -1, 1]).sum(axis=1) > 0.5).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)


def test_hair_is_cut_out_and_brows_are_laid_over() -> None:
    points = np.array([[0, 0, 1.0], [16, 0, 1], [0, 16, 1], [16, 16, 1]])
    faces, uv = np.array([[0, 2, 1], [1, 2, 3]]), np.array([[[0, 0], [0, 8], [8, 0]], [[8, 0], [0, 8], [8, 8]]], float)
    atlas = np.zeros((9, 9, 4), np.uint8)
    atlas[:, :4] = 255
    depth, seen, weights = np.full((16, 16), -1e9), np.full((16, 16), -1, np.int32), np.zeros((16, 16, 2))
    raster.fill(points, faces, uv, np.array([raster.HAIR] * 2), atlas, depth, seen, weights)
    assert (seen[:, :7] >= 0).all()
    assert (seen[:, 9:] < 0).all()
    image = np.zeros((16, 16, 3))
    raster.lay_over(points, faces, uv, atlas, np.zeros((16, 16)), 0.1, np.array([1.0, 0.5, 0.25]), image)
    assert image[8, 3].tolist() == [1.0, 0.5, 0.25]
    assert image[8, 12].tolist() == [0, 0, 0]
    raster.lay_over(points, faces, uv, atlas, np.full((16, 16), 5.0), 0.1, np.ones(3), image)  # behind everything
    assert image[8, 3].tolist() == [1.0, 0.5, 0.25]


def test_files_of_makehuman(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n"
    )
    mesh = read_obj(tmp_path / "a.obj")
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.uv[mesh.corners[1]].tolist() == [[0, 0], [1, 1], [0, 1]]
    (tmp_path / "a.mhclo").write_text(
        "# note\nx_scale 0 1 2.0\ny_scale 0 2 1.0\nz_scale 0 3 1.0\nverts 0\nmaterial m\n"
        "0 1 2 0.5 0.25 0.25 0.1 0.2 0.3\n3\n\ndelete_verts\n5 - 9\n"
    )
    binding = read_binding(tmp_path / "a.mhclo")
    base = np.array([[0.0, 0, 0], [4, 0, 0], [0, 2, 0], [0, 0, 3]])
    # Twice as wide, twice as high, three times as deep as where it was made.
    wanted = [[0.25 * 4 + 0.1 * 2, 0.25 * 2 + 0.2 * 2, 0.3 * 3], [0, 0, 3]]
    np.testing.assert_allclose(binding.place(base), wanted)
    assert isinstance(binding, Binding)
    (tmp_path / "t.target.gz").write_bytes(gzip.compress(b"# x\n1 0.5 0 -1\n"))
    assert read_target(tmp_path / "t.target.gz", 3).tolist() == [[0, 0, 0], [0.5, 0, -1], [0, 0, 0]]


def test_wrinkles_deepen_with_action_unit_age_and_person() -> None:
    aus = np.zeros((2, len(SYNTH_AUS)))
    crow = list(KINDS).index("crow's feet")
    assert strengths(aus, SYNTH_AUS, 0.2, 1.0).max() == 0
    assert strengths(aus, SYNTH_AUS, 0.9, 1.0).min() > 0
    aus[1, SYNTH_AUS.index(6)] = 5
    young, old, deep = (strengths(aus, SYNTH_AUS, *own) for own in ((0.1, 1.0), (0.8, 1.0), (0.8, 1.3)))
    assert young[0, crow] == 0 < young[1, crow] < old[1, crow] < deep[1, crow]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.usefixtures("makehuman")
class TestFaces:
    def frame(self, au: int | None = None, right: float = 5, left: float = 5) -> tuple[Floats, Floats]:
        from duchenne.synthetic.modelled.draw import Camera
        from duchenne.synthetic.modelled.person import person

        scene = draw_scene(np.random.default_rng(1), 0)
        camera = Camera(person(3, 0), scene, 96, np.random.default_rng(2))
        aus = np.zeros((2, len(SYNTH_AUS)))
        if au:
            aus[:, SYNTH_AUS.index(au)] = right, left
        image, landmarks = camera.frame(aus, np.zeros(3), np.zeros(2))
        return image, landmarks.astype(np.float64)

    def test_every_action_unit_changes_the_picture_where_it_acts(self) -> None:
        rest, points = self.frame()
        eyes, mouth = points[36:48, 1].mean(), points[48:68, 1].mean()
        for au in SYNTH_AUS:
            changed = np.abs(self.frame(au)[0] - rest).sum(axis=2)
            assert changed.max() > 0.05, au
            middle = float((changed.sum(axis=1) * (np.arange(96) + 0.5)).sum() / changed.sum())
            if au in (1, 2, 4, 5, 7, 45):
                assert middle < eyes + 0.25 * (mouth - eyes), au
            elif au not in (6, 9):
                assert middle > eyes + 0.5 * (mouth - eyes), au

    def test_landmarks_move_as_facs_says(self) -> None:
        _, rest = self.frame()
        eyes = np.linalg.norm(rest[45] - rest[36])

        def moved(au: int, **sides: float) -> Floats:
            return (self.frame(au, **sides)[1] - rest) / eyes

        assert moved(1)[[20, 21, 22, 23], 1].mean() < -0.02
        assert moved(4)[[20, 21, 22, 23], 1].mean() > 0.02
        smile = moved(12)
        assert smile[48, 1] < -0.02
        assert smile[54, 1] < -0.02
        assert smile[54, 0] - smile[48, 0] > 0.04
        assert moved(15)[[48, 54], 1].mean() > 0.015
        assert moved(26)[8, 1] > 0.03
        blink = moved(45)
        assert blink[[37, 38, 43, 44], 1].mean() > 0.02
        # Right is the subject's: the picture's left.
        one_sided = moved(12, right=5, left=0)
        assert abs(one_sided[48, 1]) > 4 * abs(one_sided[54, 1])

    def test_lips_are_apart_only_with_au_25(self) -> None:
        def gap(points: Floats) -> float:
            return float(
                (points[[67, 66, 65], 1] - points[[61, 62, 63], 1]).mean() / np.linalg.norm(points[45] - points[36])
            )

        closed = gap(self.frame()[1])
        for au in (9, 10, 12, 20, 26):
            assert gap(self.frame(au)[1]) < closed + 0.02, au
        assert gap(self.frame(25)[1]) > closed + 0.03

    def test_a_tracker_finds_them_where_they_are(self) -> None:
        from duchenne.faces.find import FaceFinder

        errors, found = [], 0
        with FaceFinder(threads=1) as finder:
            for subject in range(12):
                plan = plan_clip(8, subject, subject % 2, 8, style=0)
                plan.scene.camera[:, 0] *= 1.3
                picture, landmarks = list(render_clip(plan, (8, subject), 160, modelled=True))[4]
                faces = [face for face in finder.find(picture) if face.landmarks is not None]
                if not faces:
                    continue
                found += 1
                eyes = np.linalg.norm(landmarks[36:42].mean(axis=0) - landmarks[42:48].mean(axis=0))
                assert faces[0].landmarks is not None
                errors.append(np.linalg.norm(faces[0].landmarks - landmarks, axis=1).mean() / eyes)
        assert found == 12
        assert np.mean(errors) < 0.06

    def test_synth_writes_them_with_the_labels_of_the_other_styles(self, tmp_path: Path) -> None:
        given = {"subjects": 2, "clips": 1, "frames": 3, "size_px": 48, "seed": 6, "quiet": True}
        data = synth(tmp_path / "m", style="modelled", workers=1, **given)  # type: ignore[arg-type]
        again = synth(tmp_path / "again", style="modelled", workers=2, **given)  # type: ignore[arg-type]
        drawn = synth(tmp_path / "n", style="natural", workers=1, **given)  # type: ignore[arg-type]
        labels = [name for name in data.frames if name.startswith("AU")]
        assert len(labels) >= len(SYNTH_AUS)
        assert data.frames[labels].equals(drawn.frames[labels])
        assert [data.jpeg(row) for row in range(6)] == [again.jpeg(row) for row in range(6)]
        assert data.jpeg(0) != drawn.jpeg(0)
        assert set(pd_column(tmp_path / "m", "style")) == {"modelled"}
        off = synth(tmp_path / "off", style="modelled", aus="off", workers=1, **given)  # type: ignore[arg-type]
        assert (off.frames[labels].fillna(0) == 0).all(axis=None)

    def test_nothing_but_the_face_tells_of_action_units(self) -> None:
        """Background, grain and place are the same with and without them."""
        on, off = (
            np.stack(
                [one for one, _ in render_clip(plan_clip(6, 0, 0, 3, style=0, aus=aus), (6, 0), 64, modelled=True)]
            )
            for aus in (True, False)
        )
        np.testing.assert_array_equal(on[:, :8, :8], off[:, :8, :8])
        assert (on != off).any()

    def test_a_fixed_head_moves_by_action_units_alone(self) -> None:
        rest, moved = (
            [points for _, points in render_clip(plan_clip(6, 0, 0, 24, head="fixed", style=0, aus=aus), (6, 0), 48,
                                                 modelled=True)]
            for aus in (False, True)
        )  # fmt: skip
        assert all(np.array_equal(points, rest[0]) for points in rest)
        assert np.ptp(np.stack(moved), axis=0).max() > 0.5

    def test_lids_cheeks_and_light_say_nothing(self) -> None:
        """How a face rests is drawn from streams of its own, which action units do not touch."""
        for clip in range(3):
            on, off = (plan_clip(2, 5, clip, 4, style=0, aus=aus) for aus in (True, False))
            assert on.scene.light.tolist() == off.scene.light.tolist()
            first, second = stream(2, 5, clip, "camera").uniform(size=9), stream(2, 5, clip, "aus").uniform(size=9)
            assert not np.isclose(first, second).any()


def pd_column(folder: Path, name: str) -> list[str]:
    import pandas as pd

    return list(pd.read_parquet(folder / "synthetic.parquet")[name])


@pytest.mark.slow
@pytest.mark.shared
def test_without_assets_faces_are_procedural(shapes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from duchenne.faces.find import FaceFinder
    from duchenne.synthetic.modelled import landmarks, person

    caches = (person._baked, person.eye_corners, person.person, landmarks.landmark_rows)
    monkeypatch.setenv(assets.VARIABLE, assets.NONE)
    monkeypatch.setenv("DUCHENNE_HEADS", str(tmp_path))
    for one in caches:
        one.cache_clear()
    try:
        plan = plan_clip(8, 1, 0, 2, style=0)
        plan.scene.camera[:, 0] *= 1.3
        (picture, points), _ = render_clip(plan, (8, 1), 128, modelled=True)
    finally:
        for one in caches:
            one.cache_clear()
    assert (tmp_path / f"heads-{bake.VERSION}-plain.npz").is_file()
    with FaceFinder(threads=1) as finder:
        (face,) = finder.find(picture)
    assert face.landmarks is not None
    eyes = np.linalg.norm(points[45] - points[36])
    assert np.linalg.norm(face.landmarks - points, axis=1).mean() < 0.08 * eyes


@pytest.mark.shared
def test_wrong_and_missing_files(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "textures/grey_eye.png"
    monkeypatch.setenv(assets.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="is not a folder"):
        assets.asset(name)
    (tmp_path / "textures").mkdir()
    monkeypatch.setenv(assets.VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match=r"grey_eye\.png: is missing"):
        assets.asset(name)
    (tmp_path / name).write_bytes(b"other")
    with pytest.raises(InputError, match="SHA-256 differs"):
        assets.asset(name)
    shutil.copy(files / name, tmp_path / name)
    assert assets.asset(name) == tmp_path / name
    assert len(assets.known()) > 100


@pytest.mark.shared
@pytest.mark.usefixtures("files")
def test_a_cache_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bake, "_bake", lambda: {"mean": np.zeros(3)})
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("DUCHENNE_HEADS", str(tmp_path / "taken"))
    with pytest.raises(InputError, match="cannot be written"):
        bake.heads()
    monkeypatch.setenv("DUCHENNE_HEADS", str(tmp_path / "new"))
    with pytest.raises(InputError, match="is damaged; remove it"):
        bake.heads()
    (tmp_path / "new" / f"heads-{bake.VERSION}.npz").write_bytes(b"PK garbage")
    with pytest.raises(InputError, match="is damaged; remove it"):
        bake.heads()


@pytest.mark.parametrize("there", [False, True])
def test_anny_leaves_no_cache_where_there_was_none(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, written = tmp_path / "own", []
    if there:
        own.mkdir()

    def full_disk(**_: object) -> None:
        written.append(anny.paths.get_anny_cache_path() / "shapes")
        written[0].write_text("")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(anny, "Anny", full_disk)
    monkeypatch.setattr(anny.paths, "_ANNY_CACHE_DIR", [own])
    monkeypatch.setenv(assets.VARIABLE, assets.NONE)
    monkeypatch.setenv("DUCHENNE_HEADS", str(tmp_path / "heads"))
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        bake.heads()
    assert written[0].exists() == there == own.exists()
    assert (written[0].parent == own) == there
    assert list((tmp_path / "heads").iterdir()) == []
    assert anny.paths.get_anny_cache_path() == own


def test_a_missing_asset_is_known_before_shapes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anny, "Anny", lambda **_: pytest.fail("shapes were read first"))
    monkeypatch.setenv(assets.VARIABLE, str(tmp_path))
    monkeypatch.setenv("DUCHENNE_HEADS", str(tmp_path / "heads"))
    with pytest.raises(InputError, match="is missing; put it there"):
        bake.heads()


def test_no_folder_for_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.caching import CacheImpl

    for name in ("raster", "person", "draw"):  # compiled code is asked for when these are imported
        monkeypatch.delitem(sys.modules, f"duchenne.synthetic.modelled.{name}", raising=False)
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    with pytest.raises(InputError, match="name a folder that can in NUMBA_CACHE_DIR"):
        prepare_modelled()


def test_the_extra_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("duchenne.synthetic.modelled.find_spec", lambda name: None)
    assert main(["synth", "--out", str(tmp_path / "m"), "--style", "modelled", "--quiet"]) == 2
    assert "pip install 'duchenne[faces]'" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
