"""What is wrong with a dataset, or happens meanwhile, is a sentence, and no half-written field stays."""

import gc
from dataclasses import replace

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
import yaml
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

from clickpose.data.coco_categories import person_category
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS
from clickpose_fiftyone import predict, refinement
from clickpose_fiftyone.calibration import calibrate
from clickpose_fiftyone.coco_exchange import import_coco
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.evaluation import evaluate_poses
from clickpose_fiftyone.install import install_plugin, plugin_folder
from clickpose_fiftyone.predict import predict_poses
from clickpose_fiftyone.refinement import find_person, refine_pose, refined_pose, save_refinement
from clickpose_fiftyone.skeletons import set_skeleton

PLUGIN = "@clickpose/pose_review"
MANIFEST = yaml.safe_load((plugin_folder() / "fiftyone.yml").read_text())
NOT_OF_PHOTOS = {"import_coco", "load_from_label_studio", "undo_load_from_label_studio", "undo_review"}
PARAMS = {"path": "/nowhere/poses.json", "joint": "nose", "x": 1, "y": 1, "label_id": "0" * 24, "gt_field": "gt"}


@pytest.fixture(scope="module", autouse=True)
def installed(fiftyone_home):
    install_plugin(fiftyone_home / "plugins")


def started(dataset, name, **params):
    """What an operator returns: an answer, or steps that end with one."""
    uri = f"{PLUGIN}/{name}"
    request = {"dataset_name": dataset.name, "params": params}
    return foo.get_operator(uri).execute(ExecutionContext(request, executor=Executor(), operator_uri=uri))


def answer_of(dataset, name, **params):
    answer = started(dataset, name, **params)
    if hasattr(answer, "__next__"):
        *_, answer = answer
    return answer


def error_of(dataset, name, **params):
    return answer_of(dataset, name, **params).get("error", "")


def contents(dataset):
    """Everything that an operator could have written."""
    return [sample.to_dict(include_private=True) for sample in dataset], set(dataset.get_field_schema(flat=True))


def grouped(new_dataset):
    dataset = new_dataset()
    dataset.add_group_field("group", default="left")
    dataset.add_sample(fo.Sample("/nowhere/a.jpg", group=fo.Group().element("left")))
    return dataset, "Expected a dataset of images, got a grouped one; choose images with"


def video(new_dataset):
    return new_dataset(fo.Sample("/nowhere/a.mp4")), "Expected a dataset of images, got videos; make one of"


def empty(new_dataset):
    return new_dataset(), "Expected at least one photo, got an empty dataset"


@pytest.mark.parametrize("make", [grouped, video, empty])
def test_every_operator_refuses_collections_that_are_no_photos(make, new_dataset):
    dataset, sentence = make(new_dataset)
    before = contents(dataset)
    for name in sorted(set(MANIFEST["operators"]) - NOT_OF_PHOTOS):
        assert sentence in error_of(dataset, name, **PARAMS), name
    assert contents(dataset) == before
    for name in MANIFEST["panels"]:
        event = {"panel_id": "p", "panel_state": {}, "__method__": "on_load"}
        executor = Executor()
        request = {"dataset_name": dataset.name, "params": event}
        context = ExecutionContext(request, executor=executor, operator_uri=f"{PLUGIN}/{name}")
        foo.get_operator(f"{PLUGIN}/{name}").execute(context)
        assert sentence in str(executor.to_json()["requests"]), name


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(fo.Detections(), "field of Keypoints, got Detections"), ("text", "got StringField"), (None, "no such field")],
)
def test_every_operator_refuses_a_field_of_the_wrong_type(value, sentence, new_dataset):
    known = {} if value is None else {"pred": value}
    dataset = new_dataset(fo.Sample("/nowhere/a.jpg", gt=fo.Keypoints(), **known))
    before = contents(dataset)
    for name in sorted(set(MANIFEST["operators"]) - NOT_OF_PHOTOS - {"predict_poses"}):
        assert sentence in error_of(dataset, name, pred_field="pred", **PARAMS), name
    if value is not None:
        assert "to be free or a field of Keypoints" in error_of(dataset, "predict_poses", pred_field="pred")
    assert contents(dataset) == before


