"""Two sets of poses: who is the same person, and how far the joints agree."""

import numpy as np
import pytest

from clickpose.metrics.agreement import PoseSet, compare_poses, joint_agreement
from clickpose.metrics.oks import keypoint_oks

SIGMAS = np.array([0.05, 0.05, 0.1])


def people(*keypoints, areas=None, images=None):
    keypoints = np.array(keypoints, float).reshape(-1, 3, 2)
    count = len(keypoints)
    areas = np.full(count, 10_000.0) if areas is None else np.array(areas, float)
    return PoseSet(keypoints=keypoints, areas=areas, image_ids=["a"] * count if images is None else images)


ONE, FAR = [[10, 10], [20, 20], [30, 30]], [[200, 10], [220, 20], [230, 30]]


def moved(pose, by):
    return (np.array(pose, float) + by).tolist()


def test_a_joint_that_is_two_sigmas_away_agrees_by_e_to_the_minus_a_half():
    terms = joint_agreement([ONE], [[[20, 10], [20, 20], [np.nan, np.nan]]], [10_000.0], SIGMAS)
    np.testing.assert_allclose(terms, [[np.exp(-0.5), 1.0, 0.0]])
    absent = [[[np.nan, np.nan], [20, 20], [30, 30]]]
    np.testing.assert_allclose(joint_agreement(absent, absent, [10_000.0], SIGMAS), [[np.nan, 1.0, 1.0]])


def test_people_are_paired_one_to_one_the_most_alike_first():
    first = people(moved(ONE, 3), ONE, FAR)
    second = people(FAR, ONE)
    found = compare_poses(first, second, SIGMAS)
    assert found.pairs.tolist() == [[1, 1], [2, 0]]
    assert found.only_first.tolist() == [0] and found.only_second.tolist() == []
    np.testing.assert_allclose(found.joints, np.ones((2, 3)))
    np.testing.assert_allclose(found.persons, [1, 1])


def test_the_order_of_the_sets_does_not_matter():
    rng = np.random.default_rng(0)
    images = ["a", "a", "b", "b", "b"]
    first = people(*rng.uniform(0, 60, (5, 3, 2)), areas=rng.uniform(1e3, 1e4, 5), images=images)
    second = people(*rng.uniform(0, 60, (5, 3, 2)), areas=rng.uniform(1e3, 1e4, 5), images=images)
    found, back = compare_poses(first, second, SIGMAS), compare_poses(second, first, SIGMAS)
    assert sorted(map(tuple, found.pairs.tolist())) == sorted((b, a) for a, b in back.pairs.tolist())
    np.testing.assert_allclose(sorted(found.persons), sorted(back.persons))
    area = np.sqrt(first.areas[found.pairs[:, 0]] * second.areas[found.pairs[:, 1]])
    left, right = first.keypoints[found.pairs[:, 0]], second.keypoints[found.pairs[:, 1]]
    np.testing.assert_allclose(found.joints, keypoint_oks(left, right, area, SIGMAS))


def test_people_of_other_photos_and_strangers_are_alone():
    found = compare_poses(people(ONE, images=["a"]), people(ONE, images=["b"]), SIGMAS)
    assert not len(found.pairs) and found.joints.shape == (0, 3)
    assert found.only_first.tolist() == [0] and found.only_second.tolist() == [0]
    assert not len(compare_poses(people(ONE), people(FAR), SIGMAS).pairs)
    assert compare_poses(people(), people(), SIGMAS).pairs.shape == (0, 2)
    nobody = people([[np.nan, np.nan]] * 3)
    assert not len(compare_poses(nobody, nobody, SIGMAS).pairs)


def test_other_numbers_of_joints_are_refused():
    with pytest.raises(ValueError, match="Expected second of shape"):
        compare_poses(people(ONE), PoseSet(keypoints=np.zeros((1, 2, 2)), areas=[1.0], image_ids=["a"]), SIGMAS)
