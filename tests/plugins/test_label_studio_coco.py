"""An imported COCO file through FiftyOne and Label Studio: `clickpose labelstudio export` gives it back."""

import copy

import pytest
from PIL import Image

from clickpose.data.coco_categories import person_category
from clickpose.skeleton import COCO
from clickpose_fiftyone.coco_exchange import import_coco
from clickpose_fiftyone.labelstudio_exchange import send_to_label_studio
from clickpose_labelstudio.coco_exchange import tasks_to_coco
from clickpose_labelstudio.labeling_config import parse_labeling_config
from helpers.fake_label_studio import add_person, moved_nose, without_joints


@pytest.fixture
def content(tmp_path):
    """A labelled person with a mask, a crowd, a dog, ids that are text, an order of its own, a photo in a folder."""
    points = [number for joint in range(17) for number in (50.5 + 7 * joint, 60.25 + 5 * joint, 1 + joint % 2)]
    points[3:6], points[30:33] = [0, 0, 0], [0, 0, 0]
    first = {"id": "one", "image_id": "a", "category_id": 1, "keypoints": points, "num_keypoints": 15, "iscrowd": 0,
             "bbox": [40.125, 50, 150, 120.5], "area": 5123.25, "segmentation": [[1, 2, 3, 4, 5, 6]],
             "who": "annotator 3"}  # fmt: skip
    crowd = {"id": "two", "image_id": "a", "category_id": 1, "keypoints": [0] * 51, "num_keypoints": 0, "iscrowd": 1,
             "bbox": [300, 50, 150, 120.5], "area": 777.5,
             "segmentation": {"counts": [1], "size": [480, 640]}}  # fmt: skip
    dog = {"id": 9, "image_id": "a", "category_id": 18, "bbox": [1, 2, 30, 40], "area": 1200, "iscrowd": 0}
    second = {**copy.deepcopy(first), "id": "three", "image_id": "b", "bbox": [41, 51, 150, 120]}
    (tmp_path / "sub").mkdir()
    for name in ("a.jpg", "sub/b.jpg"):
        Image.new("RGB", (640, 480)).save(tmp_path / name)
    images = [{"id": "b", "file_name": "sub/b.jpg", "width": 640, "height": 480, "license": 4},
              {"id": "a", "file_name": "a.jpg", "width": 640, "height": 480}]  # fmt: skip
    categories = [{"id": 18, "name": "dog", "supercategory": "animal"}, person_category(COCO)]
    return {"info": {"year": 2026}, "images": images, "annotations": [dog, second, crowd, first],
            "categories": categories}  # fmt: skip


@pytest.fixture
def sent(content, new_dataset, tmp_path, label_studio):
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path, "gt")
    send_to_label_studio(dataset, "gt", anno_key="round1")
    return dataset


def exported(label_studio):
    """What `clickpose labelstudio export` writes, without what it says of Label Studio."""
    tasks = [{"id": number, **task} for number, task in enumerate(label_studio.tasks_, 1)]
    notes = {}
    document = tasks_to_coco(tasks, parse_labeling_config(label_studio.label_config, COCO), notes=notes)
    for entry in (*document["images"], *document["annotations"]):
        entry.pop("label_studio", None)
    return document, notes


def test_an_imported_file_comes_back_from_label_studio_as_it_was(sent, content, label_studio):
    for task in range(2):
        label_studio.submit(task)
    document, notes = exported(label_studio)
    assert document == content and not notes


def test_what_was_changed_in_label_studio_is_changed_in_its_export(sent, content, label_studio):
    label_id = sent.match({"coco_image": {"$regex": '"id": "a"'}}).first().gt.keypoints[-1].id
    row = [task["data"]["coco_image_id"] for task in label_studio.tasks_].index("a")
    remove, add = without_joints(label_id, ("left_ankle",)), add_person(COCO.names[:11])
    label_studio.submit(row, lambda result: add(remove(result)))
    label_studio.submit(1 - row, moved_nose(25.0, 50.0))
    document, _ = exported(label_studio)
    dog, second, crowd, first, new = document["annotations"]
    assert dog == content["annotations"][0] and crowd == content["annotations"][2]
    assert (
        second["keypoints"][:2] == [160, 240] and second["keypoints"][3:] == content["annotations"][1]["keypoints"][3:]
    )
    kept = copy.deepcopy(content["annotations"][3])
    kept["keypoints"][45:48], kept["num_keypoints"] = [0, 0, 0], 14
    assert first == kept
    assert new["keypoints"][2::3] == [2] * 11 + [0] * 6 and new["keypoints"][33:] == [0] * 18


def test_photos_of_no_file_carry_nothing(sendable, label_studio):
    send_to_label_studio(sendable, "pred", anno_key="round1")
    assert all(set(task["data"]) == {"image", "file_name", "sample_id", "label_ids"} for task in label_studio.tasks_)
