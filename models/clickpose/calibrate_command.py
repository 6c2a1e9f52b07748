"""``clickpose calibrate``: fit a calibration on labelled data, or apply one to a results file, and measure it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from clickpose.calibration.calibrator_file import (
    Provenance,
    load_calibrator,
    load_ccnet,
    save_calibrator,
    save_ccnet,
)
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
from clickpose.metrics.average_precision import average_precision
from clickpose.metrics.bootstrap import Comparison, compare_average_precision
from clickpose.metrics.calibration_figures import CalibrationSample, calibration_figures
from clickpose.metrics.keypoint_sets import predictions_from_coco, truth_from_coco
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton

CCNET = "ccnet"
AUTO = "auto"
METHODS = (AUTO, CCNET, *CALIBRATORS)
RANKED = ("AP", "AR")  # of COCO's ten figures
SHOWN = (
    "Pearson, persons", "Pearson, joints", "Spearman, persons", "Spearman, joints", "AUSE, persons", "AUSE, joints",
    "ECE, persons", "ECE, joints", "Brier, persons", "Brier, joints",
)  # fmt: skip


@dataclass(frozen=True)
class CalibrateOptions:
    """What the user asked for; see ``clickpose calibrate --help``.

    Attributes:
        method: of :data:`METHODS`.
        per_joint: one curve for each joint.
        out: calibrator file to write; its suffix follows the method.
        calibrated: results file to write.
        report: HTML file to write.
        images: folder of the photos, for the report's examples.
    """

    method: str = AUTO
    per_joint: bool = False
    out: Path | None = None
    calibrated: Path | None = None
    report: Path | None = None
    images: Path | None = None

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"Expected --method to be one of {', '.join(METHODS)}, got {self.method!r}")


@dataclass(frozen=True)
class CalibrateRequest:
    """Whose confidences: a results file's, or a model's on labelled folders; see ``clickpose calibrate --help``.

    Attributes:
        results: results file.
        annotations: its ground truth.
        name: of the model that made it.
        apply: calibrator to apply to it; None to fit one.
        data: labelled folders, instead of a results file.
        model, checkpoint: to run on them.
        skeleton: of the results: a name, or a YAML file.
        clicks, cache: for lite, see :func:`fit_lite`.
        device, threads: to run the model on.
    """

    results: Path | None = None
    annotations: Path | None = None
    name: str = ""
    apply: Path | None = None
    data: tuple[Path, ...] = ()
    model: str = "lite"
    checkpoint: Path | None = None
    skeleton: str = "coco"
    clicks: int = 3
    cache: Path | None = None
    device: str = "cpu"
    threads: int | None = None

    def __post_init__(self):
        if self.apply is not None and self.results is None:
            raise ValueError("Expected --results for --apply; lite reads the calibration beside its weights by itself")
        if (self.results is None) == (not self.data):
            raise ValueError("Expected either --results or --data, got " + ("both" if self.data else "neither"))
        if self.results is not None and not self.name:
            raise ValueError("Expected --name, the model that made the results: a calibrator fits one model only")
        if self.results is not None and self.apply is None and self.annotations is None:
            raise ValueError("Expected --annotations to fit on, or --apply with a fitted calibrator, got neither")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run found and wrote.

    Attributes:
        title: for the table and the report.
        skeleton: the joints.
        method: that was used.
        provenance: of the calibrator.
        before, after: the confidences against the labels; None where there were none.
        average_precision: COCO's AP and AR before and after, where there was a results file with labels.
        intervals: returns these two with bootstrap intervals, for the report; a function, since it takes time.
        notes: sentences to show.
        written: files.
        pictures: returns what the report's examples are drawn from.
    """

    title: str
    skeleton: Skeleton
    method: str
    provenance: Provenance
    before: CalibrationSample | None = None
    after: CalibrationSample | None = None
    average_precision: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    intervals: Callable[[], Mapping[str, Comparison]] | None = None
    notes: Sequence[str] = ()
    written: Sequence[Path] = ()
    pictures: Callable | None = None

    def figures(self) -> dict[str, tuple[float, float]]:
        """Return the figures before and after, by name; COCO's own first."""
        if self.before is None:
            return {}
        old, new = calibration_figures(self.before), calibration_figures(self.after)
        ranking = {} if self.average_precision else {name: (old[name], new[name]) for name in RANKED}
        return {**self.average_precision, **ranking, **{name: (old[name], new[name]) for name in SHOWN}}

    def render(self):
        """Return a ``rich`` table of the figures."""
        from rich.table import Table

        table = Table("", "before", "after", title=self.title)
        for name, values in self.figures().items():
            table.add_row(name, *(f"{value:.4f}" if np.isfinite(value) else "not defined" for value in values))
        return table


