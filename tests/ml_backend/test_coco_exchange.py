"""Label Studio tasks <-> COCO keypoints, on values."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickpose.data.coco_categories import person_category
from clickpose.skeleton import COCO
from clickpose_labelstudio.coco_exchange import coco_results_to_tasks, coco_to_tasks, tasks_to_coco
from clickpose_labelstudio.codec import decode_result
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.references import reference_to
from clickpose_labelstudio.region_items import CodecError

CONFIG = parse_labeling_config(build_labeling_config())


def person(annotation_id, image_id, keypoints, visibility, bbox):
    triples = [[x, y, v] if v else [0, 0, 0] for (x, y), v in zip(keypoints, visibility, strict=True)]
    return {
        "id": annotation_id, "image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": list(bbox),
        "keypoints": [number for triple in triples for number in triple],
        "num_keypoints": sum(1 for v in visibility if v), "area": bbox[2] * bbox[3],
    }  # fmt: skip


def coco_file(annotations, images=({"id": 42, "file_name": "a/b.jpg", "width": 640, "height": 480},)):
    category = person_category(COCO)
    return {"images": list(images), "annotations": annotations, "categories": [category]}


def two_people():
    rng = np.random.default_rng(5)
    first = person(1, 42, rng.uniform(0, 480, (17, 2)).tolist(), [0, 1, 2] * 5 + [1, 2], (10.25, 20.5, 300.125, 400))
    second = person(2, 42, rng.uniform(0, 480, (17, 2)).tolist(), [2, 0, 1] * 5 + [0, 1], (1 / 3, 2.5, 100.7, 77.7))
    return coco_file([first, second])


def exported(tasks):
    """Return the tasks as Label Studio exports them: through JSON, with ids."""
    tasks = json.loads(json.dumps(tasks))
    for number, task in enumerate(tasks, 1):
        task["id"] = number
        for entry in task.get("annotations", []):
            entry.update(id=100 + number, was_cancelled=False, updated_at="2026-01-01T00:00:00Z")
    return tasks


def assert_same_labels(found, wanted):
    assert [annotation["image_id"] for annotation in found] == [annotation["image_id"] for annotation in wanted]
    for new, old in zip(found, wanted, strict=True):
        np.testing.assert_allclose(new["keypoints"], old["keypoints"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(new["bbox"], old["bbox"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(new["area"], old["area"], rtol=1e-9)
        assert (new["num_keypoints"], new["iscrowd"], new["category_id"]) == (old["num_keypoints"], 0, 1)
        assert new["keypoints"][2::3] == old["keypoints"][2::3]


@pytest.mark.parametrize(("kind", "source"), [("annotations", "newest"), ("predictions", "prediction")])
def test_round_trip_of_two_people_is_the_identity(kind, source):
    coco = two_people()
    tasks = coco_to_tasks(coco, CONFIG, kind=kind, reference=lambda name: f"/data/local-files/?d=photos/{name}")
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=photos/a/b.jpg"
    back = tasks_to_coco(exported(tasks), CONFIG, source=source)
    (image,) = back["images"]
    assert {key: image[key] for key in ("id", "file_name", "width", "height")} == coco["images"][0]
    assert_same_labels(back["annotations"], coco["annotations"])
    assert back["categories"][0]["keypoints"] == list(COCO.names)
    assert [annotation["label_studio"]["region"] for annotation in back["annotations"]] == ["cp-1", "cp-2"]


def test_two_annotators_work_on_one_image_comes_back_as_four_people():
    (task,) = exported(coco_to_tasks(two_people(), CONFIG, kind="annotations"))
    task["annotations"].append({**task["annotations"][0], "id": 7})
    coco = tasks_to_coco([task], CONFIG, source="all")
    (again,) = coco_to_tasks(coco, CONFIG, kind="annotations")
    regions = [item["id"] for item in again["annotations"][0]["result"] if item["type"] == "rectanglelabels"]
    assert regions == ["cp-1", "cp-2", "cp-3", "cp-4"]
    assert_same_labels(tasks_to_coco(exported([again]), CONFIG)["annotations"], coco["annotations"])


def test_score_of_the_last_refinement_is_exported():
    (task,) = exported(coco_to_tasks(two_people(), CONFIG, kind="annotations"))
    eye = next(item for item in task["annotations"][0]["result"] if item["id"] == "cp-1-left_eye")
    eye.update(score=0.3, meta={"predicted_oks": 0.8, "text": ["note"]})
    found = tasks_to_coco([task], CONFIG)["annotations"][0]
    assert found["keypoint_scores"] == [0, 0.8] + [0] * 15


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.floats(0, 640), st.floats(0, 480)), min_size=17, max_size=17),
            st.lists(st.integers(0, 2), min_size=17, max_size=17),
            st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(0.01, 40), st.floats(0.01, 80)),
        ),
        max_size=3,
    )
)
@settings(deadline=None)
def test_round_trip_of_anybody_is_the_identity(people):
    coco = coco_file([person(number, 42, *labels) for number, labels in enumerate(people, 1)])
    back = tasks_to_coco(exported(coco_to_tasks(coco, CONFIG, kind="annotations")), CONFIG)
    for new, old in zip(back["annotations"], coco["annotations"], strict=True):
        np.testing.assert_allclose(new["keypoints"], old["keypoints"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(new["bbox"], old["bbox"], rtol=0, atol=1e-9)


def test_second_round_trip_keeps_ids_and_touched():
    tasks = exported(coco_to_tasks(two_people(), CONFIG, kind="annotations"))
    once = tasks_to_coco(tasks, CONFIG)
    twice = tasks_to_coco(exported(coco_to_tasks(once, CONFIG, kind="annotations")), CONFIG)
    assert [a["label_studio"]["region"] for a in twice["annotations"]] == ["cp-1", "cp-2"]
    assert twice["annotations"][0]["label_studio"]["touched"] == [
        name for name, v in zip(COCO.names, once["annotations"][0]["keypoints"][2::3], strict=True) if v
    ]


def test_pycocotools_reads_the_export():
    coco_tools = pytest.importorskip("pycocotools.coco")
    back = tasks_to_coco(exported(coco_to_tasks(two_people(), CONFIG, kind="annotations")), CONFIG)
    index = coco_tools.COCO()
    index.dataset = back
    index.createIndex()
    assert sorted(index.getAnnIds(imgIds=[42])) == [1, 2]
    assert index.loadCats([1])[0]["skeleton"][0] == [16, 14]


def saved_task(**changes):
    (task,) = exported(coco_to_tasks(two_people(), CONFIG, kind="annotations"))
    return {**task, **changes}


def one_keypoint(x, **changes):
    return {
        "id": "cp-1-nose", "from_name": "keypoint", "to_name": "image", "type": "keypointlabels",
        "original_width": 640, "original_height": 480, "value": {"x": x, "y": 10, "keypointlabels": ["nose"]},
        **changes,
    }  # fmt: skip


def test_newest_annotation_that_was_not_cancelled_is_exported():
    entries = [
        {"id": 1, "result": [one_keypoint(10)], "updated_at": "2026-01-02T00:00:00Z"},
        {"id": 2, "result": [one_keypoint(20)], "updated_at": "2026-01-03T00:00:00Z"},
        {"id": 3, "result": [one_keypoint(30)], "updated_at": "2026-01-04T00:00:00Z", "was_cancelled": True},
    ]
    task = saved_task(annotations=entries)
    (newest,) = tasks_to_coco([task], CONFIG)["annotations"]
    assert newest["keypoints"][:3] == [128, 48, 2]
    assert newest["label_studio"]["annotation"] == 2
    everything = tasks_to_coco([task], CONFIG, source="all")
    assert [annotation["keypoints"][0] for annotation in everything["annotations"]] == [64, 128]
    assert len(everything["images"]) == 1


def test_tasks_without_annotations_are_left_out_and_empty_images_kept():
    empty = saved_task(id=8, annotations=[{"id": 1, "result": []}], data={"image": "a.jpg"})
    skipped = saved_task(id=9, annotations=[])
    back = tasks_to_coco([empty, skipped], CONFIG)
    assert [image["label_studio"]["task"] for image in back["images"]] == [8]
    assert "width" not in back["images"][0]
    assert back["annotations"] == []


@pytest.mark.parametrize("kind", ["predictions", "annotations"])
def test_photo_without_people_comes_back_although_no_region_tells_its_size(kind):
    task = {"id": 3, "data": {"image": "/data/upload/a.jpg"}, "annotations": [{"id": 1, "result": []}]}
    (back,) = coco_to_tasks(tasks_to_coco([task], CONFIG), CONFIG, kind=kind, reference=lambda name: f"/x/{name}")
    assert back["data"]["image"] == "/x/a.jpg"
    assert [entry["result"] for entry in back[kind]] == [[]]
    (empty,) = coco_results_to_tasks([], [{"id": 3, "file_name": "a.jpg"}], CONFIG)
    assert (empty["predictions"][0]["result"], empty["predictions"][0]["score"]) == ([], 1.0)


def test_region_that_is_nobodys_goes_along_with_its_image():
    result = [
        one_keypoint(1),
        one_keypoint(2, id="x", value={"x": 2, "y": 2, "keypointlabels": ["tail"]}, parentID="cp-1"),
    ]
    (image,) = tasks_to_coco([saved_task(annotations=[{"result": result}])], CONFIG)["images"]
    assert [item["id"] for item in image["label_studio"]["unassigned"]] == ["x"]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("/data/local-files/?d=kp/000%20a.png", "kp/000 a.png"),
        ("/data/upload/3/22ef5c30-002.png", "22ef5c30-002.png"),
        ("https://example.org/a/b%20c.jpg?size=1", "a/b c.jpg"),
        ("s3://bucket/folder/a.jpg", "folder/a.jpg"),
        ("data:image/png;base64,AAAA", "1"),
    ],
)
def test_file_name_is_read_from_the_reference(reference, name):
    task = saved_task(data={"image": reference})
    (image,) = tasks_to_coco([task], CONFIG)["images"]
    assert (image["file_name"], image["id"]) == (name, 1)
    assert ("image" in image["label_studio"]) == (not reference.startswith("data:"))


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"a": 1}, "Expected a list of tasks"),
        ([{"image": "a.png", "kp": []}], "data in task 0, as in Label Studio's JSON export"),
        ([saved_task(annotations=3)], "annotations of task 1 to be a list"),
        ([saved_task(data={})], r"Task 1 cannot be exported: .*reads its image from \$image"),
        ([saved_task(annotations=[{"result": {}}])], "Task 1 cannot be exported: Expected a result"),
        (
            [saved_task(annotations=[{"result": [one_keypoint("a")]}])],
            r"Task 1 cannot .*value\.x of region 'cp-1-nose'",
        ),
        (
            [saved_task(annotations=[{"result": [one_keypoint(1, original_width=None)]}], data={"image": "a.jpg"})],
            "Task 1 cannot be exported: Expected original_width",
        ),
        ([saved_task(), saved_task()], "tasks with different ids, got several with 42"),
    ],
)
def test_export_that_cannot_be_read_says_why(tasks, message):
    with pytest.raises(CodecError, match=message):
        tasks_to_coco(tasks, CONFIG)


def test_joints_are_matched_by_name():
    coco = coco_file([{"id": 3, "image_id": 42, "category_id": 7, "bbox": [0, 0, 9, 9],
                       "keypoints": [1, 2, 2, 3, 4, 1, 5, 6, 2]}])  # fmt: skip
    coco["categories"] = [{"id": 7, "name": "human", "keypoints": ["RWrist", "tail", "nose"]}, {"id": 8, "name": "dog"}]
    coco["annotations"].append({"id": 4, "image_id": 42, "category_id": 8, "bbox": [0, 0, 5, 5]})
    (task,) = coco_to_tasks(coco, CONFIG, kind="annotations")
    labels = decode_result(task["annotations"][0]["result"], CONFIG).annotations
    assert np.flatnonzero(labels.visibility[0]).tolist() == [COCO.index("nose"), COCO.index("right_wrist")]
    np.testing.assert_allclose(labels.keypoints[0, COCO.index("right_wrist")], [1, 2])
    np.testing.assert_allclose(labels.keypoints[0, COCO.index("nose")], [5, 6])


def test_crowds_are_not_drawn_and_persons_without_keypoints_are():
    coco = two_people()
    coco["annotations"][0]["iscrowd"] = 1
    coco["annotations"][1] = {"id": 2, "image_id": 42, "category_id": 1, "bbox": [1, 2, 3, 4]}
    (task,) = coco_to_tasks(coco, CONFIG, notes=(notes := Counter()))
    (item,) = task["predictions"][0]["result"]
    assert (item["id"], item["type"]) == ("cp-2", "rectanglelabels")
    assert notes == {"crowds not drawn, but back on export": 1}


def test_predictions_are_clipped_to_the_image_and_annotations_are_not():
    keypoints = [[700.0, -3.0]] + [[1.0, 1.0]] * 16
    coco = coco_file([person(1, 42, keypoints, [2] * 17, (600, 400, 100, 100))])
    (predicted,) = coco_to_tasks(coco, CONFIG)
    values = [item["value"] for item in predicted["predictions"][0]["result"]]
    assert (values[0]["x"], values[0]["y"]) == (100, 0)
    assert values[-1]["x"] + values[-1]["width"] == pytest.approx(100)
    (annotated,) = coco_to_tasks(coco, CONFIG, kind="annotations")
    assert annotated["annotations"][0]["result"][0]["value"]["x"] == pytest.approx(109.375)
    assert {item["origin"] for item in annotated["annotations"][0]["result"]} == {"manual"}
    assert {item["origin"] for item in predicted["predictions"][0]["result"]} == {"prediction"}


def test_results_keep_their_scores():
    keypoints = np.column_stack([np.arange(17) + 1.0, np.arange(17) + 2.0, np.linspace(0.1, 0.9, 17)])
    keypoints[3] = 0
    results = [
        {"image_id": 42, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "score": 0.625,
         "keypoint_scores": keypoints[:, 2].tolist()},
        {"image_id": 42, "keypoints": keypoints.ravel().tolist(), "score": 0.5, "bbox": [1, 1, 50, 60],
         "keypoint_scores": [0.25] * 17, "visibility_scores": [0.2] + [0.9] * 16},
    ]  # fmt: skip
    (task,) = coco_results_to_tasks(results, two_people()["images"], CONFIG)
    (prediction,) = task["predictions"]
    assert prediction["score"] == 0.5
    exported_task = {**task, "id": 1}
    first, second = tasks_to_coco([exported_task], CONFIG, source="prediction")["annotations"]
    np.testing.assert_allclose(np.reshape(first["keypoints"], (17, 3))[:, :2], keypoints[:, :2], atol=1e-9)
    assert first["keypoint_scores"] == keypoints[:, 2].tolist()
    np.testing.assert_allclose(first["bbox"], [1 - 1.6, 2 - 1.6, 1.2 * 16, 1.2 * 16], atol=1e-9)
    assert (first["num_keypoints"], first["score"], second["score"]) == (16, 0.625, 0.5)
    assert second["keypoint_scores"][0] == 0.25
    assert second["keypoints"][2] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "with a list of images in my.json, got one without"),
        ({"annotations": [3]}, "objects as annotations in my.json, got 3 at place 0"),
        ({"images": [{"id": 42, "file_name": "a"}]}, "width and height in pixels in image 42 of my.json"),
        ({"images": [{"id": 42, "file_name": "a", "width": "640"}]}, "as height in image 42 of my.json"),
        ({"images": [{"id": 42}]}, "a file_name in image 42 of my.json, got none"),
        ({"images": [{"id": 1, "file_name": "a"}] * 2}, "images of my.json with different ids, got 1"),
        (
            {"images": [{"id": i, "file_name": "a\\b.jpg" if i else "a/b.jpg"} for i in (0, 42)]},
            r"different photos in my.json, got a\\b.jpg for the images 0 and 42",
        ),
        ({"annotations": [{"id": 5, "image_id": 43, "category_id": 1}]}, "image 43 of annotation 5 of my.json, got no"),
        (
            {"categories": [{"id": 1, "name": "x", "keypoints": ["tail"]}]},
            "Expected the joints .* in my.json, got tail",
        ),
        (
            {"categories": [{"id": 1, "name": "dog", "keypoints": ["nose", "left_eye", "tail"]}]},
            "Expected the joints .* in my.json, got nose, left_eye, tail",
        ),
        (
            {"annotations": [{"id": 5, "image_id": 42, "category_id": 1, "keypoints": [1, 2]}]},
            "51 numbers of keypoints .* in annotation 5 of my.json, got 2",
        ),
        (
            {"annotations": [{"id": 5, "image_id": 42, "category_id": 1, "keypoints": [1, 2, 7] * 17}]},
            "visibility of 0, 1 or 2 in annotation 5 of my.json, got 7",
        ),
        (
            {"annotations": [{"id": 5, "image_id": 42, "category_id": 1, "keypoints": [1, 2, 2] * 17, "score": 87}]},
            "0..1 as score of .*my.json, got 87; percent",
        ),
    ],
)
def test_coco_file_that_cannot_be_read_says_why(change, message):
    with pytest.raises(ValueError, match=message):
        coco_to_tasks({**two_people(), **change}, CONFIG, file="my.json", reference=partial(reference_to, "x/"))


def test_results_that_cannot_be_read_say_why():
    images = two_people()["images"]
    for change, message in (
        ({"keypoints": [1, 2, 3]}, "51 numbers of keypoints .* in the result at place 0 of r.json, got 3"),
        ({"score": "high"}, "finite number as score in the result at place 0 of r.json, got 'high'"),
        ({"score": None}, "finite number as score in the result at place 0 of r.json, got none"),
        ({"score": 87}, "0..1 as score of the result at place 0 of r.json, got 87; percent"),
        ({"image_id": 43}, "image 43 of the result at place 0 of r.json, got no such image$"),
        ({"image_id": "42"}, "image '42' of the result at place 0 of r.json, got .*; ids of images are numbers there"),
        ({"keypoints": [1, 2, 60] * 17}, "0..1 as third numbers .* got 60; percent"),
    ):
        result = {"image_id": 42, "keypoints": [1, 2, 1] * 17, "score": 0.5, **change}
        with pytest.raises(ValueError, match=message):
            coco_results_to_tasks([result], images, CONFIG, file="r.json", images_file="gt.json")


def test_results_beside_a_file_of_another_order_stand_in_the_skeletons():
    swapped = [COCO.names[joint] for joint in COCO.flip_indices]  # every right joint before the left one
    keypoints = [number for joint in range(17) for number in (10.0 * joint + 5, 20.0, 0.5)]
    result = {"image_id": 42, "category_id": 1, "keypoints": keypoints, "score": 0.5}
    notes = Counter()
    category = {**person_category(COCO), "keypoints": swapped}
    tasks = coco_results_to_tasks(
        [result], two_people()["images"], CONFIG, categories=[category], images_file="gt.json", notes=notes
    )
    assert sum("in another order, matched by name" in what for what in notes) == 1
    left_wrist = next(
        item["value"] for item in tasks[0]["predictions"][0]["result"]
        if item["type"] == "keypointlabels" and item["value"]["keypointlabels"] == ["left_wrist"]
    )  # fmt: skip
    assert left_wrist["x"] == pytest.approx(100 * (10 * COCO.index("left_wrist") + 5) / 640)
    back = tasks_to_coco([{**tasks[0], "id": 1}], CONFIG, source="prediction")
    assert back["categories"][0]["keypoints"] == list(COCO.names)
    np.testing.assert_allclose(back["annotations"][0]["keypoints"][::3], keypoints[::3], atol=1e-9)


def test_what_results_say_is_counted_once_and_their_ids_are_their_own():
    result = {"id": 1, "image_id": 42, "keypoints": [9.0, 9.0, 1] * 17, "score": 0.5, "bbox": [1, 2, 30, 40]}
    over = {**result, "score": 1.1, "keypoint_scores": [1.1] + [0.5] * 16}
    under = {**result, "keypoint_scores": [0.5] * 17}
    notes = Counter()
    tasks = coco_results_to_tasks([over, under], two_people()["images"], CONFIG, notes=notes)
    assert notes == {"confidences above 1 (overshoot of a heatmap), taken as 1": 2}  # a person's and a joint's
    scores = [item["score"] for item in tasks[0]["predictions"][0]["result"] if item["type"] == "rectanglelabels"]
    assert scores == [1.0, 0.5]


def test_joints_that_the_project_lacks_are_said():
    coco = two_people()
    coco["categories"][0]["keypoints"][16] = "hat"
    notes = Counter()
    coco_to_tasks(coco, CONFIG, notes=notes)
    assert notes["joints of category 1 that coco lacks, left out: hat"] == 1


@pytest.mark.parametrize(("function", "options"), [(tasks_to_coco, {"source": "best"}), (coco_to_tasks, {"kind": "x"})])
def test_options_are_checked(function, options):
    argument = [saved_task()] if function is tasks_to_coco else two_people()
    with pytest.raises(ValueError, match=r"Expected (source|kind) to be"):
        function(argument, CONFIG, **options)


@pytest.mark.parametrize("place", ["task", "annotation", "a region that is nobody's"])
def test_a_number_that_json_cannot_say_is_not_exported(place):
    task = saved_task()
    (entry,) = task["annotations"]
    if place == "a region that is nobody's":
        entry["result"].append({**entry["result"][0], "meta": {"far": float("inf")}})  # doubles a joint
    else:
        (task if place == "task" else entry)["id"] = float("nan")
    with pytest.raises(CodecError, match="cannot be exported: Expected finite numbers"):
        tasks_to_coco([task], CONFIG)


def test_a_score_is_clipped_however_large():
    task, scores = saved_task(), itertools.cycle([10**400, -(10**400), float("nan"), 0.5])
    for item in task["annotations"][0]["result"]:
        item["score"] = next(scores)
    coco = tasks_to_coco([task], CONFIG)
    assert {score for person in coco["annotations"] for score in person["keypoint_scores"]} <= {0.0, 0.5, 1.0}


# What stands in for a value somewhere in a file that somebody else has written.
leaves = st.one_of(st.none(), st.booleans(), st.integers(-(10**400), 10**400), st.floats(), st.text(max_size=5))
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@st.composite
def damaged(draw, value):
    """A JSON value with one to three places replaced or dropped."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = None, None
        inner = value
        while isinstance(inner, dict | list) and inner and (holder is None or draw(st.booleans())):
            holder, key = inner, draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            inner = holder[key]
        if holder is None:  # nothing is left
            break
        if draw(st.booleans()):
            holder[key] = draw(anything)
        else:
            del holder[key]
    return value


