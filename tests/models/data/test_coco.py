"""COCO keypoint folders for training and evaluation: what is read, and what is refused with a sentence."""

import json

import numpy as np
import pytest

from clickpose.data.coco import read_coco_dataset, read_coco_persons
from clickpose.metrics.keypoint_sets import truth_from_coco
from clickpose.skeleton import COCO


def person(**changes) -> dict:
    keypoints = [10.0, 20.0, 2] * 16 + [0, 0, 0]
    return {"id": 7, "image_id": 1, "bbox": [5, 6, 30, 40], "area": 600.0, "keypoints": keypoints} | changes


@pytest.fixture
def read(tmp_path):
    def write_and_read(annotations, names=COCO.names):
        images = [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}]
        content = {"images": images, "annotations": annotations}
        if names is not None:
            content["categories"] = [{"id": 1, "name": "person", "keypoints": list(names)}]
        (tmp_path / "annotations.json").write_text(json.dumps(content))
        return read_coco_persons(tmp_path)

    return write_and_read


@pytest.mark.parametrize("names", [COCO.names, None, [name.replace("_", " ").title() for name in COCO.names]])
def test_a_person_is_read(read, tmp_path, names):
    (record,) = read([person()], names)
    assert (record.annotation_id, record.image_path, record.image_hw) == (7, tmp_path / "images" / "a.jpg", (48, 64))
    np.testing.assert_array_equal(record.box_xyxy, [5, 6, 35, 46])
    np.testing.assert_array_equal(record.labelled, [True] * 16 + [False])
    assert (record.area, record.visibility_known, record.box_known) == (600.0, False, False)


def test_crowds_and_annotations_without_labelled_keypoints_are_left_out(read):
    unlabelled, segments_only = person(keypoints=[0] * 51, id=8), person(id=9)
    del segments_only["keypoints"], segments_only["bbox"]
    assert read([person(iscrowd=1, id=10), unlabelled, person(id=11, num_keypoints=0), segments_only]) == []


@pytest.mark.parametrize("box", [[5, 6, 0, 40], None, []])
def test_a_person_whose_box_is_missing_or_has_no_area_gets_that_of_the_joints(read, tmp_path, box):
    """COCO's figures count the person, and ask for no box of one with labelled joints."""
    keypoints = [10.0, 20.0, 2] * 8 + [30.0, 60.0, 2] * 8 + [0, 0, 0]
    (record,) = read([person(bbox=box, keypoints=keypoints)])
    np.testing.assert_array_equal(record.box_xyxy, [8, 16, 32, 64])  # a tenth larger on each side
    assert not record.box_known and record.area == 600.0
    report = read_coco_dataset(tmp_path / "annotations.json", tmp_path).report()
    assert "1 boxes missing or without an area, made around the joints" in report


def test_one_occluded_label_tells_that_visibility_is_known(read):
    occluded = person(keypoints=[1.0, 2.0, 1] * 17, id=8)
    records = read([person(), occluded])
    assert [(record.visibility_known, record.box_known) for record in records] == [(True, True)] * 2


def test_boxes_are_believed_where_every_joint_is_labelled_on_somebody(read):
    without_nose = person(keypoints=[0, 0, 0] + [10.0, 20.0, 2] * 16, id=8)
    records = read([person(), without_nose])
    assert [(record.visibility_known, record.box_known) for record in records] == [(False, True)] * 2
    assert [record.box_known for record in read([without_nose])] == [False]


def test_a_photo_without_people_needs_no_size(tmp_path):
    sized = {"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}
    content = {"images": [sized, {"id": 2, "file_name": "b.jpg"}], "annotations": [person()], "categories": []}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    dataset = read_coco_dataset(tmp_path / "annotations.json", tmp_path)
    assert [image.image_id for image in dataset.images] == [1]
    assert "1 photos without people or a size" in dataset.report()
    content["annotations"].append(person(id=8, image_id=2))
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"Expected height and width in image 2 of .*annotations.json, which has people"
    ):
        read_coco_dataset(tmp_path / "annotations.json", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 2}, "image 2 of annotation 7"),
        ({"keypoints": [1.0, 2.0, 2] * 16}, "51 numbers of keypoints"),
        ({"keypoints": [1.0, 2.0]}, r"51 numbers of keypoints \(coco\) in annotation 7 of .*annotations.json, got 2"),
        ({"area": None}, "Expected an area of 0 px² or more in annotation 7 of .*annotations.json, got none"),
        ({"area": "large"}, "Expected an area of 0 px² or more in annotation 7 of .*annotations.json, got 'large'"),
        ({"area": [9.0]}, "Expected an area of 0 px² or more in annotation 7 of .*annotations.json, got a list"),
        ({"area": -1.0}, "an area of 0 px² or more in annotation 7 of .*annotations.json, got -1.0"),
        ({"keypoints": [1.0, 2.0, 3] * 17}, "visibility of 0, 1 or 2 in annotation 7 of .*annotations.json, got 3"),
        (
            {"keypoints": [float("inf"), 2.0, 2] * 17},
            "finite numbers of keypoints .* in annotation 7 of .*got infinity",
        ),
        ({"bbox": [1, 2, 3]}, r"bbox \(left, top, width, height\) in annotation 7 of .*annotations.json"),
        ({"bbox": "wide"}, r"bbox \(left, top, width, height\) in annotation 7 of .*annotations.json"),
        ({"keypoints": 5}, r"51 numbers of keypoints \(coco\) in annotation 7 of .*annotations.json, got 5"),
    ],
)
def test_broken_annotations_are_named(read, changes, message):
    broken = {key: value for key, value in person(**changes).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        read([broken])


def test_no_keypoints_and_null_are_the_same_and_those_of_a_crowd_do_not_count(read, tmp_path):
    read([person(), person(id=8, keypoints=None), person(id=9, keypoints=[1.0], iscrowd=1)])
    dataset = read_coco_dataset(tmp_path / "annotations.json", tmp_path / "images")
    assert [p.annotation_id for p in dataset.persons] == [7] and [p.annotation_id for p in dataset.ignored] == [8, 9]


def test_one_id_twice_is_refused(read):
    with pytest.raises(ValueError, match=r"annotations of .*annotations.json with different ids, got 7 more than once"):
        read([person(), person()])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "Expected COCO keypoints in .*annotations.json, got no JSON"),
        ("[]", "Expected a COCO keypoint dataset in .*annotations.json, got a list"),
        ("{}", "Expected a COCO keypoint dataset with a list of images in .*annotations.json, got one without"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, text, sentence):
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_coco_persons(tmp_path)


