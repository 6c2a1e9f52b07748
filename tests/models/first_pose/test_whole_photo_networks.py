"""torchvision's keypoint R-CNN and RF-DETR: real architectures of random weights; skipped where they are missing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clickpose.first_pose.loading import load_first
from clickpose.first_pose.network import FirstPoseError
from clickpose.first_pose.rfdetr_pose import RfdetrPoses
from clickpose.skeleton import COCO
from helpers.first_networks import COLOURS, coloured_photo

POINTS = np.array([[60.0, 50.0], [140.0, 85.0], [95.0, 150.0]])
PHOTO = coloured_photo((240, 320), POINTS, radius=8)


def spots(photo: np.ndarray) -> np.ndarray:
    """Return (17, 2) px: where an (H, W, 3) photo in 0..255 has the joints' colours."""
    found = [np.abs(photo - colour).sum(axis=-1).argmin() for colour in COLOURS.astype(float)]
    points = np.stack(np.unravel_index(found, photo.shape[:2])[::-1], axis=1) + 0.5
    return points[np.arange(17) % 3]


def test_keypoint_rcnn_of_a_file_answers_as_torchvision_does(tmp_path, monkeypatch):
    detection = pytest.importorskip("torchvision", reason="needs the extra torchvision").models.detection
    torch.manual_seed(0)
    real = detection.keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None, box_score_thresh=0.0).eval()
    torch.save(real.state_dict(), tmp_path / "rcnn.pth")
    network = load_first(f"torchvision:{tmp_path / 'rcnn.pth'},score=0")
    poses = network.find(PHOTO)
    with torch.inference_mode():
        (expected,) = real([torch.from_numpy(PHOTO).permute(2, 0, 1) / 255])
    assert len(poses) == len(expected["boxes"]) > 0
    np.testing.assert_allclose(poses.keypoints, expected["keypoints"][..., :2].numpy(), atol=1e-3)
    np.testing.assert_allclose(poses.scores, expected["keypoints_scores"].sigmoid().numpy(), atol=1e-5)

    def answer(images):
        pixels = images[0].numpy().transpose(1, 2, 0) * 255  # red first, in 0..1
        keypoints = torch.from_numpy(np.c_[spots(pixels), np.ones(17)])[None].repeat(2, 1, 1)
        boxes, ones = torch.tensor([[50.0, 40, 150, 160]] * 2), torch.ones(2)
        found = {"boxes": boxes, "labels": torch.tensor([1, 2]), "scores": ones, "keypoints": keypoints}
        return [found | {"keypoints_scores": torch.zeros(2, 17)}]

    monkeypatch.setattr(network, "_network", answer)
    network._found.clear()  # it would not look at the photo again
    seen = network.find(PHOTO)
    assert len(seen) == 1 and (seen.scores == 0.5).all()  # the second is of another class
    np.testing.assert_allclose(seen.keypoints[0, :3], POINTS, atol=1.0)
    with pytest.raises(FirstPoseError, match=r"Cannot use .* as torchvision's keypoint R-CNN"):
        load_first(f"torchvision:{tmp_path / 'rcnn.pth'},skeleton=crowdpose")


class Found:
    """In place of RF-DETR: answers as its package does with keypoints where the photo has the colours."""

    class_names = ("person", "knife")

    def predict(self, image, threshold, include_source_image):
        assert image.dtype == np.uint8 and type(image) is np.ndarray and not include_source_image
        keypoints = np.stack([spots(image.astype(float)), np.zeros((17, 2))])
        return SimpleNamespace(
            xy=keypoints[: 2 if threshold < 0.9 else 0], keypoint_confidence=np.full((2, 17), 0.5),
            detection_confidence=np.array([0.8, 0.7]),
            data={"xyxy": np.array([[50.0, 40, 150, 160]] * 2), "class_name": np.array(["person", "knife"], object)},
        )  # fmt: skip


def test_rfdetr_s_answer_is_read_for_people_alone():
    poses = RfdetrPoses(Found(), COCO, "rf", "1234").find(PHOTO)
    assert len(poses) == 1 and poses.instance_scores.tolist() == [0.8]
    np.testing.assert_allclose(poses.keypoints[0, :3], POINTS, atol=1.0)
    assert len(RfdetrPoses(Found(), COCO, "rf", "1234", score=0.95).find(PHOTO)) == 0


def test_rfdetr_runs_from_a_checkpoint(tmp_path):
    """Its real architecture, of random weights."""
    rfdetr = pytest.importorskip("rfdetr", reason="needs the extra rfdetr")
    real = rfdetr.RFDETRKeypointPreview(pretrain_weights=None, device="cpu")
    torch.save({"model": real.model.model.state_dict(), "args": vars(real.model.args)}, tmp_path / "rf.pth")
    network = load_first(f"rfdetr:{tmp_path / 'rf.pth'},score=0")
    network._knows_people = False  # of random weights, nobody is one
    poses = network.find(PHOTO)
    expected = real.predict(PHOTO, threshold=0.0)
    assert len(poses) == len(expected.xy) > 0
    np.testing.assert_allclose(poses.keypoints, expected.xy, atol=0.05)
    np.testing.assert_allclose(poses.boxes_xyxy, expected.data["xyxy"], atol=0.05)
    with pytest.raises(FirstPoseError, match="Expected the 14 joints of crowdpose of rf, got 17"):
        load_first(f"rfdetr:{tmp_path / 'rf.pth'},score=0,skeleton=crowdpose").find(PHOTO)
