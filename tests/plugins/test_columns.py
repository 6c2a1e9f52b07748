"""Columns, flags, colours and the review queue on photos that do not exist: nothing here may read one."""

import fiftyone as fo
import numpy as np
import pytest

from clickpose_fiftyone.acceptance import auto_accept, plan_acceptance
from clickpose_fiftyone.colours import color_by_confidence, score_bins
from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.columns import PersonColumns, index_lowest_oks, lowest_oks
from clickpose_fiftyone.field_names import ACCEPTED, SENT
from clickpose_fiftyone.joint_fields import write_joints
from clickpose_fiftyone.review import mark_persons, review_queue, worst_persons, worst_samples
from clickpose_fiftyone.selection import farthest_first, select_for_labelling
from clickpose_fiftyone.skeletons import set_skeleton
from clickpose_fiftyone.visibility import flag_low_visibility


def test_columns_are_pixels_and_survive_a_write(person_dataset):
    dataset = person_dataset((2, 0, 1))
    columns = PersonColumns(dataset, "pred")
    assert columns.counts.tolist() == [2, 0, 1] and len(columns) == 3
    label = dataset.last().pred.keypoints[0]
    np.testing.assert_allclose(columns.keypoints[2], np.array(label.points) * (640, 480))
    left, top, width, height = label.bounding_box
    box = [left * 640, top * 480, (left + width) * 640, (top + height) * 480]
    np.testing.assert_allclose(columns.boxes_xyxy[2], box)
    columns.write("quality", np.array([0.5, np.nan, 0.25]))
    assert PersonColumns(dataset, "pred").values("quality") == [0.5, None, 0.25]


def test_columns_of_persons_and_photos_are_written_together_and_declared(person_dataset):
    dataset = person_dataset((2, 0, 1))
    held = dataset.first()
    columns = PersonColumns(dataset, "pred")
    kinds = [["good", "miss"], [], ["swap"]]
    columns.write_all({"kinds": kinds, "quality": np.arange(3) / 2}, {"seen": np.array([4, 5, 6])})
    assert [person["kinds"] for person in held.pred.keypoints] == kinds[:2]  # samples in memory follow
    assert dataset.values("pred.keypoints.quality") == [[0.0, 0.5], [], [1.0]] and dataset.values("seen") == [4, 5, 6]
    schema = dataset.get_field_schema(flat=True)
    assert isinstance(schema["pred.keypoints.kinds"].field, fo.StringField)
    assert isinstance(schema["pred.keypoints.quality"], fo.FloatField) and isinstance(schema["seen"], fo.IntField)
    with pytest.raises(
        ValueError, match=r'"pred\.keypoints\.quality" to be free or a StringField.*nothing was written'
    ):
        columns.write_all({"better": ["a", "b", "c"], "quality": ["a", "b", "c"]}, {"seen": np.zeros(3, int)})
    assert dataset.values("seen") == [4, 5, 6] and not dataset.has_field("pred.keypoints.better")


def test_a_column_reaches_the_right_people_of_views_and_survives_deletions(person_dataset):
    dataset = person_dataset((2, 1))
    ids = dataset.values("pred.keypoints.id", unwind=True)
    chosen = PersonColumns(dataset.select_labels(ids=ids[1:2], fields="pred"), "pred")
    chosen.write("quality", np.array([0.25]))
    assert dataset.values("pred.keypoints.quality", unwind=True) == [None, 0.25, None]
    columns = PersonColumns(dataset, "pred")
    dataset.delete_labels(ids=ids[:1], fields="pred")  # by another user, meanwhile
    with pytest.raises(ValueError, match="Expected 3 values"):
        columns.write("quality", np.zeros(2))
    columns.write("quality", np.array([0.5, 0.6, 0.7]))
    assert dataset.values("pred.keypoints.quality") == [[0.6], [0.7]]


def test_columns_of_frames_reach_the_video(new_dataset):
    size = fo.VideoMetadata(frame_width=640, frame_height=480, total_frame_count=2, frame_rate=2, duration=1)
    video = fo.Sample("/nowhere/a.mp4", metadata=size)
    for number in (1, 2):
        person = fo.Keypoint(label="person", points=[[0.5, 0.5]])
        video.frames[number] = fo.Frame(filepath=f"/nowhere/{number}.jpg", pred=fo.Keypoints(keypoints=[person]))
    dataset = new_dataset(video)
    columns = PersonColumns(dataset.to_frames(sample_frames=False), "pred")
    columns.write_all({"quality": np.array([0.5, 0.6])}, {"seen": np.array([1, 2])})
    assert dataset.values("frames.pred.keypoints.quality") == [[[0.5], [0.6]]]
    assert dataset.values("frames.seen") == [[1, 2]]


