"""COCO keypoints -> YOLO-pose, read back by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import yaml

from clickpose.data.yolo import to_yolo, write_yolo
from clickpose.skeleton import COCO


def coco(*annotations, **image):
    image = {"id": 3, "file_name": "a/b.c.jpg", "width": 640, "height": 480, **image}
    people = [{"id": number, "image_id": 3, **annotation} for number, annotation in enumerate(annotations)]
    return {"images": [image], "annotations": people}


def person(seed, visibility):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, [640, 480], (17, 2))
    triples = np.column_stack([np.where(np.reshape(visibility, (-1, 1)) > 0, points, 0), visibility])
    return {"bbox": [10.25, 20.5, 100, 300], "keypoints": triples.ravel().tolist()}


def read_back(line):
    """Return the box (x, y, width, height in px) and the (K, 3) triples of a line."""
    numbers = np.array(line.split(), dtype=float)
    assert numbers[0] == 0
    cx, cy, width, height = numbers[1:5] * [640, 480, 640, 480]
    return [cx - width / 2, cy - height / 2, width, height], numbers[5:].reshape(-1, 3) * [640, 480, 1]


def test_two_people_of_every_visibility_come_back():
    people = person(1, [0, 1, 2] * 5 + [1, 2]), person(2, [2, 0, 1] * 5 + [0, 1])
    lines = to_yolo(coco(*people))["labels/a/b.c.txt"].splitlines()
    assert len(lines) == 2
    for line, wanted in zip(lines, people, strict=True):
        box, triples = read_back(line)
        np.testing.assert_allclose(box, wanted["bbox"], atol=1e-5)
        np.testing.assert_allclose(triples.ravel(), wanted["keypoints"], atol=1e-5)


def test_nothing_lies_outside_the_image():
    outside = person(3, [2] * 17)
    outside["bbox"] = [-20, 400, 100, 300]
    outside["keypoints"][0:3] = [-1, 5, 2]
    outside["keypoints"][3:6] = [640, 480, 1]
    (line,) = to_yolo(coco(outside), notes=(notes := Counter()))["labels/a/b.c.txt"].splitlines()
    assert notes == {"joints outside their photo, written as not labelled": 1}
    assert line.split()[5:11] == ["0", "0", "0", "1.00000000", "1.00000000", "1"]
    np.testing.assert_allclose(read_back(line)[0], [0, 400, 80, 80], atol=1e-5)


def test_names_are_text_whatever_yaml_would_read_in_them(tmp_path):
    skeleton = replace(COCO, names=("no", "1", "a, b: c", *COCO.names[3:]))
    write_yolo(tmp_path, coco(), skeleton)
    data = yaml.safe_load((tmp_path / "data.yaml").read_text())
    assert data["kpt_names"][0][:4] == ["no", "1", "a, b: c", "left_ear"]


def test_crowds_are_left_out_and_images_without_people_are_background():
    crowd = {"iscrowd": 1, "bbox": [0, 0, 9, 9], "segmentation": {}}
    without_size = coco(crowd, width=None, height=None)
    assert to_yolo(without_size, notes=(notes := Counter()))["labels/a/b.c.txt"] == ""
    assert notes == {"crowds, which YOLO does not know, left out": 1}


def test_people_of_whom_the_photo_shows_nothing_are_left_out():
    """A line of no width without a joint teaches a network nothing; Ultralytics takes it."""
    gone = {"bbox": [-300, 50, 120, 300], "keypoints": [-250, 90, 2] * 17}
    thin = {**person(2, [2] * 17), "bbox": [100, 100, 0, 200]}  # its joints tell where it is
    empty = {"bbox": [50, 60, 0, 200], "keypoints": [0] * 51}
    (line,) = to_yolo(coco(gone, thin, empty), notes=(notes := Counter()))["labels/a/b.c.txt"].splitlines()
    box, triples = read_back(line)
    points = triples[:, :2]
    assert (points >= box[:2]).all() and (points <= np.add(box[:2], box[2:])).all()
    assert notes == {
        "persons outside their photo or of no size, left out": 2,
        "boxes made around the joints of persons without one": 1,
    }


def test_joints_of_a_file_in_another_order_are_matched_by_name():
    names = [*COCO.names[1:], "nose"]
    category = {"id": 7, "name": "person", "keypoints": names}
    dog = {"id": 8, "name": "dog", "keypoints": ["nose", "tail"]}
    points = [number for joint in range(17) for number in (10.0 + joint, 20.0, 2)]
    people = {"bbox": [5, 5, 90, 90], "keypoints": points, "category_id": 7}, {"bbox": [1, 1, 9, 9], "category_id": 8}
    document = {**coco(*people), "categories": [category, dog]}
    (line,) = to_yolo(document, notes=(notes := Counter()))["labels/a/b.c.txt"].splitlines()
    triples = read_back(line)[1]
    np.testing.assert_allclose(triples[:3, 0], [26, 10, 11], atol=1e-5)
    assert notes == {"annotations of other categories": 1}


def test_the_data_file_is_yaml_with_the_mirror_pairs(tmp_path):
    assert write_yolo(tmp_path / "new", coco(person(1, [2] * 17))) == 1
    data = yaml.safe_load((tmp_path / "new" / "data.yaml").read_text())
    assert data["kpt_shape"] == [17, 3] and data["names"] == {0: "person"} and data["kpt_names"][0] == list(COCO.names)
    assert data["flip_idx"][:5] == [0, 2, 1, 4, 3]
    assert (tmp_path / "new" / "labels" / "a" / "b.c.txt").read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (coco(person(1, [2] * 17), width=None, height=None), "to have a width and height"),
        (coco(width=0), "above 0 as width in image 3, got 0"),
        (coco(file_name="../b.jpg"), "below one folder"),
        (coco({**person(1, [2] * 17), "image_id": 4}), "Expected image 4 of annotation 0, got no such image"),
        (coco({**person(1, [2] * 17), "bbox": [0, 0, float("nan"), 1]}), "finite numbers of bbox in annotation 0"),
        (coco({**person(1, [2] * 17), "keypoints": [1, 2, 2]}), "51 numbers of keypoints .* in annotation 0, got 3"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.png"}], "annotations": []}, "differ"),
    ],
)
def test_what_yolo_cannot_hold_is_refused(document, message):
    with pytest.raises(ValueError, match=message):
        to_yolo(document)