def calibrate_from_options(
    request: CalibrateRequest, options: CalibrateOptions, progress: Callable | None = None
) -> Outcome:
    """Fit or apply, measure, and write what was asked for.

    Args:
        request: whose confidences.
        options: method and files.
        progress: wraps a list of photos, to show how far it is.

    Raises:
        ValueError: for files, folders or options that cannot be used.
    """
    outcome = _run(request, options, progress)
    if options.report is None:
        return outcome
    write_outcome_report(outcome, options.report)
    return replace(outcome, written=[*outcome.written, options.report])


def _run(request: CalibrateRequest, options: CalibrateOptions, progress: Callable | None) -> Outcome:
    if not request.data:
        skeleton, file = load_skeleton(request.skeleton), request.results
        if request.apply is not None:
            return apply_calibrator(request.apply, file, request.name, skeleton, options, request.annotations)
        return fit_results(file, request.annotations, request.name, skeleton, options)
    if request.model == "lite":
        import torch

        torch.set_num_threads(request.threads or torch.get_num_threads())
        return fit_lite(request.data, request.checkpoint, options, request.clicks, request.cache)
    if len(request.data) > 1:
        raise ValueError(f"Expected one --data folder for {request.model}, got {len(request.data)}")
    from clickpose.build import load

    predictor = load(request.model, request.checkpoint, request.device, request.threads)
    return fit_model(predictor, request.data[0], options, progress)


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
    return _fit(results, dataset, annotations, name, "", skeleton, options, annotations_file)


def fit_model(predictor, folder: Path, options: CalibrateOptions, progress: Callable | None = None) -> Outcome:
    """Predict the photos of a COCO-format folder with any predictor, and fit a post-hoc calibrator on what it says.

    Args:
        predictor: a :class:`~clickpose.predictor.PosePredictor`.
        folder: with ``annotations.json`` and ``images/``.
        options: method, and files to write.
        progress: wraps the list of photos, to show how far it is; None for nothing.
    """
    from clickpose.data.coco_results import PhotoPoses, to_coco
    from clickpose.data.persons import read_photo

    annotations = _read_annotations(folder / "annotations.json")
    photos = []
    for image in (progress or (lambda images: images))(annotations["images"]):
        photo = read_photo(folder / "images" / image["file_name"])
        height, width = image["height"], image["width"]
        if photo.size != (width, height):  # stored smaller than it is annotated
            photo = photo.resize((width, height))
        predictor.set_image(np.asarray(photo))
        photos.append(PhotoPoses(image["file_name"], (height, width), predictor.predict()))
    skeleton = predictor.skeleton
    document = to_coco(photos, skeleton)
    return _fit(
        document["annotations"], document, annotations, predictor.name, predictor.fingerprint, skeleton, options,
        folder / "annotations.json",
    )  # fmt: skip


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
    measured = _measure(annotations, aligned, given, match_to_truth(annotations, aligned, skeleton), scores, skeleton)
    pictures = _pictures_of(annotations, aligned, given, skeleton, options.images, annotations_file)
    return Outcome(title, skeleton, calibrator.kind, provenance, *measured, written=written, pictures=pictures)


def fit_lite(
    folders: Sequence[Path], checkpoint: Path | None, options: CalibrateOptions, clicks: int = 3,
    cache: Path | None = None,
) -> Outcome:  # fmt: skip
    """Fit a calibration of the lite network, before and after clicks, from ground-truth boxes.

    Args:
        folders: with ``annotations.json`` and ``images/``.
        checkpoint: the network's weights; None for the shipped ones.
        options: method (a post-hoc one, ``ccnet``, or ``auto``), and files to write.
        clicks: simulated clicks a person, one at a time.
        cache: folder that keeps the network's features.

    Raises:
        ValueError: for folders or weights that cannot be used.
    """
    from clickpose.data.coco import read_coco_persons
    from clickpose.lite_calibration import MODEL
    from clickpose.lite_calibration_fit import collect_lite
    from clickpose.lite_predictor import DEFAULT_FILE, load_network
    from clickpose.lite_weights import read_skeleton
    from clickpose.weights_io import fingerprint

    weights = checkpoint or DEFAULT_FILE
    network, skeleton, mark = load_network(weights), read_skeleton(weights), fingerprint(weights)
    records = [record for folder in folders for record in read_coco_persons(folder, skeleton)]
    data = collect_lite(network, records, skeleton, clicks, cache, mark)
    fits = _lite_fits(data, skeleton, options)
    method = min(fits, key=lambda name: fits[name].errors[:, 1].mean())
    fit, described = fits[method], f"{', '.join(folder.name for folder in folders)}: {len(records)} persons"
    outcome = Outcome(
        f"{MODEL} {mark}, {described}, {method}", skeleton, method,
        Provenance.today(MODEL, skeleton, described, mark), fit.before, fit.after,
        notes=[*_errors_by_clicks(fits[method].errors), *_compared(fits)],
        pictures=lambda: _record_pictures(records, data.keypoints),
    )  # fmt: skip
    return _save_fit(outcome, fit.fitted, options.out)


