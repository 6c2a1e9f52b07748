"""What a team has labelled becomes weights: how to see, of another kind of photos than the network knows; else more.

One home for what the service's jobs, the command at the terminal and the benchmark do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clickpose.data.coco import read_coco_persons
from clickpose.lite.further import plan_further_training
from clickpose.lite.own_kind import OwnKindPlan, another_kind, learn_own_kind, steps_for
from clickpose.lite.train import TrainingFolder, train_lite
from clickpose.lite.weights import read_skeleton


def learn_from_team(
    folder: Path,
    start: Path,
    out: Path,
    *,
    ordinary: Sequence[TrainingFolder] = (),
    trunk_steps: int | None = None,
    decoder_steps: int | None = None,
    keep: float | None = None,
) -> Path:
    """Train, or go on.

    Args:
        folder: COCO-form, of the team's labelled photos.
        start: lite weights to go on from.
        out: working folder; kept, so that a stopped run goes on.
        ordinary: photos of the kind that is known, to be trained on along with those of the same kind; of another kind
            nothing is forgotten without them.
        trunk_steps: of the trunk; of another kind of photos, those of trunk and neck together.
        decoder_steps, keep: as in :func:`.plan_further_training`; of another kind of photos they say nothing.

    Returns:
        the weights file; of another kind of photos, trunk and neck for all others lie beside it.

    Raises:
        ValueError: for a working folder that belongs to another plan, or data that cannot be read.
    """
    records = read_coco_persons(folder, read_skeleton(start))
    rule = another_kind(start, records)
    if rule is not None:
        print("photos of another kind than the network knows; it goes on seeing all others as before", flush=True)
        plan = OwnKindPlan(folder, start, out)
        steps = trunk_steps or steps_for(len(records))
        return learn_own_kind(replace(plan, training=replace(plan.training, steps=steps)), rule)
    print("photos of the kind that the network knows", flush=True)
    folders = [TrainingFolder(folder), *ordinary]
    return train_lite(
        plan_further_training(
            folders, start, out, trunk_steps=trunk_steps, decoder_steps=decoder_steps, keep=keep, trust_labels=True
        )
    )
