"""COCO's keypoint evaluation from arrays: similarities by :mod:`clickpose.metrics.oks`, the rest by faster-coco-eval.

faster-coco-eval matches and accumulates in C++ and gives pycocotools' figures. Its own OKS is a Python loop over
persons; here it is computed for all pairs at once instead, with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from faster_coco_eval.core.coco import COCO as CocoFile
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.metrics.oks import oks_pairs

_PAIR_JOINTS_AT_ONCE = 2_000_000  # bounds the memory for similarities to some 200 MB
_ANY_AREA = 1e10  # px², COCO's


class _ArrayMatching(COCOeval_faster):
    """The engine on arrays, before it has run.

    Args:
        truth: :class:`~clickpose.metrics.keypoint_sets.KeypointTruth`.
        predictions: :class:`~clickpose.metrics.keypoint_sets.KeypointPredictions`.
        sigmas: (K,) COCO convention.
        images: the ids to evaluate, distinct, in the order in which equal scores are ranked.
        categories: the ids to evaluate, distinct.
        max_detections: predictions of an image that count, the best ones.
        keep_images: keep what each image contributes.
    """

    def __init__(
        self,
        truth: KeypointTruth,
        predictions: KeypointPredictions,
        sigmas: np.ndarray,
        images: Sequence,
        categories: Sequence,
        max_detections: int,
        keep_images: bool = False,
    ) -> None:
        super().__init__(
            iouType="keypoints", kpt_oks_sigmas=sigmas, print_function=_say_nothing, separate_eval=keep_images
        )
        image_numbers = {image: number for number, image in enumerate(images, start=1)}
        category_numbers = {category: number for number, category in enumerate(categories, start=1)}
        truth_cells = _cells(truth, image_numbers, category_numbers)
        found_cells = _cells(predictions, image_numbers, category_numbers)
        self.params.imgIds = list(image_numbers.values())
        self.params.catIds = list(category_numbers.values())
        self.params.maxDets = [max_detections]
        self.cocoGt = _file(
            truth_cells, truth.areas, iscrowd=truth.crowd.astype(int), num_keypoints=(~truth.ignored).astype(int)
        )
        self.cocoDt = _file(found_cells, predictions.areas, score=predictions.scores)
        self._similarities = _similarities(truth, predictions, sigmas, truth_cells, found_cells, max_detections)

    def computeOks(self, imgId: int, catId: int) -> np.ndarray | list:
        """Return the (P, G) similarities of one image, best predictions first."""
        return self._similarities.get((imgId, catId), [])


class ArrayEvaluation(_ArrayMatching):
    """One evaluation; :meth:`figures` and :meth:`precision` are there when it is made.

    Args:
        truth, predictions, sigmas, images, categories, max_detections: persons, and which of them count.
        keep_images: keep what each image contributes, so that images can be drawn again.
    """

    _evalImgs_cpp: list  # the engine's own

    def __init__(
        self,
        truth: KeypointTruth,
        predictions: KeypointPredictions,
        sigmas: np.ndarray,
        images: Sequence,
        categories: Sequence,
        max_detections: int,
        keep_images: bool = False,
    ) -> None:
        super().__init__(truth, predictions, sigmas, images, categories, max_detections, keep_images)
        self.run()
        if keep_images:
            evaluated: list = self._evalImgs_cpp  # one for each category, area range, image
            kept: np.ndarray = np.empty(len(evaluated), dtype=np.object_)
            kept[:] = evaluated
            self._kept = kept.reshape(len(categories), -1, len(images))

    def figures(self) -> np.ndarray:
        """Return the ten figures, NaN where there is nobody to find."""
        return np.where(self.stats[:10] < 0, np.nan, self.stats[:10])

    def precision(self) -> np.ndarray:
        """Return (10, 101) precision at each OKS threshold and recall 0, .01, …, 1, for persons of all sizes."""
        precision = self.eval["precision"][:, :, :, 0, 0]
        known = precision >= 0
        total, count = np.where(known, precision, 0.0).sum(axis=-1), known.sum(axis=-1)
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)

    def figures_of(self, drawn: np.ndarray) -> np.ndarray:
        """Return the ten figures of the images ``drawn`` (indices, repeats allowed); needs ``keep_images``.

        The other methods then speak of these images as well.
        """
        self._evalImgs_cpp = self._kept[:, :, drawn].ravel().tolist()
        self._paramsEval.imgIds = list(range(1, len(drawn) + 1))
        self.accumulate()
        self.summarize()
        return self.figures()


def matched_persons(
    truth: KeypointTruth, predictions: KeypointPredictions, sigmas: np.ndarray, min_oks: float, max_detections: int
) -> np.ndarray:
    """Return (P,) the index of the person that COCO's matching gives each prediction, -1 for nobody.

    Args:
        truth, predictions, sigmas: as :class:`ArrayEvaluation`.
        min_oks: what counts as found.
        max_detections: predictions of an image that count, best scores first.
    """
    owner = np.full(len(predictions), -1)
    images, categories = (list(number) for number in _numbers(truth))
    if not images or not len(predictions):
        return owner
    engine = _ArrayMatching(truth, predictions, sigmas, images, categories, max_detections)
    engine.params.iouThrs = np.array([min_oks])
    engine.params.areaRng, engine.params.areaRngLbl = [[0, _ANY_AREA]], ["all"]
    engine.evaluate()
    for pair in engine.eval["matched"]:  # "prediction_person", numbered from 1
        found, person = (int(number) - 1 for number in pair.split("_"))
        owner[found] = person
    return owner


def similarity_matrices(
    truth: KeypointTruth, predictions: KeypointPredictions, sigmas: np.ndarray, max_detections: int | None = None
) -> dict[tuple, np.ndarray]:
    """Return the OKS of predictions and persons by (image id, category id), where there are both.

    Args:
        truth, predictions, sigmas: as :class:`ArrayEvaluation`.
        max_detections: predictions of an image that count; None for all.

    Returns:
        (P, G) each; predictions best score first (ties in the given order), persons in the given order.
    """
    numbers = _numbers(truth)
    truth_cells, found_cells = (_cells(persons, *numbers) for persons in (truth, predictions))
    images, categories = (list(number) for number in numbers)
    matrices = _similarities(truth, predictions, sigmas, truth_cells, found_cells, max_detections)
    return {(images[i - 1], categories[c - 1]): matrix for (i, c), matrix in matrices.items()}


def best_similarities(truth: KeypointTruth, predictions: KeypointPredictions, sigmas: np.ndarray) -> np.ndarray:
    """Return (P,) the best OKS of each prediction with a counted person of its image and category; 0 without one."""
    numbers = _numbers(truth)
    truth_cells = np.where(truth.ignored[:, None], 0, _cells(truth, *numbers))
    found_cells = _cells(predictions, *numbers)
    best = np.zeros(len(predictions))
    ordered = _Cells(found_cells, -predictions.scores)
    for cell, values in _similarities(truth, predictions, sigmas, truth_cells, found_cells, None).items():
        best[ordered.of(cell)] = values.max(axis=1)
    return best


def _numbers(truth: KeypointTruth) -> tuple[dict, dict]:
    """Number the image ids and the category ids from 1, in the order in which they come."""
    images, categories = (
        {id_: number for number, id_ in enumerate(dict.fromkeys(ids.tolist()), start=1)}
        for ids in (truth.image_ids, truth.category_ids)
    )
    return images, categories


def _say_nothing(*_: object) -> None:
    """Take the place of ``print``."""


def _cells(persons: KeypointTruth | KeypointPredictions, image_numbers: dict, category_numbers: dict) -> np.ndarray:
    """Return (N, 2) image and category number of each person; 0 for one that is not evaluated."""
    images = [image_numbers.get(image, 0) for image in persons.image_ids.tolist()]
    categories = [category_numbers.get(category, 0) for category in persons.category_ids.tolist()]
    return np.column_stack([images, categories]).astype(np.int64).reshape(-1, 2)


def _file(cells: np.ndarray, areas: np.ndarray, **more: object) -> CocoFile:
    """Return the annotations that the engine needs, as it wants them; keypoints it gets as similarities."""
    columns = {"image_id": cells[:, 0], "category_id": cells[:, 1], "area": areas, **more}
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    file = CocoFile()
    file.dataset = {
        "images": [{"id": number} for number in np.unique(cells[:, 0]).tolist()],
        "categories": [{"id": number} for number in np.unique(cells[:, 1]).tolist()],
        "annotations": [
            {"id": number, **dict(zip(columns, row, strict=True))} for number, row in enumerate(rows, start=1)
        ],
    }
    file.createIndex()
    return file


def _similarities(
    truth: KeypointTruth,
    predictions: KeypointPredictions,
    sigmas: np.ndarray,
    truth_cells: np.ndarray,
    found_cells: np.ndarray,
    max_detections: int | None,
) -> dict:
    """Return the (P, G) OKS of each (image, category) that has both, in the engine's order."""
    true_of = _Cells(truth_cells, np.zeros(len(truth_cells)))
    found_of = _Cells(found_cells, -predictions.scores, max_detections)
    shared = [cell for cell in true_of.place if cell in found_of.place and 0 not in cell]
    rows, columns = (
        persons.length[[persons.place[cell] for cell in shared]].astype(int) for persons in (found_of, true_of)
    )
    counts = rows * columns
    ends = np.cumsum(counts)
    cell = np.repeat(np.arange(len(shared)), counts)  # of each pair
    row, column = np.divmod(np.arange(counts.sum()) - np.repeat(ends - counts, counts), columns[cell])
    found, true = found_of.members(shared, cell, row), true_of.members(shared, cell, column)
    values = np.empty(len(cell))
    step = max(1, _PAIR_JOINTS_AT_ONCE // len(sigmas))
    for start in range(0, len(cell), step):
        f, t = found[start : start + step], true[start : start + step]
        values[start : start + step] = oks_pairs(
            predictions.keypoints[f], truth.keypoints[t], truth.visibility[t], truth.areas[t], truth.boxes_xywh[t],
            sigmas,
        )  # fmt: skip
    parts = zip(shared, rows.tolist(), columns.tolist(), ends.tolist(), strict=True)
    return {cell: values[end - r * c : end].reshape(r, c) for cell, r, c, end in parts}


class _Cells:
    """Persons by (image, category): where each cell's begin in ``order``, and how many count.

    Args:
        cells: (N, 2) image and category number of each person.
        rank: (N,) lowest first within a cell (ties in the given order).
        limit: persons of a cell that count; None for all.
    """

    def __init__(self, cells: np.ndarray, rank: np.ndarray, limit: int | None = None) -> None:
        self.order = np.lexsort((rank, cells[:, 1], cells[:, 0]))  # stable
        ordered = cells[self.order]
        self.start = np.flatnonzero(np.diff(ordered, axis=0, prepend=-1).any(axis=1))
        length = np.diff(self.start, append=len(cells))
        self.length = length if limit is None else np.minimum(length, limit)
        self.place = {tuple(cell): i for i, cell in enumerate(ordered[self.start].tolist())}

    def members(self, cells: list, which: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Return the persons that are the ``number``-th of ``cells[which]``."""
        starts = self.start[[self.place[cell] for cell in cells]].astype(int)
        return self.order[starts[which] + number]

    def of(self, cell: tuple[int, int]) -> np.ndarray:
        """Return the persons of a cell."""
        start = self.start[self.place[cell]]
        return self.order[start : start + self.length[self.place[cell]]]
