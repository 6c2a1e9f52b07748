"""Poses to COCO keypoint files and back."""

import contextlib
import io
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO as CocoFile

from clickpose.data.coco_records import read_predictions
from clickpose.data.coco_results import (
    PhotoPoses,
    from_coco,
    from_coco_results,
    pose_file,
    poses_of_results,
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
    assert pose.instance_score == 1 and pose.keypoint_scores.tolist() == [0] + [1] * 16 and not pose.fixed.any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "Expected a COCO keypoint dataset"),
        ('{"images": []}', "with a list of annotations, got one without"),
        ('{"annotations": []}', "with a list of images, got one without"),
        (
            '{"categories": [{"id": 1, "keypoints": ["nose"]}], "images": [], "annotations": []}',
            "Expected the joints nose, left_eye, .*, got nose",
        ),
        (
            '{"categories": [], "images": [], "annotations": [{"id": 3, "image_id": 9, "bbox": [], "keypoints": []}]}',
            "Expected image 9 of annotation 3, got no such image",
        ),
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
        ({"score": None}, "Expected a finite number as score in the result at place 1, got none"),
        ({"keypoints": [1.0] * 48}, r"Expected 51 numbers of keypoints \(coco\) in the result at place 1, got 48"),
        ({"keypoint_scores": [0.5]}, "Expected 17 numbers of keypoint_scores in the result at place 1, got 1"),
        ({"bbox": [1.0, 2.0]}, r"Expected 4 numbers of bbox \(.*\) in the result at place 1, got 2"),
        ({"bbox": [1.0, 2.0, np.nan, 4.0]}, "Expected 4 finite numbers of bbox in the result at place 1"),
        ({"image_id": [4]}, "Expected an image_id .* in the result at place 1, got a list"),
    ],
)
def test_broken_results_are_named_by_their_place(changes, sentence):
    whole = {"image_id": 4, "keypoints": [3.0, 4.0, 2] * 17, "score": 0.7}
    with pytest.raises(ValueError, match=sentence):
        from_coco_results([whole, whole | changes])


def test_what_is_no_result_is_named_by_its_place():
    with pytest.raises(ValueError, match="Expected a finite number as score in the result at place 0, got none"):
        from_coco_results([{"image_id": 4, "keypoints": [3.0, 4.0, 2] * 17}])
    with pytest.raises(ValueError, match="Expected an object as the result at place 0, got 3"):
        from_coco_results([3])


def test_joints_written_as_zeros_take_no_part_in_the_box():
    numbers = [[300.0 + joint, 200.0 + joint, 0.9] for joint in range(16)] + [[0, 0, 0]]
    result = {"image_id": 4, "keypoints": np.ravel(numbers).tolist(), "score": 0.7}
    poses = from_coco_results([result])[4]
    assert poses.boxes_xyxy[0].tolist() == [300, 200, 315, 215]
    assert np.isnan(poses.keypoints[0, 16]).all() and poses.keypoint_scores[0, 16] == 0


def test_a_result_without_a_joint_is_somebody_all_the_same():
    notes = Counter()
    empty = {"image_id": 4, "keypoints": [0] * 51, "score": 0.7}
    poses = from_coco_results([empty], notes=notes)[4]
    assert len(poses) == 1 and np.isnan(poses.keypoints).all() and not poses.boxes_xyxy.any()
    assert notes == {"people without a box or a joint": 1}


def foreign(**changes):
    numbers = [value for joint in range(17) for value in (10 + joint, 20 + 2 * joint, 2)]
    person = {"id": 11, "image_id": 7, "category_id": 1, "bbox": [1, 2, 60, 90], "area": 123.5, "keypoints": numbers}
    person |= {"iscrowd": "0", "segmentation": [[1, 2, 3, 4, 5, 6]], "num_keypoints": 17, "note": "mine"}
    others = [
        {"id": "car", "image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "area": 1.0},
        {"id": 13, "image_id": 7, "category_id": 1, "iscrowd": 1, "segmentation": {"counts": [1]}, "area": 9.0},
        person | {"id": 12},
    ]
    image = {"id": 7, "file_name": "x.jpg", "height": 100, "width": 80.0, "license": 3}
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO.names)}, {"id": 2, "name": "car"}]
    document = {"info": {"year": 2020}, "images": [image], "annotations": [others[0], person, *others[1:]]}
    return {**document, "categories": categories} | changes


def moved(pose):
    keypoints = pose.keypoints.copy()
    keypoints[9] = [70.5, 33.25]
    scores = np.linspace(0.1, 0.9, 17)
    return replace(pose, keypoints=keypoints, box_xyxy=[1, 2, 80, 92], keypoint_scores=scores, instance_score=0.625,
                   visibility_scores=np.linspace(0, 1, 17), fixed=np.arange(17) == 9)  # fmt: skip


