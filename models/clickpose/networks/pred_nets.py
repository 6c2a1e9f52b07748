"""Pose networks as CCNet sees them: adapters that give penultimate features, keypoints and scores.

An adapter neither trains nor changes its network: it runs it in evaluation mode without gradients, and takes the
features with a forward hook. A network of your own needs the name of a layer and a function that reads its output::

    net = HookedPredNet(model, "head.final_layer", lambda heatmaps: decode_heatmaps(heatmaps, (256, 192)))
    output = net.predict(images)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clickpose.calibration.ccnet_fit import apply_ccnet
from clickpose.calibration.pred_net import PredNetOutput
from clickpose.networks.ccnet import CCNet
from clickpose.networks.clickpose import PERSON_CLASS, ClickPose
from clickpose.networks.keypoint_decoder import PersonReading
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import PoseQueries

Decode = Callable[..., tuple[Tensor, Tensor]]
POOLINGS = ("mean", "keypoints")


class HookedPredNet:
    """Any torch module, its features taken at a named layer.

    Args:
        network: the pose network; put into evaluation mode.
        layer: dotted name of a submodule, as in ``network.named_modules()``.
        decode: turns the network's output into keypoints (B, K, 2), input pixels, and scores (B, K).
        side: ``"input"`` for what goes into the layer (name the last layer and get the penultimate features), or
            ``"output"``.
        pooling: what becomes of feature maps (B, C, H, W): ``"mean"`` over the map, (B, C); or ``"keypoints"``, the map
            at each predicted joint beside that mean, (B, K, 2C), which needs ``input_hw``. Tokens (B, T, C) become
            their mean, unless there is one for each joint.
        input_hw: height and width of the network's input, px.

    Raises:
        ValueError: for a layer that is not there or another option.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        decode: Decode,
        side: str = "input",
        pooling: str = "mean",
        input_hw: tuple[int, int] | None = None,
    ):
        modules = dict(network.named_modules())
        if layer not in modules:
            raise ValueError(f"Expected layer to be one of the network's modules, got {layer!r}; the last are "
                             f"{', '.join(list(modules)[-5:])}")  # fmt: skip
        if side not in ("input", "output"):
            raise ValueError(f"Expected side to be input or output, got {side!r}")
        if pooling not in POOLINGS or (pooling == "keypoints" and input_hw is None):
            raise ValueError(f"Expected pooling mean, or keypoints with input_hw, got {pooling!r} with {input_hw}")
        self.network = network.eval()
        self.layer, self.decode, self.side, self.pooling, self.input_hw = layer, decode, side, pooling, input_hw

    @torch.inference_mode()
    def predict(self, *inputs: Tensor) -> PredNetOutput:
        """Run the network on ``inputs``.

        Raises:
            RuntimeError: if the layer did not run, or took or gave no tensor.
        """
        with capture(self.network.get_submodule(self.layer), self.side) as seen:
            keypoints, scores = self.decode(self.network(*inputs))
        if not seen or not isinstance(seen[-1], Tensor):
            raise RuntimeError(f"Expected the {self.side} of layer {self.layer!r} to be one tensor, got none")
        return PredNetOutput(self._pool(seen[-1], keypoints), keypoints, scores)

    def _pool(self, features: Tensor, keypoints: Tensor) -> Tensor:
        if features.ndim == 3 and features.shape[1] != keypoints.shape[1]:
            return features.mean(dim=1)
        if features.ndim != 4:
            return features
        mean = features.mean(dim=(2, 3))
        if self.pooling == "mean" or self.input_hw is None:
            return mean
        at_joints = sample_maps(features, keypoints, self.input_hw)
        return torch.cat([at_joints, mean[:, None].expand_as(at_joints)], dim=2)


@contextmanager
def capture(module: nn.Module, side: str) -> Iterator[list]:
    """Collect the first input, or the output, of every call of ``module`` while the context is open."""
    seen: list = []

    def note(_: nn.Module, inputs: tuple, output: object) -> None:
        seen.append(inputs[0] if side == "input" and inputs else output)

    handle = module.register_forward_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def heatmap_pred_net(network: nn.Module, final_layer: str, input_hw: tuple[int, int]) -> HookedPredNet:
    """Adapt a heatmap network (B, 3, H, W) -> (B, K, h, w), such as SBL, HRNet or ViTPose.

    Args:
        network: gives heatmaps of about 0..1.
        final_layer: the convolution that makes the heatmaps; its input, after the deconvolutions, are the features.
        input_hw: height and width of the network's input, px.
    """
    return HookedPredNet(
        network, final_layer, lambda heatmaps: decode_heatmaps(heatmaps, input_hw), "input", "keypoints", input_hw
    )


