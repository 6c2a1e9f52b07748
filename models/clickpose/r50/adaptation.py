"""Give the end-to-end network another skeleton (Click-Pose, Sec. 4.5), official checkpoints included.

What belongs to a joint is its row of the codebook, its initial content for each rank, and its share of the box's size.
Known joints keep theirs, new ones take the mean of their neighbours' and so are first looked for in their middle. The
heads are shared by the joints and stay as they are. The joints of a person attend to each other, so that even without
training the known ones move a little when others come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from clickpose.joint_origin import JointOrigin, joint_origin
from clickpose.networks.clickpose import ClickPose
from clickpose.skeleton import Skeleton

_CODEBOOK = "keypoint_decoder.joint_codebook.weight"
_CONTENT = "keypoint_decoder.rank_content.weight"
_SIZE = "keypoint_decoder.size_share.weight"


def adapt_state(state: Mapping[str, Tensor], origin: JointOrigin) -> dict[str, Tensor]:
    """Return the weights of a :class:`ClickPose` for the new skeleton.

    Args:
        state: of the old network.
        origin: where the joints come from.
    """
    codebook = state[_CODEBOOK]  # its first row stands for no joint
    by_rank = state[_CONTENT].unflatten(0, (-1, origin.mixture.shape[1]))  # (persons, K old, C)
    return dict(state) | {
        _CODEBOOK: torch.cat([codebook[:1], origin.mix(codebook[1:])]),
        _CONTENT: origin.mix(by_rank.transpose(0, 1)).transpose(0, 1).flatten(0, 1),
        _SIZE: origin.mix(state[_SIZE]),
    }


def adapt_network(network: ClickPose, old: Skeleton, new: Skeleton) -> tuple[ClickPose, JointOrigin]:
    """Return a network for another skeleton, without training; see :func:`clickpose.lite.adaptation.adapt_network`."""
    origin = joint_origin(old, new)
    adapted = ClickPose(replace(network.config, num_keypoints=len(new)))
    adapted.load_state_dict(adapt_state(network.state_dict(), origin))
    return adapted.train(network.training), origin
