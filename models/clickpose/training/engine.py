"""The trainer: steps, schedule, moving average, checkpoints, resume, progress. A task supplies network and loss.

The random changes of every sample follow from (seed, step, index) and those of every step from (seed, step), so an
interrupted run that resumes sees what an uninterrupted one would have seen. Several processes
(:mod:`clickpose.training.processes`) split each batch and average their gradients.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from clickpose.training.processes import backward, mean_over_processes, rank_and_world, share_losses


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: optimiser steps in all.
        batch_size: persons a step, all processes together.
        learning_rate: of the parts trained anew.
        trunk_learning_rate: of the pretrained trunk.
        weight_decay: AdamW's.
        clip_norm: gradient norm bound.
        warmup_steps: linear warm-up.
        decay_share: share of the steps, at the end, over which the rate falls to zero; it is constant before, so that a
            run can be extended without having decayed too early.
        drop: factor of the rate in those steps instead, such as 0.1; 0 to let it fall.
        ema_decay: moving average of the weights, the one that is kept.
        seed: of everything random.
        workers: data loading processes.
        checkpoint_steps: steps between checkpoints.
        bf16: run convolutions and matrix products in bfloat16.
    """

    steps: int = 4000
    batch_size: int = 32
    learning_rate: float = 6e-4
    trunk_learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    warmup_steps: int = 150
    decay_share: float = 0.35
    drop: float = 0.0
    ema_decay: float = 0.998
    seed: int = 0
    workers: int = 1
    checkpoint_steps: int = 100
    bf16: bool = True


class TrainingTask(Protocol):
    """What the trainer needs of a network."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    def parameter_groups(self, config: TrainConfig) -> list[dict]:
        """Return AdamW parameter groups, each with its base rate ``lr``."""

    def losses(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the weighted loss terms of a batch by name."""


