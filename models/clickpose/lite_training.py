"""Train the lite network as the paper trains: own prediction, pose-error modelling, and the human-feedback loop.

One encoding of a crop serves four decodings: (a) from the trunk's own pose, (b) from a corrupted true pose, (c) from
(a)'s result with 1..3 worst joints clicked, (d) from (c)'s result with further clicks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from clickpose.data.persons import PersonBatch
from clickpose.engine import TrainConfig
from clickpose.feedback import Clicked, click_worst
from clickpose.losses import LossWeights, pose_losses, trunk_losses
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import DecoderOutput, EncodedPerson, PoseQueries
from clickpose.pose_errors import PoseErrorConfig, corrupt_poses
from clickpose.skeleton import Skeleton


@dataclass(frozen=True)
class LiteTaskConfig:
    """What the lite network is trained on.

    Attributes:
        frozen_blocks: leading trunk blocks (with the stem) that keep their weights.
        pose_errors: variant (b).
        pose_error_modelling, feedback_loop: switch variants (b) and (c, d) off, for ablations.
        noisy_click_share: share of persons whose clicks are imprecise, and up to how many sigmas.
        weights: loss weights.
    """

    frozen_blocks: int = 6
    pose_errors: PoseErrorConfig = field(default_factory=PoseErrorConfig)
    pose_error_modelling: bool = True
    feedback_loop: bool = True
    noisy_click_share: float = 0.3
    noisy_click_sigmas: float = 0.6
    weights: LossWeights = field(default_factory=LossWeights)


class LiteTask:
    """The trainer's view of the lite network.

    Args:
        model: the network, its trunk pretrained.
        skeleton: joints, sigmas, mirror pairs.
        config: variants and weights.
    """

    def __init__(self, model: LiteNetwork, skeleton: Skeleton, config: LiteTaskConfig | None = None):
        self.model = model.to(memory_format=torch.channels_last)
        self.skeleton = skeleton
        self.config = config or LiteTaskConfig()
        self.sigmas = torch.tensor(skeleton.sigmas, dtype=torch.float32)
        frozen = [model.trunk.stem, *model.trunk.blocks[: self.config.frozen_blocks]]
        for module in frozen if self.config.frozen_blocks else []:
            module.requires_grad_(False)

    def parameter_groups(self, config: TrainConfig) -> list[dict]:
        """Two rates: the pretrained trunk's, and that of neck and decoder."""
        trunk = [p for p in self.model.trunk.parameters() if p.requires_grad]
        rest = [p for part in (self.model.neck, self.model.decoder) for p in part.parameters()]
        return [{"params": trunk, "lr": config.trunk_learning_rate}, {"params": rest, "lr": config.learning_rate}]

    def losses(self, batch: PersonBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Encode once, decode the four variants, add up the terms (means over the decodings)."""
        sigmas = self.sigmas.to(batch.keypoints_norm.device)
        image = batch.image.contiguous(memory_format=torch.channels_last)
        encoded = self.model.encode(image, batch.prompt_norm)
        first = self._start_variants(encoded.person, batch, generator)
        decodings = [(first, self.model.decode(encoded.person, first))]
        if self.config.feedback_loop:
            for most in (3, 6):
                queries = self._click(decodings[-1], batch, generator, most)
                decodings.append((queries, self.model.decode(encoded.person, queries)))
        variants = sum(queries.fixed.shape[1] for queries, _ in decodings)
        total: dict[str, Tensor] = {}
        for queries, output in decodings:
            share = queries.fixed.shape[1] / variants
            for name, term in pose_losses(output, batch, queries.fixed, sigmas, self.config.weights).items():
                total[name] = total.get(name, 0) + share * term
        return total | trunk_losses(encoded.trunk, batch, self.config.weights)

    def _start_variants(self, person: EncodedPerson, batch: PersonBatch, generator: torch.Generator) -> PoseQueries:
        """Variant (a), and (b) beside it."""
        own = self.model.initial_queries(person)
        if not self.config.pose_error_modelling:
            return own
        wrong, kept = corrupt_poses(
            batch.keypoints_norm, batch.area_norm, batch.box_norm, self.sigmas.to(batch.image.device),
            self.skeleton.flip_pairs, generator, self.config.pose_errors,
        )  # fmt: skip
        # Unlabelled joints have no truth to corrupt: they start from the trunk's pose.
        labelled = batch.visibility > 0
        wrong = torch.where(labelled[..., None], wrong, own.keypoints_norm[:, 0])
        # For half of the persons the joints kept right are known to be right, as after clicks.
        known = torch.rand(len(kept), 1, generator=generator, device=kept.device) < 0.5
        return PoseQueries(
            torch.cat([own.keypoints_norm, wrong[:, None]], 1),
            torch.cat([own.fixed, (kept & labelled & known)[:, None]], 1),
            own.box_norm.expand(-1, 2, -1),
        )

    def _click(
        self, decoded: tuple[PoseQueries, DecoderOutput], batch: PersonBatch, generator: torch.Generator, most: int
    ) -> PoseQueries:
        """Click 1..``most`` worst joints of the first variant's result (V = 1)."""
        queries, output = decoded
        count = torch.randint(1, most + 1, (len(batch.image),), generator=generator, device=batch.image.device)
        clicked: Clicked = click_worst(
            output.keypoints_norm[-1, :, 0].detach(), batch.keypoints_norm, batch.visibility > 0, queries.fixed[:, 0],
            batch.area_norm, self.sigmas.to(batch.image.device), count, self._click_noise(batch, generator),
        )  # fmt: skip
        box = output.boxes_norm[-1, :, :1].detach()
        return PoseQueries(clicked.keypoints_norm[:, None], clicked.fixed[:, None], box)

    def _click_noise(self, batch: PersonBatch, generator: torch.Generator) -> Tensor:
        """Gaussian imprecision, in OKS sigmas (2 sigma · sqrt(area)), for a share of the persons."""
        persons, joints, _ = batch.keypoints_norm.shape
        device = batch.image.device
        noisy = torch.rand(persons, 1, 1, generator=generator, device=device) < self.config.noisy_click_share
        strength = torch.rand(persons, 1, 1, generator=generator, device=device) * self.config.noisy_click_sigmas
        tolerance = 2 * self.sigmas.to(device)[:, None] * batch.area_norm.clamp(min=0).sqrt()[:, None, None]
        noise = torch.randn(persons, joints, 2, generator=generator, device=device)
        return noise * tolerance * strength * noisy
