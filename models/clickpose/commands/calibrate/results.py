"""A results file beside its ground truth: read for a fit, measured, and written with other confidences."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clickpose.calibration.posthoc import IdentityCalibrator, PosthocCalibrator
from clickpose.calibration.results_file import (
    ResultScores,
    instance_scores,
    match_to_truth,
    read_results,
    result_scores,
    with_scores,
)
from clickpose.calibration.sample import FitSample
from clickpose.checks import check_unit_range
from clickpose.commands.calibrate.outcome import RANKED
from clickpose.commands.calibrate.report import PersonPictures
from clickpose.data.json_file import read_json
from clickpose.metrics.average_precision import average_precision
from clickpose.metrics.bootstrap import Comparison, compare_average_precision
from clickpose.metrics.keypoint_sets import predictions_from_coco, truth_from_coco
from clickpose.skeleton import Skeleton


@dataclass(frozen=True, eq=False, kw_only=True)
class Results:
    """What a results file holds.

    Attributes:
        source: the file.
        rows: the N results as they came.
        dataset: that they stood in; None for a plain list.
        scores: what they say.
        skeleton: their joints.
    """

    source: Path
    rows: Sequence[dict]
    dataset: dict | None
    scores: ResultScores
    skeleton: Skeleton

    @classmethod
    def read(cls, path: Path, skeleton: Skeleton) -> Results:
        """Read a file.

        Raises:
            ValueError: for a file that is none, or holds something else.
        """
        rows, dataset = read_results(path)
        return cls(source=path, rows=rows, dataset=dataset, scores=result_scores(rows, skeleton), skeleton=skeleton)

    def recalibrated(self, calibrator: PosthocCalibrator) -> list[dict]:
        """Return the results with calibrated confidences; as they are where the calibrator changes none."""
        if calibrator.kind == IdentityCalibrator.kind:
            return list(self.rows)
        joints = calibrator.predict(self.scores.scores, self.scores.area if calibrator.needs_area else None)
        persons = instance_scores(joints, self.scores.visibility_scores, self.scores.scores)
        return with_scores(self.rows, joints, persons)

    def write(self, path: Path, rows: Sequence[dict]) -> None:
        """Write changed results in the form that they came in."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = rows if self.dataset is None else {**self.dataset, "annotations": rows}
        path.write_text(json.dumps(content), encoding="utf-8")


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledResults:
    """Results beside their ground truth.

    Attributes:
        results: as they came.
        aligned: the results with the image ids of the ground truth.
        annotations: the ground truth, a COCO keypoint dataset.
        source: its file.
        sample: the N results as a fit takes them; who found nobody has no label.
        truth: (N, K, 2) px, the annotated keypoints; 0 where nobody was found.
    """

    results: Results
    aligned: Sequence[dict]
    annotations: dict
    source: Path
    sample: FitSample
    truth: np.ndarray

    @classmethod
    def read(cls, results: Results, annotations_file: Path) -> LabelledResults:
        """Read the ground truth and find each result's person.

        Raises:
            ValueError: for a file that cannot serve, or photos that cannot be told.
        """
        annotations = _read_annotations(annotations_file)
        aligned, given = _align_images(results.rows, results.dataset, annotations), results.scores
        found = match_to_truth(annotations, aligned, results.skeleton)
        persons = np.array([float(result["score"]) for result in results.rows])
        sample = FitSample(
            oks=found.oks,
            scores=given.scores,
            visibility=np.where(found.matched[:, None], found.visibility, 0),
            instance_oks=found.instance_oks,
            instance_scores=check_unit_range("score of the results", persons),
            image_ids=given.image_ids,
            weights=given.scores if given.visibility_scores is None else given.visibility_scores,
            area=given.area,
            folds_by=np.array([result["image_id"] for result in aligned], dtype=object).astype(str),
        )
        return cls(
            results=results,
            aligned=aligned,
            annotations=annotations,
            source=annotations_file,
            sample=sample,
            truth=found.truth,
        )

    @property
    def described(self) -> str:
        """What a fit on them was fitted on."""
        return f"{'/'.join(self.source.parts[-2:])}: {int(self.sample.measured.sum())} persons"

    def average_precision(
        self, joints: np.ndarray, persons: np.ndarray
    ) -> tuple[dict[str, tuple[float, float]], Callable[[], Mapping[str, Comparison]]]:
        """Return COCO's AP and AR before and after, and what gives them with intervals.

        Args:
            joints: (N, K) confidences after.
            persons: (N,) theirs.
        """
        changed, skeleton = with_scores(self.aligned, joints, persons), self.results.skeleton
        old, new = (average_precision(self.annotations, rows, skeleton=skeleton) for rows in (self.aligned, changed))
        figures = {f"COCO {name}": (old[name], new[name]) for name in RANKED}
        return figures, lambda: _intervals(self.annotations, self.aligned, changed, skeleton)

    def pictures(self, folder: Path | None) -> PersonPictures | None:
        """Return what a report's examples are drawn from; None without a folder of photos.

        Args:
            folder: of the photos; None for ``images`` beside the annotations.

        Raises:
            ValueError: if photos are not there, or the annotations do not say their name or size.
        """
        from clickpose.boxes import enclosing_box, xywh_to_xyxy

        folder = folder or self.source.parent / "images"
        if not folder.is_dir():
            return None
        keypoints, entries = self.results.scores.keypoints, {image["id"]: image for image in self.annotations["images"]}
        chosen = [entries[result["image_id"]] for result in self.aligned]
        boxes = [
            xywh_to_xyxy(result["bbox"]) if result.get("bbox") else enclosing_box(points)
            for result, points in zip(self.aligned, keypoints, strict=True)
        ]
        try:
            paths = [folder / image["file_name"] for image in chosen]
            images_hw = np.reshape([(image["height"], image["width"]) for image in chosen], (-1, 2))
        except KeyError as error:
            raise ValueError(f"Expected {error} of every annotated photo for the report's examples, got none") from None
        if absent := [path for path in paths if not path.is_file()]:
            raise ValueError(f"Expected the annotated photos in {folder} for the report's examples, got no "
                             f"{absent[0].name}; `images` names their folder")  # fmt: skip
        return PersonPictures(
            image_paths=paths,
            images_hw=images_hw,
            keypoints=keypoints,
            truth=self.truth,
            boxes_xyxy=np.reshape(boxes, (-1, 4)),
        )


