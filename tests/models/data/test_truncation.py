"""Truncated training persons: what stays labelled is what stays in sight."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clickpose.data.records import PersonRecord
from clickpose.data.truncation import hide, truncate_person

HEIGHT, WIDTH = 400, 300


def person(seed: int = 0) -> PersonRecord:
    rng = np.random.default_rng(seed)
    box = np.array([60.0, 40.0, 240.0, 360.0])
    keypoints = rng.uniform(box[:2], box[2:], (17, 2))
    return PersonRecord(
        annotation_id=1,
        image_path=Path("photo.jpg"),
        image_hw=(HEIGHT, WIDTH),
        keypoints=keypoints,
        visibility=np.full(17, 2),
        box_xyxy=box,
        area=1000.0,
        visibility_known=True,
    )


def truncations(count: int = 60):
    rng = np.random.default_rng(3)
    found = [truncate_person(person(), (0.3, 0.8), rng) for _ in range(count)]
    return [truncation for truncation in found if truncation is not None]


def test_labels_remain_exactly_where_the_photo_remains():
    original = person()
    for truncation in truncations():
        left, top, right, bottom = truncation.hidden_xyxy
        x, y = original.keypoints.T
        hidden = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        assert hidden.any() and not hidden.all()
        np.testing.assert_array_equal(truncation.record.labelled, ~hidden)
        np.testing.assert_array_equal(truncation.record.keypoints, original.keypoints)


def test_box_and_area_shrink_by_the_same_share():
    original = person()
    whole = np.prod(original.box_xyxy[2:] - original.box_xyxy[:2])
    for truncation in truncations():
        box = truncation.record.box_xyxy
        share = np.prod(box[2:] - box[:2]) / whole
        assert 0.3 <= share <= 0.8
        assert truncation.record.area == pytest.approx(1000.0 * share)
        assert (box[:2] >= original.box_xyxy[:2]).all() and (box[2:] <= original.box_xyxy[2:]).all()


def test_all_four_sides_are_cut_and_the_lower_body_most_often():
    hidden = np.array([truncation.hidden_xyxy for truncation in truncations(400)])
    bottom = (hidden[:, 1] > 0).mean()
    others = [(hidden[:, 3] < HEIGHT).mean(), (hidden[:, 0] > 0).mean(), (hidden[:, 2] < WIDTH).mean()]
    assert min(others) > 0.08 and bottom > max(others)


def test_a_person_of_whom_nothing_would_remain_is_not_truncated():
    lonely = person()
    visibility = np.zeros(17, int)
    visibility[0] = 2
    lonely = replace(lonely, visibility=visibility)
    assert truncate_person(lonely, (0.3, 0.8), np.random.default_rng(0)) is None


@pytest.mark.parametrize("stored", [(300, 400), (64, 64)])
def test_the_hidden_part_is_black_or_the_cover_and_the_rest_is_untouched(stored):
    photo, cover = Image.new("RGB", stored, (10, 200, 30)), Image.new("RGB", (50, 20), (255, 0, 7))
    for truncation in truncations():
        left, top, right, bottom = truncation.hidden_xyxy / np.array([WIDTH, HEIGHT] * 2)
        for picture, colour in ((None, (0, 0, 0)), (cover, (255, 0, 7))):
            pixels = np.asarray(hide(photo, truncation, picture))
            painted = (pixels == colour).all(axis=2)
            assert painted.mean() == pytest.approx((right - left) * (bottom - top), abs=0.02)
            assert (pixels[~painted] == (10, 200, 30)).all()
    assert (np.asarray(photo) == (10, 200, 30)).all()
