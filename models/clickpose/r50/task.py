"""Train the end-to-end network as the paper does (Sec. 3): L = Lg + Lr + Ll.

One encoding of a photo serves all: Lg compares what every stage says of it with the annotations, by matching, and of
noisy true boxes (denoising), by construction; Lr is the reconstruction of corrupted true poses (pose-error modelling);
Ll compares the poses after simulated clicks (the human-feedback loop).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from clickpose.data.photos import PhotoBatch
from clickpose.feedback import click_worst
from clickpose.networks.backbone import Bottleneck, FrozenBatchNorm, ResNetBackbone, normalise_pixels
from clickpose.networks.channels_last import channels_last
from clickpose.networks.clickpose import PERSON_CLASS, ClickPose, center_to_corners, corners_to_center
from clickpose.networks.deformable_attention import Memory
from clickpose.networks.human_decoder import BoxReading, HumanQueries, prompt_mask
from clickpose.networks.keypoint_decoder import PersonQueries, PersonReading
from clickpose.r50.losses import Assignment, assign_by_matching, stage_losses
from clickpose.r50.matcher import NOBODY, MatchCosts, Targets
from clickpose.r50.noise import Noise, NoiseConfig, draw_noise
from clickpose.skeleton import Skeleton
from clickpose.terms import grow_boxes_tensor
from clickpose.training.engine import TrainConfig
from clickpose.training.processes import mean_over_processes

_PERSON_PRIOR = 0.01  # RetinaNet's (2017, Sec. 4.1): at first hardly any query is a person


@dataclass(frozen=True)
class R50TaskConfig:
    """What the end-to-end network is trained on.

    Attributes:
        costs: weights of the losses, and of the costs of matching.
        noise: denoising, corrupted poses, clicks.
        denoising_person, denoising_box, denoising_pose: coefficients of denoising's terms and of the reconstruction's.
        refined_persons: persons of a photo that the feedback loop runs on, those with an annotation first.
        hold_clicks: keep clicked keypoints in place, as our predictor does; the published network lets them drift.
    """

    costs: MatchCosts = field(default_factory=MatchCosts)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    denoising_person: float = 0.3
    denoising_box: float = 0.5
    denoising_pose: float = 0.5
    refined_persons: int = 20
    hold_clicks: bool = True


class R50Task:
    """The trainer's view of the end-to-end network.

    Args:
        model: the network.
        skeleton: joints, sigmas, mirror pairs.
        config: variants and weights.
    """

    def __init__(self, model: ClickPose, skeleton: Skeleton, config: R50TaskConfig | None = None):
        if model.config.num_keypoints != len(skeleton):
            raise ValueError(f"Expected a network for {len(skeleton)} keypoints, got {model.config.num_keypoints}")
        self.model = channels_last(model)
        self.skeleton = skeleton
        self.config = config or R50TaskConfig()
        self.sigmas = torch.tensor(skeleton.sigmas, dtype=torch.float32)

    def parameter_groups(self, config: TrainConfig) -> list[dict]:
        """Two rates: the backbone's, and that of the rest; a backbone of rate 0 keeps its weights, at less cost."""
        if not config.trunk_learning_rate:
            self.model.backbone.requires_grad_(False)
        backbone = list(self.model.backbone.parameters())
        known = {id(parameter) for parameter in backbone}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in known]
        return [{"params": backbone, "lr": config.trunk_learning_rate}, {"params": rest, "lr": config.learning_rate}]

    def losses(self, batch: PhotoBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the terms, for each person of the batch.

        The random numbers follow from the photos' seeds and not from ``generator``, so that several processes which
        share a batch draw what one would.
        """
        self.sigmas = self.sigmas.to(batch.boxes_norm.device)
        targets = Targets(*(getattr(batch, name) for name in Targets._fields))
        memory = self._encode(batch)
        codes = self.model.config.human_codes
        noise = draw_noise(batch.seed, targets, self.skeleton, codes, self.config.noise)
        humans, guided, found = self._human_stage(memory, targets, noise, batch)
        reading, assignment, posed = self._pose_stage(memory, humans, guided, targets, noise, batch)
        clicked = self._feedback(memory, reading, assignment, targets, noise)
        count = mean_over_processes(targets.present.sum()).clamp(min=1)
        return {name: value / count for name, value in _sum_terms([found, posed, clicked]).items()}

    def _encode(self, batch: PhotoBatch) -> Memory:
        padding = batch.padding_mask if batch.padding_mask.any() else None
        pixels = normalise_pixels(batch.image).masked_fill(batch.padding_mask[:, None], 0.0)
        return self.model.encode(pixels.contiguous(memory_format=torch.channels_last), padding)

    def _human_stage(
        self, memory: Memory, targets: Targets, noise: Noise, batch: PhotoBatch
    ) -> tuple[HumanQueries, HumanQueries, dict[str, Tensor]]:
        """Find the humans, beside the noisy boxes, which see them unseen.

        Returns:
            the best human queries; those of one noisy box for each person; losses.
        """
        model = self.model
        proposals = model.proposals(memory, model.config.queries)
        own, noisy = proposals.content.shape[1], noise.boxes_norm.shape[1]
        readings: list[BoxReading] = []
        queries = model.human_decoder(
            torch.cat([proposals.content.detach(), model.keypoint_decoder.human_codebook(noise.codes)], 1),
            torch.cat([proposals.boxes_norm.detach(), noise.boxes_norm], 1),
            memory, model.common, mask=prompt_mask(own, noisy, noise.codes.device), readings=readings,
        )  # fmt: skip
        stages = [BoxReading(proposals.class_logits, proposals.boxes_norm)]
        stages += [BoxReading(*(part[:, :own] for part in reading)) for reading in readings]
        denoised = [BoxReading(*(part[:, own:] for part in reading)) for reading in readings]
        by_design = Assignment.known(noise.person, noise.weight)
        losses = _sum_terms(
            [self._matched(stage, targets, batch)[1] for stage in stages]
            + [self._denoising(reading, by_design, targets) for reading in denoised if noisy]
        )
        best = HumanQueries(*(part[:, :own] for part in queries)).best(model.config.persons)
        people = targets.present.shape[1] if self.config.noise.groups else 0
        guided = HumanQueries(*(part[:, own : own + people] for part in queries))
        return best, guided, losses

    def _pose_stage(
        self, memory: Memory, humans: HumanQueries, guided: HumanQueries, targets: Targets, noise: Noise,
        batch: PhotoBatch,
    ) -> tuple[PersonReading, Assignment, dict[str, Tensor]]:  # fmt: skip
        """Decode poses: of the humans found, of one noisy box for each person, and from corrupted poses.

        Persons are isolated in this decoder, so one run serves all three.

        Returns:
            what the last layer says of the humans found; whom they answer for; losses.
        """
        decoder = self.model.keypoint_decoder
        own, prompted = humans.content.shape[1], guided.content.shape[1]
        boxes = noise.boxes_norm if prompted else targets.boxes_norm
        wrong = boxes[:, : targets.present.shape[1]].repeat(1, self.config.noise.pose_variants, 1)
        parts = [decoder.expand(humans), decoder.expand(guided, True), decoder.feedback(noise.poses_norm, wrong)]
        queries = PersonQueries(*(torch.cat(fields, 1) for fields in zip(*parts, strict=True)))
        free = noise.held.new_zeros(len(noise.held), own + prompted, noise.held.shape[2])
        readings: list[PersonReading] = []
        decoder(queries, memory, self.model.common, torch.cat([free, noise.held], 1), readings)
        people = _numbered(targets)
        losses = []
        for reading in readings:
            found, drawn, posed = (
                PersonReading(*parts)
                for parts in zip(*(part.split([own, prompted, wrong.shape[1]], 1) for part in reading), strict=True)
            )
            assignment, terms = self._matched(found, targets, batch)
            losses.append(terms)
            if prompted:
                losses.append(self._denoising(drawn, Assignment.known(people), targets))
            losses.append(self._reconstruction(posed, people, targets))
        return found, assignment, _sum_terms(losses)

    def _feedback(
        self, memory: Memory, reading: PersonReading, assignment: Assignment, targets: Targets, noise: Noise
    ) -> dict[str, Tensor]:
        """Click the worst joints of matched persons, run the decoder again, and so on (Ll)."""
        reading, assignment = _refined_persons(reading, assignment, self.config.refined_persons)
        rows = assignment.person.clamp(min=0)
        fixed = reading.keypoints_norm.new_zeros(reading.keypoints_norm.shape[:3], dtype=torch.bool)
        losses = []
        for clicks in noise.clicks.unbind(1):
            count = clicks.gather(1, rows) * (assignment.person != NOBODY)
            keypoints, fixed = _click(reading.keypoints_norm.detach().float(), fixed, rows, count, targets, self.sigmas)
            boxes = grow_boxes_tensor(center_to_corners(reading.boxes_norm.detach().float()), keypoints)
            queries = self.model.keypoint_decoder.feedback(keypoints, corners_to_center(boxes))
            readings: list[PersonReading] = []
            held = fixed if self.config.hold_clicks else None
            reading = self.model.keypoint_decoder(queries, memory, self.model.common, held, readings)
            losses += [stage_losses(r, assignment, targets, self.sigmas, self.config.costs) for r in readings]
        return {"feedback": _total(losses) / max(len(self.config.noise.click_rounds), 1)} if losses else {}

    def _matched(
        self, reading: BoxReading | PersonReading, targets: Targets, batch: PhotoBatch
    ) -> tuple[Assignment, dict[str, Tensor]]:
        costs = self.config.costs
        assignment = assign_by_matching(reading, targets, batch.ignored_norm, self.sigmas, costs)
        return assignment, stage_losses(reading, assignment, targets, self.sigmas, costs)

    def _denoising(
        self, reading: BoxReading | PersonReading, assignment: Assignment, targets: Targets
    ) -> dict[str, Tensor]:
        terms = stage_losses(reading, assignment, targets, self.sigmas, self.config.costs)
        task = self.config
        factors = {"person": task.denoising_person, "box": task.denoising_box}
        total: Any = sum(factors.get(name, task.denoising_pose) * term for name, term in terms.items())
        return {"denoising": total}

    def _reconstruction(self, reading: PersonReading, people: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return Lr: the L1 of the pose, and the box's terms as its box was noisy."""
        variants = self.config.noise.pose_variants
        if not variants:
            return {}
        assignment = Assignment.known(people.repeat(1, variants), 1 / variants)
        terms = stage_losses(reading, assignment, targets, self.sigmas, self.config.costs)
        box, pose = self.config.denoising_box * terms["box"], self.config.denoising_pose * terms["keypoints"]
        return {"reconstruction": box + pose}


def _click(
    keypoints: Tensor, fixed: Tensor, rows: Tensor, count: Tensor, targets: Targets, sigmas: Tensor
) -> tuple[Tensor, Tensor]:
    """Click ``count`` (B, R) worst joints of (B, R, K, 2) poses whose persons are ``rows``; returns poses and fixed."""
    image = torch.arange(len(rows), device=rows.device)[:, None]
    aspect = targets.aspect[:, None, None]
    flat = [keypoints * aspect, targets.keypoints_norm[image, rows] * aspect, targets.labelled[image, rows], fixed]
    flat.append(targets.area_norm[image, rows])
    poses, truth, labelled, held, area = (value.flatten(0, 1) for value in flat)
    clicked = click_worst(poses, truth, labelled, held, area, sigmas, count.flatten())
    new = clicked.fixed.view_as(fixed)
    return torch.where((new & ~fixed)[..., None], targets.keypoints_norm[image, rows], keypoints), new


def _refined_persons(reading: PersonReading, assignment: Assignment, count: int) -> tuple[PersonReading, Assignment]:
    """Choose the persons that the loop runs on: matched ones, then the surest others."""
    matched = assignment.person != NOBODY
    scores = reading.class_logits[..., PERSON_CLASS].detach().float().masked_fill(matched, math.inf)
    count = min(max(count, int(matched.sum(1).max())), scores.shape[1])
    chosen = scores.topk(count, dim=1).indices
    image = torch.arange(len(chosen), device=chosen.device)[:, None]
    return (
        PersonReading(*(part[image, chosen] for part in reading)),
        Assignment(*(part[image, chosen] for part in assignment)),
    )


def _numbered(targets: Targets) -> Tensor:
    """Return (B, N): each present person's own index, -1 for filled-up places."""
    index = torch.arange(targets.present.shape[1], device=targets.present.device)
    return torch.where(targets.present, index, NOBODY)


def _sum_terms(terms: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Add up dictionaries by name."""
    total: dict[str, Tensor] = {}
    for part in terms:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total


def _total(terms: Iterable[dict[str, Tensor]]) -> Tensor:
    total: Any = sum(value for part in terms for value in part.values())
    return total


def prepare_for_training(network: ClickPose) -> None:
    """Start the heads of a fresh network as DETR's kin do: nobody is a person, and no box or keypoint moves yet."""
    bias = -math.log((1 - _PERSON_PRIOR) / _PERSON_PRIOR)
    decoders = (network.human_decoder, network.keypoint_decoder)
    surest: list[Any] = [network.proposals.class_head, *(head for decoder in decoders for head in decoder.class_heads)]
    for head in surest:
        nn.init.constant_(head.bias, bias)
    moving: list[Any] = [network.proposals.box_head, *(head for decoder in decoders for head in decoder.box_heads)]
    for head in [*moving, *network.keypoint_decoder.keypoint_heads]:
        nn.init.zeros_(head.layers[-1].weight)
        nn.init.zeros_(head.layers[-1].bias)


@torch.no_grad()
def fit_normalisation(backbone: ResNetBackbone, images: Tensor) -> None:
    """Set the frozen normalisations of a backbone without published weights to the statistics of some images.

    Frozen as they are, they would leave a fresh network's activations to vanish. Call it once, before training.

    Args:
        backbone: changed in place.
        images: (B, 3, H, W) normalised.
    """

    def fit(norm: FrozenBatchNorm, inputs: tuple[Tensor, ...]) -> None:
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3)).clamp(min=1e-6))

    for block in (module for module in backbone.modules() if isinstance(module, Bottleneck)):
        nn.init.constant_(block.bn3.weight, 0.5)  # the sum with the shortcut stays near unit variance
    norms = [module for module in backbone.modules() if isinstance(module, FrozenBatchNorm)]
    hooks = [norm.register_forward_pre_hook(fit) for norm in norms]
    backbone(images)
    for hook in hooks:
        hook.remove()
