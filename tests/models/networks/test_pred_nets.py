"""Adapters: the right features, keypoints and scores come out of a frozen network, which stays as it was."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clickpose.calibration.pred_net import PredNet
from clickpose.networks.ccnet import CCNet
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.pred_nets import (
    ClickPosePredNet,
    HookedPredNet,
    LitePredNet,
    decode_detections,
    decode_heatmaps,
    decode_regression,
    heatmap_pred_net,
    rle_pred_net,
    sample_maps,
    token_calibrator,
)
from helpers import tiny_r50


def heatmaps_with_peaks():
    maps = torch.zeros(1, 2, 8, 6)
    maps[0, 0, 3, 2], maps[0, 0, 3, 3], maps[0, 0, 2, 2] = 0.9, 0.5, 0.4
    maps[0, 1, 0, 5] = 1.4
    return maps


def test_heatmaps_decode_to_input_pixels_a_quarter_towards_the_higher_neighbour():
    keypoints, scores = decode_heatmaps(heatmaps_with_peaks(), (32, 24))  # cells of 4 px
    assert keypoints[0].tolist() == [[(2 + 0.25 + 0.5) * 4, (3 - 0.25 + 0.5) * 4], [5.5 * 4, 0.5 * 4]]
    assert scores[0].tolist() == pytest.approx([0.9, 1.0])  # a raw peak above 1 is 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_networks_of_half_precision_keep_their_pixels(dtype):
    maps = torch.zeros(1, 1, 4, 1024, dtype=dtype)
    maps[0, 0, 2, 701], maps[0, 0, 2, 702] = 1.0, 0.5
    keypoints, _ = decode_heatmaps(maps, (16, 4096))
    assert keypoints[0, 0].tolist() == [(701 + 0.25 + 0.5) * 4, 2.5 * 4]
    positions = torch.tensor([[[0.7, 0.3]]]).to(dtype)
    keypoints, scores = decode_regression(positions, torch.full((1, 1, 2), 0.1, dtype=dtype), (256, 192))
    assert keypoints[0, 0].tolist() == (positions[0, 0].double() * torch.tensor([192.0, 256.0])).tolist()
    assert scores.dtype == torch.float32


def test_maps_are_read_at_cell_centres():
    maps = torch.arange(48.0).reshape(1, 1, 8, 6)
    keypoints = torch.tensor([[[(2 + 0.5) * 4.0, (3 + 0.5) * 4.0], [(2 + 1.0) * 4.0, (3 + 0.5) * 4.0], [-9.0, -9.0]]])
    assert sample_maps(maps, keypoints, (32, 24))[0, :, 0].tolist() == pytest.approx([20.0, 20.5, 0.0], abs=1e-5)


class TinyHeatmaps(nn.Module):
    """(B, 3, 32, 24) -> (B, 2, 8, 6) heatmaps."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 4, stride=4)
        self.norm = nn.BatchNorm2d(5)
        self.final = nn.Conv2d(5, 2, 1)

    def forward(self, image):
        return self.final(torch.relu(self.norm(self.stem(image))))


