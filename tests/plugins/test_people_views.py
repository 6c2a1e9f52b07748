"""Views of people: every function takes one, and speaks of those people."""

import numpy as np
import pytest

from clickpose_fiftyone.acceptance import auto_accept
from clickpose_fiftyone.calibration import calibrate
from clickpose_fiftyone.coco_exchange import to_coco
from clickpose_fiftyone.colours import color_by_confidence
from clickpose_fiftyone.comparison import compare_fields
from clickpose_fiftyone.diagnosis import diagnose
from clickpose_fiftyone.evaluation import evaluate_poses
from clickpose_fiftyone.fiftyone_internals import is_patches
from clickpose_fiftyone.label_errors import find_label_errors
from clickpose_fiftyone.people_views import photos_of, view_of_persons
from clickpose_fiftyone.review import next_person, review_queue, worst_persons, worst_samples
from clickpose_fiftyone.selection import select_for_labelling
from clickpose_fiftyone.visibility import flag_low_visibility


@pytest.fixture
def dataset(person_dataset):
    return person_dataset((2, 3, 1, 2) * 3, noise=4.0)


@pytest.fixture
def worst(dataset):
    """The five worst people, as the app shows them."""
    return worst_persons(dataset, "pred", 5)


def test_photos_of_people_have_those_people_and_all_labels(dataset, worst):
    ids = set(worst.values("pred.id"))
    photos = photos_of(worst)
    assert is_patches(worst) and not is_patches(photos)
    assert set(photos.values("pred.keypoints.id", unwind=True)) == ids and len(ids) == 5
    all_people = photos_of(worst, people=False)
    assert all_people.values("id") == list(dict.fromkeys(worst.values("sample_id")))
    assert all_people.count("pred.keypoints") > 5
    assert photos.count("gt.keypoints") == all_people.count("gt.keypoints")
    assert photos_of(dataset) is dataset
    everybody = photos_of(dataset.to_patches("pred"))
    assert everybody.count("pred.keypoints") == dataset.count("pred.keypoints")


def test_coloured_joints_stay_with_people_that_are_cut_out(dataset):
    color_by_confidence(dataset)
    view = worst_persons(dataset, "pred", 5)
    assert "pred_joints" in view.get_field_schema()
    assert [len(joints) for joints in view.values("pred_joints.keypoints.id")] == [17] * 5  # their own
    assert {joint.person for patch in view for joint in patch.pred_joints.keypoints} == set(view.values("pred.id"))
    photos = photos_of(view)
    assert photos.count("pred.keypoints") == 5 and review_queue(view).total == 5
    assert photos.count("pred_joints.keypoints") == dataset.select(photos.values("id")).count("pred_joints.keypoints")


def test_what_acts_on_people_acts_on_those_of_the_view(dataset, worst):
    ids = set(worst.values("pred.id"))
    assert auto_accept(worst, target=0.0).accepted == 5
    tagged = {p.id for sample in dataset for p in sample.pred.keypoints if "auto_accepted" in p.tags}
    assert tagged == ids
    assert flag_low_visibility(worst, threshold=1.0, overlay=False).persons == 5
    assert review_queue(worst).total == 5 and next_person(worst, "pred") is None
    assert len(to_coco(worst, "pred")["annotations"]) == 5


def test_what_compares_takes_the_photos_of_the_view(dataset, worst):
    photos = photos_of(worst, people=False)
    assert evaluate_poses(worst, eval_key=None).figures == evaluate_poses(photos, eval_key=None).figures
    assert diagnose(worst).persons <= 5
    assert str(find_label_errors(worst, write=False)) == str(find_label_errors(photos, write=False))
    assert calibrate(worst, kind="temperature").persons > 0
    color_by_confidence(worst)
    assert dataset.count("pred_joints.keypoints") == 17 * photos.count("pred.keypoints")  # of all people of the photos
    assert len(worst_samples(worst)) == len(photos) and len(worst_persons(worst, count=2)) == 2
    assert select_for_labelling(worst, budget=2).sample_ids


def test_the_boxes_of_other_people_are_left_out_with_them(dataset):
    import fiftyone as fo

    boxes = []
    for sample in dataset:
        for person in sample.pred.keypoints:
            person.instance = fo.Instance()
        boxes.append(fo.Detections(detections=[
            fo.Detection(label="person", bounding_box=[0, 0, 1, 1], instance=p.instance) for p in sample.pred.keypoints
        ]))  # fmt: skip
        sample.save()
    dataset.set_values("pred_boxes", boxes)
    first, second = dataset.values("pred.keypoints.id")[1][:2]
    view = view_of_persons(dataset, "pred", [second])
    assert view.values("pred.keypoints.id") == [[second]]
    links = view.first().pred_boxes.detections
    assert [box.instance.id for box in links] == [view.first().pred.keypoints[0].instance.id]
    assert np.isin(first, dataset.values("pred.keypoints.id", unwind=True))


def test_the_coloured_joints_of_other_people_are_left_out_with_them(dataset):
    color_by_confidence(dataset)
    compare_fields(dataset, "pred", "gt")
    first, second = dataset.values("pred.keypoints.id")[1][:2]
    view = view_of_persons(dataset, "pred", [second])
    alone = {name: view.first()[name].keypoints for name in ("pred_joints", "pred_differences")}
    assert len(alone["pred_joints"]) == 17
    (person,) = view.first().pred.keypoints
    assert [list(joint.points[0]) for joint in alone["pred_joints"]] == [list(point) for point in person.points]
    whole = dataset[view.first().id].pred_differences
    assert len(alone["pred_differences"]) == sum(joint.person == second for joint in whole.keypoints)
    both = view_of_persons(dataset, "pred", [first, second]).first()
    assert len(both.pred_joints.keypoints) == 34 and len(both.gt.keypoints) == len(dataset[both.id].gt.keypoints)
    dataset.set_values(
        "pred_joints.keypoints.person", [[None] * len(row) for row in dataset.values("pred_joints.keypoints.id")]
    )
    view = view_of_persons(dataset, "pred", [second])  # joints of an earlier release, which do not tell
    assert view.count("pred.keypoints") == 1