@pytest.mark.parametrize("name", ["evaluate_poses", "calibrate", "find_label_errors"])
def test_a_run_that_is_cancelled_before_it_writes_leaves_nothing(name, person_dataset):
    dataset = person_dataset((3,) * 10)
    before = contents(dataset)
    steps = started(dataset, name, pred_field="pred", gt_field="gt", eval_key="eval", kind="platt")
    next(steps)
    assert not gc.isenabled()  # the collector stands still while it runs
    steps.close()
    assert contents(dataset) == before and dataset.list_evaluations() == [] and gc.isenabled()


def test_comparing_a_field_with_itself_is_a_sentence(person_dataset):
    dataset = person_dataset((2, 1))
    before = contents(dataset)
    for name in ("calibrate", "evaluate_poses", "diagnose", "find_label_errors"):
        assert 'got "pred" twice' in error_of(dataset, name, pred_field="pred", gt_field="pred"), name
    assert contents(dataset) == before


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [("evaluate_poses", {"score": "pred_osk"}, "to have 'pred_osk' to rank them by, got none"),
     ("review_worst", {"count": 2.5}, "a whole count of at least 1, got 2.5")],
)  # fmt: skip
def test_a_parameter_that_cannot_serve_is_a_sentence(name, params, sentence, person_dataset):
    dataset = person_dataset((2, 1))
    assert sentence in error_of(dataset, name, pred_field="pred", gt_field="gt", **params)


def test_fields_of_different_joints_are_not_compared(person_dataset):
    dataset = person_dataset((2, 1))
    dataset.skeletons["pred"] = fo.KeypointSkeleton(labels=[f"joint {n}" for n in range(17)], edges=[])
    dataset.save()
    before = contents(dataset)
    for name in ("calibrate", "evaluate_poses", "diagnose"):
        assert "to have the same joints, got 17 (own: joint 0" in error_of(
            dataset, name, pred_field="pred", **PARAMS
        ), name
    assert contents(dataset) == before


HAND = ("wrist", "left_thumb", "right_thumb", "Nose")


@pytest.fixture
def hands(new_dataset, tmp_path):
    """Hands of four joints, labelled and predicted one pixel beside, on photos of 100 x 50 px."""
    samples = []
    for index in range(3):
        path = tmp_path / f"hand{index}.png"
        Image.fromarray(np.full((50, 100, 3), 60 * index, np.uint8)).save(path)
        points = [[0.2, 0.2], [0.4, 0.4], [0.6, 0.6], [0.8, 0.8]]
        truth = fo.Keypoint(label="hand", points=points, visibility=[2] * 4, bounding_box=[0.1, 0.1, 0.8, 0.8])
        scores = dict(confidence=[0.9, 0.8, 0.7, 0.6], keypoint_oks=[0.9, 0.8, 0.7, 0.6], pred_oks=0.7)
        found = fo.Keypoint(label="hand", points=[[x + 0.01, y] for x, y in points], visibility=[0.9] * 4,
                            bounding_box=[0.1, 0.1, 0.8, 0.8], **scores)  # fmt: skip
        metadata = fo.ImageMetadata(width=100, height=50)
        samples.append(fo.Sample(str(path), metadata=metadata, gt=fo.Keypoints(keypoints=[truth]),
                                 pred=fo.Keypoints(keypoints=[found])))  # fmt: skip
    dataset = new_dataset(*samples)
    dataset.add_dynamic_sample_fields()
    for field in ("gt", "pred"):
        dataset.skeletons[field] = fo.KeypointSkeleton(labels=list(HAND), edges=[[0, 1], [0, 2, 3]])
    dataset.save()
    return dataset


