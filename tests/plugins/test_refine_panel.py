"""The Refine panel's answers to a browser, and what a browser saves of a photo."""

import json
from dataclasses import replace
from types import SimpleNamespace

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

from clickpose.image_io import ImageError
from clickpose.skeleton import COCO
from clickpose.structures import Pose
from clickpose_fiftyone import clicked_poses
from clickpose_fiftyone.canvas import photo_record, pose_record, record_pose
from clickpose_fiftyone.claims import hold
from clickpose_fiftyone.colours import add_heat_joints
from clickpose_fiftyone.corrections import Corrections, save_corrections, take_back_corrections
from clickpose_fiftyone.found_persons import find_person, person_of_selection
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.refinement import refine_pose
from clickpose_fiftyone.review import worst_persons
from clickpose_fiftyone.review_log import default_reviewer
from clickpose_fiftyone.thumbnails import bounded_picture, cached_photo

URI = "@clickpose/pose_review/refine_panel"
HW = (480, 640)


@pytest.fixture(scope="module", autouse=True)
def installed(fiftyone_home):
    install_plugin(fiftyone_home / "plugins")


@pytest.fixture
def dataset(person_dataset, tmp_path):
    """Annotated and predicted people with linked boxes, on photos that exist."""
    dataset = person_dataset((2, 3, 1), noise=5.0)
    boxes = []
    for index, sample in enumerate(dataset):
        sample.filepath = str(tmp_path / f"{index}.jpg")
        Image.fromarray(np.full((*HW, 3), 90, np.uint8)).save(sample.filepath)
        for person in sample.pred.keypoints:
            person.instance = fo.Instance()
        sample.save()
        people = sample.pred.keypoints
        boxes.append(fo.Detections(detections=[
            fo.Detection(label="person", bounding_box=list(person.bounding_box), instance=person.instance)
            for person in people]))  # fmt: skip
    dataset.set_values("pred_boxes", boxes)
    add_heat_joints(dataset, "pred")
    return dataset


@pytest.fixture
def moving(monkeypatch):
    """Refines without a network: the clicked joint goes there, all others one pixel to the right and down."""

    def fake(predictor, path, pose, clicks):
        (joint, position), keypoints = next(iter(clicks.items())), pose.keypoints + 1.0
        fixed = pose.fixed.copy()
        keypoints[pose.skeleton.index(joint)], fixed[pose.skeleton.index(joint)] = position, True
        return replace(pose, keypoints=keypoints, instance_score=0.9, fixed=fixed)

    monkeypatch.setattr(clicked_poses, "refine_cached", fake)
    monkeypatch.setattr(clicked_poses, "shared_predictor", lambda *names: SimpleNamespace(skeleton=COCO))


def ask(dataset, event, view=None, requests=None, context=None, **params):
    """What the panel answers to a browser; nothing of it may stand in the panel's state, which browsers share."""
    executor = Executor()
    asked = {"panel_id": "p", "panel_state": {}, "__method__": event, **params}
    request = {"dataset_name": dataset.name, "params": asked, **(context or {})}
    if view is not None:
        request["view"] = view._serialize()
    answer = foo.get_operator(URI).execute(ExecutionContext(request, executor=executor, operator_uri=URI))
    asked = [r.get("operator_uri") or r.get("invocation_uri") for r in executor.to_json()["requests"]]
    assert "patch_panel_state" not in asked and "set_panel_state" not in asked
    if requests is not None:
        requests.extend(executor.to_json()["requests"])
    return json.loads(json.dumps(answer, allow_nan=False))


def about(photo, person=None):
    """What a browser says of the photo that it shows."""
    of = {"field": photo["field"], "sample_id": photo["sample_id"], "filepath": photo["filepath"], "image_hw": list(HW)}
    return of if person is None else {**of, "person": {name: person[name] for name in ("joints", "box", "score")}}


