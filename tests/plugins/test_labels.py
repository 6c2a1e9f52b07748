"""Diagnosis, label errors and calibration, on people made by hand."""

import copy

import fiftyone as fo
import numpy as np
import pytest

from clickpose.metrics.keypoint_sets import KeypointTruth
from clickpose.skeleton import COCO
from clickpose_fiftyone.calibration import (
    apply_calibrator,
    calibrate,
    labelled_pairs,
    labelled_sample,
    stored_calibration,
)
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.diagnosis import classify_joints, diagnose, persons_with_error, stored_diagnosis
from clickpose_fiftyone.label_errors import find_label_errors, stored_label_errors


def stand(x=200.0, y=100.0, scale=200.0):
    """A standing person, px: left joints on the right side of the picture."""
    rows = {"nose": (0, 0), "eye": (0.05, -0.03), "ear": (0.1, 0), "shoulder": (0.2, 0.25), "elbow": (0.28, 0.5),
            "wrist": (0.3, 0.75), "hip": (0.15, 0.8), "knee": (0.16, 1.2), "ankle": (0.17, 1.6)}  # fmt: skip
    points = []
    for name in COCO.names:
        side, _, joint = name.rpartition("_")
        dx, dy = rows[joint]
        points.append((x + scale * (dx if side == "left" else -dx), y + scale * dy))
    return np.array(points)


def truth_of(*people):
    keypoints = np.stack(people)
    boxes = np.concatenate([keypoints.min(axis=1), np.ptp(keypoints, axis=1)], axis=1)
    visibility = np.full(keypoints.shape[:2], 2)
    return KeypointTruth(
        keypoints=keypoints,
        visibility=visibility,
        areas=0.53 * boxes[:, 2:].prod(axis=1),
        boxes_xywh=boxes,
        image_ids=[0] * len(people),
    )


def test_each_kind_of_error_is_told_apart():
    truth = truth_of(stand(), stand(x=480.0))
    joint, mirrored = COCO.index("left_wrist"), COCO.index("right_wrist")
    unit = 2 * COCO.sigma_array[joint] * np.sqrt(truth.areas[0])
    places = {
        "good": truth.keypoints[0, joint] + (0.3 * unit, 0),
        "jitter": truth.keypoints[0, joint] + (1.0 * unit, 0),  # e^-1/2 = .61
        "inversion": truth.keypoints[0, mirrored],
        "swap": truth.keypoints[1, joint],
        "miss": truth.keypoints[0, joint] + (0, 400.0),
    }
    for index, (_, place) in enumerate(places.items()):
        predicted = truth.keypoints[0].copy()
        predicted[joint] = place
        kinds = classify_joints(predicted, truth, 0, [1], COCO)
        assert kinds[joint] == index and (np.delete(kinds, joint) == 0).all()
    unlabelled = copy.copy(truth)
    unlabelled.visibility[0, joint] = 0
    assert classify_joints(truth.keypoints[0], unlabelled, 0, [1], COCO)[joint] == -1


def test_diagnosis_is_stored_and_found_again(person_dataset):
    dataset = person_dataset((2, 1, 3), noise=2.0)
    diagnosis = diagnose(dataset, "pred", "gt")
    again = stored_diagnosis(dataset, "pred")
    np.testing.assert_array_equal(again.counts, diagnosis.counts)
    assert again.persons == diagnosis.persons == 6
    joint = COCO.names[int(diagnosis.counts[:, 0].argmax())]
    assert len(persons_with_error(dataset, "pred", joint, "good")) == diagnosis.counts[:, 0].max()


def labelled_dataset(new_dataset, people, predictions, visibility=None):
    """One photo a person."""
    from clickpose_fiftyone.skeletons import set_skeleton

    samples = []
    for truths, found in zip(people, predictions, strict=True):
        sample = fo.Sample("/nowhere/a.jpg", metadata=fo.ImageMetadata(width=1000, height=1000))
        sample["gt"] = fo.Keypoints(keypoints=[_keypoint(p) for p in truths])
        sample["pred"] = fo.Keypoints(keypoints=[_keypoint(p, predicted=True) for p in found])
        samples.append(sample)
    dataset = new_dataset()
    dataset.add_samples(samples, dynamic=True)
    for field in ("gt", "pred"):
        set_skeleton(dataset, field)
    return dataset


