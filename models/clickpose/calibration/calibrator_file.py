"""Fitted calibrators on disk: a post-hoc calibrator is JSON; a CCNet head, which has tensors, a safetensors file.

Both carry a :class:`~clickpose.calibration.provenance.Provenance`, which says whose confidences they fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from clickpose.calibration.posthoc import KINDS_IN_FILES, PosthocCalibrator
from clickpose.calibration.provenance import CalibratorError, Provenance
from clickpose.text_file import read_text

if TYPE_CHECKING:
    import torch

FORMAT = "clickpose-calibrator"
FORMAT_VERSION = 1
CCNET_KIND = "ccnet"
HEAD_SUFFIX, CURVE_SUFFIX = ".safetensors", ".json"


def save_calibrator(path: str | Path, calibrator: PosthocCalibrator, provenance: Provenance) -> None:
    """Write a fitted post-hoc calibrator as JSON; the file is replaced at once, never left half-written.

    Raises:
        RuntimeError: if the calibrator has not been fitted.
        ValueError: if it has another number of joints than the provenance.
    """
    state = calibrator.to_state()
    if calibrator.num_joints_ != len(provenance.joints):
        raise ValueError(f"Expected a calibrator of {len(provenance.joints)} joints, got {calibrator.num_joints_}")
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": calibrator.kind,
        "provenance": asdict(provenance),
        "state": state,
    }
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    # a figure may be NaN (nobody of medium size): Python's JSON reads and writes it
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(path)


def load_calibrator(path: str | Path) -> tuple[PosthocCalibrator, Provenance]:
    """Read what :func:`save_calibrator` wrote; call its ``check`` before applying it.

    Raises:
        CalibratorError: if the file is missing, damaged, of another format version or of an unknown kind.
    """
    try:
        content = json.loads(read_text(path))
    except OSError as error:
        raise CalibratorError(f"Expected a calibrator in {path}, got no readable file ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise CalibratorError(f"Expected a calibrator in {path}, got no JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CalibratorError(f"Expected a calibrator in {path}, got a file that does not say it is one")
    if content.get("format_version") != FORMAT_VERSION:
        raise CalibratorError(
            f"Expected a calibrator of format version {FORMAT_VERSION} in {path}, "
            f"got version {content.get('format_version')}"
        )
    if content.get("kind") not in list(KINDS_IN_FILES):  # whatever JSON holds, also what cannot be hashed
        raise CalibratorError(
            f"Expected a calibrator of {', '.join(KINDS_IN_FILES)} in {path}, got {content.get('kind')!r}"
        )
    try:
        provenance = _read_provenance(content["provenance"])
        calibrator = KINDS_IN_FILES[content["kind"]].from_state(content["state"])
    except (KeyError, TypeError, ValueError) as error:
        raise CalibratorError(f"Expected a whole calibrator in {path}, got a damaged one: {error}") from None
    if calibrator.num_joints_ != len(provenance.joints):
        raise CalibratorError(
            f"Expected a calibrator of {len(provenance.joints)} joints in {path}, got {calibrator.num_joints_}"
        )
    return calibrator, provenance


def save_ccnet(path: str | Path, state: Mapping[str, torch.Tensor], provenance: Provenance) -> None:
    """Write the tensors of a CCNet head as safetensors, with the provenance in the header."""
    from clickpose.weights_io import save_weights

    metadata = {"kind": CCNET_KIND, "skeleton": provenance.skeleton, "provenance": json.dumps(asdict(provenance))}
    save_weights(path, state, metadata)


def load_ccnet(path: str | Path) -> tuple[dict[str, torch.Tensor], Provenance]:
    """Read what :func:`save_ccnet` wrote; call its ``check`` before applying it.

    Raises:
        CalibratorError: if the file is missing, damaged or of another kind.
    """
    from clickpose.weights_io import WeightsError, load_weights, read_metadata

    try:
        state = load_weights(path, CCNET_KIND)
        return state, _read_provenance(json.loads(read_metadata(path, CCNET_KIND)["provenance"]))
    except WeightsError as error:
        raise CalibratorError(str(error)) from None
    except (KeyError, TypeError, ValueError) as error:
        raise CalibratorError(f"Expected a CCNet head with its provenance in {path}, got {error!r}") from None


def _read_provenance(content: dict) -> Provenance:
    return Provenance(**{**content, "joints": tuple(content["joints"])})
