"""The one place where a calibration is fitted: from labelled people to a calibrator, and what it is worth.

Decided here, for results files, for our networks and for FiftyOne alike: how many labelled people a fit takes, what
there is to choose from, the folds, the choice, the figures before and after, and when the network's own scores stay.
Readers make a :class:`~clickpose.calibration.sample.FitSample`, call :func:`fit_calibration`, and show what comes out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from clickpose.calibration.posthoc import CALIBRATORS, IdentityCalibrator, PosthocCalibrator, make_calibrator
from clickpose.calibration.sample import FitSample
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.metrics.inputs import group_numbers
from clickpose.metrics.reliability import expected_calibration_error
from clickpose.skeleton import Skeleton

AUTO = "auto"
OWN = IdentityCalibrator.kind  # the network's own scores, as they are
FOLDS = 5
FEWEST_FOR_CURVE = 20  # labelled people from which on "auto" considers a curve; who names a method is told
FEWEST_PHOTOS = 2  # one to fit on and one to measure on


class Candidate(Protocol):
    """A way to calibrate, unfitted; curves are here, CCNet's head is in :mod:`clickpose.token_calibration`.

    Attributes:
        kind: its name.
        fewest_persons: labelled people from which on it is among those that "auto" chooses from.
    """

    kind: str
    fewest_persons: int

    def fit(self, sample: FitSample) -> Any:
        """Return a calibrator that was fitted on a sample; the candidate stays as it is."""

    def read(self, fitted: Any, sample: FitSample) -> tuple[np.ndarray, np.ndarray]:
        """Return the (N, K) scores that a fitted calibrator gives people, and the weights of their joints."""


class Curve:
    """A post-hoc calibrator as a candidate: it bends the network's own scores, weights stay.

    Args:
        calibrator: unfitted.
    """

    fewest_persons = FEWEST_FOR_CURVE

    def __init__(self, calibrator: PosthocCalibrator):
        self.calibrator = calibrator
        self.kind = calibrator.kind

    def fit(self, sample: FitSample) -> PosthocCalibrator:
        """Fit a copy."""
        return copy.copy(self.calibrator).fit(sample.scores, sample.oks, sample.visibility, self._area(sample))

    def read(self, fitted: PosthocCalibrator, sample: FitSample) -> tuple[np.ndarray, np.ndarray]:
        """Bend the scores."""
        return fitted.predict(sample.scores, self._area(sample)), sample.weights

    def _area(self, sample: FitSample) -> np.ndarray | None:
        return sample.area if self.calibrator.needs_area else None


@dataclass(frozen=True, eq=False, kw_only=True)
class Labels:
    """What of labelled people decides which fits are possible; known before a network has seen any of them.

    Attributes:
        labelled: (N, K) bool; a person without a labelled joint says nothing.
        image_ids: (N,) the photos.
        sized: whether each person's area is known, and not known to the scores already.
        source: of the people, for messages: a file, a field; empty where there is nothing to name.
    """

    labelled: np.ndarray
    image_ids: np.ndarray
    sized: bool = False
    source: str = ""

    @classmethod
    def of(cls, sample: FitSample, source: str = "") -> Labels:
        """Take them from a sample."""
        first = sample.before_clicks
        sized = sample.area is not None and bool((np.isfinite(sample.area) & (sample.area > 0)).all())
        return cls(labelled=first.labelled, image_ids=first.folds_by, sized=sized, source=source)

    @property
    def persons(self) -> int:
        """Number of people with a labelled joint."""
        return int(self.labelled.any(axis=1).sum())

    @property
    def photos(self) -> int:
        """Number of their photos."""
        return len(set(np.asarray(self.image_ids, dtype=object)[self.labelled.any(axis=1)].tolist()))


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationFit:
    """A fitted calibration and what it is worth on people that its folds were not fitted on.

    Attributes:
        kind: of the calibration; :data:`OWN` where the network's own scores stay.
        fitted: a post-hoc calibrator, or what another candidate fitted, on everybody.
        persons: labelled people.
        before, after: the people before any click, the network's own scores and out-of-fold calibrated ones.
        compared: mean squared error over labelled joints by kind, out of fold, the own scores' first; a mean over the
            numbers of clicks. The smallest is what "auto" takes: own scores stay unless a calibration is nearer.
        errors: (rounds, 2) the same before and after, by the number of clicks.
        notes: sentences on what the user should know: scores that are kept, a method that is worse, few people.
        worse: a method that was named is worse than the network's own scores, in squared or in calibration error.
    """

    kind: str
    fitted: Any
    persons: int
    before: CalibrationSample
    after: CalibrationSample
    compared: dict[str, float]
    errors: np.ndarray
    notes: tuple[str, ...]
    worse: bool = False

    @property
    def keeps_own(self) -> bool:
        """Whether the network's own scores stay as they are."""
        return self.kind == OWN

    @property
    def comparison(self) -> list[str]:
        """What was compared, a line each, the network's own scores first."""
        names = {OWN: "own scores"}
        return [f"{names.get(kind, kind)}: mean squared error {error:.4f}" for kind, error in self.compared.items()]


