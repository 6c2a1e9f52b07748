"""Prediction, models, refinement and the round trip to Label Studio's JSON, with a predictor that needs no weights."""

import json
from dataclasses import replace
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from clickpose.frames import CropFrame
from clickpose.predictor import EncodedRegion, PosePredictor, place_clicks
from clickpose.skeleton import COCO
from clickpose.structures import Poses
from clickpose_fiftyone.conversion import pose_attributes
from clickpose_fiftyone.field_names import CORRECTED
from clickpose_fiftyone.labelstudio_merge import Synced, merge_photo
from clickpose_fiftyone.labelstudio_tasks import make_tasks
from clickpose_fiftyone.model import PoseModel
from clickpose_fiftyone.predict import predict_poses
from clickpose_fiftyone.provenance import network_needed, network_of
from clickpose_fiftyone.refinement import (
    accept_refinements,
    discard_refinements,
    find_person,
    refine_pose,
    refined_pose,
    save_refinement,
    undo_refinement,
)
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config


class BoxPredictor(PosePredictor):
    """Puts the joints on the diagonal of the box; a click moves all free joints by (3, 2) px. Counts encodings."""

    name, skeleton, fingerprint = "box", COCO, "box"

    def __init__(self):
        self.encoded = 0

    def detect(self, image):
        return np.array([[10.0, 10.0, 60.0, 90.0]]), np.array([0.9])

    def encode(self, image, boxes_xyxy):
        self.encoded += len(boxes_xyxy)
        return [
            EncodedRegion(frame=CropFrame.around_box(box, 64), prompt_box_xyxy=box, features={}) for box in boxes_xyxy
        ]

    def decode(self, regions, boxes_xyxy=None):
        boxes = np.reshape([region.prompt_box_xyxy for region in regions], (-1, 4))
        steps = np.linspace(0.1, 0.9, len(COCO))[None, :, None]
        keypoints = boxes[:, None, :2] + steps * (boxes[:, None, 2:] - boxes[:, None, :2])
        scores = np.tile(np.linspace(0.2, 0.9, len(COCO)), (len(boxes), 1))
        return Poses(
            skeleton=COCO,
            keypoints=keypoints,
            boxes_xyxy=boxes,
            keypoint_scores=scores,
            visibility_scores=scores,
            instance_scores=scores.mean(axis=1),
        )

    def covers(self, region, pose):
        return True

    def refine_region(self, region, pose, clicks):
        placed = place_clicks(pose, clicks)
        moved = np.where(placed.fixed[:, None], placed.keypoints, placed.keypoints + np.array([3, 2]))
        return replace(pose, keypoints=moved, instance_score=0.8, fixed=placed.fixed)


@pytest.fixture
def photos(new_dataset, tmp_path, rng):
    """Two small photos and one that is missing."""
    samples = []
    for index, size in enumerate([(120, 100), (80, 140)]):
        path = tmp_path / f"{index}.png"
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(path)
        samples.append(fo.Sample(str(path)))
    return new_dataset(*samples)


def test_prediction_writes_finite_linked_columns(photos, tmp_path):
    photos.add_sample(fo.Sample(str(tmp_path / "missing.png")))
    summary = predict_poses(photos, "pred", BoxPredictor())
    assert (summary.photos, summary.persons) == (2, 2)
    assert list(summary.failures) == [str(tmp_path / "missing.png")] and "Cannot read" in str(summary)
    assert photos.last().pred is None
    sample = photos.first()
    pose, box = sample.pred.keypoints[0], sample.pred_boxes.detections[0]
    assert np.isfinite(pose.points).all()
    assert pose.points[0] == pytest.approx([(10 + 0.1 * 50) / 120, (10 + 0.1 * 80) / 100])
    assert pose.instance.id == box.instance.id
    assert box.bounding_box == pytest.approx([10 / 120, 10 / 100, 50 / 120, 80 / 100])
    assert sample.min_pred_oks == pytest.approx(pose.pred_oks) and sample.num_low_vis == 3
    assert photos.skeletons["pred"].labels == list(COCO.names)


