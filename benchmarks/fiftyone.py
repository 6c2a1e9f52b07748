"""How fast the plugin is at 100,000 photos with 250,000 people, and beside a loop and FiftyOne's own evaluation.

    .venv-fiftyone/bin/python benchmarks/fiftyone.py [--quick] [--photos 100000] [--compared 1000] [--rounds 3]

Synthetic people, labelled and predicted, on photos that do not exist: every operator that needs no network and no Label
Studio runs once over all of them (the time, the processor's time of this process, and the most memory that it ever
had), then the panels. Columns
are measured beside a loop over samples (autosave), the evaluation beside FiftyOne's own and beside a loop, whole labels
as documents beside ``set_values(dynamic=True)``: the same people, in turn, the fastest of the rounds. The database is
one of its own on a free port.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import numpy as np  # noqa: E402  (this file's own name would hide the library's)

PEOPLE, JOINTS, LOW = 2.5, 17, 0.3  # people a photo on average; a visibility
WIDTH_HEIGHT = (640, 480)
QUICK = {"photos": 2_000, "compared": 200, "rounds": 2}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 photos: a minute in place of a quarter of an hour")
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--compared", type=int, default=1_000, help="photos of the comparisons, in which loops run")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparisons, the fastest counts")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    from clickpose_fiftyone.database import running_server

    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as address:
        os.environ.update(
            FIFTYONE_DATABASE_URI=address, FIFTYONE_DATABASE_NAME="benchmark", FIFTYONE_DATABASE_VALIDATION="false",
            FIFTYONE_DO_NOT_TRACK="true", FIFTYONE_SHOW_PROGRESS_BARS="false",
            FIFTYONE_PLUGINS_DIR=str(Path(folder) / "plugins"),
        )  # fmt: skip
        measure(options, Path(folder))


def measure(options, folder: Path) -> None:
    """Print the operators and panels at full size, then the comparisons."""
    from clickpose_fiftyone.install import install_plugin

    install_plugin(folder / "plugins")
    start = time.perf_counter()
    dataset = make_dataset(options.photos)
    people = dataset.count("pred.keypoints")
    print(f"{options.photos} photos, {people} people (made in {time.perf_counter() - start:.0f} s)", flush=True)
    operators(dataset, folder)
    panels(dataset)
    dataset.delete()
    compare("columns beside a loop over samples", options, {"columns": by_columns, "loop": by_loop})
    compare("evaluation", options, {
        "coco-pose": evaluated, "FiftyOne's own": evaluated_by_fiftyone, "a loop over samples": evaluated_by_loop,
    })  # fmt: skip
    compare("new people", options, {"documents": people_as_documents, "set_values(dynamic)": people_as_labels})
    compare("coloured joints", options, {"documents": joints_as_documents, "set_values(dynamic)": joints_as_labels})


def operators(dataset, folder: Path) -> None:
    """Run every operator on everybody, as the app does, and print its time."""
    import fiftyone.operators as foo

    runs: list[tuple[str, dict]] = [
        ("evaluate_poses", {"eval_key": "eval"}),
        ("calibrate", {"kind": "auto"}),
        ("calibrate", {"kind": "isotonic", "per_joint": True}),
        ("restore_raw_scores", {}),
        ("diagnose", {}),
        ("find_label_errors", {}),
        ("flag_low_visibility", {"threshold": LOW}),
        ("review_worst", {"count": 50}),
        ("select_for_labelling", {"budget": 50}),
        ("auto_accept", {"target": 0.8}),
        ("set_up_colours", {}),
        ("export_coco", {"path": str(folder / "labels.json"), "pred_field": "gt"}),
        ("export_coco", {"path": str(folder / "results.json"), "results": True}),
        ("accept_refinements", {}),
        ("discard_refinements", {}),
    ]
    print("operators: seconds, of them this process's own, and its most memory so far in MB")
    for name, params in runs:
        params = {"pred_field": "pred", "gt_field": "gt", **params}
        operator = foo.get_operator(f"@clickpose/pose_review/{name}")
        told: dict = {}
        own = time.process_time()
        seconds = timed(lambda operator=operator, params=params, told=told: told.update(operator(dataset, **params)))
        own = time.process_time() - own
        shown = ", ".join(f"{key}={params[key]}" for key in ("kind", "per_joint", "results") if key in params)
        label = f"{name} ({shown})" if shown else name
        print(f"  {label:42} {seconds:7.2f} {own:7.2f} {peak():7.0f}   {told['message'][:70]}", flush=True)


def panels(dataset) -> None:
    """Print what the panels compute, the first time and once it is kept."""
    from clickpose_fiftyone.acceptance import auto_accept
    from clickpose_fiftyone.calibration_report import calibration_report, score_histogram
    from clickpose_fiftyone.diagnosis import stored_diagnosis
    from clickpose_fiftyone.review import review_queue

    def calibration():
        auto_accept(dataset, "pred", 0.9, write=False)
        score_histogram(dataset, "pred")
        calibration_report(dataset, "pred", "gt")

    works = {
        "Pose calibration": calibration,
        "Pose review": lambda: review_queue(dataset, "pred", 50),
        "Pose diagnosis": lambda: stored_diagnosis(dataset, "pred"),
    }
    print("panels: seconds the first time, of them this process's own, seconds again")
    for name, work in works.items():
        own = time.process_time()
        first, own = timed(work), time.process_time() - own
        print(f"  {name:42} {first:7.2f} {own:7.2f} {timed(work):7.2f}", flush=True)


def compare(title: str, options, works: Mapping[str, Callable]) -> None:
    """Run ways of doing the same in turn, each on a dataset of its own; print the fastest of the rounds and ratios."""
    datasets = {name: make_dataset(options.compared) for name in works}
    times = {name: [] for name in works}
    for number in range(options.rounds):
        for name, work in works.items():
            times[name].append(timed(lambda work=work, name=name, n=number: work(datasets[name], n)))
    for dataset in datasets.values():
        dataset.delete()
    print(f"{title}, {options.compared} photos, the fastest of {options.rounds} rounds in turn")
    first = min(next(iter(times.values())))
    for name, seconds in times.items():
        print(f"  {name:42} {min(seconds):7.2f} s   ratio {min(seconds) / first:7.1f}", flush=True)


def evaluated(dataset, number: int) -> None:
    """The package's evaluation."""
    from clickpose_fiftyone.evaluation import evaluate_poses

    evaluate_poses(dataset, "pred", "gt", f"eval{number}")