def test_the_lowest_predicted_oks_is_indexed_and_sorts(person_dataset):
    dataset = person_dataset((2, 0, 1, 3))
    columns = PersonColumns(dataset, "pred")
    columns.write_all({}, lowest_oks(columns, columns.scalars("pred_oks")))
    index_lowest_oks(columns)
    values = dataset.values("min_pred_oks")
    assert values[1] is None and values[0] == min(dataset.first().pred.keypoints[i].pred_oks for i in range(2))
    assert any(name.startswith("min_pred_oks") for name in dataset.list_indexes())
    assert worst_samples(dataset, "pred").values("min_pred_oks") == sorted(v for v in values if v is not None)
    persons = worst_persons(dataset, "pred", 3).values("pred.pred_oks")
    assert persons == sorted(columns.scalars("pred_oks").tolist())[:3]


def test_flagging_counts_tags_and_shows_the_hidden_joints(person_dataset):
    dataset = person_dataset((1, 2))
    columns = PersonColumns(dataset, "pred")
    visibility = np.full((3, 17), 0.9)
    visibility[1, [4, 9]] = 0.1
    columns.write("visibility", visibility)
    summary = flag_low_visibility(dataset, "pred", 0.3)
    assert (summary.joints, summary.persons, summary.photos) == (2, 1, 1)
    assert dataset.values("num_low_vis") == [0, 2]
    assert [sorted(tags) for tags in PersonColumns(dataset, "pred").values("tags")] == [[], ["low_visibility"], []]
    shown = dataset.last().pred_low_vis.keypoints
    assert [label.label for label in shown] == ["right_ear", "left_wrist"]
    assert shown[0].points[0] == pytest.approx(dataset.last().pred.keypoints[0].points[4])
    flag_low_visibility(dataset, "pred", 0.05)  # tags and joints of the earlier threshold go
    assert dataset.values("num_low_vis") == [0, 0] and not dataset.last().pred_low_vis.keypoints


def test_joints_get_the_colour_bin_of_their_score(person_dataset):
    dataset = person_dataset((1,))
    scheme = color_by_confidence(dataset, "pred")
    joints = dataset.first().pred_joints.keypoints
    assert len(joints) == 17
    scores = dataset.first().pred.keypoints[0].keypoint_oks
    assert [joint.oks_bin for joint in joints] == score_bins(np.array(scores))
    assert score_bins(np.array([0.0, 0.09, 0.1, 1.0, np.nan])) == ["0.0-0.1"] * 2 + ["0.1-0.2", "0.9-1.0", "no score"]
    assert {field["path"] for field in scheme.fields} == {"pred", "pred_joints", "pred_boxes", "gt", "gt_boxes"}
    labels = next(group for group in dataset.app_config.sidebar_groups if group.name == "labels")
    assert labels.paths == ["pred_joints", "gt", "pred"]  # what stands above is drawn on top


def test_settled_people_leave_the_queue(person_dataset):
    dataset = person_dataset((2, 1))
    queue = review_queue(dataset, "pred", 10)
    assert [item.pred_oks for item in queue.items] == sorted(item.pred_oks for item in queue.items)
    assert mark_persons(dataset, "pred", [queue.items[0].label_id], ACCEPTED) == 1
    after = review_queue(dataset, "pred", 10)
    assert [item.label_id for item in after.items] == [item.label_id for item in queue.items[1:]]
    assert (after.done, after.total) == (1, 3)


def test_acceptance_takes_as_many_as_the_target_allows():
    plan = plan_acceptance(np.array([0.9, 0.8, 0.4, np.nan]), 0.85, np.array([1.0, 0.5, 0.0, 0.0]))
    assert (plan.accepted, plan.total, plan.threshold) == (2, 4, 0.8)
    assert plan.expected_oks == pytest.approx(0.85) and plan.measured_oks == pytest.approx(0.75)
    assert plan_acceptance(np.array([0.5, 0.5]), 0.6).accepted == 0
    assert plan_acceptance(np.array([0.9, 0.3, 0.3]), 0.6).accepted == 1  # both of the equal ones would be too many


def test_auto_accept_tags_only_with_write(person_dataset):
    dataset = person_dataset((3, 3))
    plan = auto_accept(dataset, "pred", 0.5, write=False)
    assert not dataset.count_label_tags("pred")
    auto_accept(dataset, "pred", 0.5)
    assert dataset.count_label_tags("pred") == {"auto_accepted": plan.accepted}
    waiting = review_queue(dataset, "pred")
    assert (waiting.done, len(waiting.items)) == (plan.accepted, plan.total - plan.accepted)