def test_a_stopped_prediction_keeps_what_it_found_and_goes_on_there(photos):
    run = predict_poses.steps(photos, "pred", BoxPredictor())
    assert next(run) == (1, 2)
    run.close()
    first = photos.first().pred.keypoints[0].id
    assert photos.last().pred is None and photos.first().min_pred_oks is not None
    predictor = BoxPredictor()
    steps = predict_poses.steps(photos, "pred", predictor)
    assert next(steps) == (2, 2)  # the first photo is done
    with pytest.raises(StopIteration) as end:
        next(steps)
    summary = end.value.value
    assert (summary.photos, summary.persons, summary.earlier) == (1, 1, 1) and "had been done before" in str(summary)
    assert photos.first().pred.keypoints[0].id == first and len(photos.last().pred.keypoints) == 1
    assert predict_poses(photos, "pred", BoxPredictor()).photos == 2  # it is finished: a new run does all anew


def test_apply_model_tells_which_network_predicted(photos):
    """FiftyOne does not tell a model into which field it predicts: the people say who predicted them."""
    photos.apply_model(PoseModel(BoxPredictor()), label_field="found", skip_failures=False)
    network = network_of(photos, "found")
    assert (network.model, network.fingerprint, network.skeleton) == ("box", "box", "coco")
    assert photos.get_field("found").description == "Poses predicted by box (coco, weights box)"
    other = BoxPredictor()
    other.fingerprint = "another"
    photos.limit(1).apply_model(PoseModel(other), label_field="found", skip_failures=False)
    assert network_of(photos, "found") is None  # two networks' people: no curve fits both
    photos.apply_model(PoseModel(other), label_field="found", skip_failures=False)
    assert network_of(photos, "found").fingerprint == "another"


def test_a_field_of_two_networks_is_of_none(photos):
    other = BoxPredictor()
    other.fingerprint = "another"
    predict_poses(photos, "pred", BoxPredictor())
    predict_poses(photos.limit(1), "pred", other)
    assert network_of(photos, "pred") is None
    assert photos.get_field("pred").description == "Poses predicted by several networks"
    with pytest.raises(ValueError, match="which the dataset does not know"):
        network_needed(photos, "pred", COCO, None, "to try")
    predict_poses(photos, "pred", other)
    assert network_of(photos, "pred").fingerprint == "another"


def test_only_the_same_run_goes_on(photos):
    def stopped():
        run = predict_poses.steps(photos, "pred", BoxPredictor())
        next(run)
        run.close()

    for options in ({"min_score": 0.1}, {"resume": False}):
        stopped()
        assert predict_poses(photos, "pred", BoxPredictor(), **options).photos == 2
    stopped()
    other = BoxPredictor()
    other.fingerprint = "other weights"
    assert predict_poses(photos, "pred", other).photos == 2
    stopped()
    assert predict_poses(photos.sort_by("filepath", reverse=True), "pred", BoxPredictor()).photos == 2


def test_what_was_found_is_kept_while_the_network_runs(photos, monkeypatch):
    from clickpose_fiftyone import predict

    monkeypatch.setattr(predict, "_KEEP_SECONDS", 0.0)
    run = predict_poses.steps(photos, "pred", BoxPredictor(), colours=True)
    next(run)
    assert photos.count("pred.keypoints") == 1 and photos.count("pred_joints.keypoints") == 17
    assert photos.skeletons["pred"].labels == list(COCO.names)
    del run


def test_a_corrected_person_does_not_stand_in_the_way_of_going_on(photos):
    run = predict_poses.steps(photos, "pred", BoxPredictor())
    next(run)
    run.close()
    label = photos.first().pred.keypoints[0]
    refine_pose(photos, label.id, {"nose": (50.0, 60.0)}, model=BoxPredictor())
    assert predict_poses(photos, "pred", BoxPredictor()).earlier == 1
    assert photos.first().pred.keypoints[0].tags == ["refined"]


def test_the_model_takes_boxes_as_prompts(photos):
    boxes = [fo.Detections(detections=[fo.Detection(bounding_box=[0.25, 0.5, 0.5, 0.25])]), fo.Detections()]
    photos.set_values("people", boxes)
    photos.apply_model(PoseModel(BoxPredictor()), label_field="pred", prompt_field="people", batch_size=2,
                       skip_failures=False)  # fmt: skip
    assert [len(label.keypoints) for label in photos.values("pred")] == [1, 0]
    assert photos.first().pred.keypoints[0].bounding_box == pytest.approx([0.25, 0.5, 0.5, 0.25])
    photos.apply_model(PoseModel(BoxPredictor()), label_field="all", skip_failures=False)
    assert [len(label.keypoints) for label in photos.values("all")] == [1, 1]