def _keypoint(points, predicted=False):
    visible = np.isfinite(points).all(axis=1)
    label = fo.Keypoint(label="person", points=(np.asarray(points) / 1000).tolist())
    low, high = np.nanmin(points, axis=0) / 1000, np.nanmax(points, axis=0) / 1000
    label["bounding_box"] = [*low.tolist(), *(high - low).tolist()]
    if predicted:
        label["keypoint_oks"] = label["confidence"] = [0.95] * len(COCO)
        label["visibility"], label["pred_oks"] = [0.95] * len(COCO), 0.95
    else:
        label["visibility"] = np.where(visible, 2, 0).tolist()
    return label


def test_label_errors_are_found_and_good_labels_are_not(new_dataset):
    good, other = stand(), stand(x=480.0)
    flipped = good[COCO.flip_indices]
    missing = good.copy()
    missing[COCO.index("nose")] = np.nan
    stray = good.copy()
    stray[COCO.index("left_wrist")] = (900, 900)
    chimera = np.where((np.arange(17) < 9)[:, None], good, other)
    dataset = labelled_dataset(
        new_dataset,
        [[good], [flipped], [missing], [stray], [good, good + 1], [chimera]],
        [[good], [good], [good], [good], [good], [good, other]],
    )
    found = find_label_errors(dataset, "pred", "gt")
    kinds = {}
    for error in found.errors:
        kinds.setdefault(dataset.values("id").index(error.sample_id), set()).add((error.kind, error.joint))
    assert 0 not in kinds
    assert kinds[1] >= {("left_right_flip", None)}
    assert kinds[2] == {("missing_joint", "nose")}
    assert ("far_from_prediction", "left_wrist") in kinds[3]
    assert kinds[4] == {("duplicate", None)}
    assert ("chimera", None) in kinds[5]
    assert stored_label_errors(dataset, "gt") == found.errors
    assert dataset.count_label_tags("gt")["label_error"] == len({e.label_id for e in found.errors})


def test_calibration_makes_overconfident_scores_mean_their_oks(person_dataset, tmp_path):
    dataset = person_dataset((4,) * 15, noise=14.0)
    columns = PersonColumns(dataset, "pred")
    columns.write("confidence", np.full((60, 17), 0.97))
    path = tmp_path / "calibrator.json"
    summary = calibrate(dataset, "pred", "gt", kind="temperature", save_to=path, model="mine")
    assert summary.before["ece"] > 0.2 and summary.after["ece"] < 0.06
    after = PersonColumns(dataset, "pred")
    assert np.ptp(after.joints("keypoint_oks")) == pytest.approx(0) and after.joints("confidence").min() == 0.97
    assert dataset.values("min_pred_oks") == [min(scores) for scores in dataset.values("pred.keypoints.pred_oks")]
    calibrated = after.joints("keypoint_oks")[0, 0]
    assert stored_calibration(dataset, "pred").kind == "temperature"
    after.write("keypoint_oks", np.zeros((60, 17)))
    apply_calibrator(dataset, path)
    assert PersonColumns(dataset, "pred").joints("keypoint_oks")[0, 0] == pytest.approx(calibrated)


def test_too_few_labels_to_calibrate_change_nothing(person_dataset):
    dataset = person_dataset((2, 1))
    before = dataset.values("pred.keypoints.pred_oks")
    with pytest.raises(ValueError, match="at least 20 labelled people"):
        calibrate(dataset, "pred", "gt")
    assert dataset.values("pred.keypoints.pred_oks") == before and stored_calibration(dataset, "pred") is None


