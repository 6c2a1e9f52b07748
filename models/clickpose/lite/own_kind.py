"""Learn a team's own kind of photos, where it is another one than the network knows.

Neck and decoder alone learn little of photos that look otherwise: what is to be learned there is how to see, and that
lies in the trunk, in its first layers above all. So trunk and neck are trained, through the decoder as it is, on what
the decoder makes of them: own prediction, corrupted poses, clicks. Nothing holds them back towards what they were,
because other photos go on being seen as before (:mod:`clickpose.lite.two_kinds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch.utils.data import default_collate

from clickpose.data.coco import read_coco_persons
from clickpose.data.persons import Augmentation, PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.lite.further import choose_start
from clickpose.lite.known_photos import crops_of, draw_persons
from clickpose.lite.looks import FEWEST_CROPS, KindRule, describe_all, known_looks, tell_apart
from clickpose.lite.task import EncoderTask
from clickpose.lite.train import export_weights
from clickpose.lite.two_kinds import save_known_kind
from clickpose.lite.weights import describe_skeleton, load_lite
from clickpose.training.engine import TrainConfig, Trainer
from clickpose.training.plan import describe_plan, keep_plan

WEIGHTS, BEGINNING = "lite.safetensors", "beginning.safetensors"
FEWEST_STEPS, MOST_STEPS = 40, 300
BATCH = 16
RATE = 3e-5  # ten times that leads astray: normalisation is folded into the weights
VIEWS = 6.4  # of each person
_AUGMENTATION = Augmentation(margin=(1.15, 1.4), rotation_probability=0.4, truncation_probability=0.15)


def steps_for(persons: int) -> int:
    """Return how many steps so many labelled persons are worth: few persons are learned by heart by more."""
    return min(MOST_STEPS, max(FEWEST_STEPS, round(persons * VIEWS / BATCH)))


@dataclass(frozen=True)
class OwnKindPlan:
    """What to learn from and how.

    Attributes:
        folder: COCO-form, of the team's labelled photos.
        start: lite weights to go on from, whose known looks are beside them.
        out: working folder; kept, so that a stopped run goes on.
        training: of trunk and neck.
        augmentation: random changes of the crops.
    """

    folder: Path
    start: Path
    out: Path
    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=FEWEST_STEPS, batch_size=BATCH, trunk_learning_rate=RATE, warmup_steps=10, clip_norm=2.0,
            ema_decay=0.95, workers=0, checkpoint_steps=10, bf16=False,
        )
    )  # fmt: skip
    augmentation: Augmentation = _AUGMENTATION


def another_kind(start: Path, records: Sequence[PersonRecord]) -> KindRule | None:
    """Return the rule that tells the photos of ``records`` from those that ``start`` knows; None where none can."""
    known = known_looks(start)
    if known is None or len(records) < FEWEST_CROPS:
        return None
    network, skeleton = load_lite(start)
    crops = crops_of(draw_persons(records), skeleton, network)
    return tell_apart(known, describe_all(network.trunk.eval(), crops))


def learn_own_kind(plan: OwnKindPlan, rule: KindRule) -> Path:
    """Train, or go on.

    Args:
        plan: see there.
        rule: of :func:`another_kind`.

    Returns:
        the weights file, ``plan.out / "lite.safetensors"``; trunk and neck for all other photos lie beside it.

    Raises:
        ValueError: for a working folder that belongs to another plan, or data that cannot be read.
    """
    keep_plan(plan.out, describe_plan(plan, ("out", "training.workers", "training.checkpoint_steps")))
    network, skeleton = load_lite(plan.start)
    records = read_coco_persons(plan.folder, skeleton)
    beginning = choose_start(plan.start, records, plan.out / BEGINNING)
    network.load_state_dict(load_lite(beginning)[0].state_dict())
    dataset = PersonDataset(records, skeleton, network.config.input_side, plan.augmentation, plan.training.seed)
    weights = [max(1, plan.training.batch_size // len(records))] * len(records)
    trainer = Trainer(
        EncoderTask(network, skeleton), dataset, weights, default_collate, plan.training, plan.out / "training"
    )
    print(f"trunk and neck on {len(records)} persons of another kind of photos", flush=True)
    trainer.run()
    out = plan.out / WEIGHTS
    notes = {"start": plan.start.name, "kind_of_photos": "another than the start's"}
    export_weights(trainer.checkpoint_path, out, notes | describe_skeleton(skeleton, network.config.decoder.added))
    save_known_kind(out, plan.start, rule)
    return out
