"""How fast calibrated columns are beside a loop over samples, and how fast a sorted page of a large dataset is.

    .venv-fiftyone/bin/python benchmarks/fiftyone.py [--samples 20000] [--label-samples 1000] [--page-samples 100000]

Calibrating, flagging, writing and sorting are measured together, by columns and by FiftyOne's loop (autosave), on the
same persons; the loop runs over a part of them and is scaled up. Whole labels, which predictions, imports and colours
are, are written as documents and as FiftyOne does it. The database is one of its own on a free port.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import numpy as np  # noqa: E402  (this file's own name would hide the library's)

PERSONS, JOINTS, LOW = 2, 17, 0.3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--loop-samples", type=int, default=1_000, help="samples that the loop really visits")
    parser.add_argument("--label-samples", type=int, default=1_000, help="photos whose labels are written whole")
    parser.add_argument("--page-samples", type=int, default=100_000)
    options = parser.parse_args()
    from clickpose_fiftyone.database import running_server

    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as address:
        os.environ.update(
            FIFTYONE_DATABASE_URI=address, FIFTYONE_DATABASE_NAME="benchmark", FIFTYONE_DATABASE_VALIDATION="false",
            FIFTYONE_DO_NOT_TRACK="true", FIFTYONE_SHOW_PROGRESS_BARS="false",
        )  # fmt: skip
        measure(options)


def measure(options) -> None:
    """Print both comparisons."""
    print(f"{options.samples} photos x {PERSONS} people")
    dataset = make_dataset(options.samples)
    columns = timed(by_columns, dataset)
    part = min(options.loop_samples, options.samples)
    loop = timed(by_loop, dataset[:part]) * options.samples / part
    print(f"  calibrate, flag, write and sort by columns {columns:8.2f} s")
    print(f"  the same by a loop over samples            {loop:8.2f} s   ({part} visited, scaled up)")
    print(f"  ratio                                      {loop / columns:8.1f}")
    dataset.delete()
    whole_labels(options.label_samples)
    pages(options.page_samples)


def whole_labels(count: int) -> None:
    """Print how fast new labels are written, beside FiftyOne's own way; twice each, in turn."""
    dataset = make_dataset(count)
    people = dataset.values("pred")
    tasks = {
        "people": (people_as_documents, people_as_labels),
        "coloured joints": (joints_as_documents, joints_as_labels),
    }
    for name, works in tasks.items():
        times = np.array(
            [[timed(lambda _, work=work: work(dataset, people), None) for work in works] for _ in range(2)]
        )
        ours, theirs = times.min(axis=0)
        print(f"{name} of {count} photos: documents {ours:.2f} s, set_values(dynamic=True) {theirs:.2f} s, "
              f"ratio {theirs / ours:.1f}")  # fmt: skip
    dataset.delete()


def people_as_documents(dataset, people) -> None:
    """What the package does with predictions and imports."""
    import fiftyone as fo

    from clickpose_fiftyone.column_writes import label_documents, write_labels

    write_labels(dataset, {"documents": (fo.Keypoints, [label_documents(label) for label in people])})


def people_as_labels(dataset, people) -> None:
    """FiftyOne's own way."""
    dataset.set_values("labels", people, dynamic=True)


def joints_as_documents(dataset, _) -> None:
    """What the package does with coloured joints."""
    from clickpose_fiftyone.columns import PersonColumns, write_joints

    columns = PersonColumns(dataset, "pred")
    scores = columns.joints("confidence")
    write_joints(columns, "joint_documents", np.isfinite(scores), {"oks": scores})


def joints_as_labels(dataset, people) -> None:
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
        for photo in people
    ]
    dataset.set_values("joint_labels", labels, dynamic=True)


def by_columns(dataset) -> None:
    """What the package does."""
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


def by_loop(view) -> None:
    """What one would write without columns."""
    for sample in view.iter_samples(autosave=True):
        low, scores = 0, []
        for person in sample.pred.keypoints:
            calibrated = (np.array(person.confidence) ** 1.5).tolist()
            person["keypoint_oks"], person["pred_oks"] = calibrated, float(np.mean(calibrated))
            scores.append(person["pred_oks"])
            low += int((np.array(person["visibility"]) < LOW).sum())
        sample["num_low_vis"], sample["min_pred_oks"] = low, min(scores)
    view.sort_by("min_pred_oks").limit(50).values("id")


def pages(count: int) -> None:
    """Time a sorted page of 50 with the index."""
    import fiftyone as fo

    dataset = fo.Dataset()
    scores = np.random.default_rng(0).uniform(size=count)
    for start in range(0, count, 10_000):
        stop = min(start + 10_000, count)
        dataset.add_samples([fo.Sample(f"/nowhere/{i}.jpg", min_pred_oks=float(scores[i])) for i in range(start, stop)])
    dataset.create_index("min_pred_oks")
    view = dataset.exists("min_pred_oks").sort_by("min_pred_oks").limit(50)
    times = [timed(lambda _: view.values("filepath"), None) * 1000 for _ in range(15)]
    print(f"{count} photos, a page of the 50 worst: minimum {min(times):.1f} ms, median {np.median(times):.1f} ms")
    dataset.delete()


def make_dataset(count: int):
    """Make photos (whose files do not exist) with people."""
    import fiftyone as fo

    from clickpose_fiftyone.skeletons import set_skeleton

    rng = np.random.default_rng(0)
    dataset = fo.Dataset()
    size = fo.ImageMetadata(width=640, height=480)
    for start in range(0, count, 2_000):
        samples = []
        for index in range(start, min(start + 2_000, count)):
            people = [
                fo.Keypoint(
                    label="person", points=rng.uniform(size=(JOINTS, 2)).tolist(),
                    confidence=rng.uniform(size=JOINTS).tolist(), visibility=rng.uniform(size=JOINTS).tolist(),
                )
                for _ in range(PERSONS)
            ]  # fmt: skip
            samples.append(fo.Sample(f"/nowhere/{index}.jpg", metadata=size, pred=fo.Keypoints(keypoints=people)))
        dataset.add_samples(samples, dynamic=True)
    set_skeleton(dataset, "pred")
    return dataset


def timed(work, argument) -> float:
    """Return the seconds that work takes."""
    start = time.perf_counter()
    work(argument)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