def test_a_pose_travels_to_the_browser_and_back(rng):
    keypoints = rng.uniform(10, 400, (17, 2))
    keypoints[3] = np.nan
    pose = Pose(
        skeleton=COCO, keypoints=keypoints, box_xyxy=np.array([5.0, 6, 410, 420]), keypoint_scores=rng.uniform(size=17),
        visibility_scores=rng.uniform(size=17), instance_score=0.7, fixed=np.arange(17) == 4,
    )  # fmt: skip
    back = record_pose(json.loads(json.dumps(pose_record(pose))), COCO, HW)
    there = np.arange(17) != 3
    for name in ("keypoints", "keypoint_scores", "visibility_scores"):
        np.testing.assert_array_equal(getattr(back, name)[there], getattr(pose, name)[there])  # to the last bit
    assert np.isnan(back.keypoints[3]).all() and back.fixed.tolist() == pose.fixed.tolist()
    assert back.box_xyxy.tolist() == [5, 6, 410, 420] and back.instance_score == 0.7
    record = pose_record(pose)
    with pytest.raises(ValueError, match="17 joints"):
        record_pose({**record, "joints": record["joints"][:5]}, COCO, HW)
    outside = [*record["joints"][:16], [700.0, 3.0, 1.0, 1.0, True]]
    with pytest.raises(ValueError, match=r"inside the photo \(640 x 480 px\)"):
        record_pose({**record, "joints": outside}, COCO, HW)


def test_the_browser_is_told_everybody_and_begins_with_the_worst(dataset):
    sample = dataset.skip(1).first()
    photo = ask(dataset, "on_open", sample_id=sample.id)
    assert [person["id"] for person in photo["people"]] == [label.id for label in sample.pred.keypoints]
    scores = {label.id: label.pred_oks for label in sample.pred.keypoints}
    assert photo["chosen"] == min(scores, key=scores.get) and photo["fields"] == ["pred"]
    assert (photo["width"], photo["height"], photo["truth_field"], len(photo["truth"])) == (640, 480, "gt", 3)
    joints = np.array(photo["people"][0]["joints"])[:, :2]
    np.testing.assert_allclose(joints, np.array(sample.pred.keypoints[0].points) * (640, 480))
    named = ask(dataset, "on_open", sample_id=sample.id, label_id=sample.pred.keypoints[1].id)
    assert named["chosen"] == sample.pred.keypoints[1].id
    worst = ask(dataset, "on_open")
    people = dict(
        zip(*(dataset.values(f"pred.keypoints.{name}", unwind=True) for name in ("id", "pred_oks")), strict=True)
    )
    assert worst["chosen"] == min(people, key=people.get)
    assert ask(dataset, "on_open", sample_id="0" * 24)["problem"] == "That photo is not in the dataset any more."


def test_the_browser_is_told_whether_the_app_itself_lets_joints_be_placed(dataset, monkeypatch):
    from fiftyone.core.annotation import utils

    sample_id = dataset.first().id
    assert ask(dataset, "on_open", sample_id=sample_id)["is_annotatable"] is False  # FiftyOne 1.20 to 1.22
    monkeypatch.setattr(utils, "get_supported_app_annotation_fields", lambda samples: ["gt", "pred"])
    assert ask(dataset, "on_open", sample_id=sample_id)["is_annotatable"] is True
    monkeypatch.delattr(utils, "get_supported_app_annotation_fields")  # a version without it
    assert ask(dataset, "on_open", sample_id=sample_id)["is_annotatable"] is False


def test_a_sample_of_a_view_of_people_means_its_person(dataset):
    patches = worst_persons(dataset, "pred", 4)
    patch = patches.skip(2).first()
    photo = ask(dataset, "on_open", patches, context={"current_sample": patch.id})
    assert (photo["sample_id"], photo["chosen"]) == (patch.sample_id, patch.pred.id)


def test_next_goes_round_the_queue_and_opens_the_photo_only_where_one_is_open(dataset):
    columns = [dataset.values(f"pred.keypoints.{name}", unwind=True) for name in ("pred_oks", "id")]
    order = [label_id for _, label_id in sorted(zip(*columns, strict=True))]
    here = order[0]
    for wanted in (*order[1:], order[0]):
        here = ask(dataset, "on_next", field="pred", label_id=here)["chosen"]
        assert here == wanted
    requests = []
    ask(dataset, "on_next", requests=requests, field="pred", label_id=here)
    assert not [r for r in requests if "open_sample" in str(r)]
    photo = ask(dataset, "on_next", requests=requests, field="pred", label_id=here,
                context={"current_sample": dataset.first().id})  # fmt: skip
    (opened,) = [r["params"] for r in requests if "open_sample" in str(r)]
    assert opened["id"] == photo["sample_id"]