def test_a_data_set_tells_whom_to_find_whom_to_ignore_and_what_was_left_out(read, tmp_path):
    outside = person(keypoints=[70.0, 20.0, 2] * 17)
    unlabelled = {"keypoints": [0] * 51}
    people = [outside, person(iscrowd=1, id=8), person(**unlabelled, id=9), person(**unlabelled, bbox=None, id=10)]
    read(people)
    dataset = read_coco_dataset(tmp_path / "annotations.json", tmp_path / "images")
    assert [p.annotation_id for p in dataset.persons] == [7]
    assert [(p.annotation_id, p.crowd) for p in dataset.ignored] == [(8, True), (9, False)]
    assert dataset.report() == (
        f"{tmp_path.name}: 1 images, 1 persons with 17 joints (1 crowds; 2 persons without a labelled joint; "
        "17 labelled joints outside their image, kept; 1 of these without a box, left out)"
    )
    truth = dataset.truth()
    np.testing.assert_array_equal(truth.ignored, [False, True, True])
    np.testing.assert_array_equal(truth.crowd, [False, True, False])
    np.testing.assert_array_equal(truth.boxes_xywh[0], [5, 6, 30, 40])


def test_fewer_joints_leave_people_without_them_to_be_ignored(read, tmp_path):
    read([person(), person(keypoints=[0, 0, 0] * 16 + [1.0, 2.0, 2], id=8)])
    dataset = read_coco_dataset(tmp_path / "annotations.json", tmp_path / "images").with_joints([2, 0])
    assert dataset.skeleton.names == ("right_eye", "nose")
    assert [p.annotation_id for p in dataset.persons] == [7] and [p.annotation_id for p in dataset.ignored] == [8]
    assert dataset.persons[0].keypoints.shape == (2, 2)


def test_joints_in_another_order_are_matched_by_name(read):
    keypoints = [value for joint in range(17) for value in (joint, 20.0 + joint, 2)]
    mirrored = [COCO.names[joint] for joint in COCO.flip_indices]
    reordered = [value for joint in COCO.flip_indices for value in (float(joint), 20.0 + joint, 2)]
    (expected,), (record,) = read([person(keypoints=keypoints)]), read([person(keypoints=reordered)], names=mirrored)
    np.testing.assert_array_equal(record.keypoints, expected.keypoints)


def test_other_joints_are_refused(read):
    with pytest.raises(ValueError, match=r"Expected the joints nose, left_eye.* in .*annotations.json, got left_eye"):
        read([person()], names=(*COCO.names[1:], "tail"))


def test_crowds_keep_the_joints_that_cocos_figures_compare(read, tmp_path):
    read([person(), person(iscrowd=1, id=8)])
    truth = read_coco_dataset(tmp_path / "annotations.json", tmp_path).truth()
    assert truth.visibility[1].sum() == 32 and truth.ignored.tolist() == [False, True]


def test_num_keypoints_says_who_counts_as_in_coco(read, tmp_path):
    people = [person(), person(id=8, num_keypoints=0), person(id=9, keypoints=[0] * 51, num_keypoints=3)]
    read(people)
    dataset = read_coco_dataset(tmp_path / "annotations.json", tmp_path)
    assert [p.annotation_id for p in dataset.persons] == [7]
    assert dataset.truth().ignored.tolist() == [False, True, False]
    expected = truth_from_coco(json.loads((tmp_path / "annotations.json").read_text()))
    np.testing.assert_array_equal(expected.ignored, dataset.truth().ignored)
    assert "1 persons ignored since num_keypoints is 0, though joints are labelled" in dataset.report()
    assert "1 persons without a labelled joint, to be found all the same by their num_keypoints" in dataset.report()


def test_a_photo_that_is_stored_squeezed_says_so(tmp_path):
    squeezed = {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480, "file_width": 256.0, "file_height": 256}
    person = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 636.0, "iscrowd": 0}
    content = {"images": [squeezed], "annotations": [person | {"keypoints": [5, 6, 2] * 17, "num_keypoints": 17}]}
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content | {"categories": [{"id": 1, "name": "person"}]}))
    dataset = read_coco_dataset(path, tmp_path)
    assert dataset.images[0].stored_hw == dataset.persons[0].stored_hw == (256, 256)
    del squeezed["file_width"]
    path.write_text(json.dumps(content | {"categories": [{"id": 1, "name": "person"}]}))
    assert read_coco_dataset(path, tmp_path).images[0].stored_hw is None
