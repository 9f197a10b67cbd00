"""Finding faces on real pictures: everyone, at any size, with landmarks where they belong."""

from __future__ import annotations

import pwd
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.faces.media import Image

from duchenne import model_files as models
from duchenne.errors import InputError, UsageError
from duchenne.faces.align import EYE_MIDPOINT, INTER_OCULAR, RIGID_POINTS, crop_face, crop_matrix, transform_points
from duchenne.faces.decode import read_pictures
from duchenne.faces.find import FaceFinder
from duchenne.faces.landmarks import BLENDSHAPES, MESH_TO_68
from duchenne.faces.track import FaceTracker
from duchenne.facs import LANDMARK_FLIP, LANDMARK_GROUPS

# As the videos' notice counts them: people in every frame.
PEOPLE = {
    "classroom": 4, "face-demographics-walking-and-pause": 3, "face-demographics-walking": 2,
    "head-pose-face-detection-female-and-male": 2, "head-pose-face-detection-female": 1,
    "head-pose-face-detection-male": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", PEOPLE)
def test_everyone_is_found_and_keeps_a_number(shared: Path, finder: FaceFinder, name: str) -> None:
    tracker, numbers = FaceTracker(), set()
    for picture in islice(read_pictures(shared / "data" / "intel-sample-videos" / f"{name}.mp4"), 0, None, 3):
        faces = finder.find(picture.image)
        assert len(faces) == PEOPLE[name], picture.frame
        assert all((face.landmarks is None) == bool(face.flag) for face in faces)
        assert all(face.flag == ("small" if face.box[2] < 32 else "") for face in faces)
        assert [face.box[0] for face in faces] == sorted(face.box[0] for face in faces)
        numbers.update(tracker.update(faces, picture.image, picture.time_s))
        assert not tracker.cut
    assert numbers == set(range(PEOPLE[name]))


def test_two_frames_a_second_are_enough_to_follow_people(shared: Path, finder: FaceFinder) -> None:
    tracker = FaceTracker()
    for picture in read_pictures(
        shared / "data" / "intel-sample-videos" / "head-pose-face-detection-female-and-male.mp4"
    ):
        if picture.frame % 6 == 0:
            assert tracker.update(finder.find(picture.image), picture.image, picture.time_s) == [0, 1]
            assert not tracker.cut


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "rocket.jpg"])
def test_no_face_where_there_is_none(shared: Path, finder: FaceFinder, name: str) -> None:
    assert finder.find(next(read_pictures(shared / "data" / "scikit-image" / name)).image) == []


def test_landmarks_lie_on_the_face(finder: FaceFinder, portrait: Image) -> None:
    (face,) = finder.find(portrait)
    points = face.landmarks
    assert points is not None
    assert points.shape == (68, 2)
    middle = {name: points[list(group)].mean(axis=0) for name, group in LANDMARK_GROUPS.items()}
    # Measured by eye on the picture, enlarged seven times: pupils and the middle of the mouth.
    for name, wanted in {"right_eye": (83.5, 81), "left_eye": (126, 83.5), "outer_lip": (103.6, 123)}.items():
        np.testing.assert_allclose(middle[name], wanted, atol=3, err_msg=name)
    assert middle["right_brow"][1] < middle["right_eye"][1] < middle["nose_base"][1] < middle["outer_lip"][1]
    assert points[8, 1] > middle["outer_lip"][1] + 20  # the chin
    assert points[0, 0] < points[36, 0] < points[39, 0] < points[27, 0] < points[42, 0] < points[45, 0] < points[16, 0]


def test_smile_and_pose(finder: FaceFinder, portrait: Image) -> None:
    (face,) = finder.find(portrait)
    assert face.blendshapes is not None
    assert face.pose is not None
    scores = dict(zip(BLENDSHAPES, face.blendshapes))
    assert min(scores["mouthSmileLeft"], scores["mouthSmileRight"]) > 0.5
    assert scores["eyeBlinkLeft"] < 0.5
    assert max(map(abs, face.pose)) < 15
    for degrees in (-20, 20):  # clockwise in the picture is positive
        matrix = cv2.getRotationMatrix2D((100, 100), -degrees, 1)
        (turned,) = finder.find(cv2.warpAffine(portrait, matrix, (200, 200), borderMode=cv2.BORDER_REPLICATE))
        assert turned.pose is not None
        assert turned.pose[2] - face.pose[2] == pytest.approx(degrees, abs=4)