def test_a_skeleton_of_ones_own_works_everywhere(hands, tmp_path):
    from clickpose_fiftyone.review import review_queue
    from clickpose_fiftyone.skeletons import ASSUMED_SIGMA, skeleton_of

    skeleton = skeleton_of(hands, "pred")
    assert skeleton.names == HAND and skeleton.edges == ((0, 1), (0, 2), (2, 3)) and skeleton.flip_pairs == ((1, 2),)
    assert skeleton.sigmas == (ASSUMED_SIGMA, ASSUMED_SIGMA, ASSUMED_SIGMA, 0.026)  # a nose is a nose
    result = evaluate_poses(hands)
    area = 0.53 * 80 * 40
    oks = [np.exp(-1 / (2 * area * (2 * sigma) ** 2)) for sigma in skeleton.sigmas]
    np.testing.assert_allclose(hands.values("eval_oks"), np.mean(oks), atol=1e-6)
    assert "own skeleton, whose sigma is taken as 0.05" in result.sentence()
    for name in ("flag_low_visibility", "set_up_colours", "diagnose", "export_coco"):
        answer = answer_of(hands, name, pred_field="pred", **PARAMS | {"path": str(tmp_path / "hands.json")})
        assert "message" in answer, answer
    assert hands.count("pred_joints.keypoints") == 12 and len(review_queue(hands).items) == 3


def test_a_joint_that_no_network_knows_is_placed_alone(hands):
    person = find_person(hands, "pred", hands.first().pred.keypoints[0].id)
    poses = refined_pose(person, [("left_thumb", 50.0, 10.0)])
    np.testing.assert_allclose(poses[1].keypoints[[0, 2, 3]], poses[0].keypoints[[0, 2, 3]])
    np.testing.assert_allclose(poses[1].keypoints[1], (50, 10))
    assert poses[1].fixed.tolist() == [False, True, False, False] and poses[1].keypoint_scores[1] == 1
    refine_pose(hands, person.label.id, {"left_thumb": (50.0, 10.0)})
    assert hands.first().pred.keypoints[0].points[1] == pytest.approx([0.5, 0.2])


def test_a_skeleton_with_sigmas_of_ones_own_is_kept(person_dataset):
    from clickpose.skeleton_io import skeleton_from_dict
    from clickpose_fiftyone.skeletons import set_skeleton, skeleton_of

    dataset = person_dataset((1, 1))
    joints = {f"joint_{n}": 0.01 * (n + 1) for n in range(17)}
    skeleton = skeleton_from_dict({"name": "mine", "joints": joints, "edges": [["joint_0", "joint_1"]]})
    set_skeleton(dataset, "pred", skeleton)
    dataset.reload()
    assert skeleton_of(dataset, "pred") == skeleton


def test_joints_in_another_order_are_refused_by_their_names(person_dataset):
    dataset = person_dataset((1, 1))
    dataset.skeletons["pred"] = fo.KeypointSkeleton(labels=["Right Eye", *COCO.names[:2], *COCO.names[3:]], edges=[])
    dataset.save()
    with pytest.raises(ValueError, match=r"in the order of coco \(nose, left_eye, .*got Right Eye, nose, left_eye, …"):
        evaluate_poses(dataset)


def test_another_known_skeleton_is_calibrated_and_evaluated_with_its_own_joints(new_dataset, rng):
    from clickpose.skeleton_io import SKELETONS

    skeleton = SKELETONS["crowdpose"]
    samples = []
    for number in range(12):
        points = rng.uniform(0.2, 0.8, (2, len(skeleton), 2))
        shared = {"label": "person", "visibility": [2] * len(skeleton)}
        truth = [fo.Keypoint(points=person.tolist(), area=40_000.0, **shared) for person in points]
        scores = rng.uniform(0.1, 0.9, len(skeleton)).tolist()
        found = [
            fo.Keypoint(points=(person + 0.001).tolist(), confidence=scores, pred_oks=0.5, **shared)
            for person in points
        ]
        size = fo.ImageMetadata(width=640, height=480)
        samples.append(
            fo.Sample(f"/nowhere/{number}.jpg", metadata=size, gt=fo.Keypoints(keypoints=truth),
                      pred=fo.Keypoints(keypoints=found))
        )  # fmt: skip
    dataset = new_dataset(*samples)
    dataset.add_dynamic_sample_fields()
    for field in ("gt", "pred"):
        set_skeleton(dataset, field, skeleton)
    assert calibrate(dataset, kind="temperature").persons == 24
    assert PersonColumns(dataset, "pred").joints("keypoint_oks").shape == (24, len(skeleton))
    assert evaluate_poses(dataset, "pred", "gt").figures["AP"] == pytest.approx(1.0)


