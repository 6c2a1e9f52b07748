"""rtmlib's real classes on ONNX files whose peaks are known; skipped where the package is not installed."""

import numpy as np
import pytest

from clickpose.first_pose.loading import load_first
from clickpose.first_pose.network import FirstPoseError
from helpers.first_networks import coloured_photo, save_peak_heatmaps, save_peak_rtmo, save_peak_simcc

pytest.importorskip("rtmlib", reason="needs the extra rtmlib")
POINTS = np.array([[60.0, 50.0], [140.0, 85.0], [95.0, 150.0]])
BOX = np.array([40.0, 30.0, 170.0, 190.0])
PHOTO = coloured_photo((240, 320), POINTS, radius=8)
SWAPPED = POINTS[[2, 1, 0]]  # rtmlib sees photos as OpenCV reads them: blue first


def test_rtmpose_places_joints_as_our_own_reading_of_the_file_does(tmp_path):
    save_peak_simcc(tmp_path / "net.onnx", (128, 96))
    poses = load_first(f"rtmlib:RTMPose,model={tmp_path / 'net.onnx'},size=96x128").pose(
        PHOTO, np.array([BOX, BOX + 9])
    )
    np.testing.assert_allclose(poses.keypoints[0, :3] + 0.5, SWAPPED, atol=1.2)
    (tmp_path / "net.yaml").write_text("network: net.onnx\noutput: simcc\nskeleton: coco\ncolours: BGR\n")
    ours = load_first(f"onnx:{tmp_path / 'net.yaml'}").pose(PHOTO, np.array([BOX, BOX + 9]))
    np.testing.assert_allclose(poses.keypoints, ours.keypoints, atol=0.8)  # a bin of SimCC


def test_vitpose_places_joints_as_our_own_reading_of_the_file_does(tmp_path):
    save_peak_heatmaps(tmp_path / "net.onnx", (128, 96), scale=0.05)
    poses = load_first(f"rtmlib:ViTPose,model={tmp_path / 'net.onnx'},size=96x128").pose(PHOTO, BOX[None])
    np.testing.assert_allclose(poses.keypoints[0, :3] + 0.5, SWAPPED, atol=6.25)  # a cell


def test_rtmo_finds_people_and_nobody(tmp_path):
    network = load_first(f"rtmlib:RTMO,model={save_peak_rtmo(tmp_path / 'rtmo.onnx', 96)},size=96x96,score=0.3")
    poses = network.find(PHOTO)
    assert len(poses) == 1
    np.testing.assert_allclose(poses.keypoints[0, :3], SWAPPED, atol=0.8 * 320 / 96)
    left, top, right, bottom = poses.extents()[0]
    assert left < 60 and top < 50 and right > 140 and bottom > 150
    nobody = load_first(f"rtmlib:RTMO,model={tmp_path / 'rtmo.onnx'},size=96x96,score=0.95")
    assert len(nobody.find(PHOTO)) == 0


def test_what_rtmlib_cannot_do_is_said(tmp_path):
    save_peak_simcc(tmp_path / "net.onnx", (128, 96))
    for text, sentence in (
        ("rtmlib:Dog", "Expected one of Body, BodyWithFeet, Wholebody, RTMPose, ViTPose, RTMO of rtmlib, got 'Dog'"),
        ("rtmlib:RTMPose", "Expected the ONNX file of RTMPose"),
        (f"rtmlib:RTMPose,model={tmp_path / 'net.onnx'},size=96", "Expected size as width x height"),
        (f"rtmlib:RTMPose,model={tmp_path / 'net.onnx'},score=0.5", "Expected options that RTMPose of rtmlib has"),
    ):
        with pytest.raises(FirstPoseError, match=sentence):
            load_first(text)
    network = load_first(f"rtmlib:RTMPose,model={tmp_path / 'net.onnx'},size=96x128,skeleton=halpe26")
    with pytest.raises(FirstPoseError, match="Expected the 26 joints of halpe26 of net, got an answer of the shape"):
        network.pose(PHOTO, BOX[None])
