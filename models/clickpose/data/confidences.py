"""What the confidence of a joint or a person is, decided once for all files and formats.

That of a joint is in ``keypoint_scores``; else it is the third number, unless those of the whole file are flags
(0, 1, 2); else the person's ``score``. All are within 0..1; a heatmap's overshoot is taken as 1, another scale refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from clickpose.data.coco_records import FLAGS, CocoPerson
from clickpose.data.notes import Notes, note
from clickpose.skeleton import Skeleton

OVERSHOOT = 1.2  # confidences up to here are those of a heatmap whose peak was sharpened; they are taken as 1
OCCLUDED_BELOW = 0.5  # a predicted visibility below this is written as hidden: 1 of COCO's 0, 1, 2


def thirds_are_flags(people: Sequence[CocoPerson]) -> bool:
    """Tell COCO's visibilities from confidences, by the third numbers of all results of a file."""
    return not people or bool(np.isin(np.stack([person.thirds for person in people]), FLAGS).all())


def joint_confidences(
    people: Sequence[CocoPerson], skeleton: Skeleton, notes: Notes | None = None, mixed: bool = False
) -> np.ndarray:
    """Return the confidences (N, K) in 0..1 of the joints of a file's results.

    They are ``keypoint_scores`` where all results have them; else the third numbers, unless those of the whole file are
    flags (0, 1, 2); else the persons' scores, or 1 where nobody has one. A joint that is not there has 0.

    Args:
        people: all results of the file.
        skeleton: their K joints.
        notes: confidences above 1 that were taken as 1 are counted here.
        mixed: let some have ``keypoint_scores`` and others not, as in a dataset of which people drew a part.

    Raises:
        ValueError: if some results have ``keypoint_scores`` and others not, or a confidence is below 0 or beyond
            :data:`OVERSHOOT`; names the place, and says what the numbers look like.
    """
    if not people:
        return np.zeros((0, len(skeleton)))
    having = np.array([person.keypoint_scores is not None for person in people])
    if having.any() and not having.all() and not mixed:
        lacking = people[int(having.argmin())]
        raise ValueError(f"Expected keypoint_scores in all results or in none, got them in {having.sum()} of "
                         f"{len(people)}; {lacking.where} has none")  # fmt: skip
    placed = np.isfinite(np.stack([person.keypoints[:, 0] for person in people]))
    flags = thirds_are_flags([person for person, own in zip(people, having, strict=True) if not own])
    confidences = np.zeros((len(people), len(skeleton)))
    for own, name in ((True, "keypoint_scores"), (False, "score" if flags else "third numbers of keypoints")):
        rows = np.flatnonzero(having == own)
        if not len(rows):
            continue
        chosen = [people[row] for row in rows.tolist()]
        values = np.stack([_raw_confidences(person, name) for person in chosen])
        absent = ~placed[rows] & (np.isnan(values) if own else True)
        place_of = [person.where for person in chosen].__getitem__
        confidences[rows] = unit_confidences(np.where(absent, 0.0, values), name, place_of, notes)
    return confidences


def _raw_confidences(person: CocoPerson, name: str) -> np.ndarray:
    if name == "score":
        return np.full(len(person.thirds), 1.0 if person.score is None else person.score)
    return person.thirds if person.keypoint_scores is None else person.keypoint_scores


def person_confidences(people: Sequence[CocoPerson], notes: Notes | None = None) -> np.ndarray:
    """Return the scores (N,) of persons as confidences in 0..1, where they are shown, stored or calibrated.

    Where only their ranking counts, as in average precision, any finite ``score`` serves. One that is missing is 1.

    Raises:
        ValueError: as :func:`joint_confidences`.
    """
    scores = np.array([1.0 if person.score is None else person.score for person in people])
    return unit_confidences(scores, "score", [person.where for person in people].__getitem__, notes)


def unit_confidences(
    values: np.ndarray, name: str, where: Callable[[int], str], notes: Notes | None = None
) -> np.ndarray:
    """Return confidences (N,) or (N, K) of people within 0..1: a heatmap's overshoot is taken as 1.

    Args:
        values: as they came.
        name: of the field, for messages.
        where: returns what names the person at a place, for messages.
        notes: what was taken as 1 is counted here.

    Raises:
        ValueError: for one below 0 or beyond :data:`OVERSHOOT`; says what the numbers look like.

    Example:
        >>> unit_confidences(np.array([0.5, 1.1]), "score", lambda place: f"person {place}").tolist()
        [0.5, 1.0]
    """
    if not len(values):
        return values
    rows = values.reshape(len(values), -1)
    wrong = ~((rows >= 0) & (rows <= OVERSHOOT))  # NaN too
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        worst = rows[row][wrong[row]][0]
        hint = _hint_of_scale(rows[np.isfinite(rows)])
        raise ValueError(f"Expected confidences within 0..1 as {name} of {where(row)}, got {worst:g}{hint}")
    if notes is not None and (over := int((rows > 1).sum())):
        note(notes, "confidences above 1 (overshoot of a heatmap), taken as 1", over)
    return np.clip(values, 0.0, 1.0)


def _hint_of_scale(values: np.ndarray) -> str:
    """Say what to do with numbers that are no confidences."""
    if (values < 0).any():
        return "; logits? apply the sigmoid first"
    if values.size and OVERSHOOT < values.max() <= 100:
        return "; percent? divide by 100 first (logits: apply the sigmoid)"
    return ""