def evaluated_by_fiftyone(dataset, number: int) -> None:
    """FiftyOne's own, with its own similarity."""
    dataset.evaluate_detections(
        "pred", gt_field="gt", eval_key=f"eval{number}", method="coco", compute_mAP=True, classwise=False,
    )  # fmt: skip


def evaluated_by_loop(dataset, number: int) -> None:
    """The similarities and matches of each photo by a loop over samples, stored as it goes."""
    from clickpose.metrics.oks import oks_matrix
    from clickpose.skeleton import COCO

    for sample in dataset.iter_samples(autosave=True):
        truth, found = sample.gt.keypoints, sorted(sample.pred.keypoints, key=lambda label: -label.pred_oks)
        points = [np.array([label.points for label in people]) * WIDTH_HEIGHT for people in (found, truth)]
        visibility = np.array([label.visibility for label in truth])
        boxes = np.array([label.bounding_box for label in truth]) * np.tile(WIDTH_HEIGHT, 2)
        oks = oks_matrix(*points, visibility, np.array([label.area for label in truth]), boxes, COCO.sigma_array)
        free = np.ones(len(truth), bool)
        for label, values in zip(found, oks, strict=True):
            best = int(np.where(free, values, -1).argmax()) if free.any() else -1
            hit = best >= 0 and values[best] >= 0.5
            label[f"eval{number}"], label[f"eval{number}_iou"] = ("tp", float(values[best])) if hit else ("fp", None)
            if hit:
                free[best] = False


def by_columns(dataset, _: int) -> None:
    """Calibrate, flag, write and sort as the package does."""
    from clickpose_fiftyone.columns import PersonColumns, index_lowest_oks, lowest_oks
    from clickpose_fiftyone.review import worst_samples
    from clickpose_fiftyone.visibility import low_counts

    columns = PersonColumns(dataset, "pred")
    calibrated = columns.joints("confidence") ** 1.5
    pred_oks = calibrated.mean(axis=1)
    counts = low_counts(columns, columns.joints("visibility"), LOW)
    columns.write_all({"keypoint_oks": calibrated, "pred_oks": pred_oks}, {**lowest_oks(columns, pred_oks), **counts})
    index_lowest_oks(columns)
    worst_samples(dataset, "pred", 50).values("id")


def by_loop(dataset, _: int) -> None:
    """What one would write without columns."""
    for sample in dataset.iter_samples(autosave=True):
        low, scores = 0, []
        for person in sample.pred.keypoints:
            calibrated = (np.array(person.confidence) ** 1.5).tolist()
            person["keypoint_oks"], person["pred_oks"] = calibrated, float(np.mean(calibrated))
            scores.append(person["pred_oks"])
            low += int((np.array(person["visibility"]) < LOW).sum())
        sample["num_low_vis"], sample["min_pred_oks"] = low, min(scores)
    dataset.sort_by("min_pred_oks").limit(50).values("id")