def candidates_for(
    labels: Labels,
    skeleton: Skeleton,
    method: str = AUTO,
    per_joint: bool = False,
    heads: Sequence[Candidate] = (),
    curves: Sequence[str] = tuple(CALIBRATORS),
) -> tuple[Candidate, ...]:
    """Return what a fit chooses from, or refuse it: cheap, to be called before a network runs for it.

    Args:
        labels: of the people.
        skeleton: their joints.
        method: ``"auto"``, a post-hoc calibrator, or the kind of one of ``heads``.
        per_joint: a curve for each joint with labels enough.
        heads: candidates beside the curves.
        curves: post-hoc calibrators that suit the network's own scores.

    Raises:
        ValueError: for another method, labels of fewer than two photos, fewer people than ``"auto"`` takes, a closed
            form without the people's sizes, or curves for each joint where no joint has labels enough.
    """
    offered: dict[str, Candidate] = {kind: Curve(make_calibrator(kind, skeleton, per_joint)) for kind in curves}
    offered |= {head.kind: head for head in heads}
    if method not in (AUTO, *offered):
        raise ValueError(f"Expected `method` to be one of {', '.join((AUTO, *offered))}, got {method!r}")
    _check_photos(labels)
    if per_joint:
        _check_per_joint(labels, skeleton, method, curves)
    if method != AUTO:
        return (offered[method],)
    if not labels.sized:
        offered = {kind: each for kind, each in offered.items() if not _needs_area(each)}
    enough = tuple(each for each in offered.values() if labels.persons >= each.fewest_persons)
    if not enough:
        fewest = min(each.fewest_persons for each in offered.values())
        raise ValueError(f"Expected at least {fewest} labelled people with a prediction{_of(labels)} to choose a "
                         f"calibration by, got {labels.persons}; a method that is named takes fewer")  # fmt: skip
    return enough


def fit_calibration(
    sample: FitSample,
    skeleton: Skeleton,
    method: str = AUTO,
    per_joint: bool = False,
    heads: Sequence[Candidate] = (),
    curves: Sequence[str] = tuple(CALIBRATORS),
    source: str = "",
) -> CalibrationFit:
    """Fit a calibration on labelled people and measure it on photos that its folds were not fitted on.

    ``"auto"`` takes the candidate whose out-of-fold scores are nearest to the OKS of the labelled joints (mean squared
    error) of those whose calibration error is no larger than that of the network's own scores, and keeps these where
    none is nearer. A method that is named is fitted, and said to be worse where it is.

    Args:
        sample: the people, with the network's own scores.
        skeleton: their joints.
        method, per_joint, heads, curves: as :func:`candidates_for`.
        source: of the people, for messages.

    Raises:
        ValueError: as :func:`candidates_for`; for scores out of range; if a fold leaves no labelled joint to fit on.
    """
    labels = Labels.of(sample, source)
    candidates = {each.kind: each for each in candidates_for(labels, skeleton, method, per_joint, heads, curves)}
    held_out = {kind: out_of_fold(candidate, sample) for kind, candidate in candidates.items()}
    errors = {OWN: sample.squared_errors(sample.scores)}
    errors |= {kind: sample.squared_errors(scores) for kind, (scores, _) in held_out.items()}
    compared = {kind: float(np.nanmean(each)) for kind, each in errors.items()}
    first = sample.clicks == 0
    before = sample.before_clicks.own()
    measured = {OWN: before} | {
        kind: sample.before_clicks.calibrated(*(values[first] for values in found)) for kind, found in held_out.items()
    }
    calibration = {kind: _calibration_error(each) for kind, each in measured.items()}
    good = [kind for kind in compared if not calibration[kind] > calibration[OWN]]
    nearest = min(good, key=compared.__getitem__)  # of equal ones the first: the own scores
    kind = nearest if method == AUTO else method
    after = measured[kind]
    fitted = Curve(IdentityCalibrator()).fit(sample) if kind == OWN else candidates[kind].fit(sample)
    return CalibrationFit(
        kind=kind,
        fitted=fitted,
        persons=labels.persons,
        before=before,
        after=after,
        compared=compared,
        errors=np.stack([errors[OWN], errors[kind]], axis=1),
        notes=tuple(_notes(kind, compared, calibration, candidates, labels, per_joint)),
        worse=bool(compared[kind] > compared[OWN] or calibration[kind] > calibration[OWN]),
    )


