"""Which network predicted a field: kept with the dataset, shown, and asked before another's scores are mixed in.

A confidence means what it means for one network's weights only, and a refinement by another network may contradict the
pose that it starts from. A field that was imported is of no known network until somebody names it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from clickpose.calibration.provenance import CalibratorError, Provenance
from clickpose.predictor import PosePredictor
from clickpose.skeleton import Skeleton
from clickpose_fiftyone.field_names import NETWORKS_INFO
from clickpose_fiftyone.fiftyone_internals import dataset_of


@dataclass(frozen=True)
class FieldNetwork:
    """What a field was predicted with.

    Attributes:
        model: name of the network, such as ``"lite"``.
        fingerprint: of its weights; empty where a user named the network.
        skeleton: name of its skeleton.
        checkpoint: file of the weights; None for the shipped ones, or for a predictor that was handed over.
    """

    model: str
    fingerprint: str
    skeleton: str
    checkpoint: str | None = None

    def __str__(self) -> str:
        weights = f"weights {self.fingerprint}" if self.fingerprint else "weights not known"
        return f"{self.model} ({self.skeleton}, {weights})"


def remember_network(samples, field: str, predictor: PosePredictor, checkpoint: str | None = None) -> None:
    """Keep with the dataset which network predicted a field.

    Args:
        samples: a dataset or view.
        field: Keypoints field that was predicted.
        predictor: the network.
        checkpoint: file of its weights, if they are not the shipped ones.
    """
    network = FieldNetwork(predictor.name, predictor.fingerprint, predictor.skeleton.name, checkpoint)
    store_network(samples, field, network)


def store_network(samples, field: str, network: FieldNetwork) -> None:
    """Keep with the dataset what :func:`network_of` returns of a field, and show it beside the field's name."""
    dataset = dataset_of(samples)
    dataset.info[NETWORKS_INFO] = {**(dataset.info.get(NETWORKS_INFO) or {}), field: asdict(network)}
    dataset.save()
    described = dataset.get_field(field)
    described.description = f"Poses predicted by {network}"
    described.save()


def network_of(samples, field: str) -> FieldNetwork | None:
    """Return the network that predicted a field; None where that is not known, as for imported predictions."""
    stored = (dataset_of(samples).info.get(NETWORKS_INFO) or {}).get(field)
    if stored is None:
        return None
    return FieldNetwork(**{part.name: stored.get(part.name) for part in fields(FieldNetwork)})


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
    if network is None or (network.model, network.fingerprint) == (predictor.name, predictor.fingerprint):
        return ""
    return (
        f'Field "{field}" was predicted by {network} and is refined by {predictor.name} (weights '
        f"{predictor.fingerprint}): joints may move that nobody touched."
    )