@pytest.mark.parametrize("options", [{"pred_field": "has-dash"}, {"pred_field": "filepath"}, {"prompt_field": "none"},
                                     {"min_score": 2}])  # fmt: skip
def test_wrong_options_of_prediction_write_nothing(photos, options):
    before = set(photos.get_field_schema())
    with pytest.raises(ValueError, match="Expected"):
        predict_poses(photos, **{"pred_field": "pred", "model": BoxPredictor(), **options})
    assert set(photos.get_field_schema()) == before


@pytest.fixture
def predicted(photos):
    predict_poses(photos, "pred", BoxPredictor())
    return photos


def test_refining_keeps_the_click_and_the_original(predicted):
    label = predicted.first().pred.keypoints[0]
    original, predictor = list(label.points), BoxPredictor()
    refine_pose(predicted, label.id, {"nose": (50.0, 60.0)}, model=predictor)
    refine_pose(predicted, label.id, {"left_eye": (20.0, 30.0)}, model=predictor)
    assert predictor.encoded == 1  # the second click finds the encoded person
    now = predicted.first().pred.keypoints[0]
    assert now.points[0] == pytest.approx([50 / 120, 60 / 100]) and now.points[1] == pytest.approx([20 / 120, 0.3])
    assert now.points[5] == pytest.approx(np.array(original[5]) + np.array([6 / 120, 4 / 100]))
    assert now.tags == ["refined"] and now.fixed[:3] == [True, True, False]
    assert predicted.first().min_pred_oks == pytest.approx(0.8)
    assert undo_refinement(predicted, label.id) == 1
    assert predicted.first().pred.keypoints[0].points[1] == pytest.approx(
        np.array(original[1]) + np.array([3 / 120, 2 / 100])
    )
    assert accept_refinements(predicted) == 1
    assert discard_refinements(predicted, [label.id]) == 1
    restored = predicted.first().pred.keypoints[0]
    np.testing.assert_allclose(restored.points, original)
    assert restored.tags == ["refinement_discarded"]


def test_two_users_do_not_overwrite_each_other(predicted):
    label_id = predicted.first().pred.keypoints[0].id
    mine, predictor = find_person(predicted, "pred", label_id), BoxPredictor()
    refine_pose(predicted, label_id, {"nose": (50.0, 60.0)}, model=predictor)
    before = predicted.first().pred.keypoints[0].points
    pose = refined_pose(mine, [("nose", 5.0, 5.0)], predictor)[-1]
    with pytest.raises(ValueError, match="Somebody else changed"):
        save_refinement(mine, pose)
    assert predicted.first().pred.keypoints[0].points == before


@pytest.fixture
def overtaken(monkeypatch):
    """Has something happen after a person was read and before it is written, once."""
    from clickpose_fiftyone import person_updates

    read, events = person_updates.read_person, []

    def read_and_be_overtaken(*args):
        person = read(*args)
        if events:
            events.pop()()
        return person

    monkeypatch.setattr(person_updates, "read_person", read_and_be_overtaken)
    return events.append


def test_a_save_between_reading_and_writing_is_noticed(predicted, overtaken):
    label_id = predicted.first().pred.keypoints[0].id
    person = find_person(predicted, "pred", label_id)
    mine = replace(person.pose, keypoints=person.pose.keypoints + 1)
    theirs = replace(person.pose, keypoints=person.pose.keypoints + 2)
    overtaken(lambda: save_refinement(person, theirs))
    with pytest.raises(ValueError, match="Somebody else changed"):
        save_refinement(person, mine)
    kept = find_person(predicted, "pred", label_id)
    np.testing.assert_allclose(kept.pose.keypoints, theirs.keypoints)
    assert kept.revision == 1


def test_tags_that_come_between_reading_and_writing_stay(predicted, overtaken):
    label_id = predicted.first().pred.keypoints[0].id
    person = find_person(predicted, "pred", label_id)
    overtaken(lambda: predicted.select_labels(ids=[label_id], fields="pred").tag_labels("theirs", "pred"))
    save_refinement(person, replace(person.pose, keypoints=person.pose.keypoints + 1))
    saved = find_person(predicted, "pred", label_id)
    assert sorted(saved.label.tags) == ["refined", "theirs"] and saved.revision == 1


