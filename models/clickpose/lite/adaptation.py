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
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig
from clickpose.skeleton import Skeleton

FLAT_HEATMAP_LOGIT = -5.0  # about what the trained heatmaps have far from a joint


@dataclass(frozen=True)
class JointOrigin:
    """Where the joints of a new skeleton come from.

    Attributes:
        known: for each new joint its index in the old skeleton, -1 for an added one.
        mixture: (K new, K old) rows that sum to 1: one old joint, or the mean of an added joint's neighbours.
    """

    known: tuple[int, ...]
    mixture: Tensor

    @property
    def added(self) -> tuple[int, ...]:
        """The new skeleton's joints that the old one lacks."""
        return tuple(joint for joint, origin in enumerate(self.known) if origin < 0)


def joint_origin(old: Skeleton, new: Skeleton) -> JointOrigin:
    """Match joints by name, in any usual spelling, and find the others' neighbours along the edges.

    An added joint whose neighbours are all added takes theirs, and so on.

    Raises:
        ValueError: if the skeletons share no joint, or no path of edges leads from an added joint to a known one.
    """
    matches = [old.match(name) for name in new.names]
    known = tuple(-1 if match is None else match for match in matches)
    if all(origin < 0 for origin in known):
        raise ValueError(f"Expected joints of {new.name!r} among {', '.join(old.names)}, got {', '.join(new.names)}")
    mixture = torch.zeros(len(new), len(old), dtype=torch.float64)
    settled = {joint for joint, origin in enumerate(known) if origin >= 0}
    for joint in settled:
        mixture[joint, known[joint]] = 1
    while len(settled) < len(new):
        near = {j: [n for n in new.neighbours(j) if n in settled] for j in range(len(new)) if j not in settled}
        reached = {joint: others for joint, others in near.items() if others}
        if not reached:
            names = ", ".join(new.names[joint] for joint in near)
            raise ValueError(f"Expected edges from the new joints to known ones, got none for {names}")
        for joint, others in reached.items():
            mixture[joint] = mixture[others].mean(dim=0)
        settled |= set(reached)
    return JointOrigin(known, mixture)


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
            rows = _mix(state[name].unflatten(0, (-1, values)), origin)
            adapted[name] = rows.flatten(0, 1)
    # A new joint's heatmap tells nothing yet, and so neither does the offset at its peak.
    for joint in origin.added:
        adapted["trunk.heatmap.1.weight"][joint] = 0
        adapted["trunk.heatmap.1.bias"][joint] = FLAT_HEATMAP_LOGIT
        adapted["trunk.offset.1.weight"][2 * joint : 2 * joint + 2] = 0
        adapted["trunk.offset.1.bias"][2 * joint : 2 * joint + 2] = 0
    codebook = state["decoder.codebook"]
    adapted["decoder.codebook"] = torch.cat([codebook[:1], _mix(codebook[1:], origin)])
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
        ValueError: as :func:`joint_origin`.
    """
    origin, before = joint_origin(old, new), network.config.decoder
    added = tuple(j for j, known in enumerate(origin.known) if known < 0 or known in before.added)
    decoder = replace(before, num_keypoints=len(new), flip_pairs=new.flip_pairs, added=added)
    adapted = LiteNetwork(replace(network.config, decoder=decoder))
    adapted.load_state_dict(adapt_state(network.state_dict(), before, origin))
    return adapted.train(network.training), origin


def _mix(rows: Tensor, origin: JointOrigin) -> Tensor:
    """Return the new joints' rows (K new, …) of the old ones' (K old, …): copies, or means of neighbours."""
    mixed = torch.tensordot(origin.mixture, rows.double(), dims=1).to(rows.dtype)
    for joint, known in enumerate(origin.known):
        if known >= 0:
            mixed[joint] = rows[known]  # bit by bit, whatever the product does
    return mixed


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
