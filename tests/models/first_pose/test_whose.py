"""A first pose of somebody beside is left out; one that is far off, but nobody's, is not."""

import numpy as np

from clickpose.first_pose.joints import FirstPose
from clickpose.first_pose.network import FirstPoses, PosesInBoxes
from clickpose.first_pose.predictor import FirstPosePredictor, notes_of
from clickpose.first_pose.whose import of_somebody_else
from clickpose.skeleton import COCO
from helpers.fakes import FakePredictor, template

BOXES = np.array([[20.0, 30.0, 120.0, 200.0], [150.0, 40.0, 260.0, 220.0]])
PHOTO = np.zeros((240, 320, 3), np.uint8)


def first_pose(keypoints):
    return FirstPose(keypoints, np.full(17, 0.5), np.full(17, np.nan), 0.5)


def own_poses():
    return FakePredictor().decode(FakePredictor().encode(PHOTO, BOXES))


def test_a_pose_where_lite_sees_another_person_is_that_person_s():
    one, two = map(template, BOXES)
    cases = [
        ([one, two], [False, False]),
        ([two, two], [True, False]),
        ([one, one + 3.0], [False, True]),
        ([two, one], [True, True]),
        ([one + 500.0, two], [False, False]),  # nobody's: it stays, for a human to see
    ]
    for keypoints, expected in cases:
        assert of_somebody_else([first_pose(k) for k in keypoints], own_poses()).tolist() == expected
    few = np.where(np.arange(17)[:, None] < 5, two, np.nan)  # as many joints as there are decide
    assert of_somebody_else([first_pose(few), None], own_poses()).tolist() == [True, False]
    assert of_somebody_else([first_pose(np.full((17, 2), np.nan)), None], own_poses()).tolist() == [False, False]


def test_between_two_that_lie_alike_everybody_keeps_the_own():
    close = BOXES[[0, 0]] + [[0], [2]]
    own = FakePredictor().decode(FakePredictor().encode(PHOTO, close))
    assert not of_somebody_else([first_pose(template(close[1])), first_pose(template(close[0]))], own).any()


def test_lite_poses_whom_the_first_network_takes_for_a_neighbour_and_nobody_is_lost():
    class OneForAll(PosesInBoxes):
        name, fingerprint, skeleton = "single", "3333", COCO

        def pose(self, image, boxes_xyxy):
            keypoints = np.stack([template(BOXES[1]) + 1.0] * len(boxes_xyxy))
            return FirstPoses(skeleton=COCO, keypoints=keypoints, scores=np.ones(keypoints.shape[:2]))

    predictor = FirstPosePredictor(FakePredictor(), OneForAll())
    predictor.set_image(PHOTO)
    poses = predictor.predict()
    assert len(poses) == 2  # else one would have been dropped as a double
    order = np.argsort(poses.keypoints[:, 0, 0])
    np.testing.assert_array_equal(poses.keypoints[order[0]], template(BOXES[0]))
    assert dict(notes_of(predictor)) == {"people in whose boxes single posed somebody else, posed by fake": 1}
