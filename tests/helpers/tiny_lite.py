"""A tiny lite network of random weights, crops for it, and poses that are half corrected."""

import torch

from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig, PoseQueries
from clickpose.skeleton import COCO

CONFIG = LiteConfig(64, DecoderConfig(flip_pairs=COCO.flip_pairs, dim=16, heads=2, layers=2, ffn_dim=24))


def make_network(spread: float = 0.3) -> LiteNetwork:
    """Return a network whose decoder moves joints: untrained heads move nothing."""
    torch.manual_seed(0)
    network = LiteNetwork(CONFIG)
    for head in (*network.decoder.keypoint_heads, *network.decoder.box_heads):
        torch.nn.init.normal_(head[-1].weight, std=spread)
    return network.eval()


def make_crops() -> tuple[torch.Tensor, torch.Tensor]:
    """Return three crops of noise (3, 3, 64, 64) uint8 and their prompt boxes (3, 4), none of them symmetric."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (3, 3, 64, 64), generator=generator, dtype=torch.uint8)
    return image, torch.tensor([[0.1, 0.1, 0.8, 0.9], [0.3, 0.1, 0.6, 0.9], [0.1, 0.4, 0.9, 0.6]])


def make_queries(persons: int, variants: int) -> PoseQueries:
    """Return random poses of which some joints are fixed."""
    generator = torch.Generator().manual_seed(2)
    keypoints = torch.rand(persons, variants, 17, 2, generator=generator)
    fixed = torch.rand(persons, variants, 17, generator=generator) < 0.3
    return PoseQueries(keypoints, fixed, torch.tensor([0.2, 0.1, 0.7, 0.9]).expand(persons, variants, 4))
