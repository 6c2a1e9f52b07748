"""Which network predicted a field: kept with the dataset, shown, and asked before another's scores are mixed in.

A confidence means what it means for one network's weights only, and a refinement by another network may contradict the
pose that it starts from. A field that was imported is of no known network until somebody names it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields

from bson import ObjectId

from clickpose.calibration.provenance import CalibratorError, Provenance
from clickpose.first_pose.predictor import refining_part
from clickpose.predictor import PosePredictor
from clickpose.skeleton import Skeleton
from clickpose_fiftyone.dataset_info import keep, kept_of
from clickpose_fiftyone.declaring import describe
from clickpose_fiftyone.field_names import CONFIDENCE, NETWORKS_INFO, PREDICTED_BY, people_path
from clickpose_fiftyone.fiftyone_internals import ID, dataset_of, photos_collection, root_dataset_of
from clickpose_fiftyone.kept import kept_while_unchanged

_TEXT = re.compile(r"(?P<model>.+) \((?P<skeleton>.+), weights (?P<weights>[\w+-]+)\)(?: from (?P<file>.+))?")


@dataclass(frozen=True)
class FieldNetwork:
    """What a field was predicted with.

    Attributes:
        model: name of the network, such as ``"lite"``, or ``"movenet+lite"`` where another one saw first.
        fingerprint: of its weights; empty where a user named the network.
        skeleton: name of its skeleton.
        checkpoint: file of the weights; None for the shipped ones, or for a predictor that was handed over.
    """

    model: str
    fingerprint: str
    skeleton: str
    checkpoint: str | None = None

    @classmethod
    def of(cls, predictor: PosePredictor, checkpoint: str | None = None) -> FieldNetwork:
        """Return what is kept of a network."""
        return cls(predictor.name, predictor.fingerprint, predictor.skeleton.name, checkpoint)

    @classmethod
    def from_text(cls, text: str) -> FieldNetwork | None:
        """Return the network of :meth:`to_text`; None for another text."""
        found = _TEXT.fullmatch(text)
        return None if found is None else cls(found["model"], found["weights"], found["skeleton"], found["file"])

    def to_text(self) -> str:
        """Return what a person says of the network."""
        return f"{self}{f' from {self.checkpoint}' if self.checkpoint else ''}"

    @classmethod
    def from_dict(cls, stored: Mapping) -> FieldNetwork:
        """Return the network of ``asdict``."""
        return cls(**{part.name: stored.get(part.name) for part in fields(cls)})

    def is_refined_by(self, predictor: PosePredictor) -> bool:
        """Tell whether a network is the one that predicted, or that corrected another's first poses from the start."""
        said = (self.model, self.fingerprint)
        return said == (predictor.name, predictor.fingerprint) or tuple(map(refining_part, said)) == (
            predictor.name,
            predictor.fingerprint,
        )

    def __str__(self) -> str:
        weights = f"weights {self.fingerprint}" if self.fingerprint else "weights not known"
        return f"{self.model} ({self.skeleton}, {weights})"


def remember_network(
    samples, field: str, predictor: PosePredictor, checkpoint: str | None = None, photos: Collection[str] | None = None
) -> None:
    """Keep with the dataset which network predicted a field.

    Args:
        samples: a dataset or view.
        field: Keypoints field that was predicted.
        predictor: the network.
        checkpoint: file of its weights, if they are not the shipped ones.
        photos: ids of the photos that it predicted; None for all. Where others have people of another network, or of
            one that nobody knows, nobody knows the field's any more: it is several.
    """
    network = FieldNetwork.of(predictor, checkpoint)
    if photos is None or network_of(samples, field) == network or not _has_people_beside(samples, field, photos):
        store_network(samples, field, network)
    else:
        store_network(samples, field, None)


def _has_people_beside(samples, field: str, photos: Collection[str]) -> bool:
    """Tell whether photos beside some have people whom a network predicted; whom a human added has no confidences."""
    predicted = {people_path(field): {"$elemMatch": {CONFIDENCE: {"$ne": None}}}}
    others = {ID: {"$nin": [ObjectId(sample_id) for sample_id in photos]}, **predicted}
    return photos_collection(root_dataset_of(samples)).find_one(others, {ID: True}) is not None


