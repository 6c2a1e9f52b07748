"""The network's own scores: kept where a calibration is worse, and brought back by one action."""

import numpy as np
import pytest

from clickpose_fiftyone.calibration import calibrate, labelled_pairs, stored_calibration
from clickpose_fiftyone.colours import color_by_confidence
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.raw_scores import restore_raw_scores
from clickpose_fiftyone.review import worst_samples
from clickpose_fiftyone.skeletons import set_skeleton
from clickpose_fiftyone.truth import read_truth

COLUMNS = ("keypoint_oks", "pred_oks", "visibility")


@pytest.fixture
def dataset(person_dataset):
    """Thirty people; raw scores are the columns' means."""
    dataset = person_dataset((3,) * 10, noise=4.0)
    columns = PersonColumns(dataset, "pred")
    columns.write_all({"pred_oks": columns.scalars("score_raw")}, {})
    return dataset


@pytest.fixture
def sure(dataset):
    """The same, whose confidences are the OKS itself: no calibration is better."""
    predictions, truth = PersonColumns(dataset, "pred"), PersonColumns(dataset, "gt")
    pairs, people = labelled_pairs(predictions, truth), read_truth(truth)
    from clickpose.metrics.oks import keypoint_oks

    terms = keypoint_oks(
        predictions.keypoints[pairs.persons], people.keypoints[pairs.partners], people.areas[pairs.partners],
        truth.skeleton.sigma_array,
    )  # fmt: skip
    confidence = predictions.joints("confidence")
    confidence[pairs.persons] = np.where(people.visibility[pairs.partners] > 0, terms, confidence[pairs.persons])
    predictions.write_all({"confidence": confidence, "keypoint_oks": confidence}, {})
    return dataset


def scores(dataset):
    return [PersonColumns(dataset, "pred").values(name) for name in COLUMNS], dataset.values("min_pred_oks")


def test_a_named_calibration_that_is_worse_is_told_and_not_written(sure, tmp_path):
    calibrate(sure, kind="auto")  # keeps the own scores, and writes the photos' columns
    before, known = scores(sure), stored_calibration(sure, "pred")
    path = tmp_path / "curve.json"
    told = calibrate(sure, kind="isotonic", model="hrnet", save_to=path)
    assert not told.written and scores(sure) == before and not path.exists()
    assert stored_calibration(sure, "pred") == known
    assert str(told).startswith("Nothing was written: the scores stay as they are. Tried an isotonic calibrator")
    assert "isotonic is worse than the network's own scores" in str(told)
    wanted = calibrate(sure, kind="isotonic", model="hrnet", save_to=path, even_if_worse=True)
    assert wanted.written and scores(sure) != before and path.exists()
    assert stored_calibration(sure, "pred").kind == "isotonic"


def test_one_action_restores_the_networks_own_scores(dataset):
    restore_raw_scores(dataset, "pred")
    before = scores(dataset)
    summary = calibrate(dataset, kind="auto")
    assert summary.kind != "identity" and scores(dataset) != before
    assert str(restore_raw_scores(dataset, "pred")) == "The network's own scores are back: 30 people."
    assert scores(dataset) == before and stored_calibration(dataset, "pred") is None
    columns = PersonColumns(dataset, "pred")
    np.testing.assert_array_equal(columns.joints("keypoint_oks"), columns.joints("confidence"))
    np.testing.assert_array_equal(columns.scalars("pred_oks"), columns.scalars("score_raw"))


def test_colours_follow_the_scores(dataset):
    def colours():
        return dataset.values(["pred.keypoints.oks_bin", "pred_joints.keypoints.oks_bin", "pred_joints.keypoints.oks"])

    def agrees():
        columns = PersonColumns(dataset, "pred")
        joints = np.array(dataset.values("pred_joints.keypoints.oks", unwind=True))
        return np.array_equal(joints, columns.joints("keypoint_oks")[columns.joints("visibility") >= 0.3])

    restore_raw_scores(dataset, "pred")
    color_by_confidence(dataset, "pred", hide_below=0.3)
    before = colours()
    calibrate(dataset, kind="auto")
    assert colours() != before and agrees()
    restore_raw_scores(dataset, "pred")
    assert colours() == before and agrees()


def test_calibrating_another_field_leaves_what_views_are_sorted_by(dataset):
    restore_raw_scores(dataset, "pred")
    dataset.clone_sample_field("pred", "other")
    set_skeleton(dataset, "other")
    dataset.set_field("other", None, _allow_missing=True).limit(2).save("other")  # the other network finds nobody there
    lows, counts = dataset.values("min_pred_oks"), len(worst_samples(dataset))
    assert None not in lows and counts == len(dataset)
    calibrate(dataset, "other", kind="isotonic", even_if_worse=True)
    restore_raw_scores(dataset, "other")
    refresh_derived(dataset, "other")
    assert dataset.values("min_pred_oks") == lows and len(dataset.exists("min_pred_oks")) == counts
    assert len(worst_samples(dataset, "other")) == counts - 2  # a wish to see that one
    calibrate(dataset, "pred", kind="isotonic", even_if_worse=True)
    assert dataset.values("min_pred_oks")[:2] == [None, None]
    dataset.delete_sample_field("other")  # nobody's now
    restore_raw_scores(dataset, "pred")
    assert dataset.values("min_pred_oks") == lows


def test_visibilities_that_a_head_read_are_restored_but_those_of_corrected_people_are_not(dataset):
    columns = PersonColumns(dataset, "pred")
    raw = columns.joints("visibility")
    fixed, history = np.zeros(raw.shape, bool), [None] * len(columns)
    fixed[0, 3], history[1] = True, '[{"points": []}]'
    columns.write_all(
        {"visibility": np.full(raw.shape, 0.5), "visibility_raw": raw, "fixed": fixed, "refinement_history": history}
    )
    restore_raw_scores(dataset, "pred")
    now = PersonColumns(dataset, "pred").joints("visibility")
    assert now[0, 3] == 0.5 and (now[1] == 0.5).all()
    np.testing.assert_array_equal(now[2:], raw[2:])
    np.testing.assert_array_equal(np.delete(now[0], 3), np.delete(raw[0], 3))


def test_the_form_offers_to_write_what_is_worse_and_the_panel_to_restore(dataset, fiftyone_home):
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    from clickpose_fiftyone.install import install_plugin

    install_plugin(fiftyone_home / "plugins")
    uri = "@clickpose/pose_review/calibrate"
    for kind, offered in (("auto", False), ("platt", True)):
        request = {"dataset_name": dataset.name, "params": {"pred_field": "pred", "kind": kind}}
        form = foo.get_operator(uri).resolve_input(ExecutionContext(request, executor=Executor(), operator_uri=uri))
        assert ("even_if_worse" in form.type.properties) == offered
    operator = foo.get_operator("@clickpose/pose_review/restore_raw_scores")
    assert operator(dataset, pred_field="pred")["message"] == "The network's own scores are back: 30 people."