@pytest.mark.parametrize("scale", [0.4, 1, 4, 12])
def test_near_and_far_faces(finder: FaceFinder, portrait: Image, scale: float) -> None:
    """From 36 to 1,080 pixels: the detector itself ends at about 300."""
    (face,) = finder.find(cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    (usual,) = finder.find(portrait)
    assert face.flag == ""
    assert face.landmarks is not None
    assert usual.landmarks is not None
    np.testing.assert_allclose(face.landmarks / scale, usual.landmarks, atol=6)
    assert np.abs(face.landmarks / scale - usual.landmarks).mean() < 2


def test_small_faces_are_reported_without_landmarks(shared: Path, portrait: Image) -> None:
    with FaceFinder(min_face_px=95) as finder:
        (face,) = finder.find(portrait)
    assert (face.flag, face.landmarks, face.blendshapes, face.pose) == ("small", None, None, None)


def test_cropped_faces_stand_where_they_should(finder: FaceFinder, portrait: Image) -> None:
    (face,) = finder.find(portrait)
    assert face.landmarks is not None
    matrix = crop_matrix(face.landmarks, 256)
    crop = crop_face(portrait, matrix, 256)
    points = transform_points(face.landmarks, matrix) / 256
    eyes = np.array([points[36:42].mean(axis=0), points[42:48].mean(axis=0)])
    np.testing.assert_allclose(eyes.mean(axis=0), EYE_MIDPOINT, atol=0.02)
    assert np.linalg.norm(eyes[1] - eyes[0]) == pytest.approx(INTER_OCULAR, abs=0.02)
    assert abs(eyes[1, 1] - eyes[0, 1]) < 0.01
    (again,) = finder.find(crop)  # the picture moved with the points
    assert again.landmarks is not None
    assert np.abs(again.landmarks / 256 - points)[list(RIGID_POINTS)].max() < 0.02


def test_the_table_of_points_is_symmetric(finder: FaceFinder, portrait: Image) -> None:
    assert len(set(MESH_TO_68)) == 68
    (face,), (mirrored,) = finder.find(portrait), finder.find(np.ascontiguousarray(portrait[:, ::-1]))
    assert face.landmarks is not None
    assert mirrored.landmarks is not None
    back = mirrored.landmarks[list(LANDMARK_FLIP)] * [-1, 1] + [200, 0]
    assert np.abs(back - face.landmarks).mean() < 1.5


def test_nothing_is_printed(shared: Path) -> None:
    """Neither while loading nor at the end of the process, closed or not."""
    code = (
        "import numpy as np; from duchenne.faces.find import FaceFinder; f = FaceFinder(); "
        "f.find(np.zeros((90, 120, 3), np.uint8)); f.find(np.zeros((50, 70, 3), np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("", "")


def test_model_files(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "face_landmarker.task"
    assert models.model_path(name) == shared / "models" / name
    monkeypatch.setenv("DUCHENNE_MODELS", str(tmp_path))
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(InputError, match="is not the expected file"):
        models.model_path(name)
    (tmp_path / name).unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(models.MODEL_FILES, name, models.MODEL_FILES[name]._replace(url="http://127.0.0.1:9/x"))
    with pytest.raises(InputError, match=r"connect to the network once, or put the file .* DUCHENNE_MODELS") as caught:
        models.model_path(name)
    assert str(caught.value).count("\n") == 0
    assert not list(tmp_path.rglob(f"*{name}*"))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be kept in .*file.* \(.+\); put the file .* set DUCHENNE_MODELS"):
        models.model_path(name)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # a user without an entry, as in many containers
    assert models.local_model(name) is None
    with pytest.raises(InputError, match=r"has no home folder; set HOME, or put the file .* set DUCHENNE_MODELS"):
        models.model_path(name)
    monkeypatch.setenv("DUCHENNE_MODELS", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="is not a folder"):
        models.model_path(name)
    with pytest.raises(UsageError, match="no model file `other`"):
        models.model_path("other")
