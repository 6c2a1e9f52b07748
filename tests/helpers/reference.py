"""pycocotools' figures, and random data sets that visit the corners of COCO's evaluation."""

import contextlib
import copy
import io

import numpy as np
from pycocotools.coco import COCO as CocoFile
from pycocotools.cocoeval import COCOeval


def pycocotools_evaluation(annotations, results, sigmas, image_ids=None):
    """Return pycocotools' COCOeval after ``summarize``."""
    with contextlib.redirect_stdout(io.StringIO()):
        dataset, found = CocoFile(), CocoFile()
        dataset.dataset = copy.deepcopy(annotations)
        dataset.createIndex()
        found.dataset = {**annotations, "annotations": []}
        found.createIndex()
        if results:
            found = dataset.loadRes(copy.deepcopy(results))
        evaluation = COCOeval(dataset, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.asarray(sigmas)
        if image_ids is not None:
            evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def corner_dataset(seed, sigmas, images=40, categories=1):
    """Return a dataset and results with crowds, people without labels, twins, ties, edge areas and empty images."""
    rng, joints = np.random.default_rng(seed), len(sigmas)
    annotations, results = [], []
    for image in range(1, images + 1):
        for _ in range(rng.choice([0, 1, 2, 5])):
            annotations.append(_person(rng, len(annotations) + 1, image, joints, categories))
            if rng.random() < 0.2:  # a twin: both are equally similar to every prediction
                annotations.append({**annotations[-1], "id": len(annotations) + 1})
        people = [a for a in annotations if a["image_id"] == image]
        for _ in range(rng.choice([0, 1, 4, 27])):  # 27: more than COCO's 20 count
            results.append(_result(rng, image, people, sigmas, categories))
    dataset = {
        "images": [{"id": i, "width": 640, "height": 480} for i in range(1, images + 1)],
        "categories": [{"id": c, "name": f"kind {c}"} for c in range(1, categories + 1)],
        "annotations": annotations,
    }
    return dataset, [results[i] for i in rng.permutation(len(results))]


def _person(rng, id_, image, joints, categories):
    visibility = rng.integers(0, 3, joints) * (rng.random() > 0.15)
    # both ends of COCO's area ranges belong to the range
    area = float(rng.choice([32.0**2, 96.0**2, np.nextafter(96.0**2, 0), 500.0, rng.uniform(1e3, 9e4), 0.0]))
    count = int((visibility > 0).sum()) if rng.random() > 0.1 else int(rng.integers(0, 2))
    return {
        "id": id_, "image_id": image, "category_id": int(rng.integers(1, categories + 1)), "area": area,
        "iscrowd": int(rng.random() < 0.1), "bbox": rng.uniform(20, 150, 4).tolist(), "num_keypoints": count,
        "keypoints": np.column_stack([rng.uniform(0, 300, (joints, 2)), visibility]).ravel().tolist(),
    }  # fmt: skip


def _result(rng, image, people, sigmas, categories):
    joints = len(sigmas)
    keypoints, category = rng.uniform(0, 300, (joints, 2)), int(rng.integers(1, categories + 1))
    if people and rng.random() < 0.8:
        person = people[rng.integers(len(people))]
        spread = 2 * np.asarray(sigmas)[:, None] * np.sqrt(person["area"]) * rng.choice([0.0, 0.3, 0.8, 2.0])
        keypoints = np.reshape(person["keypoints"], (joints, 3))[:, :2] + rng.normal(size=(joints, 2)) * spread
        category = person["category_id"]
    score = float(np.round(rng.random(), 1))  # many ties
    triples = np.column_stack([keypoints, np.ones(joints)])
    return {"image_id": image, "category_id": category, "score": score, "keypoints": triples.ravel().tolist()}