class Painter:
    """A predictor that finds one person in every photo."""

    name, skeleton, fingerprint = "painter", COCO, "painter"

    def set_image(self, image):
        self.image_hw = image.shape[:2]

    def predict(self, boxes_xyxy=None):
        from clickpose.structures import Poses

        keypoints = np.linspace((10, 10), (50, 50), len(COCO))[None]
        scores = np.full((1, len(COCO)), 0.5)
        return Poses(
            skeleton=COCO,
            keypoints=keypoints,
            boxes_xyxy=np.array([[10.0, 10, 50, 50]]),
            keypoint_scores=scores,
            visibility_scores=scores,
            instance_scores=np.array([0.5]),
        )


@pytest.mark.parametrize(
    ("name", "params", "key"),
    [
        ("evaluate_poses", {"gt_field": "gt"}, "message"),
        ("calibrate", {"gt_field": "gt", "kind": "platt"}, "message"),
        ("evaluate_poses", {"gt_field": "nothing"}, "error"),
        ("set_up_colours", {}, "message"),
    ],
)
def test_what_a_run_with_progress_did_stays_on_the_screen(person_dataset, name, params, key):
    *_, progress, notice, answer = started(person_dataset(), name, pred_field="pred", **params)
    shown, told = (message.body.params for message in (progress, notice))
    assert shown == {"progress": 1.0, "label": answer[key]} and told["message"] == answer[key]


@pytest.mark.parametrize("name", ["flag_low_visibility", "set_up_colours"])  # one of each kind
def test_a_photo_that_is_open_is_shown_as_it_is_now(person_dataset, name):
    dataset = person_dataset()
    request = {"dataset_name": dataset.name, "params": {"pred_field": "pred"}, "current_sample": dataset.first().id}
    executor, uri = Executor(), f"{PLUGIN}/{name}"
    answer = foo.get_operator(uri).execute(ExecutionContext(request, executor=executor, operator_uri=uri))
    list(answer)  # of a generator
    asked = {message["operator_uri"]: message["params"] for message in executor.to_json()["requests"]}
    (shown,) = asked[f"{PLUGIN}/show_samples"]["samples"]
    assert shown["_id"] == dataset.first().id
    if name == "flag_low_visibility":
        assert len(shown["pred_low_vis"]["keypoints"]) == len(dataset.first().pred_low_vis.keypoints)


@pytest.fixture
def photos(new_dataset, tmp_path):
    samples = []
    for index in range(3):
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.full((60, 80, 3), 40 * index, np.uint8)).save(path)
        samples.append(fo.Sample(str(path)))
    return new_dataset(*samples)


def test_a_prediction_that_is_cancelled_in_the_app_is_kept_and_goes_on(photos, monkeypatch):
    monkeypatch.setattr(predict, "shared_predictor", lambda name, checkpoint: Painter())
    steps = started(photos, "predict_poses", pred_field="pred")
    next(steps)
    next(steps)
    steps.close()
    photos.reload()
    assert photos.count("pred.keypoints") == 2 and photos.last().pred is None
    *_, answer = started(photos, "predict_poses", pred_field="pred")
    assert (answer["photos"], answer["persons"]) == (1, 1) and photos.count("pred_joints.keypoints") == 3 * 17
    fields = list(photos.get_field_schema())
    assert fields.index("pred_joints") < fields.index("pred")  # an open app draws what comes first on top


