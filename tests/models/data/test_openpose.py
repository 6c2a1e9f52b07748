"""OpenPose JSON: right places in BODY_25, and nothing lost on the way there and back."""

import json

import numpy as np
import pytest

from clickpose.data.coco_results import PhotoPoses
from clickpose.data.openpose import BODY_25, from_openpose, read_openpose, to_openpose, write_openpose
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS
from clickpose.structures import Poses


def some_poses(skeleton=COCO, persons: int = 2) -> Poses:
    rng = np.random.default_rng(0)
    count = len(skeleton)
    keypoints = rng.uniform(10, 200, (persons, count, 2))
    keypoints[0, 9] = np.nan
    boxes = np.array([[0.0, 0, 210, 210]] * persons)
    scores = rng.uniform(0.05, 1, (persons, count))
    return Poses(
        skeleton=skeleton,
        keypoints=keypoints,
        boxes_xyxy=boxes,
        keypoint_scores=scores,
        visibility_scores=scores,
        instance_scores=scores.mean(axis=1),
    )


def body(document, person=0):
    return np.reshape(document["people"][person]["pose_keypoints_2d"], (25, 3))


def test_joints_stand_where_openpose_has_them_with_predicted_oks_as_confidence():
    poses = some_poses()
    rows = body(to_openpose(poses))
    for place, joint in {0: 0, 2: 6, 4: 10, 5: 5, 9: 12, 11: 16, 14: 15, 15: 2, 18: 3}.items():
        assert rows[place].tolist() == [*poses.keypoints[0, joint], poses.keypoint_scores[0, joint]]
    shoulders = poses.keypoints[0, [5, 6]]
    assert rows[1].tolist() == pytest.approx([*shoulders.mean(axis=0), poses.keypoint_scores[0, [5, 6]].min()])
    assert rows[8, :2].tolist() == pytest.approx(poses.keypoints[0, [11, 12]].mean(axis=0).tolist())
    assert not rows[19:].any()  # COCO has no feet
    assert rows[BODY_25.index("left_wrist")].tolist() == [0, 0, 0]  # not placed


def test_with_a_tolerance_confidences_compare_joints_by_pixels(tmp_path):
    poses = some_poses()
    poses.keypoint_scores[0] = 0.5
    rows = body(to_openpose(poses, 0.05))
    eye, hip = (COCO.sigma_array[COCO.index(f"left_{joint}")] for joint in ("eye", "hip"))
    for name, sigma in (("left_eye", eye), ("left_hip", hip)):
        # half the OKS: off by as much as the joint's own length scale, 2 sigma
        assert rows[BODY_25.index(name), 2] == pytest.approx(0.05**2 / ((2 * sigma) ** 2 + 0.05**2))
    (path,) = write_openpose(tmp_path, [PhotoPoses("a.jpg", (300, 300), poses)], 0.05)
    assert body(json.loads(path.read_text()))[12].tolist() == rows[12].tolist()
    with pytest.raises(ValueError, match="above 0"):
        to_openpose(poses, -1.0)


def test_a_middle_needs_both_sides():
    poses = some_poses()
    poses.keypoints[0, 5] = np.nan
    assert body(to_openpose(poses))[1].tolist() == [0, 0, 0]


def test_round_trip_through_files(tmp_path):
    poses = some_poses()
    paths = write_openpose(tmp_path / "out", [PhotoPoses("a/photo.jpg", (300, 300), poses)])
    assert paths == [tmp_path / "out" / "photo_keypoints.json"]
    found = read_openpose(paths[0])
    assert np.array_equal(found.keypoints, poses.keypoints, equal_nan=True)
    placed = np.isfinite(poses.keypoints).all(axis=2)
    assert np.array_equal(found.keypoint_scores, np.where(placed, poses.keypoint_scores, 0))
    assert found.boxes_xyxy[1].tolist() == [*poses.keypoints[1].min(axis=0), *poses.keypoints[1].max(axis=0)]
    assert found.instance_scores[0] == pytest.approx(poses.keypoint_scores[0][placed[0]].mean())


def test_whole_bodies_keep_feet_hands_and_face():
    skeleton = SKELETONS["wholebody"]
    poses = some_poses(skeleton)
    document = json.loads(json.dumps(to_openpose(poses)))
    person = document["people"][1]
    assert len(person["face_keypoints_2d"]) == 210 and not any(person["face_keypoints_2d"][-6:])
    assert body(document, 1)[19, :2].tolist() == poses.keypoints[1, skeleton.index("left_big_toe")].tolist()
    assert person["hand_right_keypoints_2d"][:2] == poses.keypoints[1, skeleton.index("right_hand_root")].tolist()
    found = from_openpose(document, skeleton)
    assert np.array_equal(found.keypoints, poses.keypoints, equal_nan=True)


def test_people_without_joints_are_left_out_and_nobody_is_a_document():
    empty = {"version": 1.3, "people": [{"pose_keypoints_2d": [0] * 75}]}
    assert len(from_openpose(empty)) == 0
    assert to_openpose(some_poses(persons=2).select([]))["people"] == []


def test_bad_documents_say_what_was_expected(tmp_path):
    body = [300.0, 200.0, 0.5] * 25
    for document, sentence in (
        ({}, "Expected OpenPose people with BODY_25 joints, got an object without"),
        ([], "Expected OpenPose people with BODY_25 joints, got a list"),
        ({"people": [3]}, "Expected an object as person 0 of OpenPose people, got 3"),
        ({"people": [{}]}, "Expected 75 numbers of pose_keypoints_2d in person 0 of OpenPose people, got none"),
        (
            {"people": [{"pose_keypoints_2d": [1, 2, 3]}]},
            "Expected 75 numbers of pose_keypoints_2d in person 0 .*got 3",
        ),
        ({"people": [{"pose_keypoints_2d": "x"}]}, "Expected 75 numbers of pose_keypoints_2d in person 0 .*got 'x'"),
        ({"people": [{"pose_keypoints_2d": [None, *body[1:]]}]}, "Expected 75 finite numbers of pose_keypoints_2d in"),
        (
            {"people": [{"pose_keypoints_2d": [3.0, 4.0, 97.0, *body[3:]]}]},
            "numbers of person 0 .*, got 97; percent",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            from_openpose(document)
    face = {"pose_keypoints_2d": body, "face_keypoints_2d": 5}
    with pytest.raises(ValueError, match=r"Expected 210 numbers of face_keypoints_2d in person 0 .*, got 5"):
        from_openpose({"people": [face]}, SKELETONS["wholebody"])
    overshot = {"people": [{"pose_keypoints_2d": [3.0, 4.0, 1.1, *body[3:]]}]}
    assert from_openpose(overshot).keypoint_scores[0, 0] == 1
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"Cannot read .*broken\.json"):
        read_openpose(path)
    with pytest.raises(ValueError, match="Cannot read"):
        read_openpose(tmp_path / "absent.json")


def test_two_photos_of_one_name_are_refused(tmp_path):
    photos = [PhotoPoses(name, (9, 9), some_poses()) for name in ("a/x.jpg", "b/x.png")]
    with pytest.raises(ValueError, match=r"different names, got a/x\.jpg and b/x\.png"):
        write_openpose(tmp_path, photos)