def test_joints_without_a_confidence_are_counted(person_dataset):
    dataset = person_dataset((4,) * 10, noise=4.0)
    columns = PersonColumns(dataset, "pred")
    confidence = columns.joints("confidence")
    confidence[:, 3] = np.nan
    columns.write("confidence", confidence)
    summary = calibrate(dataset, kind="platt")
    assert str(summary).endswith(" 40 joints without a confidence of the network, taken as 0.")
    confidence[:, 3] = 1.1
    columns.write("confidence", confidence)
    assert "40 confidences above 1 (overshoot of a heatmap), taken as 1." in str(calibrate(dataset, kind="platt"))
    columns.write("confidence", np.minimum(confidence, 1) * 100)
    with pytest.raises(ValueError, match=r'confidence of person \w+ of "pred", got .*; percent\? divide by 100 first'):
        calibrate(dataset, kind="platt")


def test_own_scores_stay_where_no_calibrator_is_nearer(person_dataset, tmp_path):
    """Confidences that are the OKS itself: auto keeps them, of the joints and of the people; a named curve is worse."""
    dataset = person_dataset((4,) * 15, noise=14.0)
    columns, truth = PersonColumns(dataset, "pred"), PersonColumns(dataset, "gt")
    pairs = labelled_pairs(columns, truth)
    confidence = np.full((60, 17), 0.5)
    confidence[pairs.persons] = labelled_sample(columns, truth, pairs).oks
    columns.write_all({"confidence": confidence, "keypoint_oks": np.zeros((60, 17))})
    path = tmp_path / "calibrator.json"
    summary = calibrate(dataset, save_to=path, model="mine")
    assert summary.kind == "identity" and summary.before == summary.after and summary.before["brier"] == 0
    assert str(summary).startswith(f"Kept the network's own scores: on {len(pairs.persons)} labelled people no calibr")
    after = PersonColumns(dataset, "pred")
    np.testing.assert_allclose(after.joints("keypoint_oks"), confidence)
    np.testing.assert_allclose(after.scalars("pred_oks"), after.scalars("score_raw"))
    assert str(stored_calibration(dataset, "pred")) == str(summary)
    after.write("keypoint_oks", np.zeros((60, 17)))
    assert apply_calibrator(dataset, path).kind == "identity"
    np.testing.assert_allclose(PersonColumns(dataset, "pred").joints("keypoint_oks"), confidence)

    named = calibrate(dataset, kind="isotonic")
    assert named.kind == "isotonic" and "isotonic is worse than the network's own scores, " in str(named)


def test_inversion_is_of_paired_joints_and_swap_of_either_joint_of_another_person():
    truth = truth_of(stand(), stand(x=480.0))
    wrist, nose = COCO.index("left_wrist"), COCO.index("nose")
    predicted = truth.keypoints[0].copy()
    predicted[wrist] = truth.keypoints[1, COCO.index("right_wrist")]
    predicted[nose] = truth.keypoints[0, nose] + (0, 400.0)
    kinds = classify_joints(predicted, truth, 0, [1], COCO)
    assert (kinds[wrist], kinds[nose]) == (3, 4)  # swap, miss


def test_a_bad_pose_is_diagnosed_and_one_that_is_nobodys_is_not(new_dataset):
    good = stand()
    sway = good + np.where(np.arange(17) < 11, 0, 60.0)[:, None]  # the legs are elsewhere: OKS between .1 and .6
    dataset = labelled_dataset(new_dataset, [[good], [good]], [[sway], [good + 700.0]])
    diagnosis = diagnose(dataset, "pred", "gt")
    assert diagnosis.persons == 1 and diagnosis.counts[:5, 0].tolist() == [1] * 5 and diagnosis.counts[11:, 0].sum() < 6
    assert dataset.last().pred.keypoints[0].joint_errors == ["unlabelled"] * 17


def test_a_limb_longer_than_people_have_is_found_without_predictions(new_dataset):
    people = [[stand(scale=200.0 + 5 * k)] for k in range(24)]
    long = stand()
    long[COCO.index("left_wrist")] += (600.0, 100.0)
    dataset = labelled_dataset(new_dataset, [*people, [long]], [[stand()]] * 25)
    found = find_label_errors(dataset, None, "gt")
    assert {(error.kind, error.joint, error.sample_id) for error in found.errors} == {
        ("impossible_limb", "left_wrist", dataset.last().id)
    }
    assert 0.5 < found.errors[0].suspicion <= 1