def rle_pred_net(network: nn.Module, final_layer: str, input_hw: tuple[int, int]) -> HookedPredNet:
    """Adapt a regression network with residual log-likelihood: images -> (positions, scales), each (B, K, 2) shares.

    Args:
        network: as above.
        final_layer: the linear layer that gives positions; its input, after global pooling, are the features.
        input_hw: height and width of the network's input, px.
    """

    def decode(output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        positions, scales = output
        return decode_regression(positions, scales, input_hw)

    return HookedPredNet(network, final_layer, decode, "input")


class LitePredNet:
    """The lite network; features are its decoder's final keypoint tokens, scores its own predicted OKS.

    Args:
        network: trained, with a flip test (:mod:`clickpose.lite.mirrored_views`) or without.
    """

    def __init__(self, network: LiteNetwork):
        self.network = network.eval()

    @torch.inference_mode()
    def predict(self, image: Tensor, prompt_norm: Tensor) -> PredNetOutput:
        """Predict from crops (B, 3, S, S) uint8 and prompt boxes (B, 4) in 0..1 of the crop."""
        person = self.network.encode(image.contiguous(memory_format=torch.channels_last), prompt_norm).person
        return self.decode(person, self.network.initial_queries(person))

    def decode(self, person: Any, queries: PoseQueries) -> PredNetOutput:
        """Decode variant 0 of encoded persons, also after clicks: the tokens, and so the scores, follow them."""
        output = self.network.decode(person, queries)
        keypoints = output.keypoints_norm[-1, :, 0] * self.network.config.input_side
        scores, visibility = output.oks_logits[:, 0].sigmoid(), output.visibility_logits[:, 0].sigmoid()
        return PredNetOutput(output.tokens[:, 0], keypoints, scores, visibility)


class ClickPosePredNet:
    """The end-to-end network, prompted with each person's box; features are its decoder's final keypoint tokens.

    Its own scores are the probability of a person, the same for every joint: it has no confidence of a joint.

    Args:
        network: trained.
    """

    def __init__(self, network: ClickPose):
        self.network = network.eval()

    @torch.inference_mode()
    def predict(self, images: Tensor, boxes_norm: Tensor) -> PredNetOutput:
        """Predict the P persons of each of B images, (B · P, …) in order.

        Args:
            images: (B, 3, H, W) as the network takes them.
            boxes_norm: (B, P, 4) cx, cy, w, h in 0..1 of the image.
        """
        memory = self.network.encode(images)
        reading = self.network.decode_humans(memory, self.network.prompt_humans(memory, boxes_norm), same_rank=True)
        return self.read(reading, (images.shape[-2], images.shape[-1]))

    @staticmethod
    def read(reading: PersonReading, input_hw: tuple[int, int]) -> PredNetOutput:
        """Read what the decoder reports, also after clicks: the tokens, and so the scores, follow them."""
        keypoints = reading.keypoints_norm.flatten(0, 1)
        extent = keypoints.new_tensor([input_hw[1], input_hw[0]])
        person = reading.class_logits.flatten(0, 1)[:, PERSON_CLASS, None].sigmoid()
        tokens = reading.content.flatten(0, 1)[:, 1:]  # the first is the box's
        return PredNetOutput(tokens, keypoints * extent, person.expand(keypoints.shape[:2]))


def token_calibrator(head: CCNet) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return what :class:`~clickpose.r50.predictor.R50Predictor` takes as ``calibrator``, of a fitted head.

    It turns (N, 1 + K, C) tokens, the box's first, into scores and visibilities, both (N, K).
    """
    return lambda tokens: apply_ccnet(head, torch.from_numpy(tokens[:, 1:]))


def decode_heatmaps(heatmaps: Tensor, input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return keypoints, input pixels, and peak heights within 0..1 of (B, K, h, w) heatmaps.

    The highest cell, moved by a quarter towards its higher neighbour along each axis, as SBL and HRNet do.
    """
    heatmaps = _full_precision(heatmaps)
    height, width = heatmaps.shape[-2:]
    peaks, cells = heatmaps.flatten(2).max(dim=2)
    x, y = cells % width, cells // width
    padded = F.pad(heatmaps, (1, 1, 1, 1), value=-torch.inf).flatten(2)

    def at(dx: int, dy: int) -> Tensor:
        return padded.gather(2, ((y + 1 + dy) * (width + 2) + x + 1 + dx)[..., None])[..., 0]

    slope = torch.stack([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)], dim=-1)
    quarter = torch.where(slope.isfinite(), slope.sign(), 0.0) * 0.25  # not at the border
    cell_size = torch.tensor([input_hw[1] / width, input_hw[0] / height], device=heatmaps.device)
    keypoints = (torch.stack([x, y], dim=-1) + quarter + 0.5) * cell_size
    return keypoints, peaks.clamp(0, 1)


def decode_regression(positions: Tensor, scales: Tensor, input_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return keypoints, input pixels, and scores 1 - mean scale (Eq. 19) of (B, K, 2) positions and scales as shares of
    the input's width and height."""
    positions, scales = _full_precision(positions), _full_precision(scales)
    extent = torch.tensor([input_hw[1], input_hw[0]], dtype=positions.dtype, device=positions.device)
    return positions * extent, (1 - scales.mean(dim=-1)).clamp(0, 1)


def _full_precision(values: Tensor) -> Tensor:
    """Return half-precision numbers as float32: of pixels beyond 128 they would keep an eighth."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def decode_detections(detections: list[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return all persons' keypoints and their scores' sigmoids of torchvision's keypoint R-CNN, images in order.

    Its ``keypoints_scores`` are logits of the heatmap at the peak. Name ``roi_heads.keypoint_predictor`` as the layer.
    """
    keypoints = torch.cat([image["keypoints"][..., :2] for image in detections])
    return keypoints, torch.cat([image["keypoints_scores"] for image in detections]).sigmoid()


def sample_maps(maps: Tensor, keypoints_input: Tensor, input_hw: tuple[int, int]) -> Tensor:
    """Return (B, K, C), feature maps (B, C, h, w) read at (B, K, 2) input pixels, bilinear."""
    maps = _full_precision(maps)
    extent = torch.tensor([input_hw[1], input_hw[0]], dtype=maps.dtype, device=maps.device)
    grid = keypoints_input.to(maps.dtype) / extent * 2 - 1
    sampled = F.grid_sample(maps, grid[:, :, None], mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[..., 0].transpose(1, 2)
