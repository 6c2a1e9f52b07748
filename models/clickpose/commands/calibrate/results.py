"""A results file beside its ground truth: read for a fit, measured, and written with other confidences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clickpose.boxes import xywh_to_xyxy
from clickpose.calibration.posthoc import IdentityCalibrator, PosthocCalibrator
from clickpose.calibration.results_file import ResultsFile, instance_scores, match_to_truth, with_scores
from clickpose.calibration.sample import FitSample
from clickpose.commands.calibrate.outcome import RANKED
from clickpose.commands.calibrate.report import PersonPictures
from clickpose.data.coco import stored_hw_of
from clickpose.data.coco_categories import person_categories
from clickpose.data.coco_extents import box_of_joints
from clickpose.data.coco_records import CocoPerson, coco_images
from clickpose.data.json_file import read_json
from clickpose.data.notes import told
from clickpose.data.photo_files import check_photos
from clickpose.data.records import ImageRecord
from clickpose.metrics.average_precision import average_precision
from clickpose.metrics.bootstrap import Comparison, compare_average_precision
from clickpose.metrics.keypoint_sets import predictions_from_coco, truth_from_coco
from clickpose.skeleton import Skeleton


class Results:
    """What a results file holds, and its confidences calibrated.

    Args:
        file: of N results.
    """

    def __init__(self, file: ResultsFile):
        self.file = file
        self.scores = file.scores

    @classmethod
    def read(cls, path: Path, skeleton: Skeleton, annotations_file: Path | None = None) -> Results:
        """Read a file.

        Args:
            path: the file.
            skeleton: the joints.
            annotations_file: the ground truth, if there is one: its categories say which results are people's.

        Raises:
            FileNotFoundError, ValueError: for a file that is none, or holds something else.
        """
        if annotations_file is None:
            return cls(ResultsFile.read(path, skeleton))
        annotations: Any = read_json(annotations_file, "COCO keypoints")
        categories = person_categories(annotations, skeleton, str(annotations_file)).of_results
        return cls(ResultsFile.read(path, skeleton, categories))

    @property
    def rows(self) -> list[dict]:
        """The N results as COCO's list has them."""
        return self.file.rows

    @property
    def skeleton(self) -> Skeleton:
        """Their joints."""
        return self.file.skeleton

    def recalibrated(self, calibrator: PosthocCalibrator) -> list[dict]:
        """Return the results with calibrated confidences; as they are where the calibrator changes none."""
        if calibrator.kind == IdentityCalibrator.kind:
            return list(self.rows)
        joints = calibrator.predict(self.scores.scores, self.scores.area if calibrator.needs_area else None)
        persons = instance_scores(joints, self.scores.visibility_scores, self.scores.scores)
        return with_scores(self.rows, joints, persons)

    def write(self, path: Path, rows: Sequence[dict]) -> None:
        """Write changed results in the form that they came in."""
        self.file.write(path, rows)

    @property
    def notes(self) -> list[str]:
        """What was left out or guessed, in a sentence."""
        return [f"{self.file.source}: {told(self.file.notes)}"] if self.file.notes else []


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
        left_out: of the annotations -> how often.
    """

    results: Results
    aligned: Sequence[dict]
    annotations: dict
    source: Path
    sample: FitSample
    truth: np.ndarray
    left_out: Mapping[str, int]

    @classmethod
    def read(cls, results: Results, annotations_file: Path) -> LabelledResults:
        """Read the ground truth and find each result's person.

        Raises:
            ValueError: for a file that cannot serve, or photos that cannot be told.
        """
        annotations: Any = read_json(annotations_file, "COCO keypoints")
        names = {image.image_id: image.file_name for image in coco_images(annotations, str(annotations_file))}
        aligned, given, left_out = results.file.aligned(names), results.scores, Counter[str]()
        found = match_to_truth(annotations, aligned, results.skeleton, source=str(annotations_file), notes=left_out)
        sample = FitSample(
            oks=found.oks,
            scores=given.scores,
            visibility=np.where(found.matched[:, None], found.visibility, 0),
            instance_oks=found.instance_oks,
            instance_scores=given.instance_scores,
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
            left_out=left_out,
        )

    @property
    def notes(self) -> list[str]:
        """What was left out or guessed in results and annotations, a sentence each."""
        return [*self.results.notes, *([f"{self.source}: {told(self.left_out)}"] if self.left_out else [])]

    @property
    def source_and_notes(self) -> str:
        """The annotations' file for messages, with what was left out or is odd of both files: that may be why."""
        odd = [*([told(self.left_out)] if self.left_out else []), *self.results.notes]
        return f"{self.source} ({'; '.join(odd)})" if odd else str(self.source)

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
        folder = folder or self.source.parent / "images"
        if not folder.is_dir():
            return None
        images = {image.image_id: image for image in coco_images(self.annotations, str(self.source))}
        chosen = [images[result["image_id"]] for result in self.aligned]
        if lacking := [image for image in chosen if image.file_name is None or image.image_hw is None]:
            raise ValueError(
                f"Expected a file_name, height and width of every annotated photo for the report's examples, got "
                f"image {lacking[0].image_id!r} of {self.source} without"
            )
        paths = [folder / str(image.file_name) for image in chosen]
        if absent := [path for path in paths if not path.is_file()]:
            raise ValueError(f"Expected the annotated photos in {folder} for the report's examples, got no "
                             f"{absent[0].name}; `images` names their folder")  # fmt: skip
        check_photos(
            ImageRecord(image.image_id, path, image.image_hw, stored_hw_of(image, f"image {image.image_id}"))
            for image, path in zip(chosen, paths, strict=True)
            if image.image_hw is not None
        )
        return PersonPictures(
            image_paths=paths,
            images_hw=np.reshape([image.image_hw for image in chosen], (-1, 2)),
            keypoints=self.results.scores.keypoints,
            truth=self.truth,
            boxes_xyxy=np.reshape([_box(person) for person in self.results.file.people], (-1, 4)),
        )


def _box(person: CocoPerson) -> np.ndarray:
    """Return (4,) xyxy px: the person's box, else that of the joints; an empty one where there is neither."""
    box = box_of_joints(person.keypoints, margin=0.0) if person.box_xywh is None else person.box_xywh
    return xywh_to_xyxy(np.zeros(4) if box is None else box)


def _intervals(
    annotations: dict, before: Sequence[dict], after: Sequence[dict], skeleton: Skeleton
) -> dict[str, Comparison]:
    """Return COCO's AP and AR before and after with bootstrap intervals."""
    truth = truth_from_coco(annotations, skeleton)
    old, new = (predictions_from_coco(annotations, results, skeleton) for results in (before, after))
    images = [image["id"] for image in annotations["images"]]
    compared = compare_average_precision(truth, old, new, skeleton.sigma_array, images)
    return {f"COCO {name}": compared[name] for name in RANKED}