def test_of_two_labels_of_one_person_the_poorer_one_is_the_double(new_dataset):
    poor = stand()
    poor[[0, 1, 2]] = np.nan
    dataset = labelled_dataset(new_dataset, [[poor, stand()], [stand(), poor]], [[stand()], [stand()]])
    doubles = [error.label_id for error in find_label_errors(dataset, None, "gt").errors]
    assert set(doubles) == {dataset.first().gt.keypoints[0].id, dataset.last().gt.keypoints[1].id}


def test_somebody_who_labels_few_joints_only_forgets_none(new_dataset):
    few = np.full((17, 2), np.nan)
    few[5:9] = stand()[5:9]
    dataset = labelled_dataset(new_dataset, [[few]], [[stand()]])
    assert not find_label_errors(dataset, "pred", "gt").errors


def test_findings_in_one_field_leave_those_of_another(new_dataset):
    dataset = labelled_dataset(new_dataset, [[stand(), stand() + 1]], [[stand()]])
    found = find_label_errors(dataset, None, "gt")
    assert len(found.errors) == 1
    assert not find_label_errors(dataset, None, "pred").errors
    assert stored_label_errors(dataset, "gt") == found.errors


def test_calibration_keeps_what_the_network_said_and_what_a_human_placed(person_dataset):
    dataset = person_dataset((4,) * 10, noise=14.0)
    columns = PersonColumns(dataset, "pred")
    fixed = np.zeros((40, 17), bool)
    fixed[7, 3] = True
    columns.write_all({"fixed": fixed, "score_raw": [None] * 40})
    confidence = columns.joints("confidence")
    calibrate(dataset, "pred", "gt", kind="platt")
    after = PersonColumns(dataset, "pred")
    assert after.joints("keypoint_oks")[7, 3] == 1.0 and (after.joints("keypoint_oks") == 1.0).sum() == 1
    np.testing.assert_allclose(after.scalars("score_raw"), confidence.mean(axis=1))
    np.testing.assert_allclose(after.joints("confidence"), confidence)


def test_calibration_brings_no_joint_back_that_is_not_there(person_dataset):
    dataset = person_dataset((3,) * 10, noise=4.0)
    columns = PersonColumns(dataset, "pred")
    visibility, scores = columns.joints("visibility"), columns.joints("keypoint_oks")
    visibility[:, 15:], scores[:, 15:] = 0, 0
    columns.write_all({"visibility": visibility, "keypoint_oks": scores})
    calibrate(dataset, kind="temperature")
    after = PersonColumns(dataset, "pred")
    assert after.placed[:, :15].all() and not after.placed[:, 15:].any()
    assert (after.joints("keypoint_oks")[:, 15:] == 0).all() and (after.joints("keypoint_oks")[:, :15] > 0).all()


def test_calibration_is_fitted_on_the_labelled_view_only(person_dataset):
    dataset = person_dataset((4,) * 15, noise=14.0)
    PersonColumns(dataset.skip(8), "pred").write("confidence", np.full((28, 17), 0.97))
    summary = calibrate(dataset, "pred", "gt", fit_samples=dataset.limit(8), kind="isotonic")
    assert 20 <= summary.persons <= 32
    whole = calibrate(dataset, "pred", "gt", kind="isotonic")
    assert whole.persons > 40 and whole.before["ece"] > summary.before["ece"] + 0.1


def test_people_are_scored_by_their_visible_joints(person_dataset):
    dataset = person_dataset((4,) * 10, noise=14.0)
    visibility = np.zeros((40, 17))
    visibility[:, 5] = 1.0
    PersonColumns(dataset, "pred").write("visibility", visibility)
    calibrate(dataset, "pred", "gt", kind="platt")
    after = PersonColumns(dataset, "pred")
    np.testing.assert_allclose(after.scalars("pred_oks"), after.joints("keypoint_oks")[:, 5])
