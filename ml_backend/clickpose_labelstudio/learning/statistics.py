"""How the labelling goes, from the journal: clicks and seconds a person, what was accepted unseen, live calibration.

By annotator, by day and by the version of the network that the work began with. What each figure is of: persons are
those with a joint; a click is a joint that was placed or moved, one that followed another is none; seconds are Label
Studio's lead times, of annotations that have one of an hour or less; the true OKS of a prediction is the one against
what was submitted, so that where nobody has looked a prediction counts as right.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clickpose.metrics.reliability import expected_calibration_error
from clickpose_labelstudio.learning.journal import Entry

GROUPINGS: dict[str, Callable[[Entry], str]] = {
    "all": lambda entry: "",
    "annotator": lambda entry: "unknown" if entry.annotator is None else str(entry.annotator),
    "day": lambda entry: entry.created[:10],
    "version": lambda entry: entry.work.version or "none",
}
COLUMNS = (
    "annotations", "persons", "clicks_a_person", "seconds_a_person", "unseen_share", "accepted_share",
    "predicted_oks", "true_oks", "calibration_error", "checked_predicted_oks", "checked_true_oks",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of some annotations; NaN where there is nothing to take one of.

    Attributes:
        annotations: with a person.
        persons: on them.
        clicks_a_person: joints placed or moved.
        seconds_a_person: of annotations whose time is known.
        unseen_share: of the joints, those that nobody has touched.
        accepted_share: of the joints, those that were looked at and left.
        predicted_oks, true_oks: means over joints that were predicted and submitted.
        calibration_error: expected calibration error of them.
        checked_predicted_oks, checked_true_oks: of those that a human has touched.
    """

    annotations: int
    persons: int
    clicks_a_person: float
    seconds_a_person: float
    unseen_share: float
    accepted_share: float
    predicted_oks: float
    true_oks: float
    calibration_error: float
    checked_predicted_oks: float
    checked_true_oks: float


def figures_of(entries: Iterable[Entry]) -> Figures:
    """Return the figures of annotations; those without a person are left out."""
    work = [entry.work for entry in entries if entry.work.persons]
    persons, joints = sum(each.persons for each in work), sum(each.joints for each in work)
    timed = [each for each in work if each.lead_time_s is not None]
    checks = np.array([check for each in work for check in each.checks], dtype=np.float64).reshape(-1, 3)
    touched = checks[checks[:, 2] > 0]
    return Figures(
        annotations=len(work),
        persons=persons,
        clicks_a_person=_share(sum(each.clicks for each in work), persons),
        seconds_a_person=_share(sum(each.lead_time_s or 0 for each in timed), sum(each.persons for each in timed)),
        unseen_share=_share(sum(each.unseen for each in work), joints),
        accepted_share=_share(sum(each.accepted for each in work), joints),
        predicted_oks=_mean(checks[:, 0]),
        true_oks=_mean(checks[:, 1]),
        calibration_error=expected_calibration_error(checks[:, 0], checks[:, 1]) if len(checks) else float("nan"),
        checked_predicted_oks=_mean(touched[:, 0]),
        checked_true_oks=_mean(touched[:, 1]),
    )


def grouped(entries: Sequence[Entry], by: str) -> dict[str, Figures]:
    """Return figures by group, in order.

    Args:
        entries: annotations.
        by: one of :data:`GROUPINGS`.

    Raises:
        ValueError: for another grouping.
    """
    if by not in GROUPINGS:
        raise ValueError(f"Expected `by` to be one of {', '.join(GROUPINGS)}, got {by!r}")
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.work.persons:
            groups[GROUPINGS[by](entry)].append(entry)
    return {name: figures_of(groups[name]) for name in sorted(groups)}


def as_csv(entries: Sequence[Entry]) -> str:
    """Return all groupings as one table with a header: ``grouping``, ``group`` and :data:`COLUMNS`; NaN is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("grouping", "group", *COLUMNS))
    for by in GROUPINGS:
        for name, figures in grouped(entries, by).items():
            writer.writerow((by, _as_text(name), *(_number(getattr(figures, column)) for column in COLUMNS)))
    return text.getvalue()


def reliability(entries: Iterable[Entry], bins: int = 10) -> list[tuple[float, float, int]]:
    """Return (mean predicted, mean true OKS, joints) of bins of predicted OKS that hold joints."""
    checks = np.array([check[:2] for entry in entries for check in entry.work.checks], dtype=np.float64).reshape(-1, 2)
    index = np.minimum((checks[:, 0] * bins).astype(int), bins - 1)
    return [
        (float(checks[index == i, 0].mean()), float(checks[index == i, 1].mean()), int((index == i).sum()))
        for i in range(bins)
        if (index == i).any()
    ]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if np.isnan(value) else f"{value:.4f}"


def _as_text(name: str) -> str:
    """Keep a spreadsheet from taking a name for a formula: versions come from outside."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
