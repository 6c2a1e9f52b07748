"""What counts as labelled, how large, how confident; and which prediction finds whom where it is a close call."""

import numpy as np
import pytest

from clickpose.metrics.keypoint_sets import KeypointPredictions, KeypointTruth
from clickpose.skeleton import COCO
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.matching import match_persons
from clickpose_fiftyone.truth import labelled_visibility, read_predictions, read_truth, truth_areas


def test_placed_joints_without_a_visibility_are_visible_and_others_not_labelled(person_dataset):
    dataset = person_dataset((2,))
    sample = dataset.first()
    sample.gt.keypoints[0].points[4] = [float("nan")] * 2
    sample.gt.keypoints[0].visibility = [2, 1, 0] + [2] * 14  # says that joint 4 is visible, which is nowhere
    sample.gt.keypoints[0].points[:3] = [[0.5, 0.5]] * 3
    sample.gt.keypoints[1].visibility = None
    sample.gt.keypoints[1].points = [[0.4, 0.4]] * 16 + [[float("nan")] * 2]
    sample.save()
    visibility = labelled_visibility(PersonColumns(dataset, "gt"))
    assert visibility[0, :3].tolist() == [2, 1, 0] and visibility[0, 4] == 0
    assert visibility[1].tolist() == [2] * 16 + [0]


def test_areas_are_the_stored_ones_else_a_share_of_the_box(person_dataset):
    dataset = person_dataset((2,))
    sample = dataset.first()
    sample.gt.keypoints[0].area = 1234.5
    sample.gt.keypoints[1].area = None
    sample.gt.keypoints[1].bounding_box = [0.25, 0.25, 0.5, 0.5]
    sample.save()
    assert truth_areas(PersonColumns(dataset, "gt")).tolist() == pytest.approx([1234.5, 0.53 * 320 * 240])


def test_people_without_a_score_are_ranked_by_the_mean_of_the_confidences_they_have(person_dataset):
    dataset = person_dataset((2,))
    columns = PersonColumns(dataset, "pred")
    confidence = np.full((2, 17), 0.5)
    confidence[0, :2], confidence[0, 2:] = (0.4, 0.8), np.nan
    columns.write_all({"confidence": confidence, "pred_oks": [None, 0.3]})
    assert read_predictions(PersonColumns(dataset, "pred")).scores.tolist() == pytest.approx([0.6, 0.3])
    confidence[0] = np.nan
    columns.write("confidence", confidence)
    with pytest.raises(ValueError, match="predict first"):
        read_predictions(PersonColumns(dataset, "pred"))


def test_crowds_are_ignored(person_dataset):
    dataset = person_dataset((3,))
    PersonColumns(dataset, "gt").write("iscrowd", np.array([0, 1, 0]))
    truth = read_truth(PersonColumns(dataset, "gt"))
    assert truth.crowd.tolist() == [False, True, False] and truth.ignored.tolist() == [False, True, False]


def people(*centers, crowd=None):
    """Annotated people whose joints all lie at one place; their area is 100 px squared."""
    keypoints = np.tile(np.array(centers, float)[:, None], (1, 17, 1))
    boxes = np.concatenate([keypoints[:, 0] - 5, np.full((len(centers), 2), 10.0)], axis=1)
    visibility = np.full((len(centers), 17), 2)
    crowd = np.zeros(len(centers), bool) if crowd is None else np.array(crowd)
    return KeypointTruth(
        keypoints=keypoints,
        visibility=visibility,
        areas=np.full(len(centers), 100.0),
        boxes_xywh=boxes,
        image_ids=np.zeros(len(centers), int),
        crowd=crowd,
    )


def found(*centers, scores=None):
    keypoints = np.tile(np.array(centers, float)[:, None], (1, 17, 1))
    scores = np.linspace(0.9, 0.1, len(centers)) if scores is None else np.array(scores)
    return KeypointPredictions(keypoints=keypoints, scores=scores, image_ids=np.zeros(len(centers), int))


def test_of_two_people_at_one_place_the_last_is_found_first_as_pycocotools_does():
    matches = match_persons(people((50, 50), (50, 50)), found((50, 50), (50, 50), (50, 50)), COCO.sigma_array)
    assert matches.truth_of.tolist() == [1, 0, -1] and matches.counted.all()


def test_a_crowd_takes_any_number_and_only_what_nobody_else_takes():
    truth = people((50, 50), (50, 50), crowd=[True, False])
    matches = match_persons(truth, found((50, 50), (50, 50), (50, 50)), COCO.sigma_array)
    assert matches.truth_of.tolist() == [1, 0, 0] and matches.counted.tolist() == [True, False, False]
    assert matches.prediction_of.tolist() == [2, 0]


def test_predictions_beyond_the_twenty_best_of_a_photo_do_not_count():
    centers = [(40.0 * k, 500.0) for k in range(21)]
    predictions = found((50, 50), *centers, scores=[0.01, *np.linspace(0.9, 0.1, 21)])
    matches = match_persons(people((50, 50)), predictions, COCO.sigma_array)
    assert matches.counted.sum() == 20 and not matches.counted[0] and not matches.counted[21]
    assert matches.prediction_of.tolist() == [-1]


def test_an_oks_of_exactly_one_passes_a_threshold_of_one():
    assert match_persons(people((50, 50)), found((50, 50)), COCO.sigma_array, 1.0).truth_of.tolist() == [0]
