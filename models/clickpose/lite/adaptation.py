"""Give a lite network another skeleton (Click-Pose, Sec. 4.5): known joints keep what they have, new ones start from
their neighbours.

What belongs to a joint is its row of the codebook and its channels of the trunk's heads: heatmap, regression, offset.
All else is shared by the joints. A new joint takes the mean of its neighbours' rows of codebook and regression, so that
it is first looked for in their middle. Its heatmap starts flat and low: the mean of two joints' maps would peak at both
of them and nowhere else. The decoder reads all heatmaps; it starts blind for a new one, and the known joints do not
attend to a new one until a human places it (``DecoderConfig.added``). So without any training the known joints of a
skeleton that was only extended are predicted and refined as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from clickpose.joint_origin import JointOrigin, joint_origin
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig
from clickpose.skeleton import Skeleton

FLAT_HEATMAP_LOGIT = -5.0  # about what the trained heatmaps have far from a joint


def adapt_state(state: Mapping[str, Tensor], config: DecoderConfig, origin: JointOrigin) -> dict[str, Tensor]:
    """Return the weights of the network for the new skeleton.

    Args:
        state: of the old network.
        config: of the old decoder.
        origin: where the joints come from.
    """
    adapted = dict(state)
    for head, values in (("heatmap", 1), ("regression", 2), ("offset", 2)):
        for name in (f"trunk.{head}.1.weight", f"trunk.{head}.1.bias"):
            rows = origin.mix(state[name].unflatten(0, (-1, values)))
            adapted[name] = rows.flatten(0, 1)
    # A new joint's heatmap tells nothing yet, and so neither does the offset at its peak.
    for joint in origin.added:
        adapted["trunk.heatmap.1.weight"][joint] = 0
        adapted["trunk.heatmap.1.bias"][joint] = FLAT_HEATMAP_LOGIT
        adapted["trunk.offset.1.weight"][2 * joint : 2 * joint + 2] = 0
        adapted["trunk.offset.1.bias"][2 * joint : 2 * joint + 2] = 0
    codebook = state["decoder.codebook"]
    adapted["decoder.codebook"] = torch.cat([codebook[:1], origin.mix(codebook[1:])])
    for layer in range(config.layers):
        name = f"decoder.layers.{layer}.patch.project.0.weight"
        adapted[name] = _adapt_projection(state[name], config, origin)
    return adapted


def adapt_network(network: LiteNetwork, old: Skeleton, new: Skeleton) -> tuple[LiteNetwork, JointOrigin]:
    """Return a network for another skeleton, without training.

    Args:
        network: for the ``old`` skeleton.
        old: its joints.
        new: the joints wanted.

    Raises:
        ValueError: as :func:`~clickpose.joint_origin.joint_origin`.
    """
    origin, before = joint_origin(old, new), network.config.decoder
    added = tuple(j for j, known in enumerate(origin.known) if known < 0 or known in before.added)
    decoder = replace(before, num_keypoints=len(new), flip_pairs=new.flip_pairs, added=added)
    adapted = LiteNetwork(replace(network.config, decoder=decoder))
    adapted.load_state_dict(adapt_state(network.state_dict(), before, origin))
    return adapted.train(network.training), origin


def _adapt_projection(weight: Tensor, config: DecoderConfig, origin: JointOrigin) -> Tensor:
    """Return the weights (dim, channels · points) that read the finest map: the decoder is blind for new heatmaps."""
    points = config.level_points[0] ** 2
    plain, joints = config.level_channels[0], config.num_keypoints
    channels = weight.unflatten(1, (-1, points))  # plain channels, K heatmaps, own and mirror heatmap
    heat = channels.new_zeros(len(channels), len(origin.known), points)
    for joint, known in enumerate(origin.known):
        if known >= 0:
            heat[:, joint] = channels[:, plain + known]
    return torch.cat([channels[:, :plain], heat, channels[:, plain + joints :]], 1).flatten(1)
