"""A tiny end-to-end network with well-scaled random weights, for the tests of everything around it."""

import argparse
from pathlib import Path

import torch

from clickpose.networks.backbone import BackboneConfig
from clickpose.networks.clickpose import ClickPose, ClickPoseConfig
from clickpose.r50.checkpoint import to_official
from clickpose.r50.predictor import R50Predictor

TINY = ClickPoseConfig(
    dim=32, heads=4, ffn_dim=24, encoder_layers=1, human_layers=1, keypoint_layers=2, queries=12, persons=5,
    human_codes=4, backbone=BackboneConfig((1, 1, 1, 1), width=4),
)  # fmt: skip


def tiny_network(config: ClickPoseConfig = TINY, seed: int = 0) -> ClickPose:
    """Return a network whose heads do move things (fresh ones would hardly)."""
    torch.manual_seed(seed)
    network = ClickPose(config).eval()
    for name, parameter in network.named_parameters():
        if "heads." in name or "_head." in name:
            torch.nn.init.normal_(parameter, std=0.15)
        elif name.endswith(("sampling_offsets.weight", "attention_weights.weight")):
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def counting_predictor() -> R50Predictor:
    """Return a predictor with a tiny network that counts its encodings, as ``encodings``."""
    predictor = R50Predictor(tiny_network(), "tiny", min_score=0.0, short_side=96, long_side=160)
    encode, predictor.encodings = predictor.network.encode, 0

    def counted(pixels):
        predictor.encodings += 1
        return encode(pixels)

    predictor.network.encode = counted
    return predictor


def write_checkpoint(path: Path, network: ClickPose, **changes) -> Path:
    """Write a network as the official code would; ``changes`` replace entries of the file."""
    args = argparse.Namespace(nheads=network.config.heads, num_queries=network.config.queries, lr=1e-4)
    content = {"model": to_official(network.state_dict(), network.config), "epoch": 3, "args": args, **changes}
    torch.save(content, path)
    return path