def test_photos_that_are_all_missing_are_a_sentence(new_dataset, monkeypatch):
    monkeypatch.setattr(predict, "shared_predictor", lambda name, checkpoint: Painter())
    dataset = new_dataset(fo.Sample("/nowhere/a.jpg"), fo.Sample("/nowhere/b.jpg"))
    before = contents(dataset)
    assert "Expected photos that can be read, got none" in error_of(dataset, "predict_poses", pred_field="pred")
    assert contents(dataset) == before


def corrected(dataset, label_id, position):
    """Save a refinement of somebody, as the Refine panel does."""
    person = find_person(dataset, "pred", label_id)
    keypoints = person.pose.keypoints.copy()
    keypoints[0] = position
    save_refinement(person, replace(person.pose, keypoints=keypoints, instance_score=0.9))


def test_a_prediction_does_not_take_corrections_away(photos):
    predict_poses(photos, "pred", Painter())
    label_id = photos.first().pred.keypoints[0].id
    run = predict_poses.steps(photos, "pred", Painter())
    next(run)
    corrected(photos, label_id, (33.0, 44.0))  # by somebody else, while the network runs
    with pytest.raises(ValueError, match=r'got 1 person in "pred" whose corrections would be lost'):
        list(run)
    with pytest.raises(ValueError, match="corrections would be lost; write to another field"):
        predict_poses(photos, "pred", Painter())
    assert photos.first().pred.keypoints[0].points[0] == pytest.approx([33 / 80, 44 / 60])
    predict_poses(photos[1:], "pred", Painter())  # photos without corrections
    predict_poses(photos, "pred", Painter(), replace_corrected=True)
    assert photos.first().pred.keypoints[0].id != label_id


def test_no_writer_takes_the_people_of_another_one(photos, tmp_path):
    paths, joints = photos.values("filepath"), [10.0, 20.0, 2] * len(COCO)
    labels = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 80, "height": 60} for n in range(len(paths))],
        "annotations": [{"id": 7, "image_id": 0, "category_id": 1, "keypoints": joints, "bbox": [5, 5, 20, 30]}],
        "categories": [person_category(COCO)],
    }
    predict_poses(photos, "pred", Painter())
    before = contents(photos)
    with pytest.raises(ValueError, match='got 3 people in "pred" whom no file brought and who would be lost'):
        import_coco(photos, labels, tmp_path, "pred")
    assert contents(photos) == before
    for _ in range(2):
        import_coco(photos, labels, tmp_path, "gt")  # what a file brought it may bring again
        predict_poses(photos, "pred", Painter())
    before = contents(photos)
    with pytest.raises(ValueError, match='got 1 person in "gt" whom no network predicted and who would be lost'):
        predict_poses(photos, "gt", Painter())
    photos.set_values("mine_boxes", [fo.Detections(detections=[fo.Detection(bounding_box=[0, 0, 1, 1])])] * 3)
    with pytest.raises(ValueError, match='got 3 people in "mine"'):
        predict_poses(photos, "mine", Painter())
    corrected(photos, photos.first().pred.keypoints[0].id, (33.0, 44.0))
    with pytest.raises(ValueError, match='got 1 person in "pred" whose corrections would be lost'):
        import_coco(photos, labels, tmp_path, "pred")
    import_coco(photos, labels, tmp_path, "pred", replace=True)
    assert photos.count("pred.keypoints") == 1


@pytest.mark.parametrize(
    ("key", "field", "choice", "asks"),
    [
        ("import_coco", "field", "replace", "Replace 3 people whom no file brought in “pred”: they are lost then"),
        ("predict_poses", "pred_field", "replace_corrected", None),
    ],
)
def test_a_form_asks_before_people_of_another_source_are_replaced(photos, key, field, choice, asks):
    predict_poses(photos, "pred", Painter())
    request = {"dataset_name": photos.name, "params": {field: "pred"}}
    context = ExecutionContext(request, executor=Executor(), operator_uri=f"@clickpose/pose_review/{key}")
    form = foo.get_operator(f"@clickpose/pose_review/{key}").resolve_input(context).type.properties
    assert (form[choice].view.label if choice in form else None) == asks