def test_people_of_one_photo_are_saved_beside_each_other(photos):
    boxes = [fo.Detections(detections=[fo.Detection(bounding_box=[0.1 * n, 0.1, 0.5, 0.5]) for n in (1, 2)])] * 2
    photos.set_values("people", boxes)
    predict_poses(photos, "pred", BoxPredictor(), prompt_field="people")
    first, second = (find_person(photos, "pred", label.id) for label in photos.first().pred.keypoints)
    for person in (first, second):  # both were read before either was saved
        save_refinement(person, replace(person.pose, keypoints=person.pose.keypoints + 1))
    for person in (first, second):
        saved = find_person(photos, "pred", person.label.id)
        np.testing.assert_allclose(saved.pose.keypoints, person.pose.keypoints + 1)


def taken_back(task, result, config, label):
    """Label id -> the people of a photo whose one person was sent."""
    return merge_photo(result, config, {label.id: label}, Synced.sent(task, config)).labels


def test_label_studio_brings_everybody_back_to_where_they_were(predicted):
    tasks = make_tasks(predicted, "pred", lambda path: path)
    task, sample = tasks[0], predicted.first()
    label = sample.pred.keypoints[0]
    assert task["data"]["sample_id"] == sample.id and list(task["data"]["label_ids"].values()) == [label.id]
    config = parse_labeling_config(build_labeling_config(COCO), COCO)
    result = json.loads(json.dumps(task["predictions"][0]["result"]))
    untouched = taken_back(task, result, config, label)
    assert list(untouched) == [label.id] and untouched[label.id].tags == []
    wrist = next(item for item in result if item["id"].endswith("left_wrist") and item["type"] == "keypointlabels")
    wrist["value"].update(x=25.0, y=75.0)
    result = [item for item in result if not item["id"].endswith("right_ankle")]
    corrected = taken_back(task, result, config, label)[label.id]
    joint = COCO.index("left_wrist")
    assert corrected.points[joint] == pytest.approx([0.25, 0.75])
    assert corrected.annotated_visibility[joint] in (1, 2) and corrected.annotated_visibility[-1] == 0
    assert np.isfinite(corrected.points).all() and CORRECTED in corrected.tags
    np.testing.assert_allclose(json.loads(corrected.refinement_history)[0]["points"], label.points)


def test_new_and_deleted_people_are_told_apart_without_region_ids(predicted):
    task = make_tasks(predicted, "pred", lambda path: path)[0]
    label = predicted.first().pred.keypoints[0]
    config = parse_labeling_config(build_labeling_config(COCO), COCO)
    renamed = json.loads(json.dumps(task["predictions"][0]["result"]).replace(f"cp-{label.id}", "cp-other"))
    assert list(taken_back(task, renamed, config, label)) == [label.id]
    box = next(item for item in renamed if item["type"] == "rectanglelabels")
    box["value"].update(x=80.0, y=80.0, width=5.0, height=5.0)
    (new,) = taken_back(task, renamed, config, label)
    assert new != label.id
    assert taken_back(task, [], config, label) == {}


def test_human_work_is_not_predicted_over_unless_it_is_allowed(predicted):
    label = predicted.first().pred.keypoints[0]
    refine_pose(predicted, label.id, {"nose": (50.0, 60.0)}, model=BoxPredictor())
    with pytest.raises(ValueError, match='got 1 person in "pred" whose corrections'):
        predict_poses(predicted, "pred", BoxPredictor())
    assert predicted.first().pred.keypoints[0].id == label.id
    predict_poses(predicted.skip(1), "pred", BoxPredictor())  # nobody of these was touched
    predict_poses(predicted, "pred", BoxPredictor(), replace_corrected=True)
    assert predicted.first().pred.keypoints[0].points[0] == pytest.approx(label.points[0])


def test_an_accepted_refinement_that_is_undone_is_open_again(predicted):
    label_id = predicted.first().pred.keypoints[0].id
    for joint in ("nose", "left_eye"):
        refine_pose(predicted, label_id, {joint: (50.0, 60.0)}, model=BoxPredictor())
    assert accept_refinements(predicted) == 1 and accept_refinements(predicted) == 0
    undo_refinement(predicted, label_id)
    assert predicted.first().pred.keypoints[0].tags == ["refined"]
    assert accept_refinements(predicted, [label_id]) == 1
    undo_refinement(predicted, label_id)
    assert predicted.first().pred.keypoints[0].tags == []
    with pytest.raises(ValueError, match="without a saved refinement"):
        undo_refinement(predicted, label_id)