def test_selection_is_uncertain_and_diverse(person_dataset):
    described = np.array([[0.0], [0.01], [5.0], [0.02]])
    assert farthest_first(described, np.array([1.0, 0.9, 0.1, 0.8]), 2, 0.0).tolist() == [0, 1]
    assert farthest_first(described, np.array([1.0, 0.9, 0.1, 0.8]), 2, 1.0).tolist() == [0, 2]
    dataset = person_dataset((1,) * 6)
    chosen = select_for_labelling(dataset, "pred", 3, 0.0)
    lowest = np.argsort([sample.pred.keypoints[0].pred_oks for sample in dataset])[:3]
    assert set(chosen.sample_ids) == {dataset.values("id")[i] for i in lowest}
    assert dataset.count_sample_tags() == {"to_label": 3}


@pytest.mark.parametrize("call", [flag_low_visibility, worst_samples, review_queue, select_for_labelling, auto_accept])
def test_wrong_collections_are_a_sentence_and_nothing_is_written(call, new_dataset):
    grouped = new_dataset()
    grouped.add_group_field("group", default="left")
    group = fo.Group()
    grouped.add_sample(fo.Sample("/nowhere/a.jpg", group=group.element("left")))
    wrong = new_dataset(fo.Sample("/nowhere/a.jpg", pred=fo.Detections()))
    for dataset, sentence in (
        (grouped, "grouped"),
        (new_dataset(fo.Sample("/nowhere/a.mp4")), "videos"),
        (wrong, "field of Keypoints, got Detections"),
        (new_dataset(fo.Sample("/nowhere/a.jpg")), "no such field"),
    ):
        before = set(dataset.get_field_schema())
        with pytest.raises(ValueError, match=sentence):
            call(dataset, "pred")
        assert set(dataset.get_field_schema()) == before


def test_a_second_field_has_its_own_worst_people(person_dataset):
    dataset = person_dataset((2, 1, 3, 1))
    dataset.clone_sample_field("pred", "other")
    set_skeleton(dataset, "other")
    columns = PersonColumns(dataset, "other")
    scores = 1 - columns.scalars("pred_oks")
    columns.write("pred_oks", scores)
    for field, wanted in (("pred", 1 - scores), ("other", scores), ("pred", 1 - scores)):
        assert worst_persons(dataset, field, 3).values(f"{field}.pred_oks") == pytest.approx(sorted(wanted)[:3])
    part = PersonColumns(dataset.limit(1), "other")  # the first two of the photos of a view only
    part.write_all({}, lowest_oks(part, part.scalars("pred_oks")))
    index_lowest_oks(part)
    assert worst_persons(dataset, "other", 7).values("other.pred_oks") == pytest.approx(sorted(scores))
    assert dataset.values("min_pred_oks") == [min(row) for row in dataset.values("other.keypoints.pred_oks")]


def test_a_photo_without_people_need_not_be_there(person_dataset):
    dataset = person_dataset((1, 2))
    dataset.add_sample(fo.Sample("/nowhere/at-all.jpg"))
    assert np.isfinite(PersonColumns(dataset, "pred").keypoints).all()
    assert review_queue(dataset, "pred").total == 3
    color_by_confidence(dataset, "pred")
    dataset.set_values("metadata", [None, *dataset.values("metadata")[1:]])
    with pytest.raises(ValueError, match=r"size can be read, got /nowhere/0\.jpg without"):
        review_queue(dataset, "pred")


def test_a_photo_without_people_has_no_lowest_oks_and_a_person_without_score_does_not_count(person_dataset):
    columns = PersonColumns(person_dataset((2, 0, 1)), "pred")
    lowest = columns.smallest(np.array([np.nan, 0.4, np.nan]))
    np.testing.assert_array_equal(lowest, [0.4, np.nan, np.nan])


def test_columns_read_as_poses_keep_the_joints_that_a_human_placed(person_dataset):
    dataset = person_dataset((1,))
    columns = PersonColumns(dataset, "pred")
    fixed = np.zeros((1, 17), bool)
    fixed[0, [3, 9]] = True
    columns.write("fixed", fixed)
    np.testing.assert_array_equal(PersonColumns(dataset, "pred").poses().fixed, fixed)


