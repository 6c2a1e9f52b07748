"""OKS and COCO keypoint evaluation against pycocotools: the same figures, how much sooner?

    python benchmarks/metrics.py [--persons 100000] [--repeats 3]

Annotated persons, three a photo, with crowds, unlabelled people and tied scores, and a prediction for each. "from JSON"
starts from parsed COCO JSON, "from arrays" from what a program has that made the predictions itself. The programs take
turns in every repeat; printed are the least and the median time, the least processor time (which other programs on the
machine disturb less), and the ratio of the least times to pycocotools'. All ten figures, the precision curves and every
OKS are checked to be equal first.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable

import numpy as np
from faster_coco_eval import COCO as FasterFile
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from pycocotools.coco import COCO as CocoFile
from pycocotools.cocoeval import COCOeval

from clickpose.metrics.average_precision import MAX_DETECTIONS, average_precision, evaluate_keypoints
from clickpose.metrics.coco_engine import similarity_matrices
from clickpose.metrics.keypoint_sets import predictions_from_coco, truth_from_coco
from clickpose.skeleton import COCO

PERSONS_A_PHOTO = 3
TOLERANCE = 1e-12


def make_people(persons: int, seed: int = 0) -> tuple[dict, list[dict]]:
    """Return a COCO dataset and results of that many persons."""
    rng = np.random.default_rng(seed)
    joints = len(COCO)
    keypoints = rng.uniform(0, 600, (persons, joints, 2))
    visibility = rng.integers(0, 3, (persons, joints)) * (rng.random((persons, 1)) > 0.05)
    areas, crowd = rng.uniform(300, 40_000, persons), rng.random(persons) < 0.02
    images = np.arange(persons) // PERSONS_A_PHOTO + 1
    spread = rng.uniform(0, 2, (persons, 1, 1)) * 2 * COCO.sigma_array[:, None] * np.sqrt(areas)[:, None, None]
    found = keypoints + rng.normal(size=keypoints.shape) * spread
    scores = rng.uniform(0, 1, persons).round(3)
    truth_numbers = np.concatenate([keypoints, visibility[..., None]], axis=2).reshape(persons, -1).tolist()
    found_numbers = np.concatenate([found, np.ones((persons, joints, 1))], axis=2).reshape(persons, -1).tolist()
    columns = (images, areas, crowd.astype(int), (visibility > 0).sum(axis=1))
    names = ("image_id", "area", "iscrowd", "num_keypoints")
    annotations = [
        {
            "id": i,
            "category_id": 1,
            "bbox": [50, 50, 300, 300],
            "keypoints": numbers,
            **dict(zip(names, row, strict=True)),
        }
        for i, (numbers, *row) in enumerate(zip(truth_numbers, *(c.tolist() for c in columns), strict=True), start=1)
    ]
    results = [
        {"image_id": image, "category_id": 1, "score": score, "keypoints": numbers}
        for image, score, numbers in zip(images.tolist(), scores.tolist(), found_numbers, strict=True)
    ]
    photos = [{"id": int(i), "width": 640, "height": 640} for i in np.unique(images)]
    return {"images": photos, "categories": [{"id": 1, "name": "person"}], "annotations": annotations}, results


def load(file_type, annotations: dict, results: list[dict]):
    """Index a dataset and results; the dicts are copied, since both libraries write into them."""
    dataset = file_type()
    dataset.dataset = {**annotations, "annotations": [dict(a) for a in annotations["annotations"]]}
    dataset.createIndex()
    return dataset, dataset.loadRes([dict(result) for result in results])


def pycocotools_evaluation(annotations: dict, results: list[dict]) -> COCOeval:
    """Evaluate as most people do."""
    evaluation = COCOeval(*load(CocoFile, annotations, results), "keypoints")
    evaluation.params.kpt_oks_sigmas = COCO.sigma_array
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def faster_coco_eval(annotations: dict, results: list[dict]) -> COCOeval_faster:
    """Evaluate with the engine as it comes, without our similarities."""
    files = load(FasterFile, annotations, results)
    evaluation = COCOeval_faster(*files, "keypoints", kpt_oks_sigmas=COCO.sigma_array)
    evaluation.run()
    return evaluation


def check_equal(annotations, results, truth, predictions, prepared: COCOeval) -> None:
    """Stop if any figure, precision or OKS differs."""
    expected = np.where(prepared.stats < 0, np.nan, prepared.stats)
    evaluation = evaluate_keypoints(truth, predictions, COCO.sigma_array)
    from_json = average_precision(annotations, results)
    for figures in (evaluation.figures, from_json):
        np.testing.assert_allclose(list(figures.values()), expected, rtol=0, atol=TOLERANCE)
    curves = prepared.eval["precision"][:, :, 0, 0, 0]
    np.testing.assert_allclose(evaluation.precision, curves, rtol=0, atol=TOLERANCE)
    matrices = similarity_matrices(truth, predictions, COCO.sigma_array, MAX_DETECTIONS)
    for cell, matrix in matrices.items():
        np.testing.assert_array_equal(matrix, prepared.ious[cell])
    print(
        f"equal: 10 figures and {curves.size} precisions within {TOLERANCE:g}, {len(matrices)} OKS matrices to the bit"
    )
    print(", ".join(f"{name} {value:.4f}" for name, value in evaluation.figures.items()))


def seconds(task: Callable[[], object]) -> tuple[float, float]:
    """Return the time and the processor time that the task takes, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter(), time.process_time()
        task()
        return time.perf_counter() - start[0], time.process_time() - start[1]


def compare(title: str, tasks: dict[str, Callable[[], object]], repeats: int) -> None:
    """Print a table; the first task is what the others are compared with."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            times[name].append(seconds(task))
    print(f"\n| {title} | min s | median s | min CPU s | times faster | in CPU time |\n|---|---|---|---|---|---|")
    baseline = np.min(next(iter(times.values())), axis=0)
    for name, values in times.items():
        least, median = np.min(values, axis=0), np.median(values, axis=0)
        ratio = baseline / least
        print(f"| {name} | {least[0]:.2f} | {median[0]:.2f} | {least[1]:.2f} | {ratio[0]:.1f} | {ratio[1]:.1f} |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    annotations, results = make_people(args.persons)
    truth, predictions = truth_from_coco(annotations), predictions_from_coco(annotations, results)
    print(f"{len(truth)} persons and {len(predictions)} predictions on {len(annotations['images'])} photos")
    with contextlib.redirect_stdout(io.StringIO()):
        prepared = pycocotools_evaluation(annotations, results)
    check_equal(annotations, results, truth, predictions, prepared)
    ids, sigmas = prepared.params.imgIds, COCO.sigma_array
    compare(
        "OKS matrices",
        {
            "pycocotools": lambda: [prepared.computeOks(image, 1) for image in ids],
            "clickpose": lambda: similarity_matrices(truth, predictions, sigmas, MAX_DETECTIONS),
        },
        args.repeats,
    )
    compare(
        "ten figures",
        {
            "pycocotools, from JSON": lambda: pycocotools_evaluation(annotations, results),
            "faster-coco-eval, from JSON": lambda: faster_coco_eval(annotations, results),
            "clickpose, from JSON": lambda: average_precision(annotations, results),
            "clickpose, from arrays": lambda: evaluate_keypoints(truth, predictions, sigmas),
        },
        args.repeats,
    )


if __name__ == "__main__":
    main()