def test_only_refined_people_are_counted_as_discarded(predicted):
    first, second = (ids[0] for ids in predicted.values("pred.keypoints.id"))
    original = predicted.first().pred.keypoints[0].points
    refine_pose(predicted, first, {"nose": (50.0, 60.0)}, model=BoxPredictor())
    refine_pose(predicted, first, {"nose": (55.0, 60.0)}, model=BoxPredictor())
    Path(predicted.first().filepath).unlink()  # the original is in the database
    assert discard_refinements(predicted, [first, second]) == 1
    np.testing.assert_allclose(predicted.first().pred.keypoints[0].points, original)  # the first state, not the last
    assert predicted.last().pred.keypoints[0].tags == []
    with pytest.raises(ValueError, match="ids of persons"):
        accept_refinements(predicted, ["0" * 24])


def test_the_linked_box_and_the_later_undo_follow_a_refinement(predicted):
    sample = predicted.first()
    label = sample.pred.keypoints[0]
    person = find_person(predicted, "pred", label.id)
    save_refinement(person, replace(person.pose, box_xyxy=person.pose.box_xyxy + 6, instance_score=0.75))
    box = predicted.first().pred_boxes.detections[0]
    assert box.bounding_box == pytest.approx([16 / 120, 16 / 100, 50 / 120, 80 / 100]) and box.confidence == 0.75
    undo_refinement(predicted, label.id)
    assert predicted.first().pred_boxes.detections[0].bounding_box == pytest.approx(label.bounding_box)


def test_clicks_outside_the_photo_and_unknown_people_are_refused(predicted):
    person = find_person(predicted, "pred", predicted.first().pred.keypoints[0].id)
    for position in ((-1.0, 5.0), (5.0, 101.0)):
        with pytest.raises(ValueError, match=r"inside the photo \(120 x 100 px\)"):
            refined_pose(person, [("nose", *position)], BoxPredictor())
    with pytest.raises(ValueError, match="not there any more"):
        find_person(predicted, "pred", "0" * 24)


def test_weak_people_are_left_out_and_prompts_keep_their_links(photos):
    boxes = [fo.Detection(bounding_box=[0.25, 0.5, 0.5, 0.25], instance=fo.Instance()) for _ in range(2)]
    photos.set_values("people", [fo.Detections(detections=boxes), None])
    links = [box.instance.id for box in boxes]
    predict_poses(photos, "pred", BoxPredictor(), prompt_field="people")
    assert [label.instance.id for label in photos.first().pred.keypoints] == links
    assert photos.last().pred.keypoints == []
    predict_poses(photos, "strict", BoxPredictor(), prompt_field="people", min_score=0.6)
    assert photos.count("strict.keypoints") == 0
    photos.apply_model(PoseModel(BoxPredictor(), min_score=0.6), label_field="weak", skip_failures=False)
    assert photos.count("weak.keypoints") == 0


def test_joints_that_were_not_placed_lie_amid_the_box_and_are_hidden():
    keypoints = np.full((1, 17, 2), 30.0)
    keypoints[0, 4] = np.nan
    scores = np.full((1, 17), 0.9)
    poses = Poses(
        skeleton=COCO,
        keypoints=keypoints,
        boxes_xyxy=np.array([[10.0, 20.0, 50.0, 80.0]]),
        keypoint_scores=scores,
        visibility_scores=scores,
        instance_scores=np.array([0.9]),
    )
    attributes = pose_attributes(poses[0], (100, 200))
    assert attributes["points"][4] == pytest.approx([30 / 200, 50 / 100])
    assert attributes["visibility"][4] == attributes["keypoint_oks"][4] == 0 and attributes["visibility"][3] == 0.9


def test_the_size_that_is_known_is_kept(photos):
    photos.set_values("metadata", [fo.ImageMetadata(width=1200, height=1000), None])
    predict_poses(photos, "pred", BoxPredictor())
    assert photos.values("metadata.width") == [1200, 80] and photos.values("metadata.height") == [1000, 140]
