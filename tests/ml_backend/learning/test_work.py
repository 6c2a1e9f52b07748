"""Counts of one annotation, worked out by hand: clicks, what was accepted, what nobody touched, live calibration."""

import math

import pytest

from clickpose.skeleton import COCO
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.learning.work import Work, work_of
from helpers.labelled import annotation, moved, person

CONFIG = parse_labeling_config(build_labeling_config())


def test_clicks_looks_and_what_nobody_has_touched():
    before = person("cp-a", {"nose": (50, 20), "left_wrist": (40, 50), "right_wrist": (60, 50)}, score=0.8)
    after = moved(before, "nose", 1.0, 0.0)
    after = moved(after, "left_wrist", 0.0, 0.0)  # looked at, and right
    work = work_of(annotation(after, before, lead_time=12.5), CONFIG)
    assert (work.persons, work.joints, work.clicks, work.accepted, work.unseen) == (1, 3, 1, 1, 1)
    assert work.lead_time_s == 12.5
    # the photo is 1000 x 800, the box 400 x 640: the nose was 10 px off
    sigma = COCO.sigmas[0]
    oks = math.exp(-(10**2) / (8 * 0.53 * 400 * 640 * sigma**2))
    assert sorted(work.checks, key=lambda check: check[1:]) == [
        (0.8, pytest.approx(oks, abs=1e-4), 1),
        (0.8, 1, 0),
        (0.8, 1, 1),
    ]
    assert Work.from_json(work.to_json()) == work


def test_a_person_by_hand_is_all_clicks_and_a_joint_that_followed_is_none():
    before = person("cp-a", {"nose": (50, 20), "left_eye": (51, 19)})
    followed = [dict(item, value={**item["value"], "x": item["value"]["x"] + 3}) if "left_eye" in item["id"] else item
                for item in moved(before, "nose", 3, 0)]  # fmt: skip
    by_hand = person("cp-b", {"nose": (20, 20), "left_eye": (21, 19)}, origin="manual")
    work = work_of(annotation([*followed, *by_hand], before), CONFIG)
    assert (work.persons, work.clicks, work.accepted, work.unseen) == (2, 3, 0, 1)


def test_what_was_skipped_and_what_has_no_prediction():
    before = person("cp-a", {"nose": (50, 20)})
    skipped = work_of({**annotation(before, before, lead_time=4.0), "was_cancelled": True}, CONFIG)
    assert (skipped.persons, skipped.joints, skipped.lead_time_s) == (0, 0, 4.0)
    for lead_time in (None, -1, 10**6, True, "5"):  # unknown, or open overnight
        alone = work_of({**annotation(before, None), "lead_time": lead_time}, CONFIG)
        assert (alone.unseen, alone.checks, alone.lead_time_s) == (1, [], None)
