"""What a network's photos are like, measured on some of their people, and kept beside its weights.

How the trunk's channels (:mod:`.channel_statistics`) and how crops look (:mod:`.looks`) on the photos of the training
is shipped with the weights; a team's own photos are measured in the same way.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from clickpose.data.coco import read_coco_persons
from clickpose.data.persons import PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.lite.weights import load_lite
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.movenet import MoveNetThunder
from clickpose.skeleton import Skeleton
from clickpose.weights_io import WEIGHTS_FOLDER, fingerprint, read_metadata, verify_checksum, write_checksum

MOST_PERSONS = 240
CROPS_AT_ONCE = 48


class Measured(Protocol):
    """What was measured, such as :class:`clickpose.lite.looks.Looks`."""

    def save(self, path: Path, fingerprint: str, data: str) -> None:
        """Write it, with the weights that measured and on what, in words."""


def draw_persons(records: Sequence[PersonRecord], most: int = MOST_PERSONS) -> list[PersonRecord]:
    """Return at most so many persons, always the same ones of the same records."""
    return [records[i] for i in np.random.default_rng(0).permutation(len(records))[:most]]


def crops_of(records: list[PersonRecord], skeleton: Skeleton, network: LiteNetwork) -> Iterator[Tensor]:
    """Yield (B, 3, S, S) uint8 crops of persons as a network sees them, in batches."""
    dataset = PersonDataset(records, skeleton, network.config.input_side)
    return (batch.image for batch in DataLoader(dataset, CROPS_AT_ONCE))


def belongs_to(path: Path, kind: str, weights: Path) -> bool:
    """Tell whether a file is there and was measured with weights, which may have been replaced since.

    Raises:
        WeightsError: if it is damaged.
    """
    if not path.exists():
        return False
    if path.parent == WEIGHTS_FOLDER:
        verify_checksum(path)
    return read_metadata(path, kind).get("weights") == fingerprint(weights)


def measure_and_keep(
    sentence: str | None,
    persons: int,
    measure: Callable[[MoveNetThunder, Iterator[Tensor]], Measured],
    place_of: Callable[[Path], Path],
) -> None:
    """Be the command that measures labelled photos which weights know, and puts what comes out beside the weights.

    Args:
        sentence: for its help.
        persons: at most, by default.
        measure: takes the trunk and batches of crops.
        place_of: returns the file for a weights file.
    """
    parser = argparse.ArgumentParser(description=sentence)
    parser.add_argument("--data", type=Path, required=True, help="COCO-form folder")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FOLDER / "lite.safetensors")
    parser.add_argument("--persons", type=int, default=persons)
    args = parser.parse_args()
    torch.set_num_threads(1)
    network, skeleton = load_lite(args.weights)
    chosen = draw_persons(read_coco_persons(args.data, skeleton), args.persons)
    found = measure(network.trunk.eval(), crops_of(chosen, skeleton, network))
    out = place_of(args.weights)
    found.save(out, fingerprint(args.weights), f"{len(chosen)} persons of {args.data.name}")
    if args.weights.parent == WEIGHTS_FOLDER:
        write_checksum(out)