class TinyRle(nn.Module):
    """(B, 3, 32, 24) -> positions and scales (B, 2, 2)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 4, stride=4)
        self.position, self.scale = nn.Linear(5, 4), nn.Linear(5, 4)

    def forward(self, image):
        features = self.stem(image).mean((2, 3))
        shape = (len(image), 2, 2)
        return self.position(features).sigmoid().view(shape), self.scale(features).sigmoid().view(shape)


@pytest.fixture
def images():
    return torch.rand(4, 3, 32, 24, generator=torch.Generator().manual_seed(0))


def seeded(make):
    torch.manual_seed(0)
    return make()


def test_a_heatmap_network_gives_what_goes_into_its_last_layer(images):
    network = seeded(TinyHeatmaps)
    net = heatmap_pred_net(network, "final", (32, 24))
    output = net.predict(images)
    assert isinstance(net, PredNet)
    with torch.no_grad():
        maps = torch.relu(network.norm(network.stem(images)))
        keypoints, scores = decode_heatmaps(network(images), (32, 24))
    torch.testing.assert_close(output.keypoints_input, keypoints)
    torch.testing.assert_close(output.scores, scores)
    assert output.features.shape == (4, 2, 10)
    torch.testing.assert_close(output.features[:, :, :5], sample_maps(maps, keypoints, (32, 24)))
    torch.testing.assert_close(output.features[:, 1, 5:], maps.mean((2, 3)))


def test_a_regression_network_gives_its_pooled_features(images):
    network = seeded(TinyRle)
    output = rle_pred_net(network, "position", (32, 24)).predict(images)
    with torch.no_grad():
        positions, scales = network(images)
        features = network.stem(images).mean((2, 3))
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(output.keypoints_input, positions * torch.tensor([24.0, 32.0]))
    torch.testing.assert_close(output.scores, 1 - scales.mean(-1))  # Eq. 19


def test_the_network_stays_as_it_was(images):
    """Evaluation mode: no running statistics move; no gradient; no hook is left behind."""
    network = seeded(TinyHeatmaps).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    output = heatmap_pred_net(network, "final", (32, 24)).predict(images)
    assert not any(value.requires_grad for value in output if value is not None)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


class Tokens(nn.Module):
    """A transformer that ends in (B, T, C) tokens."""

    def __init__(self, count):
        super().__init__()
        self.count, self.last = count, nn.Identity()

    def forward(self, x):
        return self.last(x[:, : self.count])


def test_tokens_are_pooled_unless_each_joint_has_its_own():
    x = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(0))

    def decode(tokens):
        return torch.zeros(2, 3, 2), torch.zeros(2, 3)

    pooled = HookedPredNet(Tokens(6), "last", decode, side="output").predict(x)
    torch.testing.assert_close(pooled.features, x.mean(1))
    own = HookedPredNet(Tokens(3), "last", decode, side="output").predict(x)
    torch.testing.assert_close(own.features, x[:, :3])


class TinyDetector(nn.Module):
    """The shape of torchvision's keypoint R-CNN: a list of images in, a list of dicts with several people out."""

    def __init__(self):
        super().__init__()
        self.roi_heads = nn.Module()
        self.roi_heads.keypoint_predictor = nn.Conv2d(5, 2, 1)
        self.people = (2, 0, 1)

    def forward(self, images):
        rois = torch.stack([image[:5, :4, :4] for image in images])
        rois = torch.cat([rois[i : i + 1].expand(n, -1, -1, -1) for i, n in enumerate(self.people)])
        logits = self.roi_heads.keypoint_predictor(rois).flatten(2).amax(2)
        keypoints = torch.stack([logits, logits + 1, torch.ones_like(logits)], -1)
        split = zip(keypoints.split(self.people), logits.split(self.people), strict=True)
        return [{"keypoints": points, "keypoints_scores": scores} for points, scores in split]


def test_a_detector_is_adapted_by_the_name_of_a_layer():
    images = [torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    net = HookedPredNet(seeded(TinyDetector), "roi_heads.keypoint_predictor", decode_detections)
    output = net.predict(images)
    assert output.features.shape == (3, 5)  # everybody, images in order
    torch.testing.assert_close(output.features[2], images[2][:5, :4, :4].mean((1, 2)))
    torch.testing.assert_close(output.scores, output.keypoints_input[..., 0].sigmoid())


def test_torchvisions_keypoint_r_cnn_where_it_is_installed():
    try:
        from torchvision.models.detection import keypointrcnn_resnet50_fpn
    except (ImportError, RuntimeError) as error:  # its operators may be made for another torch
        pytest.skip(f"torchvision's keypoint R-CNN does not run here: {error}")
    torch.manual_seed(0)
    network = keypointrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, box_score_thresh=0.0, box_detections_per_img=3, min_size=128, max_size=160
    )
    net = HookedPredNet(network, "roi_heads.keypoint_predictor", decode_detections)
    images = [torch.rand(3, 128, 160), torch.rand(3, 128, 128)]
    output = net.predict(images)
    with torch.inference_mode():
        people = network(images)
    assert torch.equal(output.keypoints_input, torch.cat([found["keypoints"][..., :2] for found in people]))
    assert output.features.shape == (len(output.scores), 512) and output.keypoints_input.shape[1:] == (17, 2)
    assert CCNet(17, 512)(output.features).score_logits.shape == output.scores.shape


