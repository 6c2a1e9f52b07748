"""Fit a post-hoc calibrator on a results file, and apply one to a results file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from clickpose.calibration.calibrator_file import Provenance, load_calibrator
from clickpose.calibration.posthoc import (
    CALIBRATORS,
    ClosedFormCalibrator,
    PosthocCalibrator,
    choose_calibrator,
    cross_validate,
    make_calibrator,
)
from clickpose.calibration.results_file import (
    MatchedTruth,
    ResultScores,
    instance_scores,
    match_to_truth,
    read_results,
    result_scores,
    with_scores,
)
from clickpose.checks import check_unit_range
from clickpose.commands.calibrate.outcome import AUTO, CCNET, RANKED, CalibrateOptions, Outcome, save_fit
from clickpose.data.json_file import read_json
from clickpose.metrics.average_precision import average_precision
from clickpose.metrics.bootstrap import compare_average_precision
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.metrics.keypoint_sets import predictions_from_coco, truth_from_coco
from clickpose.skeleton import Skeleton


def fit_results(
    results_file: Path, annotations_file: Path, name: str, skeleton: Skeleton, options: CalibrateOptions
) -> Outcome:
    """Fit a post-hoc calibrator on a results file and its ground truth.

    The figures are of predictions whose photo was not fitted on (five folds); the calibrator is fitted on everything.

    Args:
        results_file: COCO results, or what ``clickpose predict --json`` writes.
        annotations_file: COCO keypoints of the same photos.
        name: of the model that made the results.
        skeleton: theirs.
        options: method, and files to write.

    Raises:
        ValueError: for files that cannot be used, or labels that match nobody.
    """
    annotations = _read_annotations(annotations_file)
    results, dataset = read_results(results_file)
    return _fit(results, dataset, annotations, name, skeleton, options, annotations_file)


def apply_calibrator(
    calibrator_file: Path,
    results_file: Path,
    name: str,
    skeleton: Skeleton,
    options: CalibrateOptions,
    annotations_file: Path | None = None,
) -> Outcome:
    """Write a results file with calibrated confidences; with ground truth, also measure them.

    Raises:
        ValueError: for a calibrator of another model or skeleton, a CCNet head (it needs features, which a results file
            has not), or files that cannot be used.
    """
    if calibrator_file.suffix == ".safetensors":
        raise ValueError(
            f"Expected a post-hoc calibrator (.json) for a results file, got {calibrator_file}: "
            "a CCNet head needs a network's features"
        )
    calibrator, provenance = load_calibrator(calibrator_file)
    provenance.check(name, skeleton)
    results, dataset = read_results(results_file)
    given = result_scores(results, skeleton)
    scores = calibrator.predict(given.scores, given.area if calibrator.needs_area else None)
    written = _write_results(options.calibrated, results, dataset, given, scores)
    title = f"{results_file.name}: {len(results)} persons, {calibrator.kind} fitted on {provenance.data}"
    if annotations_file is None:
        return Outcome(title, skeleton, calibrator.kind, provenance, written=written)
    annotations = _read_annotations(annotations_file)
    aligned = _align_images(results, dataset, annotations)
    truth = match_to_truth(annotations, aligned, skeleton)
    measured = _measure(annotations, aligned, given, truth, scores, skeleton)
    pictures = _pictures_of(annotations, aligned, given, truth, options, annotations_file)
    return Outcome(title, skeleton, calibrator.kind, provenance, *measured, written=written, pictures=pictures)


def _fit(results, dataset, annotations, name, skeleton, options, source: Path) -> Outcome:
    if options.method == CCNET:
        raise ValueError("Expected a post-hoc --method for results, got ccnet, which needs a network's features")
    aligned = _align_images(results, dataset, annotations)
    given = result_scores(results, skeleton)
    truth = match_to_truth(annotations, aligned, skeleton)
    photos = len(set(given.image_ids[truth.matched].tolist()))
    if not photos:
        raise ValueError(f"Expected results of the annotated people of {source}, found none near any of them")
    if photos < 2:
        raise ValueError(f"Expected people on at least two photos of {source}, one to fit on and one to measure on, "
                         "got one photo")  # fmt: skip
    labelled = (given.scores, truth.oks, truth.visibility)
    groups = np.array([result["image_id"] for result in aligned], dtype=object).astype(str)
    candidates = _candidates(options, skeleton, given)
    sized = any(candidate.needs_area for candidate in candidates.values())
    method, errors = choose_calibrator(candidates, *labelled, given.area if sized else None, groups)
    own = float(np.square(given.scores - truth.oks)[truth.visibility > 0].mean())
    calibrator = candidates[method]
    area = given.area if calibrator.needs_area else None
    held_out = cross_validate(calibrator, *labelled, area, groups)
    calibrator.fit(*labelled, area)
    scores = calibrator.predict(given.scores, area)
    described = f"{'/'.join(source.parts[-2:])}: {int(truth.matched.sum())} persons"
    outcome = Outcome(
        f"{name}, {described}, {method}", skeleton, method, Provenance.today(name, skeleton, described),
        *_measure(annotations, aligned, given, truth, held_out, skeleton),
        notes=[f"{kind}: mean squared error {error:.4f}" for kind, error in {"as they are": own, **errors}.items()],
        written=_write_results(options.calibrated, results, dataset, given, scores),
        pictures=_pictures_of(annotations, aligned, given, truth, options, source),
    )  # fmt: skip
    return save_fit(outcome, calibrator, options.out)


def _candidates(options: CalibrateOptions, skeleton: Skeleton, given: ResultScores) -> dict[str, PosthocCalibrator]:
    """Return the calibrators to choose from; ``auto`` leaves out the closed form where a person has no size."""
    kinds = [options.method] if options.method != AUTO else list(CALIBRATORS)
    if options.method == AUTO and not (np.isfinite(given.area) & (given.area > 0)).all():
        kinds.remove(ClosedFormCalibrator.kind)
    return {kind: make_calibrator(kind, skeleton, options.per_joint) for kind in kinds}


def _measure(
    annotations: dict, results: Sequence[dict], given: ResultScores, truth: MatchedTruth, scores: np.ndarray,
    skeleton: Skeleton,
) -> tuple[CalibrationSample, CalibrationSample, dict[str, tuple[float, float]], Callable]:  # fmt: skip
    """Return the samples before and after, COCO's AP and AR, and what gives their intervals."""
    raw = check_unit_range("score of the results", np.array([float(result["score"]) for result in results]))
    new = instance_scores(scores, given.visibility_scores, given.scores)
    visibility = np.where(truth.matched[:, None], truth.visibility, 0)
    before, after = (
        CalibrationSample(
            oks=truth.oks,
            scores=joints,
            visibility=visibility,
            instance_oks=truth.instance_oks,
            instance_scores=persons,
            image_ids=given.image_ids,
        )
        for joints, persons in ((given.scores, raw), (scores, new))
    )
    changed = with_scores(results, scores, new)
    old_figures = average_precision(annotations, results, skeleton=skeleton)
    new_figures = average_precision(annotations, changed, skeleton=skeleton)
    figures = {f"COCO {name}": (old_figures[name], new_figures[name]) for name in RANKED}
    return before, after, figures, lambda: _intervals(annotations, results, changed, skeleton)


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


