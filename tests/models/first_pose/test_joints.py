"""Joints are matched by name, whatever order and spelling they come in."""

import numpy as np
import pytest

from clickpose.first_pose.joints import in_joints, joint_places
from clickpose.first_pose.network import FirstPoseError, FirstPoses
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS


@pytest.mark.parametrize("name", ["wholebody", "halpe", "halpe26", "blazepose", "crowdpose", "mpii", "aic"])
def test_each_joint_is_found_under_its_name(name):
    theirs = SKELETONS[name]
    places = joint_places(theirs, COCO)
    assert all(theirs.names[place] == COCO.names[joint] for joint, place in enumerate(places) if place >= 0)
    missing = {COCO.names[joint] for joint in np.flatnonzero(places < 0)}
    face = {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}
    assert missing == (face if name in ("crowdpose", "mpii", "aic") else set())


def test_other_spellings_and_aliases_of_either_side_count():
    theirs = Skeleton(
        "odd", ("LWrist", "Nose", "hand right"), (), (), (0.1,) * 3, aliases={"right_wrist": "hand right"}
    )
    places = joint_places(theirs, COCO)
    assert places[COCO.index("left_wrist")] == 0 and places[0] == 1 and places[COCO.index("right_wrist")] == 2
    ours = Skeleton("golf", ("left_wrist", "club"), (), (), (0.1,) * 2, aliases={"nose": "club"})
    assert joint_places(theirs, ours).tolist() == [0, 1]
    with pytest.raises(FirstPoseError, match=r"Expected first poses with joints among .*, got tail"):
        joint_places(Skeleton("fish", ("tail",), (), (), (0.1,)), COCO)


def test_a_joint_that_is_lacking_has_no_place_score_or_visibility():
    theirs = SKELETONS["crowdpose"]
    keypoints = np.arange(28.0).reshape(1, 14, 2)
    poses = FirstPoses(
        skeleton=theirs, keypoints=keypoints, scores=np.full((1, 14), 0.7), visibility_scores=np.full((1, 14), 0.2)
    )
    (pose,) = in_joints(poses, joint_places(theirs, COCO))
    nose, wrist = 0, COCO.index("left_wrist")
    assert np.isnan(pose.keypoints[nose]).all() and pose.scores[nose] == 0 and np.isnan(pose.visibility_scores[nose])
    np.testing.assert_array_equal(pose.keypoints[wrist], keypoints[0, theirs.index("left_wrist")])
    assert (pose.scores[wrist], pose.visibility_scores[wrist]) == (0.7, 0.2)
