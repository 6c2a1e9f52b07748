"""The human-to-keypoint decoder: each person is one box query and K keypoint queries, refined layer by layer.

It starts from a human query (first pass), or from a pose that a human has corrected (the feedback loop of Click-Pose,
Sec. 3.3), in which case the content of the queries comes from the label codebook. Persons are isolated: the 1 + K
queries of one attend only to each other, so that any of them can be run alone with the same result.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from clickpose.networks.decoder_layer import DecoderCommon, DecoderLayer
from clickpose.networks.deformable_attention import Memory
from clickpose.networks.human_decoder import HumanQueries
from clickpose.networks.mlp import MLP
from clickpose.networks.position_embedding import inverse_sigmoid

PERSON_CODE = 1  # row of the human codebook that stands for a person
_FIRST_JOINT_CODE = 1  # row 0 of the joint codebook stands for no joint


class PersonQueries(NamedTuple):
    """N persons of each image, as the decoder takes them; coordinates in 0..1 of the image.

    Attributes:
        content: (B, N, 1 + K, C), the box first.
        references: (B, N, 1 + K, 4) cx, cy, w, h.
    """

    content: Tensor
    references: Tensor


class PersonReading(NamedTuple):
    """What a layer reports of N persons; coordinates in 0..1 of the image.

    Attributes:
        class_logits: (B, N, classes).
        boxes_norm: (B, N, 4) cx, cy, w, h.
        keypoints_norm: (B, N, K, 2).
        content: (B, N, 1 + K, C) normed content that all of it was read from: the features of CCNet's head.
    """

    class_logits: Tensor
    boxes_norm: Tensor
    keypoints_norm: Tensor
    content: Tensor


class KeypointDecoder(nn.Module):
    """See the module docstring.

    Args:
        dim, heads, levels, points, ffn_dim, layers, classes: sizes.
        num_keypoints: K.
        persons: persons that the first pass keeps; each rank has initial keypoint contents of its own.
        human_codes: rows of the human codebook.
    """

    def __init__(
        self, dim: int, heads: int, levels: int, points: int, ffn_dim: int, layers: int, classes: int,
        num_keypoints: int, persons: int, human_codes: int,
    ):  # fmt: skip
        super().__init__()
        self.num_keypoints = num_keypoints
        self.layers = nn.ModuleList(DecoderLayer(dim, heads, levels, points, ffn_dim) for _ in range(layers))
        self.box_heads = nn.ModuleList(MLP(dim, 4, layers=3) for _ in range(layers))
        self.class_heads = nn.ModuleList(nn.Linear(dim, classes) for _ in range(layers))
        self.keypoint_heads = nn.ModuleList(MLP(dim, 2, layers=3) for _ in range(layers))
        self.size_head = MLP(dim, 2, layers=3)
        self.initial_head = MLP(dim, 2, layers=3)
        self.rank_content = nn.Embedding(persons * num_keypoints, dim)
        self.size_share = nn.Embedding(num_keypoints, 2)
        self.human_codebook = nn.Embedding(human_codes, dim)
        self.joint_codebook = nn.Embedding(_FIRST_JOINT_CODE + num_keypoints, dim)

    def expand(self, humans: HumanQueries, same_rank: bool = False) -> PersonQueries:
        """Give every human query its keypoint queries.

        Args:
            humans: N queries of each image, best first.
            same_rank: give all of them the contents of the first rank, for boxes that somebody drew.
        """
        batch, persons, dim = humans.content.shape
        content = self.rank_content.weight.view(-1, self.num_keypoints, dim)
        content = content[:1].expand(persons, -1, -1) if same_rank else content[:persons]
        content = content[None].expand(batch, -1, -1, -1)
        centers = inverse_sigmoid(humans.boxes_norm[:, :, None, :2])
        keypoints = (centers + self.initial_head(content)).sigmoid()
        return PersonQueries(
            torch.cat([humans.content[:, :, None], content], 2), self._references(humans.boxes_norm, keypoints)
        )

    def feedback(self, keypoints_norm: Tensor, boxes_norm: Tensor) -> PersonQueries:
        """Make queries of corrected poses; their content comes from the codebooks.

        Args:
            keypoints_norm: (B, N, K, 2).
            boxes_norm: (B, N, 4) cx, cy, w, h.
        """
        batch, persons = boxes_norm.shape[:2]
        codes = torch.cat(
            [self.human_codebook.weight[PERSON_CODE, None], self.joint_codebook.weight[_FIRST_JOINT_CODE:]]
        )
        return PersonQueries(codes.expand(batch, persons, -1, -1), self._references(boxes_norm, keypoints_norm))

    def _references(self, boxes_norm: Tensor, keypoints_norm: Tensor) -> Tensor:
        """Return (B, N, 1 + K, 4): the box, then the keypoints as boxes of a learned share of its size."""
        sides = self.size_share.weight.sigmoid() * boxes_norm[:, :, None, 2:]
        return torch.cat([boxes_norm[:, :, None], torch.cat([keypoints_norm, sides], -1)], 2)

    def forward(
        self,
        queries: PersonQueries,
        memory: Memory,
        common: DecoderCommon,
        fixed: Tensor | None = None,
        readings: list[PersonReading] | None = None,
    ) -> PersonReading:
        """Refine the persons.

        Args:
            queries: what to start from.
            memory: encoded image.
            common: what both decoders share.
            fixed: (B, N, K) bool, keypoints that stay exactly where they are; None to let all of them drift, as the
                published code does.
            readings: gets what every layer reports, which training supervises; None where nobody asks.

        Returns:
            What the last layer reports.
        """
        batch, persons, group, dim = queries.content.shape
        content, references = queries.content.flatten(1, 2), queries.references
        held = references[:, :, 1:, :2]
        for number, layer in enumerate(self.layers):
            flat = references.flatten(1, 2)
            content = layer(content, common.position(flat, memory), flat, memory, group=group)
            by_person = content.view(batch, persons, group, dim)
            last = number == len(self.layers) - 1
            if last or readings is not None:
                reading = self._read(number, common.norm(by_person), references, held, fixed)
                if readings is not None:
                    readings.append(reading)
            if not last:
                references = self._next_references(number, by_person, references, held, fixed)
        return reading

    def _read(
        self, number: int, content: Tensor, references: Tensor, held: Tensor, fixed: Tensor | None
    ) -> PersonReading:
        """Read layer ``number``'s report from its normed content and the references that went into it."""
        person, joints = content[:, :, 0], content[:, :, 1:]
        logits = inverse_sigmoid(references)
        keypoints = (logits[:, :, 1:, :2] + self.keypoint_heads[number](joints)).sigmoid()
        boxes = (logits[:, :, 0] + self.box_heads[number](person)).sigmoid()
        return PersonReading(self.class_heads[number](person), boxes, _hold(keypoints, held, fixed), content)

    def _next_references(
        self, number: int, content: Tensor, references: Tensor, held: Tensor, fixed: Tensor | None
    ) -> Tensor:
        """Refine the references with the un-normed content (B, N, 1 + K, C).

        Positions pass no gradient to the next layer, which starts from them as if they were given. The sizes of
        keypoints do: nothing else would train the head that makes them.
        """
        person, joints = content[:, :, :1], content[:, :, 1:]
        logits = inverse_sigmoid(references)
        boxes = (logits[:, :, :1] + self.box_heads[number](person)).sigmoid().detach()
        points = (logits[:, :, 1:, :2] + self.keypoint_heads[number](joints)).sigmoid().detach()
        sizes = (logits[:, :, 1:, 2:] + self.size_head(joints)).sigmoid()
        return torch.cat([boxes, torch.cat([_hold(points, held, fixed), sizes], -1)], 2)


def _hold(keypoints: Tensor, held: Tensor, fixed: Tensor | None) -> Tensor:
    return keypoints if fixed is None else torch.where(fixed[..., None], held, keypoints)