def _calibration_error(sample: CalibrationSample) -> float:
    return expected_calibration_error(sample.scores[sample.labelled], sample.oks[sample.labelled])


def out_of_fold(candidate: Candidate, sample: FitSample, folds: int = FOLDS) -> tuple[np.ndarray, np.ndarray]:
    """Read every person by a calibrator that was fitted without that person's photo.

    Args:
        candidate: stays unfitted.
        sample: the people.
        folds: how many; at most the number of photos.

    Returns:
        (N, K) scores and the weights of the joints, out of fold.

    Raises:
        ValueError: for fewer than two photos or folds, or if a fold leaves no labelled joint to fit on.
    """
    from sklearn.model_selection import GroupKFold  # a second's import: only for fitting

    groups = group_numbers(sample.folds_by)
    folds = min(folds, len(np.unique(groups)))
    if folds < 2:
        raise ValueError(f"Expected at least two photos and two folds to cross-validate, got {folds}")
    scores, weights = np.empty(sample.oks.shape), np.empty(sample.oks.shape)
    for train, held_out in GroupKFold(folds, shuffle=True, random_state=0).split(groups, groups=groups):
        fitted = candidate.fit(sample.take(train))
        scores[held_out], weights[held_out] = candidate.read(fitted, sample.take(held_out))
    return scores, weights


def _needs_area(candidate: Candidate) -> bool:
    return isinstance(candidate, Curve) and candidate.calibrator.needs_area


def _of(labels: Labels) -> str:
    return f" of {labels.source}" if labels.source else ""


def _check_photos(labels: Labels) -> None:
    if not labels.photos:
        raise ValueError(f"Expected labelled people{_of(labels)} that the predictions found, got none")
    if labels.photos < FEWEST_PHOTOS:
        raise ValueError(f"Expected people on at least two photos{_of(labels)}, one to fit on and one to measure on, "
                         "got one photo")  # fmt: skip


def _check_per_joint(labels: Labels, skeleton: Skeleton, method: str, curves: Sequence[str]) -> None:
    """Refuse curves for each joint where there is no curve, or none could be a joint's own."""
    if not curves or method not in (AUTO, *curves):
        raise ValueError(
            "Expected `per_joint` for a post-hoc curve, got it for a head, which tells joints apart anyway"
        )
    counts, fewest = labels.labelled.sum(axis=0), _fewest_labels()
    if counts.max() < fewest:
        raise ValueError(f"Expected at least {fewest} labels of a joint for a curve of its own (`per_joint`), got at "
                         f"most {counts.max()}, of {skeleton.names[counts.argmax()]}")  # fmt: skip


def _fewest_labels() -> int:
    return IdentityCalibrator().min_samples


def _notes(
    kind: str,
    compared: Mapping[str, float],
    calibration: Mapping[str, float],
    candidates: Mapping[str, Candidate],
    labels: Labels,
    per_joint: bool,
) -> list[str]:
    """Return what else the user should know."""
    notes = []
    if kind == OWN:
        return [
            "The network's own scores are kept: no calibration is nearer to the OKS, with no larger a calibration "
            "error, on photos it was not fitted on."
        ]
    if compared[kind] > compared[OWN]:
        notes.append(f"{kind} is worse than the network's own scores, {compared[kind]:.4f} and {compared[OWN]:.4f}: "
                     f"{AUTO} would keep those.")  # fmt: skip
    elif calibration[kind] > calibration[OWN]:
        notes.append(f"{kind} has a larger calibration error than the network's own scores, {calibration[kind]:.4f} "
                     f"and {calibration[OWN]:.4f}: {AUTO} would not take it.")  # fmt: skip
    if labels.persons < candidates[kind].fewest_persons:
        notes.append(f"{labels.persons} labelled people are few for {kind}, {candidates[kind].fewest_persons} or more "
                     "are better: the figures may be far off.")  # fmt: skip
    few = int((labels.labelled.sum(axis=0) < _fewest_labels()).sum())
    if per_joint and few and isinstance(candidates[kind], Curve):
        notes.append(f"{few} of {labels.labelled.shape[1]} joints have fewer than {_fewest_labels()} labels and share "
                     "the curve of all joints.")  # fmt: skip
    return notes
