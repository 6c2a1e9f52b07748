"""A tiny lite network, and people to run it on."""

import json

import numpy as np
import pytest
from PIL import Image

from clickpose.data.coco import read_coco_persons
from helpers import tiny_lite

BOXES = ((20.0, 30.0, 120.0, 220.0), (150.0, 40.0, 230.0, 200.0))  # of both people in every photo, px


@pytest.fixture
def network():
    """A tiny lite network of random weights whose decoder moves joints."""
    return tiny_lite.make_network()


@pytest.fixture
def records(tmp_path):
    """Six people in three photos; one has a single labelled joint."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (240, 260, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 260, "height": 240})
        for left, top, right, bottom in BOXES:
            points = np.column_stack([rng.uniform([left, top], [right, bottom], (17, 2)), rng.choice([0, 1, 2], 17)])
            if not annotations:
                points[:, 2] = 0
                points[4, 2] = 2
            points[points[:, 2] == 0] = 0
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                 "bbox": [left, top, right - left, bottom - top], "area": 9000.0, "keypoints": points.ravel().tolist()}
            )  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    return read_coco_persons(tmp_path)
