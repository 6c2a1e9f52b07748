"""The body of ``clickpose export``: the end-to-end network as ONNX graphs, checked against torch before it is used."""

from __future__ import annotations

from pathlib import Path

import torch

from clickpose.extras import require_extra
from clickpose.networks.clickpose import ClickPose
from clickpose.r50.checkpoint import load_network
from clickpose.r50.onnx import OnnxEngine, export_network

TOLERANCE = 1e-4  # of memory values, logits and coordinates
_CHECK_HW = (160, 224)  # a size that the graphs were not traced at


def export_from_options(checkpoint: Path, out: Path) -> float:
    """Export a checkpoint into a folder.

    Args:
        checkpoint: an official ``.pth`` or our ``.safetensors`` file.
        out: folder to write.

    Returns:
        The largest difference from torch that a check found.

    Raises:
        WeightsError: if the checkpoint cannot be read.
        ValueError: if the exported graphs give other numbers than torch, or the extra ``train`` is not installed.
    """
    require_extra("train", "onnx")
    network = load_network(checkpoint)
    difference = largest_difference(network, OnnxEngine(export_network(network, checkpoint, out)))
    if not difference <= TOLERANCE:
        raise ValueError(f"Expected graphs that agree with torch to {TOLERANCE:g}, got a difference of {difference:g}")
    return difference


@torch.inference_mode()
def largest_difference(network: ClickPose, engine: OnnxEngine) -> float:
    """Encode an image of noise and refine one person with both, and compare everything that comes out."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, *_CHECK_HW, generator=generator)
    keypoints = torch.rand(1, 1, network.config.num_keypoints, 2, generator=generator)
    person = (keypoints, torch.tensor([[[0.5, 0.5, 0.8, 0.8]]]), keypoints[..., 0] > 0.8)
    wanted, found = network.encode(image), engine.encode(image)
    pairs = [(wanted.tokens, found.tokens)]
    pairs += zip(network.refine(wanted, *person), engine.refine(wanted, *person), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)
