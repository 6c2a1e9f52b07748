"""MoveNet: a network whose peaks are known, and the published one on photos of this repository."""

from pathlib import Path

import numpy as np
import pytest

import clickpose_labelstudio
from clickpose.boxes import BODY_SHARE_OF_BOX, box_area
from clickpose.detector import PersonDetector
from clickpose.first_pose.loading import load_first
from clickpose.first_pose.network import FirstPoseError
from clickpose.image_io import read_image
from clickpose.metrics.oks import oks
from clickpose.skeleton import COCO
from helpers.first_networks import coloured_photo, save_graph, save_peak_movenet

DEMO = Path(clickpose_labelstudio.__file__).parent / "demo"
FLIP = [-1, 1, -1, 1]


def test_joints_lie_where_the_photo_has_their_colours(tmp_path):
    network = load_first(f"movenet:{save_peak_movenet(tmp_path / 'peaks.onnx')}")
    points = np.array([[60.0, 50.0], [140.0, 85.0], [95.0, 150.0]])
    box = np.array([[40.0, 30.0, 170.0, 190.0]])  # a square of 200 px around it, 64 in the network
    poses = network.pose(coloured_photo((240, 320), points, radius=8), box)
    np.testing.assert_allclose(poses.keypoints[0, :3], points, atol=0.6 * 200 / 64)  # half a pixel of the network
    np.testing.assert_allclose(poses.scores[0, :3], 1.0, atol=0.05)
    np.testing.assert_array_equal(poses.keypoints[0, 3:6], poses.keypoints[0, :3])  # joints of one colour


def test_another_network_is_refused(tmp_path):
    path = save_graph(
        tmp_path / "other.onnx", [("Relu", ["x"], ["y"], {})],
        {"x": ("FLOAT", [1, 3, 64, 64])}, {"y": ("FLOAT", [1, 3, 64, 64])}, {},
    )  # fmt: skip
    with pytest.raises(
        FirstPoseError, match=r"Expected MoveNet SinglePose in .*got a network with the outputs y \[1, 3"
    ):
        load_first(f"movenet:{path}")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ValueError, match=r"Expected MoveNet SinglePose in .*text\.onnx, got no ONNX network"):
        load_first(f"movenet:{tmp_path / 'text.onnx'}")


@pytest.mark.parametrize("name", ["astronaut.jpg", "grace-hopper.jpg"])
def test_the_published_network_knows_people_and_their_sides(shared_folder, name):
    network = load_first(f"movenet:{shared_folder / 'weights' / 'movenet-thunder-heads.onnx'}")
    photo = read_image(DEMO / name)
    boxes, _ = PersonDetector.load(threads=1).detect(photo)
    width = photo.shape[1]
    poses = network.pose(photo, boxes[:1])
    mirrored = network.pose(np.ascontiguousarray(photo[:, ::-1]), boxes[:1, [2, 1, 0, 3]] * FLIP + [width, 0] * 2)
    back = mirrored.keypoints[:, COCO.flip_indices] * [-1, 1] + [width, 0]
    sure = (poses.scores > 0.4) & (mirrored.scores[:, COCO.flip_indices] > 0.4)
    agree = oks(back, poses.keypoints, BODY_SHARE_OF_BOX * box_area(boxes[:1]), COCO.sigma_array, sure)
    assert sure.sum() >= 5 and agree[0] > 0.8
    left, right = (poses.keypoints[0, COCO.index(f"{side}_shoulder"), 0] for side in ("left", "right"))
    assert left > right  # who faces the camera has the left side on the right