def test_people_whom_others_have_in_hand_are_not_given_and_ones_own_are(dataset):
    columns = [dataset.values(f"pred.keypoints.{name}", unwind=True) for name in ("pred_oks", "id")]
    order = [label_id for _, label_id in sorted(zip(*columns, strict=True))]
    hold(dataset, "pred", order[:2], default_reviewer())  # by the queue's panel of a browser without a name
    assert ask(dataset, "on_open", reviewer="")["chosen"] == order[0]
    assert ask(dataset, "on_open", reviewer="Ada")["chosen"] == order[2]
    assert ask(dataset, "on_next", field="pred", label_id=order[0], reviewer="")["chosen"] == order[1]


def test_a_click_is_answered_from_what_the_browser_shows_and_nothing_is_saved(dataset, moving):
    photo = ask(dataset, "on_open")
    person = photo["people"][0]
    shown = {**person, "joints": [None, *person["joints"][1:]]}  # somebody took the nose away, in the browser
    answer = ask(dataset, "on_click", **about(photo, shown), joint="left_wrist", x=300.25, y=200.5)
    assert answer["joints"][9][:2] == [300.25, 200.5] and answer["joints"][9][4] is True
    assert answer["joints"][0] is None  # a deleted joint does not come back
    assert answer["joints"][5][:2] == pytest.approx([value + 1 for value in person["joints"][5][:2]])
    assert not find_person(dataset, "pred", person["id"]).revision
    far = ask(dataset, "on_click", **about(photo, person), joint="nose", x=641.0, y=3.0)
    assert far == {"problem": "Expected a click inside the photo (640 x 480 px), got (641, 3)"}


def test_a_click_on_a_person_that_was_opened_need_not_open_its_dataset(dataset, moving, monkeypatch):
    photo = ask(dataset, "on_open")
    person = photo["people"][0]
    click = {**about(photo, person), "joint": "nose", "x": 5.0, "y": 6.0}
    assert ask(dataset, "on_click", **click)["score"] == 0.9  # nobody has opened it
    other = SimpleNamespace(skeleton=COCO.subset(range(16), "others"))
    monkeypatch.setattr(clicked_poses, "shared_predictor", lambda *names: other)
    assert "one by one" in ask(dataset, "on_prepare", **about(photo, person))["notice"]  # another network since
    monkeypatch.setattr(ExecutionContext, "dataset", property(lambda self: pytest.fail("the dataset was opened")))
    assert ask(dataset, "on_click", **click)["score"] == person["score"]


def test_a_network_of_other_joints_places_them_one_by_one_and_says_so(dataset, monkeypatch):
    hand = SimpleNamespace(skeleton=COCO.subset([0, 1, 2], "three"))
    monkeypatch.setattr(clicked_poses, "shared_predictor", lambda *names: hand)
    photo = ask(dataset, "on_open")
    person = photo["people"][0]
    assert "placed one by one" in ask(dataset, "on_prepare", **about(photo, person))["notice"]
    answer = ask(dataset, "on_click", **about(photo, person), joint="nose", x=5.0, y=6.0)
    assert answer["joints"][0] == [5.0, 6.0, 1.0, max(person["joints"][0][3], 0.5), True]
    assert answer["joints"][1:] == person["joints"][1:]
    drawn = ask(dataset, "on_box", **about(photo), box=[100.0, 100, 700, 300])
    assert drawn["joints"] == [None] * 17 and drawn["box"] == [100, 100, 640, 300]


def corrected(person, **joints):
    """A record of a person with joints moved, as a browser makes it."""
    moved = [list(joint) for joint in person["joints"]]
    for name, (x, y) in joints.items():
        moved[COCO.index(name)] = [x, y, 1.0, 1.0, True]
    return {"joints": moved, "box": person["box"], "score": person["score"], "mark": person["mark"]}


def stored(dataset):
    """All people and boxes of a dataset, with the photos' columns that depend on them, to be compared."""
    people = [
        [(label.id, np.array(label.points).round(12).tolist(), label.tags, label.pred_oks) for label in of.keypoints]
        for of in dataset.values("pred")
    ]
    boxes = [
        sorted((box.id, np.round(box.bounding_box, 12).tolist()) for box in of.detections)
        for of in dataset.values("pred_boxes")
    ]
    return people, boxes, dataset.values("min_pred_oks"), [len(of.keypoints) for of in dataset.values("pred_joints")]


