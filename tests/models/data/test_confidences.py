"""What a confidence is: where it stands, and on which scale."""

from collections import Counter

import numpy as np
import pytest

from clickpose.data.coco_records import read_results
from clickpose.data.confidences import joint_confidences, person_confidences
from helpers.coco_files import TRIO, result


def confidences(*results, notes=None):
    return joint_confidences(read_results(results, TRIO, "r.json"), TRIO, notes)


def test_confidences_stand_in_their_field_else_the_thirds_else_the_score():
    np.testing.assert_array_equal(confidences(result(keypoint_scores=[0.1, 0.2, 0.3])), [[0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(confidences(result()), [[0.9, 0.8, 0.7]])
    np.testing.assert_array_equal(
        confidences(result((2, 1, 1)), result((1, 1, 1), score=0.08)), [[0.5] * 3, [0.08] * 3]
    )
    # the whole file decides: 1 is a confidence beside others
    np.testing.assert_array_equal(confidences(result((1, 1, 1)), result()), [[1, 1, 1], [0.9, 0.8, 0.7]])
    assert confidences().shape == (0, 3)


def test_a_joint_that_is_not_there_has_no_confidence():
    gap = result((2, 1, 1))
    gap["keypoints"][3:6] = [0, 0, 0]
    np.testing.assert_array_equal(confidences(gap), [[0.5, 0, 0.5]])
    gap = result((0.9, 0.8, 0.7), keypoint_scores=[0.9, None, 0.7])
    gap["keypoints"][3:6] = [None, None, 0.8]
    np.testing.assert_array_equal(confidences(gap), [[0.9, 0, 0.7]])


def test_overshoot_is_clipped_and_counted():
    notes = Counter()
    np.testing.assert_array_equal(confidences(result((1.2, 1.01, 0.5)), notes=notes), [[1, 1, 0.5]])
    assert notes == {"confidences above 1 (overshoot of a heatmap), taken as 1": 2}
    people = read_results([result(score=1.1), result(score=0.4)], TRIO)
    np.testing.assert_array_equal(person_confidences(people), [1, 0.4])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            result((97.0, 80.0, 0.5)),
            "as third numbers of keypoints of the result at place 1 of r.json, got 97; percent",
        ),
        (result((-3.0, 2.5, 0.5)), "as third numbers of keypoints of the result at place 1 of r.json, got -3; logits"),
        (result(keypoint_scores=[0.1, 1.3, 0.2]), "as keypoint_scores of the result at place 1 of r.json, got 1.3"),
        (result(keypoint_scores=[0.1, None, 0.2]), "as keypoint_scores of the result at place 1 of r.json, got nan"),
    ],
)
def test_other_scales_are_refused_with_a_hint(given, sentence):
    good = result() if "keypoint_scores" not in given else result(keypoint_scores=[0.5] * 3)
    with pytest.raises(ValueError, match=f"Expected confidences within 0..1 {sentence}"):
        confidences(good, given)


def test_keypoint_scores_stand_in_all_results_or_in_none():
    with pytest.raises(
        ValueError, match=r"in all results or in none, got them in 1 of 2; the result at place 1 of r.json"
    ):
        confidences(result(keypoint_scores=[0.5] * 3), result())