def _write_results(path: Path | None, results, dataset: dict | None, given: ResultScores, scores) -> list[Path]:
    """Write the results with calibrated confidences in the form that they came in."""
    if path is None:
        return []
    changed = with_scores(results, scores, instance_scores(scores, given.visibility_scores, given.scores))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(changed if dataset is None else {**dataset, "annotations": changed}), encoding="utf-8")
    return [path]


def _pictures_of(
    annotations, results, given: ResultScores, truth: MatchedTruth, options: CalibrateOptions, source: Path
):
    """Return a function that gathers what the report's examples are drawn from; None without photos."""
    folder = options.images or source.parent / "images"
    if not folder.is_dir():
        return None
    entries = {image["id"]: image for image in annotations["images"]}

    def gather():
        from clickpose.boxes import enclosing_box, xywh_to_xyxy
        from clickpose.commands.calibrate.report import PersonPictures

        chosen = [entries[result["image_id"]] for result in results]
        boxes = [
            xywh_to_xyxy(result["bbox"]) if result.get("bbox") else enclosing_box(points)
            for result, points in zip(results, given.keypoints, strict=True)
        ]
        try:
            paths = [folder / image["file_name"] for image in chosen]
            images_hw = np.reshape([(image["height"], image["width"]) for image in chosen], (-1, 2))
        except KeyError as error:
            raise ValueError(f"Expected {error} of every annotated photo for the report's examples, got none") from None
        if absent := [path for path in paths if not path.is_file()]:  # now, not after minutes of intervals
            raise ValueError(f"Expected the annotated photos in {folder} for the report's examples, got no "
                             f"{absent[0].name}; --images names their folder")  # fmt: skip
        return PersonPictures(
            image_paths=paths,
            images_hw=images_hw,
            keypoints=given.keypoints,
            truth=truth.truth,
            boxes_xyxy=np.reshape(boxes, (-1, 4)),
        )

    return gather
