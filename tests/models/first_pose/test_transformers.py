"""ViTPose of the real transformers from a folder, its weights made so that the peaks are known."""

import numpy as np
import pytest
import torch

from clickpose.first_pose.loading import load_first
from clickpose.first_pose.network import FirstPoseError
from clickpose.skeleton import COCO
from helpers.first_networks import colour_filters, coloured_photo

transformers = pytest.importorskip("transformers", reason="needs the extra transformers")
POINTS = np.array([[60.0, 50.0], [140.0, 85.0], [95.0, 150.0]])
BOX = np.array([40.0, 30.0, 170.0, 190.0])
PHOTO = coloured_photo((240, 320), POINTS, radius=8)
VITPOSE_NAMES = ("Nose", "L_Eye", "R_Eye", "L_Ear", "R_Ear", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow",
                 "L_Wrist", "R_Wrist", "L_Hip", "R_Hip", "L_Knee", "R_Knee", "L_Ankle", "R_Ankle")  # fmt: skip


def save_vitpose(folder, names=VITPOSE_NAMES, **backbone):
    """Write a tiny ViTPose of random weights with its processor."""
    labels = {}
    if names is not None:
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    config = transformers.VitPoseConfig(
        backbone_config=transformers.VitPoseBackboneConfig(
            image_size=[256, 192], patch_size=[16, 16], hidden_size=12, num_hidden_layers=1, num_attention_heads=2,
            out_indices=[1], out_features=["stage1"], **backbone,
        ),
        num_labels=17, scale_factor=4, use_simple_decoder=True,
        **labels,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.VitPoseForPoseEstimation(config).eval()
    model.save_pretrained(folder)
    transformers.VitPoseImageProcessorPil().save_pretrained(folder)
    return folder


class Peaks(torch.nn.Module):
    """In place of the network: heatmaps of the colours in cells of 4 px, as the real one answers."""

    def __init__(self):
        super().__init__()
        self.filters = torch.from_numpy(colour_filters(17, 0.1))

    def __call__(self, pixel_values, dataset_index=None):
        self.index = dataset_index
        heatmaps = torch.nn.functional.avg_pool2d(torch.nn.functional.conv2d(pixel_values, self.filters), 4)
        return transformers.models.vitpose.modeling_vitpose.VitPoseEstimatorOutput(heatmaps=heatmaps)


@pytest.mark.parametrize("flip", ["no", "yes"])
def test_joints_lie_where_the_photo_has_their_colours(tmp_path, flip):
    network = load_first(f"transformers:{save_vitpose(tmp_path / 'tiny')},flip={flip}")
    assert network.name == "tiny" and network.skeleton is COCO
    network._model = Peaks()
    boxes = np.array([BOX, BOX + np.array([-20, -10, 20, 10]), BOX])
    poses = network.pose(PHOTO, boxes)
    if flip == "no":  # mirrored joints of other colours pull, where the photo has no sides
        for row in range(3):
            np.testing.assert_allclose(poses.keypoints[row, :3], POINTS, atol=3.5)
    np.testing.assert_allclose(poses.keypoints[0, :1], POINTS[:1], atol=3.5)


def test_the_real_network_runs_from_a_folder_and_is_known_by_its_weights(tmp_path):
    network = load_first(f"transformers:{save_vitpose(tmp_path / 'a')}")
    poses = network.pose(PHOTO, np.array([BOX] * 9))
    assert (
        poses.keypoints.shape == (9, 17, 2) and np.isfinite(poses.keypoints).all() and np.isfinite(poses.scores).all()
    )
    np.testing.assert_allclose(poses.keypoints[8], poses.keypoints[0], atol=1e-3)
    again = load_first(f"transformers:{save_vitpose(tmp_path / 'a')}")
    assert again.fingerprint == network.fingerprint != load_first(f"transformers:{tmp_path / 'a'},flip=yes").fingerprint


def test_joints_without_names_are_coco_s_and_experts_are_chosen(tmp_path):
    folder = save_vitpose(tmp_path / "plus", names=None, num_experts=3, part_features=4)
    network = load_first(f"transformers:{folder},expert=2")
    assert network.skeleton is COCO
    assert network.pose(PHOTO, BOX[None]).keypoints.shape == (1, 17, 2)
    network._model = Peaks()
    network.pose(PHOTO, BOX[None])
    assert network._model.index.tolist() == [2]


def test_a_folder_without_a_model_is_said(tmp_path):
    with pytest.raises(FirstPoseError, match=r"Cannot use the model .* of transformers"):
        load_first(f"transformers:{tmp_path}")
    with pytest.raises(FirstPoseError, match="Expected flip to be yes or no"):
        load_first(f"transformers:{tmp_path},flip=maybe")
