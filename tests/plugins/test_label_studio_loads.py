"""Loading again and undoing loads: what was changed here and there since both were alike, and by whom last."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from clickpose.skeleton import COCO
from clickpose_fiftyone import labelstudio_project, refinement
from clickpose_fiftyone.derived import refresh_sample_columns
from clickpose_fiftyone.field_names import CORRECTED
from clickpose_fiftyone.labelstudio_exchange import load_from_label_studio, send_to_label_studio
from clickpose_fiftyone.labelstudio_undo import loads_of, undo_load_from_label_studio
from clickpose_labelstudio.label_studio_auth import LabelStudioError
from helpers.fake_label_studio import add_person, moved_nose, regions, without_joints

EARLIER, LATER, LATEST = "2020-01-01T00:00:00Z", "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z"
NOSE, WRIST = COCO.index("nose"), COCO.index("left_wrist")


@pytest.fixture
def sent(sendable, label_studio):
    """Five people who were sent as ``round1``."""
    refresh_sample_columns(sendable, "pred")
    send_to_label_studio(sendable, "pred", anno_key="round1")
    return sendable


def people(dataset, row=0):
    dataset.reload()
    return list(dataset.skip(row).first().pred.keypoints)


def everything(dataset, tags=True):
    """All labels of the people and boxes as the database keeps them, and the columns of the photos."""
    dataset.reload()
    columns = [dataset.values(path) for path in ("pred.keypoints", "pred_boxes.detections")]
    labels = [[label.to_dict() for label in found] for column in columns for found in column]
    if not tags:
        labels = [[{**label, "tags": None} for label in found] for found in labels]
    return labels, dataset.values("min_pred_oks")


def refined(dataset, label_id, joint, by=0.05):
    """Refine one joint of a person here, in shares of the photo."""
    person = refinement.find_person(dataset, "pred", label_id)
    keypoints = person.pose.keypoints.copy()
    keypoints[joint] += np.array([640, 480]) * by
    fixed = person.pose.fixed | (np.arange(17) == joint)
    refinement.save_refinement(person, replace(person.pose, keypoints=keypoints, fixed=fixed))


def point(label, joint):
    return pytest.approx(label.points[joint], abs=1e-6)


def without_person(label_id):
    def change(result):
        return [item for item in result if not item["id"].startswith(f"cp-{label_id}")]

    return change


def both(*changes):
    def change(result):
        for one in changes:
            result = one(result)
        return result

    return change


def moved_wrist(x, y):
    def change(result):
        wrist = next(item for item in regions(result, "keypointlabels") if item["id"].endswith("left_wrist"))
        wrist["value"].update(x=x, y=y)
        return result

    return change


def test_a_joint_that_was_taken_back_and_then_corrected_here_is_not_taken_back_again(sent, label_studio):
    """An annotator who moves another joint later sends the old place of the first one along."""
    label_studio.submit(0, moved_nose(25.0, 75.0))
    load_from_label_studio(sent, "round1")
    refined(sent, people(sent)[0].id, NOSE)
    newer = people(sent)[0]
    label_studio.submit(0, both(moved_nose(25.0, 75.0), moved_wrist(40.0, 50.0)), LATER)
    loaded = load_from_label_studio(sent, "round1")
    now = people(sent)[0]
    assert loaded.persons == 1 and now.points[NOSE] == point(newer, NOSE)
    assert now.points[WRIST] == pytest.approx([0.4, 0.5])


@pytest.mark.parametrize(("annotated", "nose"), [(EARLIER, "here"), (LATER, "there")])
def test_of_a_joint_that_was_changed_in_both_the_later_change_counts(sent, label_studio, annotated, nose):
    refined(sent, people(sent)[0].id, NOSE)
    here = people(sent)[0]
    label_studio.submit(0, both(moved_nose(25.0, 75.0), moved_wrist(40.0, 50.0)), annotated)
    loaded = load_from_label_studio(sent, "round1")
    now = people(sent)[0]
    assert now.points[NOSE] == (point(here, NOSE) if nose == "here" else pytest.approx([0.25, 0.75]))
    assert now.points[WRIST] == pytest.approx([0.4, 0.5])  # nobody changed it here
    kept = "joints that were corrected here after they were corrected there"
    assert (f"1 {kept}" in str(loaded)) == (nose == "here")
    assert now.fixed[NOSE] and now.fixed[WRIST] and sum(now.fixed) == 2


def test_somebody_deleted_there_and_corrected_here_since_stays(sent, label_studio):
    first, second = people(sent)
    refined(sent, first.id, NOSE)
    label_studio.submit(0, both(without_person(first.id), without_person(second.id)), EARLIER)
    loaded = load_from_label_studio(sent, "round1")
    assert [label.id for label in people(sent)] == [first.id] and loaded.deleted == 1
    assert "1 people deleted there whom somebody has corrected here since, kept" in str(loaded)


def test_somebody_who_was_added_here_since_stays(sent, label_studio):
    sample = sent.first()
    new = sample.pred.keypoints[0].copy()
    sample.pred.keypoints.append(new)
    sample.save()
    label_studio.submit(0, moved_nose(25.0, 75.0))
    loaded = load_from_label_studio(sent, "round1")
    assert (loaded.persons, loaded.added, loaded.deleted) == (1, 0, 0)
    assert len(people(sent)) == 3 and people(sent)[2].points == new.points


def test_somebody_added_there_stays_the_same_person_when_loaded_again(sent, label_studio):
    label_studio.submit(0, add_person(COCO.names[:11]))
    load_from_label_studio(sent, "round1")
    new = people(sent)[-1]
    refined(sent, new.id, NOSE)
    corrected = people(sent)[-1]
    label_studio.submit(0, both(add_person(COCO.names[:11]), moved_wrist(40.0, 50.0)), LATER)
    again = load_from_label_studio(sent, "round1")
    assert (again.persons, again.added, again.deleted) == (1, 0, 0)
    assert people(sent)[-1].id == new.id and people(sent)[-1].points == corrected.points


def test_somebody_who_is_back_there_is_back_here_as_the_same(sent, label_studio):
    before, gone = copy.deepcopy(everything(sent, tags=False)), people(sent)[1].id
    label_studio.submit(0, without_person(gone))
    assert load_from_label_studio(sent, "round1").deleted == 1
    label_studio.submit(0, updated_at=LATER)
    back = load_from_label_studio(sent, "round1")
    assert (back.added, back.deleted) == (1, 0)
    assert [label.id for label in people(sent)][1] == gone
    labels, lowest = everything(sent, tags=False)
    boxes = [[{**box, "_id": None} for box in found] for found in labels[3:]]  # the box is a new one
    assert labels[:3] == before[0][:3] and boxes == [[{**b, "_id": None} for b in found] for found in before[0][3:]]
    assert lowest == before[1]


def test_a_load_is_undone_by_the_name_of_its_run(sent, label_studio):
    """Everybody is as before: people, links, boxes, tags, columns, whoever was moved, deleted, added."""
    load_from_label_studio(sent, "round1")  # has nothing, is nothing to undo
    assert loads_of(sent) == {}
    with pytest.raises(ValueError, match='load of the run "round1" to undo, got none'):
        undo_load_from_label_studio(sent, "round1")
    before = copy.deepcopy(everything(sent))
    changes = both(without_person(people(sent)[1].id), moved_nose(25.0, 75.0), add_person(COCO.names[:5]))
    label_studio.submit(0, changes)
    label_studio.submit(2, without_joints(people(sent, 2)[0].id, ("left_ankle",)))
    loaded = load_from_label_studio(sent, "round1")
    assert (loaded.photos, loaded.persons, loaded.added, loaded.deleted) == (2, 3, 1, 1)
    assert everything(sent) != before and loads_of(sent) == {"round1": 1}
    undone = undo_load_from_label_studio(sent, "round1")
    assert (undone.photos, undone.restored, undone.brought_back, undone.removed, undone.kept) == (2, 2, 1, 1, 0)
    assert everything(sent) == before and CORRECTED not in sent.count_label_tags("pred")
    again = load_from_label_studio(sent, "round1")  # the corrections are still there
    assert (again.persons, again.added, again.deleted) == (3, 1, 1)


def test_undoing_leaves_what_was_corrected_here_since(sent, label_studio):
    label_studio.submit(0, both(moved_nose(25.0, 75.0), add_person(COCO.names[:5])))
    label_studio.submit(1, moved_nose(30.0, 35.0))
    load_from_label_studio(sent, "round1")
    first, _, new = people(sent)
    refined(sent, first.id, WRIST)
    newer = people(sent)[0]
    undone = undo_load_from_label_studio(sent, "round1")
    assert (undone.restored, undone.removed, undone.kept) == (1, 1, 1)
    assert "1 person corrected here since, left as they are" in str(undone)
    assert people(sent)[0].points == newer.points and new.id not in [label.id for label in people(sent)]


def test_several_loads_are_undone_one_after_the_other(sent, label_studio):
    places = [people(sent)[0].points[NOSE]]
    for number, updated_at in enumerate((None, LATER, LATEST)):
        label_studio.submit(0, moved_nose(10.0 + number, 20.0), *filter(None, [updated_at]))
        load_from_label_studio(sent, "round1")
        places.append(people(sent)[0].points[NOSE])
    for place in places[-2::-1]:
        undo_load_from_label_studio(sent, "round1")
        assert people(sent)[0].points[NOSE] == place
    assert loads_of(sent) == {}


def test_a_run_remembers_where_it_answered_last(sent, label_studio):
    from clickpose_fiftyone.labelstudio_runs import address_of

    assert address_of(sent) == "http://localhost:8080"
    load_from_label_studio(sent, "round1", url="http://labels:8081")
    assert address_of(sent) == address_of(sent, "round1") == "http://labels:8081"
    assert "api_key" not in sent.get_annotation_info("round1").config.serialize()


def test_a_backend_that_was_named_is_connected_or_nothing_is_sent(sendable, label_studio):
    backends, deleted = [], []
    label_studio.create_backend = lambda **fields: backends.append({"id": 1, **fields}) or backends[0]
    label_studio.backends = lambda project_id: backends
    sent = send_to_label_studio(sendable, "pred", anno_key="one", backend="http://pose:9090")
    assert "Refinement is connected (http://pose:9090)" in str(sent)

    def refuse(**fields):
        raise LabelStudioError("The backend at http://gone:9090 does not answer")

    answer = label_studio.call
    label_studio.create_backend, label_studio.backends = refuse, lambda project_id: []
    label_studio.call = lambda method, path, **request: (
        deleted.append(path) if method == "DELETE" else answer(method, path, **request)
    )
    count = len(label_studio.tasks_)
    with pytest.raises(ValueError, match="does not answer"):
        send_to_label_studio(sendable, "pred", anno_key="two", backend="http://gone:9090")
    assert sendable.list_annotation_runs() == ["one"] and len(label_studio.tasks_) == count
    assert deleted == ["/api/projects/7/"]


def test_a_backend_on_this_machine_is_found_if_it_is_ours(monkeypatch):
    class Answer:
        def __init__(self, service):
            self.service = service

        def json(self):
            return {"service": self.service}

    for service, found in (("clickpose", ["http://localhost:9090"]), ("another", [])):
        monkeypatch.setattr(labelstudio_project.requests, "get", lambda url, service=service, **_: Answer(service))
        assert labelstudio_project._local_backends("http://127.0.0.1:8080") == found
    assert labelstudio_project._local_backends("https://labels.example.org") == []