def _intervals(annotations: dict, before: Sequence[dict], after: Sequence[dict], skeleton: Skeleton):
    """Return COCO's AP and AR before and after with bootstrap intervals."""
    truth = truth_from_coco(annotations, skeleton)
    old, new = (predictions_from_coco(annotations, results, skeleton) for results in (before, after))
    images = [image["id"] for image in annotations["images"]]
    compared = compare_average_precision(truth, old, new, skeleton.sigma_array, images)
    return {f"COCO {name}": compared[name] for name in RANKED}


def _read_annotations(path: Path) -> dict:
    content = read_json(path, "COCO keypoints")
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise ValueError(f"Expected COCO keypoints (images, annotations) in {path}, got something else")
    if not all(isinstance(image, dict) and "id" in image for image in content["images"]):
        raise ValueError(f"Expected images with an id in {path}, got one without")
    return content


def _align_images(results: Sequence[dict], dataset: dict | None, annotations: dict) -> list[dict]:
    """Give results that came with photos of their own numbering the ids of the annotated photos, by file name."""
    if dataset is None:
        return list(results)
    by_name = {str(image.get("file_name", "")): image["id"] for image in annotations["images"]}
    # folders may differ, but then a bare name must say which photo is meant
    by_bare_name: dict[str, list] = {}
    for name, id_ in by_name.items():
        by_bare_name.setdefault(Path(name).name, []).append(id_)
    ids = {}
    for image in dataset.get("images", []):
        name = str(image.get("file_name", ""))
        candidates = [by_name[name]] if name in by_name else by_bare_name.get(Path(name).name, [])
        if not name or len(candidates) != 1:
            number = "several" if len(candidates) > 1 else "none"
            raise ValueError(f"Expected one annotated photo of the name {name!r}, as the results' photo, got {number}")
        ids[image.get("id")] = candidates[0]
    if missing := [result.get("image_id") for result in results if result.get("image_id") not in ids]:
        raise ValueError(f"Expected results of the photos that stand beside them, got image_id {missing[0]!r}")
    return [{**result, "image_id": ids[result["image_id"]]} for result in results]
