"""Columns that are read and written some photos at a time: the same as at once, told as they go, cancelled between."""

import json

import numpy as np
import pytest

from clickpose_fiftyone import columns as columns_module
from clickpose_fiftyone import fiftyone_internals
from clickpose_fiftyone.calibration import calibrate
from clickpose_fiftyone.coco_exchange import export_coco, to_coco
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.person_values import read_values
from clickpose_fiftyone.truth import PREDICTION_ATTRIBUTES, TRUTH_ATTRIBUTES
from clickpose_fiftyone.visibility import flag_low_visibility

ATTRIBUTES = tuple(dict.fromkeys((*PREDICTION_ATTRIBUTES, *TRUTH_ATTRIBUTES, "tags", "nothing")))


@pytest.fixture
def two_at_once(monkeypatch):
    monkeypatch.setattr(fiftyone_internals, "_PHOTOS_AT_ONCE", 2)
    monkeypatch.setattr(columns_module, "_PHOTOS_AT_ONCE", 2)


@pytest.fixture
def uneven(person_dataset):
    """People who lack this and that, a photo without the field, somebody rejected."""
    dataset = person_dataset((2, 0, 1, 3, 1))
    first, fourth = dataset.first(), dataset.skip(3).first()
    first.pred.keypoints[0].confidence, first.pred.keypoints[1].bounding_box = [], None
    first.pred.keypoints[1].tags, fourth.pred.keypoints[1].tags = ["mine"], ["rejected"]
    fourth.pred.keypoints[2].pred_oks = fourth.pred.keypoints[2].visibility = None
    third = dataset.skip(2).first()
    third.pred = None
    for sample in (first, third, fourth):
        sample.save()
    return dataset


def read(dataset, rejected=False):
    found = PersonColumns(dataset, "pred", attributes=ATTRIBUTES, rejected=rejected)
    arrays = [found.scalars(name) for name in ("pred_oks", "score_raw", "area")]
    arrays += [found.joints(name) for name in ("confidence", "visibility", "keypoint_oks")]
    arrays += [found.points, found.keypoints, found.boxes_xyxy]
    return arrays, [found.label_ids, found.values("tags"), found.values("bounding_box"), found.values("nothing")]


def test_some_photos_at_a_time_are_read_as_all_at_once(uneven, monkeypatch, request):
    at_once = [read(uneven), read(uneven, rejected=True)]
    request.getfixturevalue("two_at_once")
    for (arrays, lists), (others, more) in zip(at_once, [read(uneven), read(uneven, rejected=True)], strict=True):
        assert lists == more
        for one, other in zip(arrays, others, strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(at_once[0][1][0]) == 5 and len(at_once[1][1][0]) == 6


def test_numbers_are_never_held_as_lists(uneven):
    expressions = {name: columns_module.people_expression("pred", name) for name in ("points", "tags")}
    lists, arrays = read_values(uneven, expressions, {"points": (17, 2)})
    assert set(lists) == {"tags"} and arrays["points"].shape == (6, 17, 2)


def test_a_column_of_other_values_is_told_when_it_is_wanted(uneven, two_at_once):
    person = uneven.last()
    person.pred.keypoints[0].visibility = [0.5] * 3
    person.save()
    found = PersonColumns(uneven, "pred", attributes=PREDICTION_ATTRIBUTES)  # nobody has asked for it
    assert len(found.scalars("pred_oks")) == 5
    with pytest.raises(ValueError, match=r"Expected numbers of shape \(5, 17\) in pred.visibility, got other values"):
        found.joints("visibility")
    assert len(found.values("visibility")) == 5


def flagged(dataset):
    dataset.reload()
    joints = dataset.values("pred_low_vis.keypoints.points")
    return json.dumps([dataset.values(["pred.keypoints.tags", "num_low_vis"]), joints])


def test_flags_tell_their_progress_and_stop_between_photos_that_are_whole(person_dataset, two_at_once, monkeypatch):
    dataset = person_dataset((2, 1, 0, 3, 1))
    whole = dataset.clone()
    told = []
    summary = flag_low_visibility(dataset, "pred", 0.6, progress=lambda *step: told.append(step))
    assert told == [(2, 5), (4, 5), (5, 5)]
    stopped = whole.clone()
    monkeypatch.setattr(columns_module, "_PHOTOS_AT_ONCE", 100)
    assert flag_low_visibility(whole, "pred", 0.6) == summary and flagged(whole) == flagged(dataset)
    monkeypatch.setattr(columns_module, "_PHOTOS_AT_ONCE", 2)
    run = flag_low_visibility.steps(stopped, "pred", 0.6)
    assert next(run) == (2, 5)
    run.close()  # as the app does when it is cancelled
    stopped.reload()
    counts = dataset.values("num_low_vis")
    assert stopped.values("num_low_vis") == [*counts[:2], None, None, None]
    joints = stopped.values("pred_low_vis.keypoints.label")
    assert joints[:2] == dataset.values("pred_low_vis.keypoints.label")[:2] and joints[2:] == [None] * 3
    for each in (whole, stopped):
        each.delete()


def test_an_export_tells_its_progress_and_writes_no_file_when_it_is_cancelled(person_dataset, tmp_path, monkeypatch):
    from clickpose_fiftyone import coco_writing

    monkeypatch.setattr(coco_writing, "_PEOPLE_A_STEP", 2)
    dataset, path, told = person_dataset((2, 1, 0, 3)), tmp_path / "people.json", []
    run = export_coco.steps(dataset, path, "pred", True)
    assert [next(run), next(run)] == [(2, 6), (4, 6)]
    run.close()
    assert not list(tmp_path.iterdir())
    export_coco(dataset, path, "pred", progress=lambda *step: told.append(step))
    assert told == [(2, 6), (4, 6), (6, 6)] and json.loads(path.read_text()) == to_coco(dataset, "pred")


def test_a_calibration_is_the_same_however_much_is_read_at_once(person_dataset, monkeypatch, request):
    dataset = person_dataset((2,) * 16)
    other = dataset.clone()
    at_once = calibrate(dataset, kind="isotonic", even_if_worse=True)
    request.getfixturevalue("two_at_once")
    assert calibrate(other, kind="isotonic", even_if_worse=True) == at_once
    for name in ("keypoint_oks", "pred_oks", "score_raw"):
        path = f"pred.keypoints.{name}"
        assert dataset.values(path) == other.values(path)
    assert dataset.values("min_pred_oks") == other.values("min_pred_oks")
    other.delete()
