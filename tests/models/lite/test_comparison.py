"""Two networks on the same people: clicks and average precision, before, after and the change."""

import numpy as np
import pytest
import torch
from PIL import Image

from clickpose.data.records import PersonRecord
from clickpose.lite.comparison import compare_networks, measure_network
from clickpose.skeleton import COCO
from helpers.tiny_lite import make_network


@pytest.fixture
def people(tmp_path):
    """Six people on three photos of noise, their joints at random."""
    rng = np.random.default_rng(0)
    records = []
    for photo in range(3):
        path = tmp_path / f"{photo}.png"
        Image.fromarray(rng.integers(0, 256, (80, 90, 3), dtype=np.uint8)).save(path)
        for person in range(2):
            box = np.array([5.0 + 40 * person, 10, 40 + 40 * person, 70])
            records.append(
                PersonRecord(
                    annotation_id=2 * photo + person, image_path=path, image_hw=(80, 90), visibility=np.full(17, 2),
                    keypoints=rng.uniform(box[:2], box[2:], (17, 2)), box_xyxy=box, area=1100.0, visibility_known=True,
                )
            )  # fmt: skip
    return records


@pytest.mark.slow
def test_the_same_network_has_not_changed_and_another_has(people):
    before = measure_network(make_network(), people, COCO)
    same = compare_networks(before, before, people, COCO)
    assert set(same) == {"NoC85", "NoC90", "NoC95", "AP"}
    for each in same.values():
        assert (each.change.value, each.change.low, each.change.high) == (0, 0, 0)
    clicks = before.clicks.refined.number_of_clicks(0.9)
    assert same["NoC90"].before.value == clicks > 0
    other = make_network(spread=0.0)
    with torch.no_grad():
        other.decoder.codebook.add_(0.5)
    changed = compare_networks(before, measure_network(other, people, COCO), people, COCO)
    assert (changed["NoC90"].better, changed["NoC90"].before.value) == (-1, clicks)
    assert changed["NoC90"].change.value == pytest.approx(changed["NoC90"].after.value - clicks)
