"""Train the study's two plain pose networks, heatmaps and regression, on cached features of a frozen trunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from calibration_study import heatmap_head, rle_head
from calibration_study.heatmap_head import HeatmapHead, heatmap_loss
from calibration_study.rle_head import ResidualFlow, RleHead, rle_loss
from clickpose.data.feature_cache import FeatureCache
from clickpose.networks.movenet import MoveNetFeatures
from clickpose.training.engine import TrainConfig


class HeadBatch(NamedTuple):
    """Some cached maps of B views with their labels.

    ``maps`` are int8 tensors, ``scales`` their (B, C) factors, in the order of :attr:`HeadSamples.names`;
    ``keypoints_norm`` (B, K, 2) in 0..1 of the view and ``visibility`` (B, K).
    """

    maps: tuple[Tensor, ...]
    scales: tuple[Tensor, ...]
    keypoints_norm: Tensor
    visibility: Tensor


class HeadSamples(Dataset):
    """The views of a feature cache, of which only some maps are read from disk.

    Args:
        cache: of any number of parts.
        names: maps of :class:`~clickpose.networks.movenet.MoveNetFeatures` to read.
    """

    def __init__(self, cache: FeatureCache, names: Sequence[str]):
        self.cache, self.names = cache, tuple(names)

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, index: int | tuple[int, int]) -> HeadBatch:
        part, row = self.cache.locate(index[0] if isinstance(index, tuple) else index)

        def read(name: str) -> Tensor:
            return torch.from_numpy(np.array(part[name][row]))

        maps, scales = (tuple(read(f"{name}{suffix}") for name in self.names) for suffix in ("", "_scale"))
        return HeadBatch(maps, scales, read("keypoints_norm"), read("visibility"))


def trunk_maps(batch: HeadBatch, names: Sequence[str]) -> MoveNetFeatures:
    """Return the float maps of a batch by name; the others are None."""
    maps = {
        name: values.float() * scale[..., None, None]
        for name, values, scale in zip(names, batch.maps, batch.scales, strict=True)
    }
    return MoveNetFeatures(**(dict.fromkeys(MoveNetFeatures._fields) | maps))


class HeatmapTask:
    """The trainer's view of a heatmap head.

    Args:
        head: fresh.
    """

    maps = heatmap_head.MAPS

    def __init__(self, head: HeatmapHead):
        self.model = head

    def parameter_groups(self, config: TrainConfig) -> list[dict]:
        """One rate."""
        return [{"params": list(self.model.parameters()), "lr": config.learning_rate}]

    def losses(self, batch: HeadBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the squared error, a thousandfold: gradients of a size that the clipping was chosen for."""
        heatmaps = self.model(trunk_maps(batch, self.maps))
        return {"heatmap": 1000 * heatmap_loss(heatmaps, batch.keypoints_norm, batch.visibility > 0)}


class RleTask:
    """The trainer's view of a regression head and its flow.

    Args:
        head: fresh.
        flow: fresh.
    """

    maps = rle_head.MAPS

    def __init__(self, head: RleHead, flow: ResidualFlow):
        self.model = nn.ModuleDict({"head": head, "flow": flow})

    def parameter_groups(self, config: TrainConfig) -> list[dict]:
        """One rate."""
        return [{"params": list(self.model.parameters()), "lr": config.learning_rate}]

    def losses(self, batch: HeadBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the residual negative log-likelihood."""
        output = self.model["head"](trunk_maps(batch, self.maps))
        with torch.autocast(output.positions.device.type, enabled=False):  # a flow in bfloat16 is too coarse
            return {"rle": rle_loss(output, batch.keypoints_norm, batch.visibility > 0, self.model["flow"])}
