"""Choose what to label next: uncertain photos that differ from each other, within a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clickpose_fiftyone.checks import require_samples
from clickpose_fiftyone.collector import collector_paused
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.field_names import PRED, PRED_OKS, TAGS, TO_LABEL
from clickpose_fiftyone.people_views import of_photos
from clickpose_fiftyone.review import DONE

_POOL = 5  # candidates for each photo of the budget: the most uncertain ones


@dataclass(frozen=True)
class Selection:
    """The chosen photos, in the order of choice, and their mean predicted OKS of the worst person."""

    sample_ids: tuple[str, ...]
    mean_oks: float

    def __str__(self) -> str:
        return f"Chose {len(self.sample_ids)} photos, lowest predicted OKS {self.mean_oks:.2f} on average."


@of_photos
@collector_paused()
def select_for_labelling(
    samples, pred_field: str = PRED, budget: int = 50, diversity: float = 0.5, tag: str | None = TO_LABEL
) -> Selection:
    """Choose photos whose worst person is uncertain, in poses unlike those chosen before.

    Among the ``5 * budget`` most uncertain photos, the next one has the largest sum of uncertainty (1 - predicted
    OKS) and distance to the chosen ones (farthest first), each scaled to 0..1.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with predictions.
        budget: how many photos at most.
        diversity: 0 for the most uncertain ones, 1 for the most different ones.
        tag: sample tag for the chosen photos, taken from all others; None for none.

    Raises:
        ValueError: if the field or a number cannot serve.
    """
    if budget < 1 or not 0 <= diversity <= 1:
        raise ValueError(f"Expected a budget of at least 1 and diversity in 0..1, got {budget} and {diversity}")
    require_samples(samples)
    columns = PersonColumns(samples, pred_field)
    scores = columns.scalars(PRED_OKS)
    settled = np.array([bool(set(tags or ()) & set(DONE)) for tags in columns.values(TAGS)], bool)
    open_scores = np.where(settled, np.nan, scores)
    if not np.isfinite(open_scores).any():
        raise ValueError(f'Expected people in "{pred_field}" with pred_oks that nobody has settled yet, got none')
    worst = columns.smallest(open_scores)
    candidates = np.argsort(worst, kind="stable")[: min(_POOL * budget, int(np.isfinite(worst).sum()))]
    described = _pose_descriptors(columns, open_scores)[candidates]
    order = farthest_first(described, 1 - worst[candidates], min(budget, len(candidates)), diversity)
    chosen = candidates[order]
    ids = [str(sample_id) for sample_id in columns.sample_ids[chosen]]
    if tag:
        samples.untag_samples(tag)
        samples.select(ids).tag_samples(tag)
    return Selection(tuple(ids), float(worst[chosen].mean()))


def farthest_first(described: np.ndarray, uncertainty: np.ndarray, count: int, diversity: float) -> np.ndarray:
    """Return the indices of ``count`` of M items, greedily by uncertainty and distance to those chosen before.

    Args:
        described: (M, D) descriptors.
        uncertainty: (M,) larger is chosen sooner.
        count: at most M.
        diversity: weight of the distance, 0..1.
    """
    span = np.ptp(uncertainty)
    uncertain = (uncertainty - uncertainty.min()) / span if span > 0 else np.zeros(len(uncertainty))
    chosen = [int(np.argmax(uncertain))]
    distance = np.linalg.norm(described - described[chosen[0]], axis=1)
    scale = max(float(distance.max()), 1e-9)
    while len(chosen) < count:
        gain = (1 - diversity) * uncertain + diversity * distance / scale
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        distance = np.minimum(distance, np.linalg.norm(described - described[chosen[-1]], axis=1))
    return np.array(chosen)


def _pose_descriptors(columns: PersonColumns, scores: np.ndarray) -> np.ndarray:
    """Return (S, 2K + 2): the worst person's joints in its box, its size in the photo and the number of people."""
    boxes = np.nan_to_num(columns.boxes_xyxy)
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    joints = np.nan_to_num((columns.keypoints - boxes[:, None, :2]) / size[:, None], nan=0.5)
    share = size / columns.image_wh[columns.rows]
    persons = np.concatenate([np.clip(joints, -1, 2).reshape(len(columns), -1), share], axis=1)
    result = np.zeros((len(columns.counts), persons.shape[1] + 1))
    order = np.argsort(-np.nan_to_num(scores, nan=2.0), kind="stable")  # the worst person is written last
    result[columns.rows[order], :-1] = persons[order]
    result[:, -1] = np.minimum(columns.counts, 5) / 5
    return result