def test_two_users_who_correct_two_people_of_a_photo_lose_nothing(photos, monkeypatch):
    predict_poses(photos, "pred", Painter())
    sample = photos.first()
    sample.pred.keypoints.append(sample.pred.keypoints[0].copy())
    sample.save()
    first, second = (person.id for person in photos.first().pred.keypoints)
    mine = find_person(photos, "pred", first)
    elsewhere = [[0.5, 0.5]] * 17  # written by another process: this one's samples in memory do not know
    photos._sample_collection.update_one(
        {"_id": sample._id},
        {"$set": {"pred.keypoints.$[p].points": elsewhere, "pred.keypoints.$[p].refinement_history": "[{}]"}},
        array_filters=[{"p._id": sample.pred.keypoints[1]._id}],
    )
    keypoints = mine.pose.keypoints + 2
    save_refinement(mine, replace(mine.pose, keypoints=keypoints, instance_score=0.9))
    stored = {str(p["_id"]): p for p in photos._sample_collection.find_one({"_id": sample._id})["pred"]["keypoints"]}
    np.testing.assert_allclose(stored[first]["points"], keypoints / (80, 60))
    assert stored[second]["points"] == elsewhere and stored[second]["refinement_history"] == "[{}]"


def test_two_users_who_calibrate_and_flag_at_once_leave_whole_columns(person_dataset):
    dataset = person_dataset((3,) * 10, noise=4.0)
    other = fo.load_dataset(dataset.name)
    columns = PersonColumns(other, "pred")
    calibrate(dataset, kind="temperature")
    columns.write_all({"quality": np.arange(30.0)})  # read before, written after
    calibrated = PersonColumns(dataset, "pred")
    assert np.isfinite(calibrated.joints("keypoint_oks")).all()
    assert calibrated.scalars("quality").tolist() == list(range(30))
    assert dataset.values("min_pred_oks") == [min(people) for people in dataset.values("pred.keypoints.pred_oks")]


def test_a_discarded_correction_no_longer_stands_in_the_way(photos):
    predict_poses(photos, "pred", Painter())
    corrected(photos, photos.first().pred.keypoints[0].id, (33.0, 44.0))
    assert refinement.discard_refinements(photos) == 1
    assert predict_poses(photos, "pred", Painter()).persons == 3


def test_a_slice_of_a_grouped_dataset_is_refused_before_the_network_runs_and_its_copy_is_not(new_dataset, tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (80, 60)).save(path)
    dataset = new_dataset()
    dataset.add_group_field("group", default="left")
    dataset.add_sample(fo.Sample(str(path), group=fo.Group().element("left")))
    photos = dataset.select_group_slices("left")
    with pytest.raises(ValueError, match=r"slice of a grouped one; make a dataset of it: \.clone\(\)"):
        predict_poses(photos, "pred", None)
    assert "pred" not in dataset.get_field_schema()
    copied = photos.clone()
    try:
        assert predict_poses(copied, "pred", Painter()).photos == 1 and copied.count("pred.keypoints") > 0
    finally:
        copied.delete()


def test_frames_are_refused_before_the_network_runs(new_dataset):
    video = fo.Sample("/nowhere/video.mp4")
    video.frames[1] = fo.Frame(filepath="/nowhere/video/1.jpg")
    frames = new_dataset(video).to_frames(sample_frames=False)
    with pytest.raises(ValueError, match=r"got frames of videos.*\.clone\(\)"):
        predict_poses(frames, "pred", None)


def test_a_network_of_other_joints_is_a_sentence(photos):
    predict_poses(photos, "pred", Painter())
    person = find_person(photos, "pred", photos.first().pred.keypoints[0].id)
    other = Painter()
    other.skeleton = SKELETONS["mpii"]
    with pytest.raises(ValueError, match=r"network with the 17 joints of the pose \(coco\), got .* with 16 \(mpii\)"):
        refined_pose(person, [("left_wrist", 30.0, 30.0)], other)