@pytest.mark.slow
@settings(deadline=None, max_examples=300, derandomize=True)
@given(coco=damaged(two_people()), kind=st.sampled_from(["predictions", "annotations"]))
def test_damaged_coco_files_are_read_or_refused_with_a_sentence(coco, kind):
    try:
        tasks = coco_to_tasks(coco, CONFIG, kind=kind)
    except ValueError as error:
        assert str(error)
    else:
        json.dumps(tasks, allow_nan=False)


@pytest.mark.slow
@settings(deadline=None, max_examples=300, derandomize=True)
@given(results=damaged([{"image_id": 42, "keypoints": [9.5] * 51, "score": 0.5, "bbox": [1, 2, 30, 40]}] * 2))
def test_damaged_results_are_read_or_refused_with_a_sentence(results):
    try:
        tasks = coco_results_to_tasks(results, coco_file([])["images"], CONFIG)
    except ValueError as error:
        assert str(error)
    else:
        json.dumps(tasks, allow_nan=False)


@pytest.mark.slow
@settings(deadline=None, max_examples=200, derandomize=True)
@given(tasks=damaged(exported(coco_to_tasks(two_people(), CONFIG, kind="annotations"))))
def test_damaged_exports_are_read_or_refused_with_a_sentence(tasks):
    try:
        coco = tasks_to_coco(tasks, CONFIG)
    except ValueError as error:
        assert str(error)
    else:
        json.dumps(coco, allow_nan=False)
