"""The backend with the end-to-end network (tiny, random): one encoding of the image serves every edit of everybody."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import clickpose
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.region_store import DiskRegionStore
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes, tiny_r50

XML = build_labeling_config()


@pytest.fixture
def predictor():
    return tiny_r50.counting_predictor()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)


def ask(service, context=None):
    (reply,) = service.predict([{"id": 1, "data": {"image": "/data/a.png"}}], XML, context)
    return reply


def positions(result):
    return {item["id"]: (item["value"]["x"], item["value"]["y"]) for item in result if item["type"] == "keypointlabels"}


def test_pre_annotation_drags_and_a_drawn_box_share_one_encoding(predictor, pixels, tmp_path):
    images = fakes.FakeImages({"/data/a.png": pixels})

    def service():
        return AnnotationService(lambda: predictor, images, DiskRegionStore(ServiceSettings(cache_dir=tmp_path)))

    first = service()
    assert first.model_version == f"clickpose-r50-{clickpose.__version__}-tiny"
    result = ask(first)["result"]
    people = [item["id"] for item in result if item["type"] == "rectanglelabels"]
    assert len(people) >= 2

    dragged = copy.deepcopy(result)
    wrist = next(item for item in dragged if item["id"] == f"{people[0]}-left_wrist")
    wrist["origin"] = "prediction-changed"
    wrist["value"].update(x=33.0, y=44.0)
    again = service()  # another worker, which has nothing in memory
    edited = ask(again, {"result": dragged, "edited": [wrist["id"]]})["result"]
    before, after = positions(result), positions(edited)
    assert after[wrist["id"]] == (33.0, 44.0)
    assert all(region_id.startswith(people[0]) for region_id in after)  # nobody else moves
    assert sum(after[region_id] != before[region_id] for region_id in after) >= 15

    box = {
        "id": "drawn", "from_name": "box", "to_name": "image", "type": "rectanglelabels", "origin": "manual",
        "original_width": 320, "original_height": 240, "image_rotation": 0,
        "value": {"x": 50, "y": 25, "width": 25, "height": 50, "rotation": 0, "rectanglelabels": ["person"]},
    }  # fmt: skip
    drawn = ask(again, {"result": [*result, box], "edited": ["drawn"]})["result"]
    assert len(positions(drawn)) == 17
    assert predictor.encodings == 1
    assert images.loads == 1
