"""Fitted calibrators on disk, with where they come from, and refused where they do not belong.

A post-hoc calibrator is a JSON file; a CCNet head, which has tensors, is a safetensors file. Both carry a
:class:`Provenance`. A calibration is a statement about one model's confidences: those of another model, of other
weights or of another skeleton mean something else, so that applying it to them is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from clickpose.calibration.posthoc import CALIBRATORS, PosthocCalibrator
from clickpose.skeleton import Skeleton
from clickpose.text_file import read_text

if TYPE_CHECKING:
    import torch

FORMAT = "clickpose-calibrator"
FORMAT_VERSION = 1
CCNET_KIND = "ccnet"


class CalibratorError(ValueError):
    """A calibrator file is missing, damaged, or not for this model."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a fitted calibrator comes from.

    Attributes:
        model: name of the pose network, such as ``"lite"`` or what the user calls theirs.
        fingerprint: of its weights; empty where only a results file was seen.
        skeleton: name of the skeleton.
        joints: its joint names, in order.
        data: what it was fitted on, such as ``"coco_dev, 1249 persons"``.
        date: day of the fit, ISO form, UTC.
        figures: measures before and after, by name.
    """

    model: str
    fingerprint: str
    skeleton: str
    joints: tuple[str, ...]
    data: str
    date: str
    figures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def today(
        cls,
        model: str,
        skeleton: Skeleton,
        data: str,
        fingerprint: str = "",
        figures: Mapping[str, float] | None = None,
    ) -> Provenance:
        """Make a provenance dated today (UTC)."""
        date = datetime.now(timezone.utc).date().isoformat()
        return cls(
            model=model,
            fingerprint=fingerprint,
            skeleton=skeleton.name,
            joints=skeleton.names,
            data=data,
            date=date,
            figures=dict(figures or {}),
        )

    def check(self, model: str, skeleton: Skeleton, fingerprint: str = "") -> None:
        """Refuse a model or skeleton that the calibrator was not fitted for.

        Args:
            model: name of the network whose confidences are to be calibrated.
            skeleton: its joints.
            fingerprint: of its weights; empty where they are not known, then only the name counts.

        Raises:
            CalibratorError: if one of them differs.
        """
        if model != self.model:
            raise CalibratorError(f"Expected confidences of {self.model!r}, the model of the calibrator, got {model!r}")
        if self.fingerprint and fingerprint and fingerprint != self.fingerprint:
            raise CalibratorError(
                f"Expected weights {self.fingerprint} of {model!r}, which the calibrator was fitted for, "
                f"got {fingerprint}: fit again"
            )
        if skeleton.names != self.joints:
            raise CalibratorError(
                f"Expected the {len(self.joints)} joints of skeleton {self.skeleton!r}, which the calibrator was "
                f"fitted for, got the {len(skeleton)} joints of {skeleton.name!r}"
            )


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
    """Read what :func:`save_calibrator` wrote; call :meth:`Provenance.check` before applying it.

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
    if content.get("kind") not in list(CALIBRATORS):  # whatever JSON holds, also what cannot be hashed
        raise CalibratorError(
            f"Expected a calibrator of {', '.join(CALIBRATORS)} in {path}, got {content.get('kind')!r}"
        )
    try:
        provenance = _read_provenance(content["provenance"])
        calibrator = CALIBRATORS[content["kind"]].from_state(content["state"])
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
    """Read what :func:`save_ccnet` wrote; call :meth:`Provenance.check` before applying it.

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