class VitPoseHead(nn.Module):
    """The names of transformers' ViTPose: patches of 16 px, a head of two stages, an output object with heatmaps."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 6, 16, stride=16)
        self.head = nn.ModuleDict({"deconv": nn.ConvTranspose2d(6, 5, 4, 4), "conv": nn.Conv2d(5, 4, 3, padding=1)})

    def forward(self, pixel_values):
        return SimpleNamespace(heatmaps=self.head["conv"](self.head["deconv"](self.backbone(pixel_values)).relu()))


def test_a_vitpose_of_transformers_is_adapted_by_the_name_of_a_layer():
    network, pixels = seeded(VitPoseHead), torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))

    def decode(output):
        return decode_heatmaps(output.heatmaps, (64, 48))

    net = HookedPredNet(network, "head.conv", decode, pooling="keypoints", input_hw=(64, 48))
    output = net.predict(pixels)
    assert output.features.shape == (2, 4, 10)  # five channels at the joint, five of the mean
    maps = network.head["deconv"](network.backbone(pixels)).relu()
    torch.testing.assert_close(output.features[:, 0, 5:], maps.mean((2, 3)))
    torch.testing.assert_close(output.features[..., :5], sample_maps(maps, output.keypoints_input, (64, 48)))


@pytest.mark.parametrize(("simple", "channels"), [(False, 256), (True, 32)])
def test_transformers_vitpose_where_it_is_installed(simple, channels):
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[64, 48], patch_size=[16, 16], hidden_size=32, num_hidden_layers=2, num_attention_heads=4
    )
    torch.manual_seed(0)
    network = transformers.VitPoseForPoseEstimation(
        transformers.VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=simple)
    )

    def decode(output):
        return decode_heatmaps(output.heatmaps, (64, 48))

    net = HookedPredNet(network, "head.conv", decode, pooling="keypoints", input_hw=(64, 48))
    pixels = torch.rand(2, 3, 64, 48)
    output = net.predict(pixels)
    with torch.inference_mode():
        assert torch.equal(output.keypoints_input, decode(network(pixels))[0])
    assert output.features.shape == (2, 17, 2 * channels)  # the map at the joint, and its mean


@pytest.fixture(scope="module")
def lite():
    torch.manual_seed(0)
    return LiteNetwork().eval()


def test_lite_gives_its_final_keypoint_tokens_also_after_clicks(lite):
    net = LitePredNet(lite)
    image = torch.randint(0, 256, (1, 3, 256, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    prompt = torch.tensor([[0.1, 0.1, 0.9, 0.9]])
    first = net.predict(image, prompt)
    assert first.features.shape == (1, 17, lite.config.decoder.dim)
    with torch.inference_mode():
        torch.testing.assert_close(lite.decoder.oks_head(first.features)[..., 0].sigmoid(), first.scores)
        person = lite.encode(image.contiguous(memory_format=torch.channels_last), prompt).person
        queries = lite.initial_queries(person)
        keypoints, fixed = queries.keypoints_norm.clone(), queries.fixed.clone()
        keypoints[0, 0, 9], fixed[0, 0, 9] = torch.tensor([0.4, 0.6]), True
        clicked = net.decode(person, queries._replace(keypoints_norm=keypoints, fixed=fixed))
    torch.testing.assert_close(clicked.keypoints_input[0, 9], torch.tensor([0.4, 0.6]) * 256)
    assert (clicked.features - first.features).abs().max() > 1e-3  # the click is in the tokens
    assert (clicked.scores - first.scores).abs().max() > 1e-5


def test_r50_gives_its_final_keypoint_tokens_also_after_clicks():
    network = tiny_r50.tiny_network()
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.8], [0.3, 0.5, 0.4, 0.6]]]).expand(2, -1, -1)
    net = ClickPosePredNet(network)
    output = net.predict(images, boxes)
    joints, dim = network.config.num_keypoints, network.config.dim
    assert output.features.shape == (4, joints, dim) and output.keypoints_input.shape == (4, joints, 2)
    assert output.keypoints_input[..., 0].max() > 64  # pixels, of the width
    assert (output.scores == output.scores[:, :1]).all()  # one for the person, none for a joint
    with torch.inference_mode():
        memory = network.encode(images)
        reading = network.decode_humans(memory, network.prompt_humans(memory, boxes), same_rank=True)
        torch.testing.assert_close(output.features[3], reading.content[1, 1, 1:])
        fixed = torch.zeros(2, 2, joints, dtype=torch.bool)
        fixed[..., 9] = True
        moved = reading.keypoints_norm.clone()
        moved[..., 9, :] = 0.25
        clicked = net.read(network.refine(memory, moved, reading.boxes_norm, fixed), (64, 96))
    torch.testing.assert_close(clicked.keypoints_input[:, 9], torch.tensor([24.0, 16.0]).expand(4, 2))
    assert (clicked.features - output.features).abs().max() > 1e-3

    head = CCNet(joints, dim)
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(1))
    scores, visibility = token_calibrator(head)(reading.content[0].numpy())
    expected = head(output.features[:2])
    assert scores == pytest.approx(expected.score_logits.sigmoid().detach().numpy(), abs=1e-6)
    assert visibility == pytest.approx(expected.visibility_logits.sigmoid().detach().numpy(), abs=1e-6)


def test_wrong_use_is_a_sentence(images):
    network = seeded(TinyHeatmaps)

    def decode(heatmaps):
        return decode_heatmaps(heatmaps, (32, 24))

    with pytest.raises(
        ValueError, match=r"Expected layer to be one of the network's modules, got 'head'.*stem, norm, final"
    ):
        HookedPredNet(network, "head", decode)
    with pytest.raises(ValueError, match="Expected side to be input or output, got 'grad'"):
        HookedPredNet(network, "final", decode, side="grad")
    with pytest.raises(
        ValueError, match="Expected pooling mean, or keypoints with input_hw, got 'keypoints' with None"
    ):
        HookedPredNet(network, "final", decode, pooling="keypoints")
    network.unused = nn.Identity()
    with pytest.raises(RuntimeError, match="Expected the input of layer 'unused' to be one tensor, got none"):
        HookedPredNet(network, "unused", decode).predict(images)
