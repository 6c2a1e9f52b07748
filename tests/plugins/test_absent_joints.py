"""A joint that is not there has no position, anywhere: every function on people who lack joints, some of them all."""

import json

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from clickpose.skeleton import COCO
from clickpose.structures import Pose
from clickpose_fiftyone.acceptance import auto_accept
from clickpose_fiftyone.calibration import calibrate
from clickpose_fiftyone.canvas import pose_record
from clickpose_fiftyone.coco_exchange import to_coco
from clickpose_fiftyone.colours import color_by_confidence
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.conversion import label_to_pose, pose_attributes
from clickpose_fiftyone.diagnosis import diagnose
from clickpose_fiftyone.evaluation import evaluate_poses
from clickpose_fiftyone.field_names import HISTORY
from clickpose_fiftyone.label_errors import find_label_errors
from clickpose_fiftyone.labelstudio_tasks import make_tasks
from clickpose_fiftyone.review import review_queue, worst_persons
from clickpose_fiftyone.selection import select_for_labelling
from clickpose_fiftyone.thumbnails import person_thumbnail
from clickpose_fiftyone.visibility import flag_low_visibility

ABSENT = [9, 15, 16]
PLACE = [0.031, 0.047]  # where absent joints are kept; nobody may read it as a position


@pytest.fixture
def dataset(person_dataset, tmp_path):
    """Thirty people without three joints, among them one without any joint and box."""
    dataset = person_dataset((3,) * 10, noise=4.0)
    for index, sample in enumerate(dataset):
        path = tmp_path / f"{index}.jpg"
        Image.new("RGB", (640, 480)).save(path)
        sample.filepath = str(path)
        for number, label in enumerate(sample.pred.keypoints):
            gone = range(17) if index == 0 and number == 0 else ABSENT
            for joint in gone:
                label.points[joint] = list(PLACE)
                label.visibility[joint] = label.keypoint_oks[joint] = label.confidence[joint] = 0.0
        if index == 0:
            sample.pred.keypoints[0].bounding_box = None
        sample.save()
    return dataset


def numbers(value) -> list:
    """All numbers of plain data."""
    if isinstance(value, dict):
        value = list(value.values())
    return [number for item in value for number in numbers(item)] if isinstance(value, list) else [value]


def test_no_function_reads_the_place_of_an_absent_joint(dataset):
    columns = PersonColumns(dataset, "pred")
    assert np.isnan(columns.keypoints[:, ABSENT]).all() and np.isnan(columns.keypoints[0]).all()
    assert np.isfinite(np.delete(columns.keypoints[1:], ABSENT, axis=1)).all()
    assert np.isnan(columns.boxes_xyxy[0]).all() and np.isfinite(columns.boxes_xyxy[1:]).all()
    figures = evaluate_poses(dataset, "pred", "gt", None)
    assert 0 < figures.figures["AP"] < 1 and figures.person_oks.size == 30
    assert calibrate(dataset, "pred", "gt", kind="temperature").persons < 30
    diagnosis = diagnose(dataset, "pred", "gt")
    assert (diagnosis.counts[ABSENT, 0] == 0).all()  # never good
    found = find_label_errors(dataset, "pred", "gt")
    assert not {error.joint for error in found.errors} & {COCO.names[joint] for joint in ABSENT}
    flagged = flag_low_visibility(dataset, "pred", 1.0)
    assert flagged.joints == int(columns.placed.sum())
    color_by_confidence(dataset, "pred")
    for companion in ("pred_joints", "pred_low_vis"):
        drawn = [joint for found in dataset.values(companion) for joint in found.keypoints]
        assert len(drawn) == columns.placed.sum() and PLACE not in [joint.points[0] for joint in drawn]
    assert select_for_labelling(dataset, "pred", 3).sample_ids and auto_accept(dataset, "pred", 0.1, write=False)
    for item in review_queue(dataset, "pred", 40).items[1:]:
        assert not set(item.low_joints) & {COCO.names[joint] for joint in ABSENT}
    assert len(worst_persons(dataset, "pred", 30)) == 30


def test_no_file_and_no_task_has_an_absent_joint(dataset):
    for entry in to_coco(dataset, "pred")["annotations"][1:]:
        assert np.array(entry["keypoints"]).reshape(-1, 3)[ABSENT].any() == 0 and entry["num_keypoints"] == 14
        assert 640 * PLACE[0] not in entry["keypoints"]
    nobody = to_coco(dataset, "pred")["annotations"][0]
    assert nobody["keypoints"] == [0] * 51 and "bbox" not in nobody and nobody["num_keypoints"] == 0
    tasks = make_tasks(dataset, "pred", lambda path: "/data/upload/1/a.jpg")
    points = [item for task in tasks for item in task["predictions"][0]["result"] if item["type"] == "keypointlabels"]
    assert len(points) == 29 * 14 and 100 * PLACE[0] not in numbers([item["value"] for item in points])
    json.dumps([tasks, to_coco(dataset, "pred")], allow_nan=False)


def test_pictures_have_no_absent_joint(dataset):
    sample = dataset.last()
    pose = label_to_pose(sample.pred.keypoints[0], COCO, (480, 640))
    assert np.isnan(pose.keypoints[ABSENT]).all()
    told = pose_record(pose)["joints"]
    assert [joint is None for joint in told] == [index in ABSENT for index in range(17)]
    assert 640 * PLACE[0] not in numbers(told)
    columns = PersonColumns(dataset, "pred")
    assert person_thumbnail(sample.filepath, columns.poses(), len(columns) - 1).startswith("data:image/jpeg")


def test_a_pose_without_joints_is_stored_and_read_as_one():
    pose = Pose.from_keypoints(COCO, np.full((17, 2), np.nan), [10.0, 10, 60, 90])
    label = fo.Keypoint(label="person", **pose_attributes(pose, (100, 120)))
    assert np.isfinite(label.points).all() and label.visibility == label.keypoint_oks == [0.0] * 17
    assert np.isnan(label_to_pose(label, COCO, (100, 120)).keypoints).all()
    assert label.get_attribute_value(HISTORY, None) is None


def test_a_joint_that_a_network_thinks_invisible_is_there():
    keypoints = np.tile([30.0, 40.0], (17, 1))
    pose = Pose.from_keypoints(COCO, keypoints, [10.0, 10, 60, 90])  # scores and visibilities of exactly 0
    label = fo.Keypoint(label="person", **pose_attributes(pose, (100, 120)))
    assert min(label.visibility) > 0
    np.testing.assert_allclose(label_to_pose(label, COCO, (100, 120)).keypoints, keypoints)