def write_outcome_report(outcome: Outcome, path: Path) -> None:
    """Write the HTML report of an outcome.

    Raises:
        ValueError: if there were no labels to measure with, or the extra ``plots`` is missing.
    """
    from clickpose.calibration_report import write_report

    if outcome.before is None:
        raise ValueError("Expected --annotations for a report: without labels there is nothing to measure")
    about = {
        "model": outcome.provenance.model, "weights": outcome.provenance.fingerprint or "not known",
        "calibrator": outcome.method, "fitted on": outcome.provenance.data, "fitted": outcome.provenance.date,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = outcome.pictures() if outcome.pictures else None
    figures = outcome.intervals() if outcome.intervals else None
    try:
        write_report(path, outcome.before, outcome.after, outcome.title, about, outcome.skeleton, pictures, figures)
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None


def _fit(results, dataset, annotations, name, mark, skeleton, options, source: Path) -> Outcome:
    if options.method == CCNET:
        raise ValueError("Expected a post-hoc --method for results, got ccnet, which needs a network's features")
    aligned = _align_images(results, dataset, annotations)
    given = result_scores(results, skeleton)
    truth = match_to_truth(annotations, aligned, skeleton)
    if not truth.matched.any():
        raise ValueError(f"Expected results of the annotated people of {source}, found none near any of them")
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
    described = f"{source.parent.name}/{source.name}: {int(truth.matched.sum())} persons"
    outcome = Outcome(
        f"{name}, {described}, {method}", skeleton, method, Provenance.today(name, skeleton, described, mark),
        *_measure(annotations, aligned, given, truth, held_out, skeleton),
        notes=[f"{kind}: mean squared error {error:.4f}" for kind, error in {"as they are": own, **errors}.items()],
        written=_write_results(options.calibrated, results, dataset, given, scores),
        pictures=_pictures_of(annotations, aligned, given, skeleton, options.images, source),
    )  # fmt: skip
    return _save_fit(outcome, calibrator, options.out)


def _candidates(options: CalibrateOptions, skeleton: Skeleton, given: ResultScores) -> dict[str, PosthocCalibrator]:
    """Return the calibrators to choose from; ``auto`` leaves out the closed form where a person has no size."""
    kinds = [options.method] if options.method != AUTO else list(CALIBRATORS)
    if options.method == AUTO and not (np.isfinite(given.area) & (given.area > 0)).all():
        kinds.remove(ClosedFormCalibrator.kind)
    return {kind: make_calibrator(kind, skeleton, options.per_joint) for kind in kinds}


def _lite_fits(data, skeleton: Skeleton, options: CalibrateOptions) -> dict:
    """Fit by the given method, or by all that suit lite."""
    from clickpose.lite_calibration_fit import fit_lite_ccnet, fit_lite_posthoc

    posthoc = [kind for kind, cls in CALIBRATORS.items() if not cls.needs_area]
    if options.method not in (AUTO, CCNET, *posthoc):
        raise ValueError(f"Expected --method auto, {CCNET} or {', '.join(posthoc)} for lite, got {options.method}: "
                         "its scores know the person's size already")  # fmt: skip
    wanted = [options.method] if options.method != AUTO else [*posthoc, CCNET]
    return {
        kind: fit_lite_ccnet(data)
        if kind == CCNET
        else fit_lite_posthoc(data, make_calibrator(kind, skeleton, options.per_joint))
        for kind in wanted
    }


def _errors_by_clicks(errors: np.ndarray) -> list[str]:
    return [
        f"mean squared error of predicted OKS after {clicks} clicks: {before:.4f} -> {after:.4f}"
        for clicks, (before, after) in enumerate(errors)
    ]


def _compared(fits: Mapping) -> list[str]:
    """Say how the methods compare with each other and with the network's own scores."""
    if len(fits) < 2:
        return []
    own = next(iter(fits.values())).errors[:, 0].mean()
    lines = [f"{name}: {fit.errors[:, 1].mean():.4f}" for name, fit in fits.items()]
    return [f"over all numbers of clicks, own scores: {own:.4f}; " + "; ".join(lines)]


def _measure(
    annotations: dict, results: Sequence[dict], given: ResultScores, truth: MatchedTruth, scores: np.ndarray,
    skeleton: Skeleton,
) -> tuple[CalibrationSample, CalibrationSample, dict[str, tuple[float, float]], Callable]:  # fmt: skip
    """Return the samples before and after, COCO's AP and AR, and what gives their intervals."""
    raw = np.array([float(result["score"]) for result in results])
    new = instance_scores(scores, given.visibility_scores, given.scores)
    visibility = np.where(truth.matched[:, None], truth.visibility, 0)
    before, after = (
        CalibrationSample(truth.oks, joints, visibility, truth.instance_oks, persons, image_ids=given.image_ids)
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
    from clickpose.data.coco import read_json

    content = read_json(path, "COCO keypoints")
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise ValueError(f"Expected COCO keypoints (images, annotations) in {path}, got something else")
    return content


def _align_images(results: Sequence[dict], dataset: dict | None, annotations: dict) -> list[dict]:
    """Give results that came with photos of their own numbering the ids of the annotated photos, by file name."""
    if dataset is None:
        return list(results)
    ids = {Path(str(image["file_name"])).name: image["id"] for image in annotations["images"]}
    names = {image["id"]: Path(str(image["file_name"])).name for image in dataset["images"]}
    if missing := [name for name in names.values() if name not in ids]:
        raise ValueError(f"Expected results of annotated photos, got {missing[0]}, which the annotations lack")
    return [{**result, "image_id": ids[names[result["image_id"]]]} for result in results]


def _write_results(path: Path | None, results, dataset: dict | None, given: ResultScores, scores) -> list[Path]:
    """Write the results with calibrated confidences in the form that they came in."""
    if path is None:
        return []
    changed = with_scores(results, scores, instance_scores(scores, given.visibility_scores, given.scores))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(changed if dataset is None else {**dataset, "annotations": changed}), encoding="utf-8")
    return [path]


def _save_fit(outcome: Outcome, fitted, out: Path | None) -> Outcome:
    """Write the calibrator, with the figures in its provenance; returns the outcome with both."""
    figures = {f"{name}, {when}": float(value) for name, pair in outcome.figures().items()
               for when, value in zip(("before", "after"), pair, strict=True)}  # fmt: skip
    outcome = replace(outcome, provenance=replace(outcome.provenance, figures=figures))
    if out is None:
        return outcome
    path = _calibrator_path(out, outcome.method)
    path.parent.mkdir(parents=True, exist_ok=True)
    if outcome.method == CCNET:
        save_ccnet(path, fitted.state_dict(), outcome.provenance)
    else:
        save_calibrator(path, fitted, outcome.provenance)
    _list_among_shipped(path)
    return replace(outcome, written=[*outcome.written, path])


def _calibrator_path(out: Path, method: str) -> Path:
    """Return ``out`` with the suffix of what is written: .safetensors for a CCNet head, .json for the others."""
    stem = out.name.removesuffix(".json").removesuffix(".safetensors")
    path = out.with_name(stem + (".safetensors" if method == CCNET else ".json"))
    if path.exists():  # only a calibrator may be replaced: not a network's weights, not a results file
        load_ccnet(path) if method == CCNET else load_calibrator(path)
    return path


def _list_among_shipped(path: Path) -> None:
    """Keep the checksums of the package's own weights folder right when a calibration is written there."""
    from clickpose.weights_io import WEIGHTS_FOLDER, write_checksum

    if path.resolve().parent == WEIGHTS_FOLDER.resolve():
        write_checksum(path)


def _pictures_of(annotations, results, given: ResultScores, skeleton, images: Path | None, source: Path):
    """Return a function that gathers what the report's examples are drawn from; None without photos."""
    folder = images or source.parent / "images"
    if not folder.is_dir():
        return None
    entries = {image["id"]: image for image in annotations["images"]}

    def gather():
        from clickpose.boxes import enclosing_box, xywh_to_xyxy
        from clickpose.calibration_report import PersonPictures

        chosen = [entries[result["image_id"]] for result in results]
        boxes = [
            xywh_to_xyxy(result["bbox"]) if result.get("bbox") else enclosing_box(points)
            for result, points in zip(results, given.keypoints, strict=True)
        ]
        truth = match_to_truth(annotations, results, skeleton).truth
        return PersonPictures(
            [folder / image["file_name"] for image in chosen],
            np.array([(image["height"], image["width"]) for image in chosen]).reshape(-1, 2),
            given.keypoints, truth, np.reshape(boxes, (-1, 4)),
        )  # fmt: skip

    return gather


def _record_pictures(records, keypoints: np.ndarray):
    from clickpose.calibration_report import PersonPictures

    return PersonPictures(
        [record.image_path for record in records],
        np.array([record.image_hw for record in records]),
        keypoints,
        np.stack([record.keypoints for record in records]),
        np.stack([record.box_xyxy for record in records]),
    )
