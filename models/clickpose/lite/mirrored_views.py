"""Flip test for the lite network: every person is seen as it is and mirrored, and the two answers become one.

Heatmap networks are tested on the photo and its mirror image. Here that lasts through the clicks: each decoding, with
any number of fixed joints, is made in both views. Where the two agree their mean is better than either; where they do
not, neither can be trusted, and the predicted OKS says so.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from clickpose.boxes import BODY_SHARE_OF_BOX
from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.lite_decoder import DecoderOutput, EncodedPerson, PoseQueries
from clickpose.networks.movenet import MoveNetFeatures
from clickpose.skeleton import Skeleton
from clickpose.terms import oks_terms

VIEWS = 2  # as it is, mirrored


class PairedPerson(NamedTuple):
    """B crops, each seen as it is and mirrored.

    Attributes:
        views: 2 · B rows, the two views of a crop one after the other, each in its own coordinates.
        initial_norm: (B, K, 2) the trunk's own pose in the view as it is.
        prompt_norm: (B, 4) prompt box, xyxy, in 0..1 of the crop.
    """

    views: EncodedPerson
    initial_norm: Tensor
    prompt_norm: Tensor

    @classmethod
    def of_views(cls, views: EncodedPerson) -> PairedPerson:
        """Pair 2 · B rows."""
        return cls(views, views.initial_norm[::VIEWS], views.prompt_norm[::VIEWS])


class PairedOutput(NamedTuple):
    """As :class:`~clickpose.networks.lite.EncoderOutput`; ``trunk`` saw both views."""

    person: PairedPerson
    trunk: MoveNetFeatures


OwnPerson: TypeAlias = Any  # an EncodedPerson or a PairedPerson, which the network that encoded it takes, and no other


class FlipTestLite(nn.Module):
    """A trained lite network behind the methods of :class:`~clickpose.networks.lite.LiteNetwork`, twice as costly.

    Coordinates and joints are those of the crop as it is.

    Args:
        network: trained.
        skeleton: its joints. Those of one side must be named ``left_…`` or ``right_…`` or be listed in its flip pairs:
            a joint that is not exchanged is taken to be the same one in a mirror.
    """

    sigmas: Tensor
    mirror_joints: Tensor

    def __init__(self, network: LiteNetwork, skeleton: Skeleton):
        super().__init__()
        self.network, self._skeleton = network, skeleton
        self.register_buffer("sigmas", torch.tensor(skeleton.sigmas, dtype=torch.float32), persistent=False)
        self.register_buffer("mirror_joints", torch.tensor(skeleton.flip_indices.tolist()), persistent=False)

    @property
    def config(self) -> LiteConfig:
        """Of the network."""
        return self.network.config

    def of(self, network: LiteNetwork) -> FlipTestLite:
        """Return the same for another network with these joints."""
        return FlipTestLite(network, self._skeleton).train(self.training)

    def encode(self, image: Tensor, prompt_norm: Tensor) -> PairedOutput:
        """Run trunk and neck on both views.

        Args:
            image: (B, 3, S, S) uint8 or float, RGB in 0..255.
            prompt_norm: (B, 4) prompt box in 0..1 of the crop, xyxy.
        """
        both, prompts = both_views(image, prompt_norm)
        encoded, trunk = self.network.encode(both.contiguous(memory_format=torch.channels_last), prompts)
        return PairedOutput(PairedPerson.of_views(encoded), trunk)

    @staticmethod
    def initial_queries(person: PairedPerson) -> PoseQueries:
        """Start from what the trunk saw in each view (NaN positions) and the prompt box, nothing fixed (V = 1)."""
        unknown = torch.full_like(person.initial_norm, float("nan"))[:, None]
        return PoseQueries(unknown, torch.zeros_like(unknown[..., 0], dtype=torch.bool), person.prompt_norm[:, None])

    def decode(self, person: PairedPerson, queries: PoseQueries) -> DecoderOutput:
        """Refine V variants of each encoded person in both views, and merge the answers.

        A joint whose position is NaN starts where each view's own trunk saw it.
        """
        output = self.network.decode(person.views, PoseQueries(*map(_interleave, queries, self.mirror(*queries))))
        plain, mirrored = (
            DecoderOutput(
                keypoints_norm=output.keypoints_norm[:, view::VIEWS],
                boxes_norm=output.boxes_norm[:, view::VIEWS],
                oks_logits=output.oks_logits[view::VIEWS],
                visibility_logits=output.visibility_logits[view::VIEWS],
                tokens=output.tokens[view::VIEWS],
            )
            for view in range(VIEWS)
        )
        merged = merge_views(plain, self.unmirror(mirrored), self.sigmas)
        held = torch.where(queries.fixed[..., None], queries.keypoints_norm, merged.keypoints_norm)
        return merged._replace(keypoints_norm=held)

    def mirror(self, keypoints: Tensor, fixed: Tensor, boxes: Tensor) -> PoseQueries:
        """Return queries as the mirrored view has them."""
        return PoseQueries(self._mirror_keypoints(keypoints), fixed[..., self.mirror_joints], mirror_boxes(boxes))

    def unmirror(self, output: DecoderOutput) -> DecoderOutput:
        """Return an answer in the mirrored view as the view as it is has it."""
        order = self.mirror_joints
        return DecoderOutput(
            keypoints_norm=self._mirror_keypoints(output.keypoints_norm),
            boxes_norm=mirror_boxes(output.boxes_norm),
            oks_logits=output.oks_logits[..., order],
            visibility_logits=output.visibility_logits[..., order],
            tokens=output.tokens[..., order, :],
        )

    def _mirror_keypoints(self, keypoints: Tensor) -> Tensor:
        """Exchange left and right in (..., K, 2) positions and their order; twice gives back what was."""
        x, y = keypoints[..., self.mirror_joints, :].unbind(-1)
        return torch.stack([1 - x, y], -1)


def merge_views(first: DecoderOutput, second: DecoderOutput, sigmas: Tensor) -> DecoderOutput:
    """Make one answer of two about the same persons, in the same coordinates.

    A joint lies at the mean of both positions, weighted by the odds of their predicted OKS, so that a much surer one
    decides. Its predicted OKS is the one of the mean logit, times what the two positions score
    against the merged one (their mean OKS, weighted alike): two guesses that disagree cannot both be right. Boxes,
    visibility logits and tokens are plain means.

    Args:
        first, second: decodings of B persons in V variants.
        sigmas: (K,) OKS sigmas.
    """
    return merge_stacked(DecoderOutput(*map(torch.stack, zip(first, second, strict=True))), sigmas)


def merge_stacked(views: DecoderOutput, sigmas: Tensor) -> DecoderOutput:
    """Make one answer of N along a new first axis, as :func:`merge_views` does of two; a single one stays itself."""
    weights = views.oks_logits.softmax(0)  # (N, B, V, K)
    keypoints = (views.keypoints_norm * weights[:, None, ..., None]).sum(0)
    boxes = views.boxes_norm.mean(0)
    size = (boxes[-1, ..., 2:] - boxes[-1, ..., :2]).clamp(min=1e-3)
    area = BODY_SHARE_OF_BOX * size.prod(-1)
    agreement = (weights * oks_terms(views.keypoints_norm[:, -1], keypoints[-1], area, sigmas)).sum(0)
    scores = views.oks_logits.mean(0).sigmoid() * agreement
    return DecoderOutput(
        keypoints_norm=keypoints,
        boxes_norm=boxes,
        oks_logits=scores.logit(eps=1e-6),
        visibility_logits=views.visibility_logits.mean(0),
        tokens=views.tokens.mean(0),
    )


def both_views(image: Tensor, prompt_norm: Tensor) -> tuple[Tensor, Tensor]:
    """Return 2 · B crops and prompt boxes, each as it is and then mirrored, of (B, 3, S, S) and (B, 4)."""
    return _interleave(image, image.flip(-1)), _interleave(prompt_norm, mirror_boxes(prompt_norm))


def mirror_boxes(boxes_norm: Tensor) -> Tensor:
    """Mirror (..., 4) boxes, xyxy in 0..1, left to right."""
    left, top, right, bottom = boxes_norm.unbind(-1)
    return torch.stack([1 - right, top, 1 - left, bottom], -1)


def _interleave(first: Tensor, second: Tensor) -> Tensor:
    """Return the 2 · B rows first[0], second[0], first[1], second[1], …"""
    return torch.stack([first, second], 1).flatten(0, 1)
