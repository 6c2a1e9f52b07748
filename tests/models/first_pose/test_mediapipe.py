"""MediaPipe's landmarks: two looks, the second one turned upright, and everything back in the photo."""

import os
from pathlib import Path

import numpy as np
import pytest

import clickpose_labelstudio
from clickpose.detector import PersonDetector
from clickpose.first_pose import mediapipe
from clickpose.first_pose.loading import load_first
from clickpose.first_pose.mediapipe import MediaPipePoses, step_to_heatmaps
from clickpose.first_pose.network import FirstPoseError
from clickpose.image_io import read_image
from clickpose.skeleton_io import SKELETONS
from helpers.first_networks import COLOURS, coloured_photo

SIDE = 256
POINTS = np.array([[200.0, 150.0], [200.0, 60.0], [150.0, 150.0]])  # middle of the hips, above the head, left of them
BOX = np.array([[120.0, 50.0, 280.0, 260.0]])


class SpotReader:
    """In place of LiteRT: every landmark lies on the red spot, the middle of the body, too; the rim on the green one.

    Attributes:
        looks: crops that were seen, (S, S, 3) in 0..1.
        person: how sure it is to see one, look by look.
    """

    def __init__(self, person=(0.9, 0.9)):
        self.person, self.looks = person, []

    def get_input_details(self):
        return [{"index": 0, "shape": np.array([1, SIDE, SIDE, 3])}]

    def get_output_details(self):
        shapes = ((1, 195), (1, 1), (1, 256, 256, 1), (1, 64, 64, 39), (1, 117))
        return [{"index": 1 + i, "shape": np.array(shape)} for i, shape in enumerate(shapes)]

    def set_tensor(self, index, value):
        self.looks.append(value[0])

    def invoke(self):
        pass

    def spot(self, colour):
        distance = np.abs(self.looks[-1] - COLOURS[colour] / 255).sum(axis=-1)
        return np.array(np.unravel_index(distance.argmin(), distance.shape))[::-1] + 0.5

    def get_tensor(self, index):
        if index == 2:
            return np.array([[self.person[len(self.looks) - 1]]])
        if index == 4:
            return np.full((1, 64, 64, 39), -9.0)  # nothing sure in the heatmaps
        rows = np.zeros((39, 5), np.float32)
        rows[:, :2] = self.spot(0)
        rows[11, :2] = self.spot(2)  # the left shoulder
        rows[mediapipe._RIM, :2] = self.spot(1)
        rows[:, 3], rows[:, 4] = 2.0, 4.0
        return rows.reshape(1, 195)


@pytest.fixture
def network(monkeypatch, tmp_path):
    (tmp_path / "pose.tflite").write_bytes(b"weights")

    def load(person=(0.9, 0.9), **options):
        reader = SpotReader(person)
        monkeypatch.setattr(mediapipe, "_open", lambda path, threads: reader)
        return MediaPipePoses(tmp_path / "pose.tflite", **options), reader

    return load


@pytest.mark.parametrize("angle", [0.0, 0.6, -2.0])
def test_the_second_look_is_upright_and_its_landmarks_come_back(network, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (POINTS - POINTS[0]) @ turn.T + POINTS[0]
    net, reader = network()
    poses = net.pose(coloured_photo((320, 400), points, radius=6), BOX)
    names = SKELETONS["blazepose"].names
    np.testing.assert_allclose(poses.keypoints[0, names.index("nose")], points[0], atol=1.0)
    np.testing.assert_allclose(poses.keypoints[0, names.index("left_shoulder")], points[2], atol=1.0)
    center, rim = reader.spot(0), reader.spot(1)  # in the second crop: straight up, 1 / 1.25 of the half side
    np.testing.assert_allclose(center, [128, 128], atol=2)
    np.testing.assert_allclose(rim, [128, 128 - 128 / 1.25], atol=3)
    assert len(reader.looks) == 2
    seen, there = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-4.0))
    np.testing.assert_allclose(poses.visibility_scores, seen)
    np.testing.assert_allclose(poses.scores, seen * there)


def test_whom_it_is_not_sure_to_see_is_left_to_lite(network):
    photo = coloured_photo((320, 400), POINTS)
    net, reader = network((0.3, 0.9))
    assert not net.pose(photo, BOX).seen.any() and len(reader.looks) == 1
    net, reader = network((0.9, 0.1))  # the first look counts
    assert net.pose(photo, BOX).seen.all() and len(reader.looks) == 2
    net, _ = network((0.3, 0.4), presence=0.2)
    assert net.pose(photo, BOX).seen.all()


def test_sure_heatmaps_move_landmarks_and_others_do_not():
    heatmaps = np.full((64, 64, 2), -20.0)
    heatmaps[30, 41, 0] = heatmaps[31, 41, 0] = 20.0
    heatmaps[5, 5, 1] = 20.0
    points = np.array([[40.5 / 64, 30.5 / 64], [0.9, 0.9]])
    moved = step_to_heatmaps(points, heatmaps)
    np.testing.assert_allclose(moved, [[41 / 64, 30.5 / 64], [0.9, 0.9]])


def test_the_real_landmarks_know_a_face():
    """Runs with LiteRT where CLICKPOSE_BLAZEPOSE names a landmark file, such as npm's @mediapipe/pose has."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra mediapipe")
    file = os.environ.get("CLICKPOSE_BLAZEPOSE")
    if not file:
        pytest.skip("CLICKPOSE_BLAZEPOSE names no file")
    network = load_first(f"mediapipe:{file}", threads=1)
    photo = read_image(Path(clickpose_labelstudio.__file__).parent / "demo" / "astronaut.jpg")
    height = photo.shape[0]
    boxes, _ = PersonDetector.load(threads=1).detect(photo)
    poses = network.pose(photo, boxes[:1])
    names = network.skeleton.names
    left, right, nose, shoulder = (
        poses.keypoints[0, names.index(name)] for name in ("left_eye", "right_eye", "nose", "left_shoulder")
    )
    assert left[0] > right[0] and nose[1] > left[1] and shoulder[1] > nose[1] and shoulder[0] > nose[0]
    assert abs(left[1] - right[1]) < 0.1 * height
    with pytest.raises(FirstPoseError, match=r"Expected MediaPipe's pose landmarks in .*, got none"):
        load_first(f"mediapipe:{__file__}")
