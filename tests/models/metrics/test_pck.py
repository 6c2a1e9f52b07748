"""PCK and PCKh on distances known by hand."""

import numpy as np
import pytest

from clickpose.metrics.pck import correct_keypoints, head_sizes, pck, pckh
from clickpose.skeleton import Skeleton

# two persons, three joints; distances 5, 10 and 20 px, the last one of the second person not labelled
TRUTH = np.array([[[0.0, 40], [100, 0], [0, 50]], [[10, 10], [20, 20], [30, 30]]])
FOUND = TRUTH + np.array([[3.0, 4], [6, 8], [12, 16]])
VISIBILITY = np.array([[2, 1, 2], [2, 2, 0]])


def test_a_joint_counts_up_to_the_distance_itself():
    correct = correct_keypoints(FOUND, TRUTH, VISIBILITY, [10.0, 20.0], 0.5)
    np.testing.assert_array_equal(correct, [[1, 0, 0], [1, 1, np.nan]])
    figures = pck(FOUND, TRUTH, VISIBILITY, [10.0, 20.0], 0.5)
    assert figures.mean == pytest.approx(3 / 5)
    np.testing.assert_allclose(figures.by_joint, [1, 1 / 2, 0])


def test_head_size_is_0_6_of_the_head_boxs_diagonal_and_pelvis_does_not_count():
    heads = [[0.0, 0, 30, 40], [5, 5, 65, 85]]  # diagonals 50 and 100
    np.testing.assert_allclose(head_sizes(heads), [30, 60])
    skeleton = Skeleton("three", ("head", "pelvis", "knee"), (), (), (0.1, 0.1, 0.1))
    for spine in ("thorax", "pelvis"):  # neither counts
        other = Skeleton("three", ("head", spine, "knee"), (), (), (0.1, 0.1, 0.1))
        assert pckh(FOUND, TRUTH, VISIBILITY, heads, other).mean == pytest.approx(2 / 3)
    # limits at .5: 15 and 30 px; at .1: 3 and 6
    assert pckh(FOUND, TRUTH, VISIBILITY, heads, skeleton).mean == pytest.approx(2 / 3)
    strict = pckh(FOUND, TRUTH, VISIBILITY, heads, skeleton, threshold=0.1)
    assert strict.mean == pytest.approx(1 / 3)
    np.testing.assert_allclose(strict.by_joint, [0.5, 0, 0])


def test_joints_not_placed_are_wrong_and_not_labelled_ones_are_not_read():
    found, truth = FOUND.copy(), TRUTH.copy()
    found[0, 0] = np.nan
    truth[1, 2] = np.nan
    assert pck(found, truth, VISIBILITY, [100.0, 100.0], 0.5).mean == pytest.approx(4 / 5)


def test_the_same_at_any_place_and_size_and_in_any_joint_order_but_not_with_swapped_axes():
    base = pck(FOUND, TRUTH, VISIBILITY, [10.0, 20.0], 0.5)
    moved = pck(3 * FOUND + 7, 3 * TRUTH + 7, VISIBILITY, [30.0, 60.0], 0.5)
    np.testing.assert_array_equal(moved.correct, base.correct)
    order = [2, 0, 1]
    turned = pck(FOUND[:, order], TRUTH[:, order], VISIBILITY[:, order], [10.0, 20.0], 0.5)
    np.testing.assert_allclose(turned.by_joint, base.by_joint[order])
    assert pck(FOUND[..., ::-1], TRUTH, VISIBILITY, [10.0, 20.0], 0.5).mean < base.mean


def test_nobody_and_nothing_labelled_have_no_share():
    nobody = pck(np.zeros((0, 3, 2)), np.zeros((0, 3, 2)), np.zeros((0, 3)), [], 0.5)
    assert np.isnan(nobody.mean) and np.isnan(nobody.by_joint).all()
    assert np.isnan(pck(FOUND, TRUTH, 0 * VISIBILITY, [1.0, 1.0], 0.5).mean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scales": [1.0, 0.0]}, r"Expected finite scales above 0, got 0\.0"),
        ({"scales": [1.0, np.nan]}, "Expected finite scales above 0, got nan"),
        ({"threshold": 0.0}, "Expected finite threshold above 0"),
        ({"truth": TRUTH * np.nan}, "Expected finite truth of labelled joints, got"),
        ({"truth": TRUTH[:, :2]}, r"Expected truth of shape \(2, 3, 2\), got \(2, 2, 2\)"),
        ({"visibility": [1, 1]}, r"Expected visibility of shape \(2, 3\), got \(2,\)"),
    ],
)
def test_wrong_input_is_named(change, message):
    arguments = {"keypoints": FOUND, "truth": TRUTH, "visibility": VISIBILITY, "scales": [1.0, 1.0], "threshold": 0.5}
    with pytest.raises(ValueError, match=message):
        pck(**(arguments | change))