def test_a_write_changes_the_time_of_its_photos(person_dataset):
    dataset = person_dataset((1, 1))
    before = dataset.values("last_modified_at")
    PersonColumns(dataset.limit(1), "pred").write("quality", np.array([0.5]))
    after = dataset.values("last_modified_at")
    assert after[0] > before[0] and after[1] == before[1]


def test_hiding_joints_leaves_the_visible_ones(person_dataset):
    dataset = person_dataset((1,))
    visibility = np.full((1, 17), 0.9)
    visibility[0, 5] = 0.1
    PersonColumns(dataset, "pred").write("visibility", visibility)
    color_by_confidence(dataset, "pred", hide_below=0.5)
    shown = [joint.label for joint in dataset.first().pred_joints.keypoints]
    assert len(shown) == 16 and "left_shoulder" not in shown


def test_other_tags_stay_when_people_are_flagged(person_dataset):
    dataset = person_dataset((1,))
    dataset.tag_labels("mine", label_fields="pred")
    flag_low_visibility(dataset, "pred", 1.0)
    assert sorted(dataset.first().pred.keypoints[0].tags) == ["low_visibility", "mine"]


def test_settled_people_are_neither_selected_nor_accepted_unseen(person_dataset):
    dataset = person_dataset((1,) * 4)
    scores = np.array([0.1, 0.5, 0.6, 0.95])
    PersonColumns(dataset, "pred").write("pred_oks", scores)
    ids = dataset.values("pred.keypoints.id", unwind=True)
    mark_persons(dataset, "pred", [ids[0]], SENT)
    mark_persons(dataset, "pred", [ids[3]], ACCEPTED)
    assert review_queue(dataset, "pred").done == 2
    assert select_for_labelling(dataset, "pred", 1, 0.0).sample_ids == (dataset.values("id")[1],)
    auto_accept(dataset, "pred", 0.5)
    tags = PersonColumns(dataset, "pred").values("tags")
    assert tags[3] == ["accepted"] and "auto_accepted" in tags[2]
    with pytest.raises(ValueError, match="ids of persons"):
        mark_persons(dataset, "pred", ["0" * 24], ACCEPTED)


def test_selection_looks_for_other_poses(person_dataset):
    dataset = person_dataset((1,) * 4)
    points = [[[0.5, 0.5]] * 17, [[0.5, 0.5]] * 17, [[0.5, 0.5]] * 17, [[0.3 + 0.02 * k, 0.7] for k in range(17)]]
    dataset.set_values("pred.keypoints.points", [[row] for row in points])
    dataset.set_values("pred.keypoints.bounding_box", [[[0.2, 0.2, 0.6, 0.6]]] * 4)
    PersonColumns(dataset, "pred").write("pred_oks", np.array([0.1, 0.2, 0.3, 0.4]))
    ids = dataset.values("id")
    assert select_for_labelling(dataset, "pred", 2, 1.0).sample_ids == (ids[0], ids[3])


def test_labels_are_stored_and_declared_as_fiftyone_itself_does(person_dataset):
    dataset = person_dataset((2, 0, 1))
    held, label = dataset.first(), fo.Keypoints(keypoints=[fo.Keypoint(label="person", points=[[0.1, 0.2]])])
    label.keypoints[0]["area"], label.keypoints[0]["seen"] = 80, [True, False]
    other = label.copy()
    other.keypoints[0]["area"], other.keypoints[0]["instance"] = 80.5, fo.Instance()
    dataset.set_values("theirs", [label, None, other], dynamic=True)
    documents = [label_documents(label), None, label_documents(other)]
    write_labels(dataset, {"ours": (fo.Keypoints, documents)})
    assert held.ours.keypoints[0].seen == [True, False]  # samples in memory follow
    assert [value and value.to_dict() for value in dataset.values("ours")] == [
        value and value.to_dict() for value in dataset.values("theirs")
    ]
    schema = dataset.get_field_schema(flat=True)
    mine, theirs = (
        {name.partition(".")[2]: str(field) for name, field in schema.items() if name.startswith(start)}
        for start in ("ours.", "theirs.")
    )
    assert "FloatField" in mine.pop("keypoints.area") and theirs.pop("keypoints.area")  # theirs: what came first
    assert mine == theirs and "keypoints.instance.id" in mine


