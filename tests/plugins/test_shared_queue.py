"""A queue that several reviewers share: who has whom in hand, who settled whom, and how each action is taken back."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from clickpose_fiftyone import claims, review_log
from clickpose_fiftyone.acceptance import auto_accept
from clickpose_fiftyone.coco_exchange import export_coco, to_coco
from clickpose_fiftyone.colours import color_by_confidence
from clickpose_fiftyone.diagnosis import diagnose
from clickpose_fiftyone.evaluation import evaluate_poses
from clickpose_fiftyone.field_names import ACCEPTED, AUTO_ACCEPTED, REJECTED, SENT
from clickpose_fiftyone.fiftyone_internals import dataset_id, own_collection
from clickpose_fiftyone.label_errors import LabelError, stored_label_errors
from clickpose_fiftyone.overwriting import count_touched
from clickpose_fiftyone.queue_filters import QueueFilter, store_filter, stored_filter
from clickpose_fiftyone.removal import delete_persons
from clickpose_fiftyone.review import (
    mark_persons,
    next_person,
    open_label_errors,
    people_shown,
    review_queue,
    worst_persons,
    worst_samples,
)
from clickpose_fiftyone.review_log import actions_of, forget_deleted_datasets
from clickpose_fiftyone.settling import reopen, settle
from clickpose_fiftyone.undoing import undo_action
from clickpose_fiftyone.visibility import flag_low_visibility


@pytest.fixture
def dataset(person_dataset):
    return person_dataset((2, 1, 3, 2), noise=4.0)


def ids_of(dataset, field="pred"):
    return dataset.values(f"{field}.keypoints.id", unwind=True)


def person_of(dataset, label_id, field="pred"):
    dataset.reload()
    return next(p for sample in dataset for p in sample[field].keypoints if p.id == label_id)


def test_what_is_settled_has_a_name_and_a_time_and_is_taken_back_by_name(dataset):
    first, second, *_ = ids_of(dataset)
    anna = settle(dataset, "pred", [first, second], ACCEPTED, "Anna").action
    assert str(anna).startswith("accepted 2 people, Anna, ") and actions_of(dataset)[0] == anna
    person = person_of(dataset, first)
    assert person.tags == ["accepted"] and person.settled_by == "Anna"
    assert review_log.utc(person.settled_at) == anna.at
    assert review_queue(dataset, "pred").by == {"Anna": 2}
    said = undo_action(dataset, anna.id, "Ben")
    assert said.startswith("Taken back: accepted 2 people, Anna")
    person = person_of(dataset, first)
    assert person.tags == [] and person.settled_by is None and person.settled_at is None
    assert "undone by Ben" in str(actions_of(dataset)[0]) and not actions_of(dataset, standing=True)
    with pytest.raises(ValueError, match="Ben has taken that back already"):
        undo_action(dataset, anna.id, "Anna")
    with pytest.raises(ValueError, match="not known any more"):
        undo_action(dataset, "0" * 24, "Anna")


def test_reviewers_do_not_undo_each_other(dataset):
    first, second, third, *_ = ids_of(dataset)
    anna = settle(dataset, "pred", [first, second], ACCEPTED, "Anna").action
    ben = settle(dataset, "pred", [second, third], REJECTED, "Ben")
    assert ben.count == 1 and list(ben.others) == [second] and ben.others[second].settled_by == "Anna"
    assert "1 person had been settled already (Anna, " in str(ben)
    undo_action(dataset, anna.id, "Anna")
    settle(dataset, "pred", [second], ACCEPTED, "Ben")
    again = review_log.record(
        dataset, "pred", ACCEPTED, [first, second], by="Anna", at=anna.at
    )  # as of another process
    assert "2 people stay as they are" in undo_action(dataset, again.id, "Anna")
    assert person_of(dataset, second).settled_by == "Ben" and person_of(dataset, third).tags == ["rejected"]


def test_of_many_who_settle_at_once_each_person_is_settled_by_one(person_dataset):
    dataset = person_dataset((3,) * 12, noise=4.0)
    ids = ids_of(dataset)
    fo.load_dataset(dataset.name).add_sample_field("pred.keypoints.settled_by", fo.StringField)
    settle(dataset, "pred", ids[:1], ACCEPTED, "Zoe")
    names = ["Anna", "Ben", "Cem", "Dee"]

    def work(name):
        return settle(dataset, "pred", ids[1:], ACCEPTED if name < "C" else REJECTED, name)

    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(work, names))
    settled = [label_id for result in results if result.action for label_id in result.action.label_ids]
    assert sorted(settled) == sorted(ids[1:])  # each by exactly one
    dataset.reload()
    for sample in dataset:
        for person in sample.pred.keypoints:
            assert len(person.tags) == 1
            assert person.settled_by == "Zoe" or person.id in next(
                result.action.label_ids for name, result in zip(names, results, strict=True)
                if name == person.settled_by
            )  # fmt: skip
    assert len(actions_of(dataset)) == 1 + sum(result.action is not None for result in results)


def test_whom_one_reviewer_has_in_hand_others_are_not_shown(dataset, monkeypatch):
    everybody = [item.label_id for item in review_queue(dataset, "pred").items]
    assert claims.hold(dataset, "pred", everybody[:3], "Anna") == set(everybody[:3])
    assert claims.hold(dataset, "pred", everybody[2:5], "Ben") == set(everybody[3:5])
    for name, held, by in (("Anna", {"Ben": 2}, everybody[:3]), ("Ben", {"Anna": 3}, everybody[3:5])):
        queue = review_queue(dataset, "pred", 8, by=name)
        assert queue.held == held and queue.found == len(everybody)
        assert [item.label_id for item in queue.items] == [i for i in everybody if i in by or i in everybody[5:]]
    assert len(review_queue(dataset, "pred").items) == len(everybody)  # asked by nobody
    assert next_person(dataset, "pred", by="Cem")[1] == everybody[5]
    assert next_person(dataset, "pred", everybody[4], by="Ben")[1] == everybody[5]
    assert set(people_shown(dataset, "pred", QueueFilter(), "Cem")) == set(everybody[5:])
    claims.hold(dataset, "pred", everybody[:1], "Anna")  # a page that goes on gives the others back
    assert claims.held_by_others(dataset, "pred", "Cem") == dict.fromkeys(everybody[3:5], "Ben") | {
        everybody[0]: "Anna"
    }
    claims.hold(dataset, "pred", everybody[6:7], "Anna", place="refine")
    assert claims.held_by_others(dataset, "pred", "Ben") == {everybody[0]: "Anna", everybody[6]: "Anna"}
    claims.give_back(dataset, "pred", "Anna")
    assert set(claims.held_by_others(dataset, "pred", "Cem").values()) == {"Ben"}
    later = review_log.now() + timedelta(seconds=claims.CLAIM_SECONDS + 1)
    monkeypatch.setattr(claims, "now", lambda: later)  # somebody who went away
    assert claims.held_by_others(dataset, "pred", "Anna") == {}
    assert claims.hold(dataset, "pred", everybody[3:5], "Anna") == set(everybody[3:5])


def test_of_many_who_ask_at_once_one_has_a_person(person_dataset):
    dataset = person_dataset((3,) * 6, noise=4.0)
    ids, names = ids_of(dataset), [f"reviewer {number}" for number in range(6)]
    claims.hold(dataset, "pred", [], "nobody")
    with ThreadPoolExecutor(len(names)) as pool:
        held = list(pool.map(lambda name: claims.hold(dataset, "pred", ids, name), names))
    assert sorted(label_id for own in held for label_id in own) == sorted(ids)


def test_filters_are_each_reviewers_own_and_kept(dataset):
    store_filter(dataset, "Anna", QueueFilter(order="photo", joint="nose"))
    assert stored_filter(fo.load_dataset(dataset.name), "Anna") == QueueFilter(order="photo", joint="nose")
    assert stored_filter(dataset, "Ben") == stored_filter(dataset, None) == QueueFilter()
    with pytest.raises(ValueError, match="Expected one of person, photo, got 'size'"):
        QueueFilter(order="size")
    of_anna = {"by": "Anna", "dataset": dataset_id(dataset)}
    own_collection("review_filters").update_one(of_anna, {"$set": {"order": "size"}})  # of another version
    assert stored_filter(dataset, "Anna") == QueueFilter()


def test_the_queue_by_photo_joint_and_error(dataset):
    scores = np.array(dataset.values("pred.keypoints.pred_oks", unwind=True))
    ids, rows = ids_of(dataset), np.repeat(range(4), (2, 1, 3, 2))
    by_photo = review_queue(dataset, "pred", 8, QueueFilter(order="photo"))
    photos = [dataset.values("id").index(item.sample_id) for item in by_photo.items]
    worst = [scores[rows == row].min() for row in range(4)]
    assert list(dict.fromkeys(photos)) == np.argsort(worst).tolist()
    assert [len(list(run)) for run in (photos,)] == [8] and photos == sorted(photos, key=photos.index)
    whole = review_queue(dataset, "pred", 4, QueueFilter(order="photo")).items  # no photo is cut
    sizes = {row: int((rows == row).sum()) for row in range(4)}
    assert all(sum(item.sample_id == other.sample_id for other in whole) == sizes[dataset.values("id").index(
        item.sample_id)] for item in whole)  # fmt: skip

    wrists = np.array([p.keypoint_oks[9] for sample in dataset for p in sample.pred.keypoints])
    by_joint = review_queue(dataset, "pred", 8, QueueFilter(joint="left_wrist"))
    assert [item.label_id for item in by_joint.items] == [ids[i] for i in np.argsort(wrists)]

    with pytest.raises(ValueError, match="diagnose errors"):
        review_queue(dataset, "pred", 8, QueueFilter(error="diagnosis:jitter"))
    diagnose(dataset)
    dataset.reload()
    kinds = {p.id: p.joint_errors for sample in dataset for p in sample.pred.keypoints}
    jitter = review_queue(dataset, "pred", 8, QueueFilter(error="diagnosis:jitter"))
    assert {item.label_id for item in jitter.items} == {i for i, row in kinds.items() if "jitter" in row}
    assert jitter.total == len(jitter.items)
    there = review_queue(dataset, "pred", 8, QueueFilter(error="diagnosis:jitter", joint="nose"))
    assert {item.label_id for item in there.items} == {i for i, row in kinds.items() if row[0] == "jitter"}


def test_the_queue_of_labels_that_look_wrong(dataset):
    one, two, three = ids_of(dataset, "gt")[:3]
    samples = {p.id: sample.id for sample in dataset for p in sample.gt.keypoints}
    errors = [
        LabelError(samples[two], two, "missing_joint", "nose", 0.9),
        LabelError(samples[one], one, "duplicate", None, 0.8),
        LabelError(samples[three], three, "missing_joint", "left_knee", 0.7),
    ]
    rows = [[e.sample_id, e.label_id, e.kind, e.joint, e.suspicion] for e in errors]
    dataset.info["clickpose_label_errors"] = {"gt": json.dumps(rows)}
    dataset.save()
    assert stored_label_errors(dataset)[0] == errors[0]
    shown = QueueFilter(error="labels:missing_joint")
    queue = review_queue(dataset, "gt", 8, shown)
    assert [item.label_id for item in queue.items] == [two, three] and queue.total == 2
    assert queue.items[0].wrong == "a joint that is clearly visible is not labelled (nose)"
    settle(dataset, "gt", [two], ACCEPTED, "Anna")  # the label is right
    after = review_queue(dataset, "gt", 8, shown)
    assert [item.label_id for item in after.items] == [three] and (after.done, after.total) == (1, 2)
    assert "min_pred_oks" not in dataset.get_field_schema()  # of predictions only
    assert [error.label_id for error in open_label_errors(dataset, "gt")] == [one, three]


def test_lists_of_settled_people_newest_first_and_opened_again(dataset):
    first, second, third, *_ = ids_of(dataset)
    for label_id, name in ((second, "Anna"), (first, "Ben")):
        settle(dataset, "pred", [label_id], ACCEPTED, name)
    accepted = review_queue(dataset, "pred", 8, QueueFilter(state=ACCEPTED))
    assert [(item.label_id, item.settled_by) for item in accepted.items] == [(first, "Ben"), (second, "Anna")]
    over = settle(dataset, "pred", [first], REJECTED, "Anna", over=True).action  # somebody looked again
    assert person_of(dataset, first).tags == ["rejected"]
    undo_action(dataset, over.id)
    assert person_of(dataset, first).tags == ["accepted"] and person_of(dataset, first).settled_by == "Ben"
    opened = reopen(dataset, "pred", [first, third], "Anna")
    assert opened.count == 1 and str(opened) == "Opened again 1 person."
    assert person_of(dataset, first).tags == [] and first in {item.label_id for item in review_queue(dataset).items}
    undo_action(dataset, opened.action.id)
    assert person_of(dataset, first).tags == ["accepted"] and person_of(dataset, first).settled_by == "Ben"


def test_who_is_no_person_is_out_of_figures_files_and_colours(dataset, tmp_path):
    worst_samples(dataset, "pred")
    color_by_confidence(dataset, "pred")
    flag_low_visibility(dataset, "pred")
    before, worst = to_coco(dataset, "pred"), review_queue(dataset, "pred").items[0]
    figures = evaluate_poses(dataset, eval_key=None).figures
    lows = dataset.values("min_pred_oks")
    action = settle(dataset, "pred", [worst.label_id], REJECTED, "Anna").action
    dataset.reload()
    assert worst.label_id not in {item.label_id for item in review_queue(dataset, "pred").items}
    assert review_queue(dataset, "pred").total == 8 and count_touched(dataset, "pred") == 1
    assert len(to_coco(dataset, "pred")["annotations"]) == 7
    summary = export_coco(dataset, tmp_path / "people.json", "pred")
    assert summary.persons == 7 and "1 people whom somebody rejected" in str(summary)
    without = dataset.clone()
    try:
        delete_persons(without, "pred", [worst.label_id])
        assert evaluate_poses(dataset, eval_key=None).figures == evaluate_poses(without, eval_key=None).figures
    finally:
        without.delete()
    assert dataset.count("pred_joints.keypoints") == 7 * 17 and dataset.values("min_pred_oks") != lows
    assert worst.label_id not in worst_persons(dataset, "pred", 8).values("pred.id")
    assert len(worst_samples(dataset, "pred")) == sum(low is not None for low in dataset.values("min_pred_oks"))
    flag_low_visibility(dataset, "pred", 1.0)
    assert person_of(dataset, worst.label_id).tags.count("low_visibility") <= 1
    undo_action(dataset, action.id)
    dataset.reload()
    assert to_coco(dataset, "pred") == before and dataset.values("min_pred_oks") == lows
    assert evaluate_poses(dataset, eval_key=None).figures == figures
    assert dataset.count("pred_joints.keypoints") == 8 * 17


def test_a_rejected_person_is_not_predicted_over(dataset):
    from clickpose_fiftyone.predict import predict_poses

    settle(dataset, "pred", ids_of(dataset)[:1], REJECTED, "Anna")
    with pytest.raises(ValueError, match="without corrected or accepted people, got 1 person"):
        predict_poses(dataset, "pred")


def linked(dataset):
    """Give each predicted person a box that is linked to it."""
    for sample in dataset:
        for person in sample.pred.keypoints:
            person.instance = fo.Instance()
        boxes = [fo.Detection(label="person", bounding_box=p.bounding_box, instance=p.instance)
                 for p in sample.pred.keypoints]  # fmt: skip
        sample["pred_boxes"] = fo.Detections(detections=boxes)
        sample.save()


def test_who_is_deleted_comes_back_as_it_was(dataset):
    linked(dataset)
    held = dataset[dataset.values("id")[2]]
    ids = [person.id for person in held.pred.keypoints]
    before = [p.to_dict() for p in held.pred.keypoints], [b.to_dict() for b in held.pred_boxes.detections]
    action = delete_persons(dataset, "pred", [ids[1], ids[0]], "Anna")
    assert str(action).startswith("deleted 2 people, Anna")
    assert [p.id for p in held.pred.keypoints] == ids[2:] and len(held.pred_boxes.detections) == 1  # held in memory
    dataset.reload()
    assert dataset.count("pred.keypoints") == 6 and dataset.count("pred_boxes.detections") == 6
    assert len(to_coco(dataset, "pred")["annotations"]) == 6
    held["note"] = "mine"
    held.save()  # what somebody holds does not bring them back
    assert dataset.count("pred.keypoints") == 6
    assert undo_action(dataset, action.id).startswith("Taken back: deleted 2 people")
    dataset.reload()
    again = dataset[held.id]
    assert [p.to_dict() for p in again.pred.keypoints] == before[0]
    assert [b.to_dict() for b in again.pred_boxes.detections] == before[1] and again.note == "mine"
    with pytest.raises(ValueError, match="ids of persons"):
        delete_persons(dataset, "pred", [ids[0], "0" * 24])
    assert dataset.count("pred.keypoints") == 8
    action = delete_persons(dataset, "pred", ids[:2], "Anna")
    dataset.delete_samples([held.id])
    assert "2 people stay as they are" in undo_action(dataset, action.id)


def test_accepting_unseen_is_an_action_with_a_name(dataset):
    mark_persons(dataset, "pred", ids_of(dataset)[:1], SENT, by="Ben")
    plan = auto_accept(dataset, "pred", 0.0, by="Anna")
    assert plan.accepted == 8
    last = actions_of(dataset)[0]
    assert str(last).startswith("accepted unseen 7 people, Anna")
    assert auto_accept(dataset, "pred", 1.0).accepted == 0  # takes the tag from all
    assert dataset.count_label_tags("pred") == {"sent_to_label_studio": 1}
    auto_accept(dataset, "pred", 0.0, by="Anna")
    undo_action(dataset, actions_of(dataset)[0].id)
    assert dataset.count_label_tags("pred").get(AUTO_ACCEPTED) is None


def test_a_photo_whose_only_person_is_rejected_stays_readable(person_dataset):
    dataset = person_dataset((1, 2))
    settle(dataset, "pred", ids_of(dataset)[:1], REJECTED, "Anna")
    dataset.reload()
    assert [len(sample.pred.keypoints) for sample in dataset] == [1, 2]


def test_flags_take_nothing_from_what_is_accepted_meanwhile(dataset, monkeypatch):
    from clickpose_fiftyone import visibility

    ids, write = ids_of(dataset), visibility.change_tags

    def meanwhile(*args, **kwargs):
        settle(dataset, "pred", ids, ACCEPTED, "Anna")
        return write(*args, **kwargs)

    monkeypatch.setattr(visibility, "change_tags", meanwhile)
    flag_low_visibility(dataset, "pred", 1.0)
    dataset.reload()
    assert all("accepted" in p.tags for sample in dataset for p in sample.pred.keypoints)


def test_what_is_kept_ends_with_its_dataset(dataset):
    other = dataset.clone()
    settle(dataset, "pred", ids_of(dataset)[:1], ACCEPTED, "Anna")
    settle(other, "pred", ids_of(other)[1:2], ACCEPTED, "Anna")
    delete_persons(other, "pred", ids_of(other)[:1], "Anna")
    assert len(actions_of(dataset)) == 1 and len(actions_of(other)) == 2
    other.delete()
    forget_deleted_datasets()
    assert len(actions_of(dataset)) == 1
    assert own_collection("review_actions").count_documents({}) >= 1
    assert own_collection("deleted_people").count_documents({"label_id": {"$type": "objectId"}}) == 0
    assert isinstance(ObjectId(actions_of(dataset)[0].id), ObjectId)
