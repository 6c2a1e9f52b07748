"""The round trip through a stand-in for Label Studio that keeps what it is sent, and what a human may change there."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from clickpose.data.coco_categories import person_category
from clickpose.skeleton import COCO
from clickpose_fiftyone import clicked_poses, refinement
from clickpose_fiftyone.coco_exchange import import_coco, to_coco
from clickpose_fiftyone.colours import color_by_confidence
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.conversion import label_to_pose
from clickpose_fiftyone.field_names import CORRECTED, SETTLED_AT, SETTLED_BY
from clickpose_fiftyone.labelstudio_exchange import load_from_label_studio, send_to_label_studio
from clickpose_fiftyone.refinement import refine_pose
from clickpose_fiftyone.visibility import flag_low_visibility
from helpers.fake_label_studio import add_person, moved_nose, regions, without_joints


@pytest.fixture
def dataset(sendable):
    return sendable


def documents(dataset):
    """Everything of the poses and boxes but what the review says of them."""
    people = [label.to_dict() for found in dataset.values("pred") for label in found.keypoints]
    boxes = [label.to_dict() for found in dataset.values("pred_boxes") for label in found.detections]
    review = ("tags", SETTLED_BY, SETTLED_AT)
    return [{name: value for name, value in label.items() if name not in review} for label in people + boxes]


def test_what_nobody_changed_comes_back_as_it_was(dataset, label_studio):
    before = documents(dataset)
    sent = send_to_label_studio(dataset, "pred", anno_key="round1")
    assert (sent.photos, sent.persons) == (3, 5)
    assert dataset.count_label_tags("pred") == {"sent_to_label_studio": 5}
    for task in range(3):
        label_studio.submit(task)
    loaded = load_from_label_studio(dataset, "round1")
    dataset.reload()
    assert (loaded.persons, loaded.added, loaded.deleted) == (0, 0, 0)
    for now, then in zip(documents(dataset), before, strict=True):
        assert now == then
    assert CORRECTED not in dataset.count_label_tags("pred")


def test_moved_hidden_deleted_and_new_people_come_back(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")
    (first, gone), (kept, _) = dataset.values("pred.keypoints.id")[:2]
    link_gone = dataset.first().pred.keypoints[1].instance.id

    def correct(result):
        result = [item for item in result if not item["id"].startswith(f"cp-{gone}")]
        wrist = next(i for i in regions(result, "keypointlabels") if i["id"].endswith("left_wrist"))
        wrist["value"].update(x=25.0, y=75.0)
        new = copy.deepcopy(regions(result, "rectanglelabels")[0])
        new["id"] = "by-hand"
        new["value"].update(x=2.0, y=4.0, width=10.0, height=20.0)
        return [*result, new]

    label_studio.submit(0, correct)
    loaded = load_from_label_studio(dataset, "round1")
    dataset.reload()
    assert (loaded.persons, loaded.added, loaded.deleted) == (2, 1, 1)
    moved, new = dataset.first().pred.keypoints
    assert moved.id == first and CORRECTED in moved.tags
    assert moved.points[COCO.index("left_wrist")] == pytest.approx([0.25, 0.75])
    assert '"points"' in moved.refinement_history
    assert np.isfinite(new.points).all() and new.visibility == [0.0] * 17  # somebody of whom only the box was drawn
    assert new.points[0] == pytest.approx([0.07, 0.14])
    boxes = dataset.first().pred_boxes.detections
    assert link_gone not in [box.instance.id for box in boxes]
    assert boxes[-1].instance.id == new.instance.id and boxes[-1].bounding_box == pytest.approx([0.02, 0.04, 0.1, 0.2])
    assert dataset.values("pred.keypoints.id")[1][0] == kept  # photos that nobody annotated stay
    assert len(dataset.to_patches("pred")) == 5


def test_a_box_that_was_resized_comes_back_with_its_linked_box(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")

    def resize(result):
        regions(result, "rectanglelabels")[0]["value"].update(x=10.0, y=10.0, width=30.0, height=40.0)
        return result

    label_studio.submit(0, resize)
    assert load_from_label_studio(dataset, "round1").persons == 1
    dataset.reload()
    sample = dataset.first()
    assert sample.pred.keypoints[0].bounding_box == pytest.approx([0.1, 0.1, 0.3, 0.4])
    assert sample.pred_boxes.detections[0].bounding_box == pytest.approx([0.1, 0.1, 0.3, 0.4])


def test_a_joint_that_is_only_marked_as_hidden_is_a_correction(dataset, label_studio):
    PersonColumns(dataset, "pred").write("visibility", np.full((5, 17), 0.9))
    send_to_label_studio(dataset, "pred", anno_key="round1")

    def hide(result):
        nose = regions(result, "keypointlabels")[0]
        shared = {name: nose[name] for name in ("id", "to_name", "original_width", "original_height") if name in nose}
        value = {**nose["value"], "choices": ["occluded"]}
        return [*result, {**shared, "type": "choices", "from_name": "visibility", "value": value}]

    label_studio.submit(0, hide)
    assert load_from_label_studio(dataset, "round1").persons == 1
    assert dataset.first().pred.keypoints[0].annotated_visibility == [1] + [2] * 16


def test_the_newest_annotation_counts_and_cancelled_ones_do_not(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")

    def place(x):
        def change(result):
            regions(result, "keypointlabels")[0]["value"].update(x=x, y=50.0)
            return result

        return change

    label_studio.submit(0, place(20.0), "2100-01-03T00:00:00Z")
    label_studio.submit(0, place(10.0), "2100-01-02T00:00:00Z")
    label_studio.submit(0, place(30.0), "2100-01-04T00:00:00Z", was_cancelled=True)
    load_from_label_studio(dataset, "round1")
    dataset.reload()
    assert dataset.first().pred.keypoints[0].points[0] == pytest.approx([0.2, 0.5])


def test_what_could_not_be_sent_leaves_nothing(dataset, label_studio):
    label_studio.broken = True
    with pytest.raises(ValueError, match="could not be reached"):
        send_to_label_studio(dataset, "pred", anno_key="round1")
    assert dataset.list_annotation_runs() == [] and dataset.count_label_tags("pred") == {}
    label_studio.broken = False
    send_to_label_studio(dataset, "pred", anno_key="round1")
    with pytest.raises(ValueError, match="new name for the run"):
        send_to_label_studio(dataset, "pred", anno_key="round1")


def exported(dataset, field="pred"):
    return to_coco(dataset, field)["annotations"]


def thirds(annotation):
    return annotation["keypoints"][2::3]


ELEVEN = COCO.names[:11]


def test_somebody_added_with_eleven_joints_is_exported_with_eleven(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")
    label_studio.submit(0, add_person(ELEVEN, hidden=("left_ear",)))
    assert load_from_label_studio(dataset, "round1").added == 1
    new = dataset.first().pred.keypoints[-1]
    assert np.isfinite(new.points).all() and len(dataset.to_patches("pred")) == 6  # patches views bear no NaN
    columns = PersonColumns(dataset, "pred")
    row = columns.label_ids.index(new.id)
    assert np.isfinite(columns.keypoints[row]).all(axis=1).tolist() == [True] * 11 + [False] * 6
    assert np.isfinite(label_to_pose(new, COCO, (480, 640)).keypoints).all(axis=1).sum() == 11
    entry = exported(dataset)[2]
    assert thirds(entry) == [2, 2, 2, 1, *[2] * 7, *[0] * 6] and entry["num_keypoints"] == 11
    assert entry["keypoints"][33:] == [0] * 18
    assert entry["keypoints"][:6] == pytest.approx([32, 48, 2, 44.8, 62.4, 2])
    send_to_label_studio(dataset, "pred", anno_key="round2")  # and is sent again with eleven
    sent = label_studio.tasks_[3]["predictions"][0]["result"]
    assert sum(item["id"].startswith(f"cp-{new.id}") for item in regions(sent, "keypointlabels")) == 11


def test_joints_that_a_human_deleted_stay_deleted(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")
    label_id = dataset.first().pred.keypoints[0].id
    label_studio.submit(0, without_joints(label_id, ("left_ankle", "right_ankle")))
    load_from_label_studio(dataset, "round1")
    assert thirds(exported(dataset)[0])[15:] == [0, 0] and thirds(exported(dataset)[1])[15] > 0
    assert exported(dataset)[0]["keypoints"][45:] == [0] * 6 and exported(dataset)[0]["num_keypoints"] == 15
    columns = PersonColumns(dataset, "pred")
    assert np.isnan(columns.keypoints[0, 15:]).all() and np.isnan(columns.poses().keypoints[0, 15:]).all()
    flag_low_visibility(dataset, "pred", 1.0)
    color_by_confidence(dataset, "pred")
    deleted = dataset.first().pred.keypoints[0].points[15:]
    for companion in ("pred_low_vis", "pred_joints"):
        shown = dataset.first()[companion].keypoints
        assert "left_ankle" in {joint.label for joint in shown}  # of the other person of the photo
        assert not [joint for joint in shown if joint.points[0] in deleted]
    send_to_label_studio(dataset, "pred", anno_key="round2")
    sent = label_studio.tasks_[3]["predictions"][0]["result"]
    assert not [item for item in sent if item["id"].startswith(f"cp-{label_id}") and "ankle" in item["id"]]


def test_a_click_does_not_bring_deleted_joints_back(dataset, label_studio, monkeypatch):
    send_to_label_studio(dataset, "pred", anno_key="round1")
    label_id = dataset.first().pred.keypoints[0].id
    label_studio.submit(0, without_joints(label_id, ("left_ankle", "right_ankle")))
    load_from_label_studio(dataset, "round1")

    def refined(predictor, path, pose, clicks):  # a network places all joints
        joint, position = next(iter(clicks.items()))
        keypoints = np.nan_to_num(pose.keypoints, nan=50.0)
        keypoints[COCO.index(joint)] = position
        fixed = pose.fixed | (np.arange(17) == COCO.index(joint))
        return replace(pose, keypoints=keypoints, visibility_scores=np.ones(17), fixed=fixed)

    monkeypatch.setattr(clicked_poses, "refine_cached", refined)
    monkeypatch.setattr(clicked_poses, "shared_predictor", lambda *name: SimpleNamespace(skeleton=COCO))
    monkeypatch.setattr(refinement, "other_network", lambda *of: "")
    refine_pose(dataset, label_id, {"nose": (30, 40)}, "pred")
    entry = exported(dataset)[0]
    assert thirds(entry)[15:] == [0, 0] and entry["keypoints"][:2] == [30, 40]
    refine_pose(dataset, label_id, {"left_ankle": (60, 70)}, "pred")
    entry = exported(dataset)[0]
    assert thirds(entry)[15:] == [2, 0] and entry["keypoints"][45:47] == [60, 70]


def test_a_joint_marked_as_hidden_is_written_as_hidden(dataset, label_studio):
    PersonColumns(dataset, "pred").write("visibility", np.full((5, 17), 0.9))
    send_to_label_studio(dataset, "pred", anno_key="round1")

    def hide(result):
        nose = regions(result, "keypointlabels")[0]
        shared = {name: nose[name] for name in ("id", "to_name", "original_width", "original_height")}
        value = {**nose["value"], "choices": ["occluded"]}
        return [*result, {**shared, "type": "choices", "from_name": "visibility", "value": value}]

    label_studio.submit(0, hide)
    load_from_label_studio(dataset, "round1")
    assert thirds(exported(dataset)[0]) == [1] + [2] * 16
    assert dataset.first().pred.keypoints[0].visibility[0] > 0


def test_labels_of_a_file_come_back_through_label_studio_as_they_were(dataset, label_studio, tmp_path):
    """Areas, crowds, ids and masks survive; what was corrected there is corrected, also in a field of labels."""
    points = [number for joint in range(17) for number in (50.5 + 7 * joint, 60.25 + 5 * joint, 1 + joint % 2)]
    points[3:6], points[30:33] = [0, 0, 0], [0, 0, 0]
    first = {"id": "one", "image_id": "a", "category_id": 1, "keypoints": points, "num_keypoints": 15, "iscrowd": 0,
             "bbox": [40.125, 50, 150, 120.5], "area": 5123.25, "segmentation": [[1, 2, 3, 4, 5, 6]]}  # fmt: skip
    crowd = {"id": "two", "image_id": "a", "category_id": 1, "keypoints": [0] * 51, "num_keypoints": 0, "iscrowd": 1,
             "bbox": [300, 50, 150, 120.5], "area": 777.5,
             "segmentation": {"counts": [1], "size": [480, 640]}}  # fmt: skip
    images = [{"id": name, "file_name": f"{number}.jpg", "width": 640, "height": 480}
              for number, name in enumerate(("a", "b", "c"))]  # fmt: skip
    content = {"images": images, "annotations": [first, crowd], "categories": [person_category(COCO)]}
    import_coco(dataset, content, tmp_path, "labels")
    send_to_label_studio(dataset, "labels", anno_key="round1")
    label_studio.submit(0)
    loaded = load_from_label_studio(dataset, "round1")
    assert (loaded.photos, loaded.persons, loaded.added, loaded.deleted) == (1, 0, 0, 0)
    assert to_coco(dataset, "labels") == content
    gone = f"cp-{dataset.first().labels.keypoints[0].id}-nose"
    add = add_person(ELEVEN)
    label_studio.submit(0, lambda result: [item for item in add(result) if item["id"] != gone], "2101-01-01T00:00:00Z")
    loaded = load_from_label_studio(dataset, "round1")
    assert (loaded.persons, loaded.added, loaded.deleted) == (2, 1, 0)
    document = to_coco(dataset, "labels")
    corrected, same, new = document["annotations"]
    assert same == crowd
    assert corrected == {**first, "keypoints": [0, 0, 0, *points[3:]], "num_keypoints": 14}
    assert thirds(new) == [2] * 11 + [0] * 6 and new["id"] == "1" and "score" not in new
    assert new["area"] == pytest.approx(0.53 * new["bbox"][2] * new["bbox"][3])


def test_only_photos_that_somebody_submitted_are_taken_back_and_what_is_left_out_is_told(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")

    def scatter(result):
        stray = copy.deepcopy(regions(result, "keypointlabels")[0])
        stray["value"].update(x=99.0, y=1.0)
        unlabelled = copy.deepcopy(stray)
        unlabelled["value"]["keypointlabels"] = []
        for number, item in enumerate((stray, unlabelled)):
            item["id"] = f"by-hand-{number}"
            item.pop("parentID", None)
        return [*result, stray, unlabelled]

    label_studio.submit(0, scatter)
    loaded = load_from_label_studio(dataset, "round1")
    assert loaded.photos == 1 and "in 1 photo taken back" in str(loaded)
    assert sum(loaded.notes.values()) == 2
    assert "Left out or guessed: 1 regions" in str(loaded)


def test_joints_outside_the_photo_are_told(dataset, label_studio):
    sample = dataset.first()
    sample.pred.keypoints[0].points[3] = [1.25, 0.5]
    sample.save()
    sent = send_to_label_studio(dataset, "pred", anno_key="round1")
    assert "1 joints outside the photo, sent at its border" in str(sent)


def test_photos_of_one_name_are_told_apart_in_label_studio(dataset, label_studio, tmp_path):
    paths = [tmp_path / name for name in ("cam1/a.jpg", "cam2/a.jpg", "cam2/#%+?é.jpg")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (640, 480)).save(path)
    dataset.set_values("filepath", list(map(str, paths)))
    send_to_label_studio(dataset, "pred", anno_key="round1")
    names = [task["data"]["file_name"] for task in label_studio.tasks_]
    assert names == ["cam1/a.jpg", "cam2/a.jpg", "cam2/#%+?é.jpg"]


def test_the_area_of_a_label_follows_a_box_that_was_resized(dataset, label_studio):
    """By the rule of Label Studio's own export: a person's share of the box stays the same."""
    _, _, width, height = dataset.first().gt.keypoints[0].bounding_box
    area = dataset.first().gt.keypoints[0].area
    send_to_label_studio(dataset, "gt", anno_key="round1")

    def resize(result):
        regions(result, "rectanglelabels")[0]["value"].update(x=5.0, y=5.0, width=90.0, height=80.0)
        return result

    label_studio.submit(0, resize)
    load_from_label_studio(dataset, "round1")
    assert dataset.first().gt.keypoints[0].area == pytest.approx(area * 0.9 * 0.8 / (width * height))


def moved(dataset, label_id, by):
    """Refine a person here: all joints by some pixels."""
    person = refinement.find_person(dataset, "pred", label_id)
    refinement.save_refinement(person, replace(person.pose, keypoints=person.pose.keypoints + by))
    return dataset.first().pred.keypoints[0].points


def test_only_the_joints_that_a_human_changed_become_certain(dataset, label_studio):
    before = dataset.first().pred.keypoints[0].to_dict()
    send_to_label_studio(dataset, "pred", anno_key="round1")
    label_studio.submit(0, moved_nose(25.0, 75.0))
    load_from_label_studio(dataset, "round1")
    now = dataset.first().pred.keypoints[0]
    assert now.fixed == [True] + [False] * 16 and now.points[1:] == before["points"][1:]
    assert now.keypoint_oks == [1.0, *before["keypoint_oks"][1:]]
    assert now.visibility[1:] == before["visibility"][1:] and now.annotated_visibility[1] in (1, 2)
    oks, seen = np.array(now.keypoint_oks), np.array(now.visibility)
    assert now.pred_oks == pytest.approx((oks * seen).sum() / seen.sum()) and now.pred_oks < 1


def test_loading_again_keeps_what_was_corrected_here_since(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")
    label_studio.submit(0, moved_nose(25.0, 75.0))
    load_from_label_studio(dataset, "round1")
    label_id = dataset.first().pred.keypoints[0].id
    newer = moved(dataset, label_id, 4.0)
    again = load_from_label_studio(dataset, "round1")
    assert (again.photos, again.persons) == (0, 0) and "1 photo had been taken back before" in str(again)
    assert dataset.first().pred.keypoints[0].points == newer
    label_studio.submit(0, moved_nose(10.0, 20.0), "2100-01-05T00:00:00Z")
    assert load_from_label_studio(dataset, "round1").persons == 1
    dataset.reload()
    assert dataset.first().pred.keypoints[0].points[0] == pytest.approx([0.1, 0.2])
    assert dataset.first().pred.keypoints[0].points[1:] == newer[1:]  # these nobody changed there


def test_somebody_whom_nobody_changed_there_keeps_what_was_corrected_here(dataset, label_studio):
    send_to_label_studio(dataset, "pred", anno_key="round1")
    newer = moved(dataset, dataset.first().pred.keypoints[0].id, 4.0)
    label_studio.submit(0)
    assert load_from_label_studio(dataset, "round1").persons == 0
    dataset.reload()
    assert dataset.first().pred.keypoints[0].points == newer


def test_an_undone_correction_leaves_no_tag_and_no_flags(dataset, label_studio):
    before = dataset.first().pred.keypoints[0].to_dict()
    send_to_label_studio(dataset, "pred", anno_key="round1")
    label_studio.submit(0, moved_nose(25.0, 75.0))
    load_from_label_studio(dataset, "round1")
    label_id = dataset.first().pred.keypoints[0].id
    assert CORRECTED in dataset.first().pred.keypoints[0].tags
    refinement.undo_refinement(dataset, label_id)
    now = dataset.first().pred.keypoints[0]
    assert now.tags == ["sent_to_label_studio"] and now.annotated_visibility is None
    for name in ("points", "visibility", "keypoint_oks", "pred_oks"):
        assert now[name] == before[name]


def test_the_backend_of_the_same_label_studio_is_connected(dataset, label_studio, monkeypatch):
    assert "Nothing refines in it yet" in str(send_to_label_studio(dataset, "pred", anno_key="round1"))
    backends = {3: [{"id": 1, "title": "Another", "url": "http://other"}],
                4: [{"id": 2, "title": "Click-Pose", "url": "http://localhost:9090"}], 7: []}  # fmt: skip
    projects = {"results": [{"id": number} for number in backends]}
    answer = label_studio.call

    def call(method, path, **request):
        return projects if path == "/api/projects/" else answer(method, path, **request)

    def create_backend(**fields):
        backends[fields["project"]].append({"id": 9, **fields})
        return backends[fields["project"]][-1]

    label_studio.call, label_studio.create_backend = call, create_backend
    label_studio.backends = lambda project_id: backends[project_id]
    assert "Refinement is connected (http://localhost:9090)" in str(
        send_to_label_studio(dataset, "pred", anno_key="two")
    )
    (connected,) = backends[7]
    assert connected["url"] == "http://localhost:9090" and connected["is_interactive"]


def test_the_forms_know_where_a_run_is(dataset, label_studio, fiftyone_home):
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    from clickpose_fiftyone.install import install_plugin

    install_plugin(fiftyone_home / "plugins")
    send_to_label_studio(dataset, "pred", url="http://labels:8081", anno_key="round1")
    for name in ("load_from_label_studio", "send_to_label_studio"):
        uri = f"@clickpose/pose_review/{name}"
        context = ExecutionContext({"dataset_name": dataset.name, "params": {}}, executor=Executor(), operator_uri=uri)
        assert foo.get_operator(uri).resolve_input(context).type.properties["url"].default == "http://labels:8081"