def store_network(samples, field: str, network: FieldNetwork | None) -> None:
    """Keep with the dataset what :func:`network_of` returns of a field, and show it beside the field's name.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        network: what predicted it; None for several networks.
    """
    dataset = dataset_of(samples)
    kept = None if network is None else asdict(network)
    keep(dataset, NETWORKS_INFO, field, kept)
    describe(
        dataset, field, "Poses predicted by several networks" if network is None else f"Poses predicted by {network}"
    )


def network_of(samples, field: str) -> FieldNetwork | None:
    """Return the network that predicted a field; None where that is not known, as for imported predictions, or several.

    It is what the dataset keeps of the field, or what its people say, whom FiftyOne's ``apply_model`` wrote.
    """
    stored = kept_of(samples, NETWORKS_INFO, field)
    said = _said_by_people(root_dataset_of(samples), field)
    if not said:
        return None if stored is None else FieldNetwork.from_dict(stored)
    name = said[0] if len(said) == 1 else None
    network = None if name is None else FieldNetwork.from_text(name)
    if network is not None and stored != asdict(network):
        store_network(samples, field, network)
    return network


@kept_while_unchanged
def _said_by_people(dataset, field: str) -> tuple[str | None, ...]:
    """Return what different people of a field say predicted them, None for some who do not; nothing if nobody does."""
    if dataset.get_field(field) is None:
        return ()
    photos = photos_collection(dataset)
    said = photos.distinct(f"{people_path(field)}.{PREDICTED_BY}")
    if not said:
        return ()
    silent = {people_path(field): {"$elemMatch": {PREDICTED_BY: None, CONFIDENCE: {"$ne": None}}}}
    return (*said, *([] if photos.find_one(silent, {ID: True}) is None else [None]))


def network_said(samples, field: str, skeleton: Skeleton, model: str | None) -> FieldNetwork | None:
    """Return the network that predicted a field, as the dataset knows it or as a user says; None if neither does.

    Args:
        samples: a dataset or view.
        field: Keypoints field.
        skeleton: its joints.
        model: name that the user gives.

    Raises:
        ValueError: if the dataset knows better.
    """
    network, name = network_of(samples, field), (model or "").strip()
    if network is None:
        return FieldNetwork(name, "", skeleton.name) if name else None
    if name and name != network.model:
        raise ValueError(f'Expected the network that predicted "{field}", {network}, got {name!r}')
    return network


def network_needed(samples, field: str, skeleton: Skeleton, model: str | None, purpose: str) -> FieldNetwork:
    """Return what :func:`network_said` does, where a name is needed.

    Args:
        samples, field, skeleton, model: as there.
        purpose: what for, for the message.

    Raises:
        ValueError: if nobody knows it.
    """
    network = network_said(samples, field, skeleton, model)
    if network is None:
        raise ValueError(
            f'Expected the name of the network that predicted "{field}" (model), which the dataset does not know, '
            f"{purpose}, got none; nothing was written"
        )
    return network


def check_calibrator(
    samples, field: str, calibrator: Provenance, skeleton: Skeleton, model: str | None = None
) -> FieldNetwork:
    """Refuse a calibrator that was fitted for another network than a field was predicted with.

    Args:
        samples: a dataset or view.
        field: Keypoints field with the confidences.
        calibrator: where the calibrator comes from.
        skeleton: joints of the field.
        model: name of the network, for a field of which it is not known.

    Returns:
        the field's network.

    Raises:
        ValueError: if network, weights or skeleton differ, or nobody knows the network.
    """
    purpose = f"to apply a calibrator of {calibrator.model!r}"
    network = network_needed(samples, field, skeleton, model, purpose)
    try:
        calibrator.check(network.model, skeleton, network.fingerprint)
    except CalibratorError as error:
        raise CalibratorError(f'{error}. Field "{field}" was predicted by {network}; nothing was written') from None
    return network


def other_network(samples, field: str, predictor: PosePredictor) -> str:
    """Return a sentence of warning if another network than the given one predicted a field; else an empty text."""
    network = network_of(samples, field)
    if network is None or network.is_refined_by(predictor):
        return ""
    return (
        f'Field "{field}" was predicted by {network} and is refined by {predictor.name} (weights '
        f"{predictor.fingerprint}): joints may move that nobody touched."
    )