def people_as_documents(dataset, _: int) -> None:
    """What the package does with predictions and imports."""
    import fiftyone as fo

    from clickpose_fiftyone.column_writes import label_documents, write_labels

    people = dataset.values("pred")
    write_labels(dataset, {"documents": (fo.Keypoints, [label_documents(label) for label in people])})


def people_as_labels(dataset, _: int) -> None:
    """FiftyOne's own way."""
    dataset.set_values("labels", dataset.values("pred"), dynamic=True)


def joints_as_documents(dataset, _: int) -> None:
    """What the package does with coloured joints."""
    from clickpose_fiftyone.columns import PersonColumns
    from clickpose_fiftyone.joint_fields import write_joints

    columns = PersonColumns(dataset, "pred")
    scores = columns.joints("confidence")
    write_joints(columns, "joint_documents", np.isfinite(scores), {"oks": scores})


def joints_as_labels(dataset, _: int) -> None:
    """One label a joint."""
    import fiftyone as fo

    names = dataset.skeletons["pred"].labels
    labels = [
        fo.Keypoints(
            keypoints=[
                fo.Keypoint(label=name, points=[point], oks=score)
                for person in photo.keypoints
                for name, point, score in zip(names, person.points, person.confidence, strict=True)
            ]
        )
        for photo in dataset.values("pred")
    ]
    dataset.set_values("joint_labels", labels, dynamic=True)


def make_dataset(count: int):
    """Make photos (whose files do not exist) with 1 to 4 labelled people, and a prediction of each, some of nobody."""
    import fiftyone as fo

    from clickpose_fiftyone.column_writes import write_labels
    from clickpose_fiftyone.skeletons import set_skeleton

    rng = np.random.default_rng(0)
    dataset = fo.Dataset()
    size = fo.ImageMetadata(width=WIDTH_HEIGHT[0], height=WIDTH_HEIGHT[1])
    for start in range(0, count, 10_000):
        names = [f"/nowhere/{index}.jpg" for index in range(start, min(start + 10_000, count))]
        ids = dataset.add_samples([fo.Sample(name, metadata=size) for name in names], progress=False)
        counts = rng.integers(1, int(2 * PEOPLE), len(names))
        truth, found = people_of(rng, int(counts.sum()))
        ends = np.cumsum(counts).tolist()
        nested = [[people[a:b] for a, b in zip([0, *ends], ends, strict=False)] for people in (truth, found)]
        write_labels(
            dataset.select(ids, ordered=True), {"gt": (fo.Keypoints, nested[0]), "pred": (fo.Keypoints, nested[1])}
        )
    for field in ("gt", "pred"):
        set_skeleton(dataset, field)
    return dataset


def people_of(rng: np.random.Generator, count: int) -> tuple[list[dict], list[dict]]:
    """Return labelled people and their predictions, which are the better the surer they say they are."""
    import fiftyone as fo

    from clickpose_fiftyone.column_writes import documents

    size = rng.uniform(40, 220, (count, 1, 1))
    keypoints = rng.uniform((120, 120), (520, 360), (count, 1, 2)) + rng.uniform(-0.5, 0.5, (count, JOINTS, 2)) * size
    visibility = rng.choice(3, (count, JOINTS), p=(0.2, 0.2, 0.6))
    visibility[:, 0] = 2
    quality = rng.beta(4, 2, (count, JOINTS))
    noise = rng.normal(0, 0.12, keypoints.shape) * size * (1 - quality[..., None])
    corner, extent = keypoints.min(axis=1), np.ptp(keypoints, axis=1)
    boxes = np.concatenate([corner, extent], axis=1) / np.tile(WIDTH_HEIGHT, 2)
    confidence = np.clip(quality**2 + rng.normal(0, 0.05, quality.shape), 0, 1)
    columns = {
        "bounding_box": boxes, "keypoint_oks": confidence, "confidence": confidence, "points": None,
        "visibility": rng.uniform(0, 1, quality.shape),
    }  # fmt: skip
    truth = {
        "points": np.where(visibility[..., None] > 0, keypoints, np.nan) / WIDTH_HEIGHT, "visibility": visibility,
        "bounding_box": boxes, "area": 0.53 * extent.prod(axis=1), "iscrowd": np.zeros(count, int),
        "num_keypoints": (visibility > 0).sum(axis=1),
    }  # fmt: skip
    columns |= {"points": (keypoints + noise) / WIDTH_HEIGHT}
    columns |= {"pred_oks": confidence.mean(axis=1), "score_raw": confidence.mean(axis=1)}
    return tuple(
        documents(fo.Keypoint, ({"label": "person", **dict(zip(table, row, strict=True))} for row in rows(table)))
        for table in (truth, columns)
    )


def rows(table: Mapping[str, np.ndarray]):
    """Return the rows of columns as plain values."""
    return zip(*(values.tolist() for values in table.values()), strict=True)


def peak() -> float:
    """Return the most memory that the process ever had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
