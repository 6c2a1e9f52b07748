"""A results file and its ground truth, made up so that what its confidences mean is known."""

import numpy as np

from clickpose.skeleton import COCO


def make_world(photos, seed):
    """Two people a photo; a joint's score is the square of what it should be, and one joint in ten is not labelled."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for number in range(photos):
        for side in (0.0, 400.0):
            area = float(rng.uniform(4_000, 20_000))
            truth = rng.uniform([side, 0], [side + 150, 200], (17, 2))
            spread = rng.uniform(0.2, 2.5, (17, 1)) * rng.uniform(0.5, 1.5)
            length = 2 * COCO.sigma_array[:, None] * np.sqrt(area)
            found = truth + rng.normal(0, 1, (17, 2)) * spread * length
            expected = 1 / (1 + np.square(spread[:, 0]))
            visibility = rng.choice([0, 1, 2], 17, p=[0.1, 0.2, 0.7])
            annotations.append(
                {"id": len(annotations) + 1, "image_id": 100 + number, "category_id": 1, "iscrowd": 0, "area": area,
                 "bbox": [side, 0.0, 150.0, 200.0], "num_keypoints": int((visibility > 0).sum()),
                 "keypoints": np.column_stack([truth * (visibility > 0)[:, None], visibility]).ravel().tolist()}
            )  # fmt: skip
            results.append(
                {"image_id": 100 + number, "category_id": 1, "score": float(rng.uniform(0.3, 0.9)),
                 "bbox": [side, 0.0, 150.0, 200.0],
                 "keypoints": np.column_stack([found, expected**2]).ravel().tolist()}
            )  # fmt: skip
    images = [{"id": 100 + i, "file_name": f"{i}.png", "width": 600, "height": 240} for i in range(photos)]
    dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    return dataset, results