class EpochSampler(Sampler):
    """Yield batches of (index, step) pairs without end from a weighted mixture, from any step on.

    Args:
        weights: how often an epoch shows each sample.
        batch_size: samples a batch, all processes together.
        seed: of the order.
        first_step: where to go on.
        rank, world: this process's number and how many there are.
        groups: number of each sample's group; those of one group come together, as far as they fill batches. None for
            samples that all go together.
    """

    def __init__(
        self, weights: Sequence[float], batch_size: int, seed: int, first_step: int = 0, rank: int = 0, world: int = 1,
        groups: Sequence[int] | None = None,
    ):  # fmt: skip
        self.weights = np.asarray(weights, dtype=np.float64)
        self.groups = None if groups is None else np.asarray(groups)
        self.batch_size, self.seed, self.first_step = batch_size, seed, first_step
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        step, size = self.first_step, len(self.weights)
        batches = max(1, int(np.floor(self.weights).sum()) // self.batch_size)  # whole batches only
        while True:
            epoch, position = divmod(step, batches)
            rng = np.random.default_rng([self.seed, epoch])
            whole = np.floor(self.weights).astype(int) + (rng.random(size) < self.weights % 1)
            whole = whole if whole.any() else np.ones_like(whole)  # chance left out everybody of a small data set
            order = rng.permutation(np.repeat(np.arange(size), whole))
            starts = np.arange(batches)
            if self.groups is not None:
                order = order[np.argsort(self.groups[order], kind="stable")]
                starts = rng.permutation(starts)
            for start in starts[position:]:
                chosen = order[start * self.batch_size : (start + 1) * self.batch_size]
                yield [(int(i), step) for i in chosen[self.rank :: self.world]]
                step += 1


def rate_factor(step: int, config: TrainConfig) -> float:
    """Return the learning rate at ``step`` relative to its base: warm-up, constant, then a drop or 1 - sqrt decay."""
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    start = config.steps * (1 - config.decay_share)
    if step <= start:
        return warmup
    if config.drop:
        return warmup * config.drop
    return warmup * max(0.0, 1 - ((step - start) / (config.steps - start)) ** 0.5)


def _next_batch(batches: Iterator) -> Any:
    """Return the next batch; of an error of a loading process, which comes with its traceback, the sentence is kept."""
    try:
        return next(batches)
    except (OSError, ValueError) as error:
        sentence = str(error).rstrip().splitlines()[-1]
        raise type(error)(re.sub(rf"^([\w.]+\.)?{type(error).__name__}: ", "", sentence)) from None


def _to_device(value: Any, device: torch.device) -> Any:
    """Move a tensor, or a (named) tuple of such values."""
    if isinstance(value, Tensor):
        return value.to(device)
    moved = [_to_device(item, device) for item in value]
    return type(value)(*moved) if hasattr(value, "_fields") else tuple(moved)


class Trainer:
    """Run a task and keep its state on disk.

    Args:
        task: the network and its losses.
        dataset: indexed by (index, step); the step seeds the random changes of the sample.
        weights: how often an epoch shows each sample (2 = twice; a fraction is a chance).
        collate: stacks samples into a batch.
        config: how to train.
        folder: where the checkpoint and the log go; a checkpoint found there is resumed.
        device: torch device.
        groups: which samples go together, as for :class:`EpochSampler`.

    Raises:
        ValueError: if not all processes found the same checkpoint, or the run has more steps already.
    """

    def __init__(
        self, task: TrainingTask, dataset: Dataset, weights: Sequence[float], collate: Callable, config: TrainConfig,
        folder: str | Path, device: str = "cpu", groups: Sequence[int] | None = None,
    ):  # fmt: skip
        self.task, self.config, self.device = task, config, torch.device(device)
        self.dataset, self.weights, self.collate, self.sample_groups = dataset, weights, collate, groups
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = task.model.to(self.device)
        self.groups = task.parameter_groups(config)
        self.base_rates = [group["lr"] for group in self.groups]
        self.optimizer = torch.optim.AdamW(self.groups, weight_decay=config.weight_decay, fused=True)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.rank, self.world = rank_and_world()
        self.step = 0
        if self.checkpoint_path.exists():
            self._resume()
        self._check_together()
        self.losses = share_losses(self.model, task.losses)

    @property
    def checkpoint_path(self) -> Path:
        """The one checkpoint of this run."""
        return self.folder / "checkpoint.pt"

    def _resume(self) -> None:
        state = torch.load(self.checkpoint_path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        if self.step > self.config.steps:
            raise ValueError(
                f"Expected at least the {self.step} steps that {self.folder} was trained for already, got "
                f"{self.config.steps}; name another working folder"
            )
        tqdm.write(f"resumed {self.checkpoint_path} at step {self.step} of {self.config.steps}")

    def _check_together(self) -> None:
        """Refuse to go on where some processes found the checkpoint and others did not."""
        mean = mean_over_processes(torch.tensor(float(self.step), device=self.device)).item()
        if mean != self.step:
            raise ValueError(
                f"Expected all {self.world} processes to find one checkpoint, got step {self.step} here and others "
                f"elsewhere: {self.folder} must be the same folder on all machines"
            )

    def save(self) -> None:
        """Write the checkpoint; a crash while writing leaves the previous one whole."""
        state = {
            "model": self.model.state_dict(), "average": self.average, "optimizer": self.optimizer.state_dict(),
            "step": self.step, "config": json.dumps(asdict(self.config)),
        }  # fmt: skip
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint_path)

    def run(self) -> None:
        """Train until ``config.steps``; shows losses and the time left."""
        config = self.config
        sampler = EpochSampler(
            self.weights, config.batch_size, config.seed, self.step, self.rank, self.world, self.sample_groups
        )
        loader = DataLoader(
            self.dataset, batch_sampler=sampler, collate_fn=self.collate, num_workers=self.config.workers,
            prefetch_factor=4 if self.config.workers else None,
        )  # fmt: skip
        batches = iter(loader)
        progress = tqdm(
            total=self.config.steps, initial=self.step, desc="training", unit="step", mininterval=5,
            disable=self.rank > 0,
        )  # fmt: skip
        smooth: dict[str, float] = {}
        with progress:  # an error closes the line
            while self.step < self.config.steps:
                batch = _next_batch(batches)
                terms = self.train_step(_to_device(batch, self.device))
                smooth = {name: 0.98 * smooth.get(name, value) + 0.02 * value for name, value in terms.items()}
                progress.update()
                progress.set_postfix({name: f"{value:.3f}" for name, value in smooth.items()}, refresh=False)
                if self.rank == 0 and (self.step % config.checkpoint_steps == 0 or self.step == config.steps):
                    self.save()
                    self._log(smooth)

    def train_step(self, batch: Any) -> dict[str, float]:
        """Take one optimiser step and return the loss terms."""
        self.model.train()
        factor = rate_factor(self.step, self.config)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        generator = torch.Generator(self.device).manual_seed(
            (self.config.seed * 1_000_003 + self.step) * 64 + self.rank
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            terms = self.losses(batch, generator)
        total = sum(terms.values())
        if not torch.isfinite(total):
            values = ", ".join(f"{name} {value.item():g}" for name, value in terms.items())
            raise FloatingPointError(
                f"Expected a finite loss at step {self.step}, got {values}: the training has diverged"
            )
        self.optimizer.zero_grad(set_to_none=True)
        backward(total)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return {name: float(value.detach()) for name, value in terms.items()}

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema_decay, self.step / (self.step + 10))
        state = self.model.state_dict()
        moving = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in moving], [state[n] for n in moving], 1 - decay)
        for name in state.keys() - set(moving):
            self.average[name].copy_(state[name])

    def _log(self, terms: dict[str, float]) -> None:
        """Append the running means to ``losses.csv``, below the names that its first line gave them."""
        path = self.folder / "losses.csv"
        new = not path.exists()
        with path.open("a+", newline="") as file:
            file.seek(0)
            names = ["step", *terms] if new else next(csv.reader(file))
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({"step": self.step} | {name: f"{value:.5f}" for name, value in terms.items()})
