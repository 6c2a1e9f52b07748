"""YOLO pose exports: letterbox, colours, doubles, both forms of the answer, and what the file says of itself."""

import numpy as np
import pytest

from clickpose.first_pose.loading import load_first
from clickpose.first_pose.network import FirstPoseError
from clickpose.first_pose.yolo import letterbox
from helpers.first_networks import coloured_photo, save_peak_yolo

POINTS = np.array([[60.0, 50.0], [200.0, 85.0], [95.0, 150.0]])


@pytest.mark.parametrize("image_hw", [(240, 320), (320, 240), (60, 81)])
@pytest.mark.parametrize("inside", [False, True])
def test_people_are_found_where_the_photo_has_the_joints_colours(tmp_path, image_hw, inside):
    points = POINTS * (image_hw[1] / 320, image_hw[0] / 240)
    photo = coloured_photo(image_hw, points, radius=min(image_hw) / 20)
    network = load_first(f"yolo:{save_peak_yolo(tmp_path / 'net.onnx', 96, inside=inside)}")
    poses = network.find(photo)
    pixel = max(image_hw) / 96
    assert len(poses) == 1  # the second lies on the first, the third is not sure
    np.testing.assert_allclose(poses.keypoints[0, :3], points, atol=0.8 * pixel)
    np.testing.assert_array_equal(poses.keypoints[0, 3:6], poses.keypoints[0, :3])
    assert poses.instance_scores[0] == pytest.approx(0.9) and poses.scores[0, :3] == pytest.approx(1, abs=0.15)
    box = [*(points.min(axis=0) - 2 * pixel), *(points.max(axis=0) + 2 * pixel)]
    np.testing.assert_allclose(poses.boxes_xyxy[0], box, atol=0.9 * pixel)
    given = network.pose(photo, np.array([box, [0.0, 0, 9, 9]]))
    assert given.seen.tolist() == [True, False]


def test_scores_and_overlaps_are_chosen(tmp_path):
    path = save_peak_yolo(tmp_path / "net.onnx", 96, people=3)
    photo = coloured_photo((240, 320), POINTS)
    assert len(load_first(f"yolo:{path},overlap=1").find(photo)) == 3
    assert len(load_first(f"yolo:{path},overlap=1,score=0.75").find(photo)) == 2
    with pytest.raises(FirstPoseError, match="Expected score to be a number, got 'high'"):
        load_first(f"yolo:{path},score=high")


def test_what_the_file_says_of_itself_is_heard(tmp_path):
    for said, sentence in (
        ({"task": "segment"}, "Expected a pose network in .*, got one for segment"),
        ({"kpt_shape": "[21, 3]"}, "Expected the 17 joints of coco in .*, got 21: name them, skeleton="),
    ):
        with pytest.raises(FirstPoseError, match=sentence):
            load_first(f"yolo:{save_peak_yolo(tmp_path / 'net.onnx', **said)}")
    two = save_peak_yolo(tmp_path / "net.onnx", names="{0: 'person', 1: 'dog'}")
    with pytest.raises(FirstPoseError, match=r"Expected net to answer with 51 numbers of joints a person, got .*56"):
        load_first(f"yolo:{two}").find(coloured_photo((240, 320), POINTS))


def test_the_letterbox_is_centred_and_grey():
    image = np.full((50, 100, 3), 7, np.uint8)
    canvas, scale_xy, offset_xy = letterbox(image, (96, 96))
    assert scale_xy.tolist() == [0.96, 0.96] and offset_xy.tolist() == [0, 24]
    assert (canvas[:24] == 114).all() and (canvas[24:72] == 7).all() and (canvas[72:] == 114).all()
