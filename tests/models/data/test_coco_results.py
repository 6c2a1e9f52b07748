"""Poses to COCO keypoint files and back."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO as CocoFile

from clickpose.data.coco_results import (
    PhotoPoses,
    from_coco,
    from_coco_results,
    read_coco,
    to_coco,
    to_coco_results,
    write_coco,
)
from clickpose.skeleton import COCO, Skeleton
from clickpose.structures import Poses


def random_poses(people: int, seed: int) -> Poses:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0, 500, (people, 17, 2))
    keypoints[:, 3] = np.nan
    corners = rng.uniform(0, 100, (people, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 400, (people, 2))], axis=1)
    scores = rng.uniform(0, 1, (people, 2, 17))
    return Poses(
        skeleton=COCO,
        keypoints=keypoints,
        boxes_xyxy=boxes,
        keypoint_scores=scores[:, 0],
        visibility_scores=scores[:, 1],
        instance_scores=scores[:, 0, 0],
        fixed=rng.random((people, 17)) < 0.3,
    )


@pytest.fixture
def photos():
    return [
        PhotoPoses("a.jpg", (480, 640), random_poses(2, 0)),
        PhotoPoses("empty.jpg", (10, 20), random_poses(0, 1)),
        PhotoPoses("folder/b.png", (600, 300), random_poses(3, 2)),
    ]


def test_round_trip_through_a_file_keeps_every_digit(tmp_path, photos):
    write_coco(tmp_path / "poses.json", photos)
    back = read_coco(tmp_path / "poses.json")
    assert [(p.file_name, p.image_hw) for p in back] == [(p.file_name, p.image_hw) for p in photos]
    for before, after in zip(photos, back, strict=True):
        for name in ("keypoints", "keypoint_scores", "visibility_scores", "instance_scores", "fixed"):
            np.testing.assert_array_equal(getattr(after.poses, name), getattr(before.poses, name), err_msg=name)
        np.testing.assert_allclose(after.poses.boxes_xyxy, before.poses.boxes_xyxy, rtol=1e-14)


def test_fields_are_those_of_coco():
    keypoints = np.full((1, 17, 2), np.nan)
    keypoints[0, 0], keypoints[0, 9] = [1.25, 2.5], [0.1, 0.2]
    visibility = np.zeros((1, 17))
    visibility[0, 0] = 0.5
    poses = Poses(
        skeleton=COCO,
        keypoints=keypoints,
        boxes_xyxy=[[10, 20, 40, 60]],
        keypoint_scores=np.ones((1, 17)),
        visibility_scores=visibility,
        instance_scores=[0.75],
    )
    document = to_coco([PhotoPoses("a.jpg", (480, 640), poses)])
    (annotation,) = document["annotations"]
    assert document["images"] == [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}]
    assert annotation["bbox"] == [10, 20, 30, 40] and annotation["area"] == 1200
    assert annotation["keypoints"][:6] == [1.25, 2.5, 2, 0, 0, 0]
    assert annotation["keypoints"][27:30] == [0.1, 0.2, 1]
    assert annotation["num_keypoints"] == 2 and annotation["score"] == 0.75
    (category,) = document["categories"]
    assert category["keypoints"][9] == "left_wrist" and [16, 14] in category["skeleton"]


def test_pycocotools_reads_the_dataset_and_the_results(tmp_path, photos):
    write_coco(tmp_path / "poses.json", photos)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = CocoFile(str(tmp_path / "poses.json"))
        results = dataset.loadRes(to_coco_results(dataset.dataset))
    assert len(dataset.getAnnIds(imgIds=[3])) == 3 and len(results.getAnnIds()) == 5


def test_files_of_others_are_read_with_plain_scores():
    triples = np.tile([5.0, 6.0, 2.0], (17, 1))
    triples[0], triples[1, 2] = 0, 1
    person = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "keypoints": triples.ravel().tolist()}
    crowd = {"id": 2, "image_id": 7, "category_id": 1, "iscrowd": 1, "segmentation": {}}
    image = {"id": 7, "file_name": "x.jpg", "height": 10, "width": 20}
    names = [name.replace("_", " ").title() for name in COCO.names]
    document = {"images": [image], "annotations": [person, crowd], "categories": [{"id": 1, "keypoints": names}]}
    (photo,) = from_coco(document)
    assert len(photo.poses) == 1 and photo.image_hw == (10, 20)
    pose = photo.poses[0]
    np.testing.assert_array_equal(pose.box_xyxy, [1, 2, 4, 6])
    assert np.isnan(pose.keypoints[0]).all() and (pose.keypoints[1:] == [5, 6]).all()
    assert pose.visibility_scores.tolist() == [0, 0] + [1] * 15
    assert pose.instance_score == 1 and (pose.keypoint_scores == 1).all() and not pose.fixed.any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "Expected a COCO keypoint dataset"),
        ('{"images": []}', "'categories'"),
        ('{"categories": [{"keypoints": ["nose"]}]}', "Expected the joints nose, left_eye, .*, got nose"),
        ('{"categories": [], "images": [], "annotations": [{"image_id": 9, "bbox": [], "keypoints": []}]}', "9|51"),
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "poses.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"Cannot read .*poses\.json: .*({message})"):
        read_coco(path)


def test_missing_files_and_foreign_skeletons_are_refused(tmp_path, photos):
    with pytest.raises(ValueError, match=r"Cannot read .*none\.json: No such file"):
        read_coco(tmp_path / "none.json")
    with pytest.raises(ValueError, match="Expected poses of skeleton 'dot', got 'coco'"):
        to_coco(photos, Skeleton("dot", ("dot",), (), (), (0.1,)))
    assert json.dumps(to_coco([])) == json.dumps({**to_coco([]), "images": [], "annotations": []})


def test_results_of_another_model_become_poses_by_image():
    triples = np.column_stack([np.arange(17) * 2.0, np.arange(17) + 5.0, np.linspace(0.1, 0.9, 17)])
    results = [
        {"image_id": 4, "category_id": 1, "keypoints": triples.ravel().tolist(), "score": 0.7},
        {"image_id": 9, "category_id": 1, "keypoints": triples.ravel().tolist(), "score": 0.6, "bbox": [1, 2, 3, 4]},
        {"image_id": 4, "category_id": 1, "keypoints": triples.ravel().tolist(), "score": 0.5},
    ]
    poses = from_coco_results(results)
    assert {image_id: len(found) for image_id, found in poses.items()} == {4: 2, 9: 1}
    np.testing.assert_array_equal(poses[4].keypoints[1], triples[:, :2])
    np.testing.assert_allclose(poses[4].keypoint_scores[0], triples[:, 2])
    assert poses[4].instance_scores.tolist() == [0.7, 0.5]
    assert poses[4].boxes_xyxy[0].tolist() == [0, 5, 32, 21] and poses[9].boxes_xyxy[0].tolist() == [1, 2, 4, 6]


def test_third_numbers_that_are_visibilities_are_no_scores():
    result = {"image_id": 4, "keypoints": [3.0, 4.0, 2] * 16 + [3.0, 4.0, 0], "score": 0.7}
    np.testing.assert_allclose(from_coco_results([result])[4].keypoint_scores, 0.7)
    np.testing.assert_allclose(from_coco_results([result | {"keypoint_scores": [0.3] * 17}])[4].keypoint_scores, 0.3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"score": None}, "at place 1: Expected finite score, got nan"),
        ({"keypoints": [1.0] * 48}, r"at place 1: Expected keypoints of shape \(51,\), got \(48,\)"),
        ({"keypoints": [np.nan] * 51}, "at place 1: Expected at least one finite point"),
        ({"keypoint_scores": [0.5]}, r"at place 1: Expected keypoint_scores of shape \(17,\), got \(1,\)"),
        ({"bbox": [1.0, 2.0]}, r"at place 1: Expected bbox of shape \(4,\), got \(2,\)"),
        ({"bbox": [1.0, 2.0, np.nan, 4.0]}, "at place 1: Expected finite bbox, got nan"),
        ({"image_id": [4]}, "at place 1: unhashable type: 'list'"),
    ],
)
def test_broken_results_are_named_by_their_place(changes, sentence):
    whole = {"image_id": 4, "keypoints": [3.0, 4.0, 2] * 17, "score": 0.7}
    with pytest.raises(ValueError, match=f"Cannot read the result {sentence}"):
        from_coco_results([whole, whole | changes])


def test_what_is_no_result_is_named_by_its_place():
    with pytest.raises(ValueError, match="Expected 'score' in the result at place 0, got none"):
        from_coco_results([{"image_id": 4, "keypoints": [3.0, 4.0, 2] * 17}])
    with pytest.raises(ValueError, match="Cannot read the result at place 0: 'int' object is not subscriptable"):
        from_coco_results([3])