def test_a_changed_pose_leaves_everything_else_as_it_came():
    document = foreign()
    before = json.dumps(document)
    file = pose_file(document)
    assert [len(photo.poses) for photo in file.photos] == [2]
    assert file.notes == {"annotations of other categories": 1, "crowds left out": 1}
    written = file.with_pose(0, 0, moved(file.photos[0].poses[0]))
    assert json.dumps(document) == before
    changed = written["annotations"].pop(1)
    assert written == {**document, "annotations": [a for a in document["annotations"] if a["id"] != 11]}
    kept = ("id", "image_id", "category_id", "area", "iscrowd", "segmentation", "note", "num_keypoints")
    original = document["annotations"][1]
    assert {name: changed[name] for name in kept} == {name: original[name] for name in kept}
    assert changed["bbox"] == [1, 2, 79, 90] and changed["score"] == 0.625
    assert changed["keypoints"][27:30] == [70.5, 33.25, 2] and changed["keypoints"][:3] == [10, 20, 1]
    again = pose_file({**written, "annotations": [changed]}).photos[0].poses[0]
    np.testing.assert_array_equal(again.keypoints, moved(file.photos[0].poses[0]).keypoints)
    assert again.fixed[9] and again.keypoint_scores.tolist() == np.linspace(0.1, 0.9, 17).tolist()


def test_an_area_that_was_the_boxs_follows_the_box():
    document = foreign()
    document["annotations"][1]["area"] = 5400
    file = pose_file(document)
    written = file.with_pose(0, 0, moved(file.photos[0].poses[0]))
    assert written["annotations"][1]["area"] == 79 * 90


def test_joints_are_read_and_written_in_the_files_order():
    order = COCO.flip_indices
    document = foreign(categories=[{"id": 1, "keypoints": [COCO.names[joint] for joint in order]}])
    plain, file = pose_file(foreign()), pose_file(document)
    before = file.photos[0].poses[0]
    np.testing.assert_array_equal(before.keypoints, plain.photos[0].poses[0].keypoints[order])
    written = file.with_pose(0, 0, moved(before))["annotations"][1]
    assert written["keypoints"][30:33] == [70.5, 33.25, 2]  # right_wrist's place holds the left one
    assert written["fixed"].index(True) == 10
    np.testing.assert_array_equal(np.array(written["keypoint_scores"])[order], np.linspace(0.1, 0.9, 17))


def test_confidences_in_the_third_numbers_are_confidences():
    document = foreign()
    for annotation in document["annotations"][1::2]:
        annotation["keypoints"][2::3] = [0.25] * 17
    file = pose_file(document)
    assert (file.photos[0].poses[0].keypoint_scores == 0.25).all()
    written = file.with_pose(0, 0, moved(file.photos[0].poses[0]))["annotations"][1]
    np.testing.assert_array_equal(written["keypoints"][2::3], np.linspace(0.1, 0.9, 17))


@pytest.mark.parametrize(
    ("changes", "box", "score"),
    [
        ({"score": None}, [1, 2, 61, 92], 1.0),
        ({"score": 1.1}, [1, 2, 61, 92], 1.0),
        ({"bbox": None, "score": 0.5}, [10, 20, 26, 52], 0.5),
        ({"keypoint_scores": [0.5] * 17}, [1, 2, 61, 92], 1.0),
    ],
)
def test_what_others_leave_out(changes, box, score):
    document = foreign()
    document["annotations"][1] |= changes
    file = pose_file(document)
    pose = file.photos[0].poses[0]
    assert pose.box_xyxy.tolist() == box and pose.instance_score == score
    assert file.notes.get("people without a box, given that of their joints", 0) == ("bbox" in changes)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"images": [{"id": 7, "file_name": "x.jpg"}]},
            "Expected height and width in image 7, which has people, got none",
        ),
        ({"images": [{"id": 7, "width": 3, "height": 4}]}, "Expected a file_name in image 7, got none"),
        (
            {"images": [{"id": "7", "file_name": "x.jpg"}]},
            "image 7 of annotation 11, got no such image; ids of images are t",
        ),
        ({"images": [{"id": 7, "width": "3", "height": 4}]}, "as width in image 7, got '3'"),
    ],
)
def test_sentences_on_foreign_files_name_entry_and_field(tmp_path, change, sentence):
    (tmp_path / "poses.json").write_text(json.dumps(foreign(**change)))
    with pytest.raises(ValueError, match=rf"Cannot read .*poses\.json: .*{sentence}"):
        read_coco(tmp_path / "poses.json")


def test_a_photo_without_people_needs_no_size():
    document = foreign()
    document["images"].append({"id": 8, "file_name": "y.jpg"})
    assert pose_file(document).photos[1].image_hw is None


def test_scores_that_only_rank_are_kept_and_joints_count_alike():
    notes = Counter()
    results = [{"image_id": 4, "keypoints": [3.0, 4.0, 2] * 17, "score": score} for score in (-3.5, 12.0)]
    poses = from_coco_results(results, notes=notes)[4]
    assert poses.instance_scores.tolist() == [-3.5, 12.0] and (poses.keypoint_scores == 1).all()
    assert notes["results without confidences of joints, whose scores are no 0..1 and only rank them"] == 2
    with pytest.raises(ValueError, match=r"Expected confidences within 0..1 as keypoint_scores .*percent"):
        from_coco_results([result | {"keypoint_scores": [90.0] * 17} for result in results])


def test_people_without_a_score_are_no_results():
    entry = {"id": 7, "image_id": 1, "category_id": 1, "keypoints": [5.0, 6.0, 2.0] * 17}
    document = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [entry], "categories": []}
    people = read_predictions(document, COCO, scored=False)
    with pytest.raises(ValueError, match=r"^Expected a score in annotation 7\b.*, got none$"):
        poses_of_results(people, COCO)
