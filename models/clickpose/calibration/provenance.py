"""Who may be calibrated with what: where a fitted calibrator comes from, and whose confidences it fits.

A calibration is a statement about one network's confidences. Those of another network, of other weights or of another
skeleton mean something else, and so do those of a network that nobody has named: applying it there is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from clickpose.skeleton import Skeleton


class CalibratorError(ValueError):
    """A calibrator file is missing, damaged, or not for this network."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a fitted calibrator comes from.

    Attributes:
        model: name of the pose network, such as ``"lite"`` or what the user calls theirs.
        fingerprint: of its weights; empty where only confidences were seen, of a results file or an imported field.
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
        """Make a provenance dated today (UTC).

        Raises:
            ValueError: without a name of the network: a calibrator fits one network only.
        """
        date = datetime.now(timezone.utc).date().isoformat()
        return cls(
            model=named(model),
            fingerprint=fingerprint,
            skeleton=skeleton.name,
            joints=skeleton.names,
            data=data,
            date=date,
            figures=dict(figures or {}),
        )

    def check(self, model: str | None, skeleton: Skeleton, fingerprint: str = "") -> None:
        """Refuse confidences that the calibrator was not fitted for.

        Args:
            model: name of the network whose confidences are to be calibrated; None where it is not known.
            skeleton: its joints.
            fingerprint: of its weights; empty where they are not known, then only the name counts.

        Raises:
            CalibratorError: if one of them differs, or the network is not known.
        """
        if not model:
            raise CalibratorError(f"Expected confidences of {self.model!r}, the network of the calibrator, got those "
                                  "of a network whose name is not known")  # fmt: skip
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

    def check_weights(self, model: str, skeleton: Skeleton, fingerprint: str) -> None:
        """Refuse a calibrator that was not fitted for a network's weights, to be read with them from now on.

        A file beside the weights is read without a word, so that here a name is not enough: a curve fitted on a results
        file does not say which weights made it.

        Raises:
            CalibratorError: as :meth:`check`, or if the calibrator does not know its weights.
        """
        self.check(model, skeleton, fingerprint)
        if not self.fingerprint:
            raise CalibratorError(
                f"Expected a calibrator fitted for the weights {fingerprint} of {model!r}, got one of results that are "
                f"said to be of {self.model!r}: fit it on the network (clickpose calibrate network)"
            )


def named(model: str | None) -> str:
    """Return a network's name.

    Raises:
        ValueError: if there is none.
    """
    if not model or not model.strip():
        raise ValueError("Expected `name`, of the network that predicted: a calibrator fits one network only")
    return model.strip()