def test_a_save_writes_all_of_the_photo_and_is_taken_back_whole(dataset):
    sample = dataset.skip(1).first()
    photo = photo_record(dataset, "pred", sample.id)
    first, second, third = photo["people"]
    new = pose_record(Pose.from_keypoints(COCO, np.full((17, 2), 50.0), [20.0, 20, 90, 90]))
    corrections = Corrections(
        poses={first["id"]: corrected(first, nose=(12.5, 13.25))}, added={"new-1": new},
        deleted={second["id"]: second["mark"]}, settled=("new-1", third["id"]),
    )  # fmt: skip
    dataset.set_values(
        "min_pred_oks", [min(person.pred_oks for person in of.keypoints) for of in dataset.values("pred")]
    )
    before = stored(dataset)
    saved = save_corrections(dataset, "pred", sample.id, corrections)
    assert not saved["conflicts"]
    dataset.reload()
    people = {label.id: label for label in dataset[sample.id].pred.keypoints}
    assert list(people) == [first["id"], third["id"], saved["ids"]["new-1"]]
    np.testing.assert_allclose(np.array(people[first["id"]].points[0]) * (640, 480), (12.5, 13.25), rtol=1e-15)
    assert people[first["id"]].tags == ["refined"] and people[third["id"]].tags == ["accepted"]
    added = people[saved["ids"]["new-1"]]
    assert added.tags == ["refined", "accepted"]
    linked = [box for box in dataset[sample.id].pred_boxes.detections if box.instance.id == added.instance.id]
    assert len(linked) == 1 and len(dataset[sample.id].pred_boxes.detections) == 3
    assert len(dataset[sample.id].pred_joints.keypoints) == 3 * 17
    back = take_back_corrections(dataset, "pred", sample.id, json.loads(json.dumps(saved["receipt"])))
    assert set(back) == {first["id"], second["id"], third["id"], saved["ids"]["new-1"]}
    dataset.reload()
    for now, then in zip(stored(dataset), before, strict=True):
        assert now == then


def test_who_was_changed_by_somebody_else_stays_as_they_left_it(dataset, moving):
    sample = dataset.skip(1).first()
    first, second, third = photo_record(dataset, "pred", sample.id)["people"]
    refine_pose(dataset, first["id"], {"nose": (5.0, 5.0)}, "pred")  # somebody else
    refine_pose(dataset, second["id"], {"nose": (5.0, 5.0)}, "pred")
    theirs = find_person(dataset, "pred", first["id"]).pose.keypoints
    corrections = Corrections(
        poses={person["id"]: corrected(person, nose=(50.0, 60.0)) for person in (first, third)},
        deleted={second["id"]: second["mark"]}, settled=(first["id"],),
    )  # fmt: skip
    saved = save_corrections(dataset, "pred", sample.id, corrections)
    assert saved["conflicts"] == [first["id"], second["id"]] and saved["changed"] == [third["id"]]
    np.testing.assert_array_equal(find_person(dataset, "pred", first["id"]).pose.keypoints, theirs)
    assert "accepted" not in find_person(dataset, "pred", first["id"]).label.tags
    assert find_person(dataset, "pred", third["id"]).pose.keypoints[0].tolist() == pytest.approx([50, 60])
    refine_pose(dataset, third["id"], {"nose": (7.0, 7.0)}, "pred")  # and after the save as well
    with pytest.raises(ValueError, match="Somebody else changed this person after it was saved"):
        take_back_corrections(dataset, "pred", sample.id, saved["receipt"])
    assert find_person(dataset, "pred", third["id"]).pose.keypoints[0].tolist() == pytest.approx([7, 7])


def test_a_save_that_cannot_be_granted_writes_nothing(dataset):
    sample = dataset.skip(1).first()
    first, second, _ = photo_record(dataset, "pred", sample.id)["people"]
    wrong = corrected(second, nose=(900.0, 60.0))
    corrections = Corrections(poses={first["id"]: corrected(first, nose=(50.0, 60.0)), second["id"]: wrong})
    with pytest.raises(ValueError, match="inside the photo"):
        save_corrections(dataset, "pred", sample.id, corrections)
    assert not find_person(dataset, "pred", first["id"]).revision


