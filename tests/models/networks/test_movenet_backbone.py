"""MoveNet as a backbone: its maps, its place in the end-to-end network, and its weights."""

import dataclasses

import pytest
import torch

from clickpose.networks.backbone import normalise_pixels
from clickpose.networks.clickpose import ClickPose, ClickPoseConfig
from clickpose.networks.movenet import scale_pixels
from clickpose.networks.movenet_backbone import MoveNetBackbone, MoveNetBackboneConfig
from clickpose.r50.checkpoint import load_network, save_network
from clickpose.r50.task import R50Task
from clickpose.r50.train import PRESETS, load_movenet
from clickpose.skeleton import COCO
from clickpose.weights_io import WeightsError, save_weights

SMALL = ClickPoseConfig(
    dim=32, heads=4, levels=3, ffn_dim=24, encoder_layers=1, human_layers=1, keypoint_layers=1, queries=12, persons=5,
    human_codes=4, backbone=MoveNetBackboneConfig(), short_side=64, long_side=96,
)  # fmt: skip


@pytest.fixture(scope="module")
def backbone() -> MoveNetBackbone:
    torch.manual_seed(0)
    return MoveNetBackbone().eval()


@torch.no_grad()
def test_maps_have_the_strides_and_channels_that_the_encoder_expects(backbone):
    maps = backbone(torch.randn(1, 3, 70, 97))
    channels = MoveNetBackboneConfig().channels
    assert [tuple(x.shape[1:]) for x in maps] == [(channels[0], 9, 13), (channels[1], 5, 7), (channels[2], 3, 4)]


@torch.no_grad()
def test_the_finest_map_holds_what_the_trunk_says_of_the_pixels(backbone):
    pixels = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    found = backbone.trunk(scale_pixels(pixels))
    map8, map16, map32 = backbone(normalise_pixels(pixels))
    torch.testing.assert_close(map8[:, :56], found.middle, rtol=0, atol=1e-4)
    heatmaps = map8[:, 88 + 4 * 24 : 88 + 4 * (24 + 17)].unflatten(1, (17, 4))
    torch.testing.assert_close(heatmaps[0, 5, 3], found.heatmap_logits[0, 5, 1::2, 1::2], rtol=0, atol=1e-4)
    mean = found.regression[0, 33, 2:4, 4:6].mean() / 16
    torch.testing.assert_close(map8[0, -1, 1, 2], mean, rtol=0, atol=1e-4)
    torch.testing.assert_close(map16, torch.cat([found.coarse, found.pyramid16], 1), rtol=0, atol=1e-4)
    torch.testing.assert_close(map32, found.top, rtol=0, atol=1e-4)


def test_a_network_on_it_makes_the_round_trip_through_a_file(tmp_path):
    network = ClickPose(SMALL).eval()
    save_network(tmp_path / "w.safetensors", network, COCO)
    loaded = load_network(tmp_path / "w.safetensors")
    assert loaded.config == SMALL and loaded.state_dict().keys() == network.state_dict().keys()


def test_a_rate_of_zero_keeps_its_weights():
    small = PRESETS["small"].train
    for rate, frozen in ((0.0, True), (1e-4, False)):
        task = R50Task(ClickPose(SMALL), COCO)
        task.parameter_groups(dataclasses.replace(small, trunk_learning_rate=rate))
        assert task.model.backbone.trunk.stem.weight.requires_grad != frozen
        assert task.model.encoder.level_embed.requires_grad


def test_the_shipped_and_the_published_weights_load(backbone, shared_folder):
    load_movenet(backbone, shared_folder / "weights" / "movenet-thunder-heads.onnx")
    published = backbone.trunk.stem.weight.clone()
    from clickpose.lite.predictor import DEFAULT_FILE

    load_movenet(backbone, DEFAULT_FILE)
    torch.testing.assert_close(backbone.trunk.stem.weight, published, rtol=1e-2, atol=1e-3)  # frozen there, in fp16


def test_weights_of_another_network_are_refused(backbone, tmp_path):
    path = tmp_path / "other.safetensors"
    state = {f"trunk.{name}": value for name, value in backbone.trunk.state_dict().items()}
    state["trunk.heatmap.1.bias"] = torch.zeros(19)
    save_weights(path, state, {"kind": "lite", "skeleton": "coco"})
    with pytest.raises(WeightsError, match=r"Expected MoveNet for the 17 joints of COCO in .*other.safetensors.*bias"):
        load_movenet(backbone, path)