def test_labels_of_a_wrong_field_or_attribute_are_not_written_at_all(person_dataset):
    dataset = person_dataset((1, 1))
    before, schema = dataset.values("pred.keypoints.id"), set(dataset.get_field_schema(flat=True))
    wrong = [[{**document, "pred_oks": "high", "new": 1.0} for document in label_documents(label)]
             for label in dataset.values("pred")]  # fmt: skip
    with pytest.raises(ValueError, match=r'"pred\.keypoints\.pred_oks" to be free or a StringField.*nothing was'):
        write_labels(dataset, {"boxes": (fo.Detections, [[], []]), "pred": (fo.Keypoints, wrong)})
    with pytest.raises(ValueError, match='Expected "gt" to be free or a EmbeddedDocumentField'):
        write_labels(dataset, {"new": (fo.Keypoints, [[], []]), "gt": (fo.Detections, [[], []])})
    assert dataset.values("pred.keypoints.id") == before and set(dataset.get_field_schema(flat=True)) == schema


def test_colours_show_every_joint_once_also_of_people_outside_a_view(person_dataset):
    dataset = person_dataset((2, 1))
    ids = dataset.values("pred.keypoints.id", unwind=True)
    color_by_confidence(dataset.select_labels(ids=ids[:1], fields="pred"))
    assert dataset.count("pred_joints.keypoints") == 17 * 2  # of both people of the photo
    joint, person = dataset.first().pred_joints.keypoints[20], dataset.first().pred.keypoints[1]
    assert (joint.label, joint.points, joint.oks) == ("left_ear", [person.points[3]], person.keypoint_oks[3])
    assert joint.oks_bin == score_bins(np.array(person.keypoint_oks))[3]
    assert dataset.first().pred.keypoints[1].oks_bin == score_bins(np.array([person.pred_oks]))[0]


def test_samples_that_somebody_holds_know_what_was_written_and_do_not_undo_it(person_dataset):
    dataset = person_dataset((2, 1))
    held, dropped = dataset.first(), dataset.last().id
    columns = PersonColumns(dataset, "pred")
    columns.write_all({"pred_oks": np.array([0.5, 0.25, 0.125])}, {"number": np.array([7, 8])})
    assert [person.pred_oks for person in held.pred.keypoints] == [0.5, 0.25] and held.number == 7
    shown = np.zeros((3, 17), bool)
    shown[:, 2] = True
    write_joints(columns, "joints", shown, {"oks": np.full((3, 17), 0.75)})
    assert [(joint.label, joint.oks) for joint in held.joints.keypoints] == [("right_eye", 0.75)] * 2
    assert len(held.joints.keypoints) == 2 and held.joints.keypoints[0].points[0] == held.pred.keypoints[0].points[2]
    PersonColumns(dataset, "pred").write("pred_oks", np.array([0.9, 0.8, 0.7]))
    held.tags.append("mine")
    held.save()  # writes the tag alone
    dataset.reload()
    assert dataset.values("pred.keypoints.pred_oks") == [[0.9, 0.8], [0.7]] and dataset.first().tags == ["mine"]
    assert dataset.first().pred.keypoints[0].pred_oks == 0.9 and dataset[dropped].pred.keypoints[0].pred_oks == 0.7


def test_labels_are_made_for_held_samples_only_when_somebody_looks_at_them(person_dataset, monkeypatch):
    """Colouring 5,000 photos that a notebook holds took half an hour of objects that nobody asked for."""
    from fiftyone.core.odm import embedded_document

    dataset = person_dataset((2, 1))
    held = list(dataset)
    made, init = [], embedded_document.DynamicEmbeddedDocument.__init__

    def counting(self, *args, **kwargs):
        made.append(type(self).__name__)
        init(self, *args, **kwargs)

    monkeypatch.setattr(embedded_document.DynamicEmbeddedDocument, "__init__", counting)
    color_by_confidence(dataset, "pred")
    assert made.count("Keypoint") <= 2  # the empty ones that documents are made of
    assert len(held[0].pred_joints.keypoints) == 34 and made.count("Keypoint") > 2
    assert held[0].pred_joints.keypoints[1].label == "left_eye"


def test_a_column_is_read_once_and_anew_after_it_was_written(person_dataset, monkeypatch):
    from clickpose_fiftyone import columns as module

    columns, asked, read = PersonColumns(person_dataset((2, 1)), "pred"), [], module.read_values
    monkeypatch.setattr(
        module, "read_values", lambda view, wanted, *how: asked.append(set(wanted)) or read(view, wanted, *how)
    )
    columns.placed, columns.keypoints, columns.scalars("pred_oks"), columns.scalars("pred_oks")
    assert asked == [{"points", "visibility", "keypoint_oks"}, {"pred_oks"}]
    columns.write("pred_oks", np.array([0.1, 0.2, 0.3]))
    np.testing.assert_array_equal(columns.scalars("pred_oks"), [0.1, 0.2, 0.3])