def test_the_app_is_shown_what_was_saved_at_once(dataset):
    sample = dataset.skip(1).first()
    photo = ask(dataset, "on_open", sample_id=sample.id)
    person = photo["people"][0]
    requests = []
    saved = ask(
        dataset,
        "on_save",
        requests=requests,
        **about(photo),
        poses={person["id"]: corrected(person, nose=(64.0, 48.0))},
    )
    (shown,) = saved["samples"]
    assert shown["_id"] == sample.id and shown["pred"]["keypoints"][0]["points"][0] == [0.1, 0.1]
    assert saved["people"][0]["saved"] == 1 and saved["people"][0]["network"]["joints"] == person["joints"]
    assert not [r for r in requests if "reload_samples" in str(r)]
    undone = ask(dataset, "on_undo_saved", **about(photo), label_id=person["id"], mark=saved["people"][0]["mark"])
    assert undone["people"][0]["joints"] == person["joints"] and not undone["people"][0]["saved"]
    stale = ask(dataset, "on_undo_saved", **about(photo), label_id=person["id"], mark=saved["people"][0]["mark"])
    assert "Somebody else changed" in stale["problem"]


def test_a_view_of_people_shows_what_was_saved_at_once(dataset):
    patches = worst_persons(dataset, "pred", 4)
    patch = patches.first()
    photo = ask(dataset, "on_open", patches, context={"current_sample": patch.id})
    person = next(person for person in photo["people"] if person["id"] == patch.pred.id)
    saved = ask(dataset, "on_save", patches, **about(photo), poses={person["id"]: corrected(person, nose=(64.0, 48.0))})
    assert [sample["pred"]["points"][0] for sample in saved["samples"]] == [[0.1, 0.1]]
    assert [sample["_id"] for sample in saved["samples"]] == [patch.id]


def test_a_selected_joint_or_box_means_its_person(dataset):
    sample = dataset.skip(1).first()
    person, box = sample.pred.keypoints[2], sample.pred_boxes.detections[2]
    knees = [joint for joint in sample.pred_joints.keypoints if joint.label == "left_knee"]
    knee = next(joint for joint in knees if joint.points[0] == person.points[13])
    for field, label_id, joint in (
        ("pred_joints", knee.id, "left_knee"),
        ("pred_boxes", box.id, None),
        ("pred", person.id, None),
    ):
        selected = {"field": field, "sample_id": sample.id, "label_id": label_id}
        assert person_of_selection(dataset, ["pred"], [selected]) == ("pred", sample.id, person.id, joint)
        answer = ask(dataset, "on_choose", context={"selected_labels": [selected]})
        assert answer == {"field": "pred", "sample_id": sample.id, "label_id": person.id, "joint": joint}
    unknown = {"field": "pred_joints", "sample_id": sample.id, "label_id": "0" * 24}
    assert person_of_selection(dataset, ["pred"], [unknown]) is None
    assert person_of_selection(dataset, ["pred"], [{**unknown, "field": "gt"}]) is None
    assert ask(dataset, "on_choose", context={"selected_labels": [unknown]})["label_id"] is None


def test_photos_are_kept_within_a_bound_and_pictures_are_small(tmp_path, monkeypatch):
    from clickpose_fiftyone import thumbnails

    monkeypatch.setattr(thumbnails, "_KEPT_BYTES", 3 * 100 * 100 * 3)
    thumbnails._PHOTOS.clear()
    for index in range(5):
        Image.fromarray(np.full((100, 100, 3), 10 * index, np.uint8)).save(tmp_path / f"{index}.png")
        assert cached_photo(str(tmp_path / f"{index}.png"))[0, 0, 0] == 10 * index
    assert [path[-5:] for path in thumbnails._PHOTOS] == ["2.png", "3.png", "4.png"]
    monkeypatch.setattr(thumbnails, "_PICTURE_SIDE", 40)
    Image.fromarray(np.zeros((50, 100, 3), np.uint8)).save(tmp_path / "a.tif")
    assert bounded_picture(str(tmp_path / "a.tif")).startswith("data:image/jpeg;base64,")
    with pytest.raises(ImageError, match="Cannot read"):
        bounded_picture(str(tmp_path / "none.tif"))
