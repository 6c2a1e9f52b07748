"""COCO -> Label Studio -> COCO: what came in goes out, to the last digit; what a human changed is changed."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickpose.data.coco_categories import person_category
from clickpose.skeleton import COCO
from clickpose_labelstudio.carried import KEY, MAX_CHARACTERS, unpack
from clickpose_labelstudio.coco_exchange import coco_results_to_tasks, coco_to_tasks, tasks_to_coco
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.region_items import CodecError

CONFIG = parse_labeling_config(build_labeling_config())
NAMES = [*COCO.names[5:], *COCO.names[:5]]  # the file's order is another
WIDTH, HEIGHT = 641, 479
PERSON = {
    "id": 7,
    "name": "person",
    "supercategory": "human",
    "keypoints": NAMES,
    "skeleton": [[1, 2]],
    "colour": "red",
}
DOG = {"id": 1, "name": "dog", "keypoints": ["nose", "left_eye", "tail"], "skeleton": []}
CAR = {"id": "car", "name": "car"}
LEFT_SHOULDER, NOSE = 0, 12  # places in the file's order


def triples(seed, flags=(2, 1, 2)):
    """17 joints in the file's order, with all digits; the fourth not labelled but placed, the fifth absent."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(1 / 3, [WIDTH - 1, HEIGHT - 1], (17, 2)).tolist()
    numbers = [number for n, (x, y) in enumerate(points) for number in (x, y, flags[n % len(flags)])]
    numbers[9:15] = [12.5, 40, 0, 0, 0, 0]
    return numbers


def person(id_, image_id, seed, **more):
    box = [10.1 + seed, 20.2, 100.123456789, 200 / 7]
    entry = {"id": id_, "image_id": image_id, "category_id": 7, "iscrowd": 0, "num_keypoints": 15, "bbox": box,
             "area": round(0.37 * box[2] * box[3], 3), "keypoints": triples(seed),
             "segmentation": [[10.5, 20, 100.25, 20, 60, 200.125]],
             "attributes": {"été": [1, None, True, "s3://x/y"]}}  # fmt: skip
    return {**entry, **more}


def full_file():
    """Everything that files hold: text ids, crowds, other categories, what cannot be drawn, fields of others."""
    rle = {"counts": [10, 20, 1000], "size": [HEIGHT, WIDTH]}
    annotations = [
        person("p-1/é", "b", 1),
        {"id": 78, "image_id": "a", "category_id": 7, "bbox": [480, 200, 150, 120], "area": 9000.0, "iscrowd": 1,
         "num_keypoints": 0, "keypoints": [0] * 51, "segmentation": rle},
        person(9007, "a", 2, score=0.123456789012345, keypoint_scores=[n / 17 for n in range(17)]),
        {"id": 5, "image_id": "b", "category_id": 1, "bbox": [1, 2, 3, 4], "keypoints": [5, 6, 2, 0, 0, 0, 7, 8, 1]},
        person(9002, "a", 3, num_keypoints=0),  # ignored by COCO, though joints are labelled
        person("9002", "b", 4, area=0.1 + 0.2, segmentation=rle, iscrowd=False),
        {"id": 6, "image_id": "a", "category_id": "car", "bbox": [1.5, 2, 3, 4], "area": 12},
        {"id": 77, "image_id": "a", "category_id": 7, "bbox": [400, 100, 60, 150], "area": 2700.5, "iscrowd": 0,
         "num_keypoints": 0, "keypoints": [0] * 51},
        {"id": 4, "image_id": "a", "category_id": 7, "bbox": [200, 50.75, 100, 300], "area": 1},
        {"id": 3, "image_id": "c", "category_id": 7, "keypoints": triples(6), "area": 77.25, "num_keypoints": 15},
        {"id": 2, "image_id": "a", "category_id": 7, "area": 1.0, "iscrowd": 0},  # neither box nor joint
        person(12, "c", 7, bbox=[-300, 50, 120, 300], keypoints=[0] * 51),  # outside the photo
        person(13, "c", 8, bbox=[-20.5, 400, 100, 300.25], keypoints=[-3.25, 500.125, 2, *triples(8)[3:]]),
    ]  # fmt: skip
    images = [
        {"id": "b", "file_name": "x/été 1.jpg", "width": WIDTH, "height": float(HEIGHT), "license": 3},
        {"id": "empty", "file_name": "x\\leer.jpg", "date_captured": "2026-01-01"},
        {"id": "a", "file_name": "y/été 1.jpg", "width": WIDTH, "height": HEIGHT, "coco_url": "https://e.org/?a=1&b=2"},
        {"id": "c", "file_name": "c.jpg", "width": WIDTH, "height": HEIGHT},
    ]
    info = {"year": 2026, "description": "all kinds"}
    return {
        "info": info,
        "images": images,
        "annotations": annotations,
        "categories": [CAR, PERSON, DOG],
        "licenses": [],
    }


def saved(tasks, accept=True):
    """Return tasks as Label Studio exports them: through JSON, with ids, predictions accepted, in another order."""
    tasks = json.loads(json.dumps(tasks))
    for number, task in enumerate(tasks, 101):
        task["id"] = number
        if accept and "annotations" not in task:
            task["annotations"] = [{"result": entry["result"]} for entry in task["predictions"]]
        for entry in task.get("annotations", []):
            entry.update(id=1000 + number, was_cancelled=False, updated_at="2026-01-01T00:00:00Z")
    random.Random(3).shuffle(tasks)
    return tasks


def without_provenance(coco):
    """Return a file without what an export adds."""
    lists = {name: [{k: v for k, v in e.items() if k != "label_studio"} for e in coco[name]]
             for name in ("images", "annotations")}  # fmt: skip
    return {**coco, **lists}


def as_text(coco):
    """Return the file as text, key by key: 640.0 is not 640, true is not 1."""
    return json.dumps(coco, sort_keys=True, ensure_ascii=False)


def round_trip(coco, kind="annotations", notes=None, change=lambda tasks: None):
    tasks = saved(coco_to_tasks(coco, CONFIG, kind=kind))
    change(tasks)
    return tasks_to_coco(tasks, CONFIG, notes=notes)


@pytest.mark.parametrize("kind", ["annotations", "predictions"])
def test_the_way_to_label_studio_and_back_is_the_identity(kind):
    coco = full_file()
    back = round_trip(copy.deepcopy(coco), kind)
    assert as_text(without_provenance(back)) == as_text(coco)
    drawn = {annotation["id"] for annotation in back["annotations"] if "label_studio" in annotation}
    assert drawn == {"p-1/é", 9007, 9002, "9002", 77, 4, 3, 13} | ({12} if kind == "annotations" else set())


def test_a_second_round_trip_is_the_identity_too():
    once = round_trip(full_file())
    twice = round_trip(once)
    assert as_text(without_provenance(twice)) == as_text(without_provenance(once))
    regions = [
        [a["label_studio"]["region"] for a in coco["annotations"] if "label_studio" in a] for coco in (once, twice)
    ]
    assert regions[0] == regions[1]


def test_import_says_what_is_not_drawn():
    coco_to_tasks(full_file(), CONFIG, notes=(notes := Counter()))
    assert notes == {
        "crowds not drawn, but back on export": 1,
        "annotations of other categories not drawn, but back on export": 2,
        "persons without a box or a joint not drawn, but back on export": 1,
        "persons outside their photo or of no size not drawn, but back on export": 1,
        "joints outside their photo moved to its border, where they were again on export": 1,
        "boxes cut at the border of their photo, whole again on export": 1,
        "boxes made around the joints of persons without one": 1,
    }


def test_average_precision_of_the_same_results_is_the_same():
    """Areas, crowds and ignored people decide which results count."""
    tools, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(1)
    category = {"id": 1, "name": "person", "keypoints": list(COCO.names)}
    truth = {"images": [], "annotations": [], "categories": [category]}
    results = []
    for number in range(1, 25):
        image_id = 100 - number
        if number % 3 == 0:
            truth["images"].append({"id": image_id, "file_name": f"{number}.jpg", "width": 640, "height": 480})
        image_id = truth["images"][-1]["id"] if truth["images"] else 97
        points = rng.uniform(20, 450, (17, 2))
        crowd = int(number % 7 == 0)
        flags = [0] * 17 if number % 5 == 0 else [2] * 17
        truth["annotations"].append({
            "id": number, "image_id": image_id, "category_id": 1, "iscrowd": crowd,
            "num_keypoints": sum(map(bool, flags)),
            "bbox": [10, 10, 200, 300], "area": float(rng.uniform(500, 40000)),
            "keypoints": [n for (x, y), v in zip(points.tolist(), flags, strict=True) for n in (x, y, v)],
        })  # fmt: skip
        noisy = points + rng.normal(0, 6, (17, 2))
        results.append({"image_id": image_id, "category_id": 1, "score": float(rng.uniform()),
                        "keypoints": [n for x, y in noisy.tolist() for n in (x, y, 1)]})  # fmt: skip
    truth["images"] = [{"id": 97, "file_name": "0.jpg", "width": 640, "height": 480},
                       *(i for i in truth["images"] if i["id"] != 97)]  # fmt: skip

    def figures(coco):
        with contextlib.redirect_stdout(io.StringIO()):
            index = tools.COCO()
            index.dataset = copy.deepcopy(coco)
            index.createIndex()
            found = evaluation.COCOeval(index, index.loadRes(copy.deepcopy(results)), "keypoints")
            found.evaluate()
            found.accumulate()
            found.summarize()
        return found.stats.tolist()

    assert 0.02 < figures(truth)[0] < 0.98
    assert figures(round_trip(truth)) == figures(truth)
    assert figures(round_trip(truth, "predictions")) == figures(truth)


def item_of(tasks, region):
    return next(item for task in tasks for item in task["annotations"][0]["result"] if item["id"] == region)


def changes_of(coco, change):
    """Return annotation id -> the fields that differ after a change in Label Studio."""
    back = without_provenance(round_trip(copy.deepcopy(coco), change=change))
    before = {annotation["id"]: annotation for annotation in coco["annotations"]}
    after = {annotation["id"]: annotation for annotation in back["annotations"]}
    differing = {
        id_: {
            k: after[id_].get(k)
            for k in {*after[id_], *before.get(id_, {})}
            if before.get(id_, {}).get(k) != after[id_].get(k)
        }
        for id_ in after
    }
    return {id_: fields for id_, fields in differing.items() if fields}


def test_a_moved_joint_changes_its_three_numbers_only():
    def move(tasks):
        item_of(tasks, "cp-9007-left_shoulder")["value"].update(x=50.0, y=25.0)

    changed = changes_of(full_file(), move)
    wanted = list(full_file()["annotations"][2]["keypoints"])
    wanted[:3] = [0.5 * WIDTH, 0.25 * HEIGHT, 2]
    assert list(changed) == [9007]
    assert changed[9007]["keypoints"] == pytest.approx(wanted, abs=1e-9)
    assert changed[9007]["keypoints"][3:] == wanted[3:]
    assert set(changed[9007]) == {"keypoints"}  # 15 labelled joints, as the file says: 15 of them


def test_joints_that_are_placed_removed_or_seen_otherwise_are_counted_anew():
    def edit(tasks):
        result = next(t for t in tasks if t["data"]["coco_image_id"] == "a")["annotations"][0]["result"]
        shoulder = item_of(tasks, "cp-9002-left_shoulder")
        result[:] = [item for item in result if item["id"] != "cp-9002-right_shoulder"]  # and its choice
        place = {**shoulder["value"], "x": 1, "y": 1}
        result.append({**shoulder, "id": "cp-9002-left_wrist", "value": {**place, "keypointlabels": ["left_wrist"]}})
        result.append({**shoulder, "from_name": "visibility", "type": "choices", "value": {"choices": ["occluded"]}})

    (fields,) = changes_of(full_file(), edit).values()
    assert fields.keys() == {"keypoints", "num_keypoints"}
    keypoints = fields["keypoints"]
    original = full_file()["annotations"][4]["keypoints"]
    assert keypoints[2] == 1 and original[2] == 2  # the left shoulder
    assert keypoints[3:6] == [0, 0, 0]
    wrist = NAMES.index("left_wrist")
    assert keypoints[3 * wrist : 3 * wrist + 3] == pytest.approx([0.01 * WIDTH, 0.01 * HEIGHT, 2])
    assert fields["num_keypoints"] == sum(v > 0 for v in keypoints[2::3])


def test_a_resized_box_gets_a_new_area_in_proportion():
    def resize(tasks):
        value = item_of(tasks, "cp-9007")["value"]
        value.update(width=2 * value["width"])

    changed = changes_of(full_file(), resize)
    before = full_file()["annotations"][2]
    assert changed[9007]["bbox"] == pytest.approx([before["bbox"][0], 20.2, 2 * before["bbox"][2], before["bbox"][3]])
    assert changed[9007]["area"] == pytest.approx(2 * before["area"])
    assert set(changed[9007]) == {"bbox", "area"}


def test_a_box_that_the_file_lacks_is_written_once_it_is_changed():
    def resize(tasks):
        item_of(tasks, "cp-3")["value"].update(x=0, y=0, width=50, height=50)

    (fields,) = changes_of(full_file(), resize).values()
    assert fields["bbox"] == pytest.approx([0, 0, WIDTH / 2, HEIGHT / 2])
    assert fields["area"] == pytest.approx(WIDTH * HEIGHT / 4)


def test_what_a_refinement_scored_anew_is_exported():
    def refine(tasks):
        item_of(tasks, "cp-9007")["meta"] = {"predicted_oks": 0.5}
        item_of(tasks, "cp-9007-left_shoulder")["meta"] = {"predicted_oks": 0.25}

    (fields,) = changes_of(full_file(), refine).values()
    before = full_file()["annotations"][2]["keypoint_scores"]
    assert fields == {"score": 0.5, "keypoint_scores": [0.25, *before[1:]]}


def new_person(tasks, image_id):
    task = next(task for task in tasks if task["data"]["coco_image_id"] == image_id)
    size = {"original_width": WIDTH, "original_height": HEIGHT, "to_name": "image", "image_rotation": 0}
    box = {"x": 10, "y": 10, "width": 20, "height": 40, "rectanglelabels": ["person"]}
    nose = {"x": 15, "y": 15, "width": 1, "keypointlabels": ["nose"]}
    task["annotations"][0]["result"] += [
        {"id": "Xb1", "from_name": "box", "type": "rectanglelabels", "value": box, **size},
        {"id": "Xk1", "from_name": "keypoint", "type": "keypointlabels", "value": nose, "parentID": "Xb1", **size},
    ]


@pytest.mark.parametrize("image_id", ["a", "empty"])
def test_a_new_person_follows_with_a_new_id_in_the_files_form(image_id):
    back = round_trip(full_file(), change=lambda tasks: new_person(tasks, image_id))
    *others, new = back["annotations"]
    assert without_provenance({"images": [], "annotations": others})["annotations"] == full_file()["annotations"]
    assert new["id"] == 9008  # ids that are text are no numbers
    assert (new["image_id"], new["category_id"], new["num_keypoints"]) == (image_id, 7, 1)
    assert new["keypoints"][3 * NOSE : 3 * NOSE + 3] == pytest.approx([0.15 * WIDTH, 0.15 * HEIGHT, 2])
    assert new["area"] == pytest.approx(0.2 * WIDTH * 0.4 * HEIGHT)
    image = next(image for image in back["images"] if image["id"] == image_id)
    assert (image["width"], image["height"]) == (WIDTH, HEIGHT)


def test_a_deleted_person_is_gone_and_said():
    def delete(tasks):
        for task in tasks:
            entry = task["annotations"][0]
            entry["result"] = [item for item in entry["result"] if not item["id"].startswith("cp-9007")]

    back = round_trip(full_file(), notes=(notes := Counter()), change=delete)
    assert 9007 not in [annotation["id"] for annotation in back["annotations"]]
    assert len(back["annotations"]) == len(full_file()["annotations"]) - 1
    assert notes == {"imported persons whom the annotator has deleted": 1}


def test_of_two_annotators_the_second_gets_new_ids_and_crowds_come_once():
    tasks = saved(coco_to_tasks(full_file(), CONFIG, kind="annotations"))
    for task in tasks:
        task["annotations"].append({**copy.deepcopy(task["annotations"][0]), "id": 7})
    back = tasks_to_coco(tasks, CONFIG, source="all")
    ids = [annotation["id"] for annotation in back["annotations"]]
    assert len(set(ids)) == len(ids) == len(full_file()["annotations"]) + 9
    assert sum(bool(annotation.get("iscrowd")) for annotation in back["annotations"]) == 1
    assert ids[: len(full_file()["annotations"])] == [a["id"] for a in full_file()["annotations"]]


def test_tasks_of_other_origins_get_ids_and_names_of_their_own():
    tasks = saved(coco_to_tasks(full_file(), CONFIG, kind="annotations"))
    other = {"id": 101, "data": {"image": "s3://bucket/c.jpg"}, "annotations": [{"result": []}]}
    tasks = [task for task in tasks if task["id"] != 101]
    numbered = {"id": 5, "data": {"image": "z.jpg", "coco_image_id": 101}, "annotations": [{"result": []}]}
    new_person(tasks, "c")
    back = tasks_to_coco([*tasks, other, numbered], CONFIG)
    names = {image["id"]: image["file_name"] for image in back["images"]}
    assert names[101] == "z.jpg"
    assert sorted(names.values(), key=str)[0:2] == ["bucket/c.jpg", "c.jpg"]
    assert len(set(map(str, names))) == 5


def test_files_with_the_same_category_id_are_told_apart():
    first = {"images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}],
             "annotations": [person(1, 1, 1)], "categories": [PERSON]}  # fmt: skip
    second = {"images": [{"id": 2, "file_name": "2.jpg", "width": WIDTH, "height": HEIGHT}],
              "annotations": [person(1, 2, 2)], "categories": [{**PERSON, "keypoints": list(COCO.names)}]}  # fmt: skip
    tasks = saved(
        [*coco_to_tasks(first, CONFIG, kind="annotations"), *coco_to_tasks(second, CONFIG, kind="annotations")]
    )
    tasks.sort(key=lambda task: task["id"])
    back = tasks_to_coco(tasks, CONFIG, notes=(notes := Counter()))
    assert [(category["id"], category["keypoints"][0]) for category in back["categories"]] == [
        (7, NAMES[0]), (1, "nose"),
    ]  # fmt: skip
    assert [(a["id"], a["category_id"], a["image_id"]) for a in back["annotations"]] == [(1, 7, 1), (2, 1, 2)]
    assert [a["keypoints"] for a in back["annotations"]] == [triples(1), triples(2)]
    assert sum(notes.values()) == 2


def test_a_joint_that_the_files_category_does_not_name_is_added_to_it():
    category = {"id": 7, "name": "golfer", "keypoints": ["right_wrist", "nose"], "skeleton": []}
    people = [{"id": n, "image_id": 1, "category_id": 7, "bbox": [10, 10, 100, 100 + n],
               "keypoints": [20, 30, 2, 40, 50, 1]} for n in (1, 2)]  # fmt: skip
    coco = {"images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}],
            "annotations": people, "categories": [category]}  # fmt: skip
    assert as_text(without_provenance(round_trip(coco))) == as_text(coco)

    def add(tasks):
        wrist = item_of(tasks, "cp-1-right_wrist")
        value = {**wrist["value"], "keypointlabels": ["left_hip"]}
        tasks[0]["annotations"][0]["result"].append({**wrist, "id": "cp-1-left_hip", "value": value})

    back = round_trip(coco, change=add)
    assert back["categories"] == [{**category, "keypoints": ["right_wrist", "nose", "left_hip"]}]
    assert [a["keypoints"] for a in back["annotations"]] == [
        pytest.approx([20, 30, 2, 40, 50, 1, 20, 30, 2]), [20, 30, 2, 40, 50, 1, 0, 0, 0],
    ]  # fmt: skip


def test_boxes_of_a_detection_file_get_joints():
    coco = {"images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 10, 100, 100]}],
            "categories": [{"id": 3, "name": "person"}]}  # fmt: skip
    assert as_text(without_provenance(round_trip(coco))) == as_text(coco)
    back = round_trip(coco, change=lambda tasks: new_person(tasks, 1))
    assert back["categories"][0]["keypoints"] == list(COCO.names)
    assert [a["category_id"] for a in back["annotations"]] == [3, 3]


def other_size(width, height):
    def change(tasks):
        for task in tasks:
            for item in task["annotations"][0]["result"]:
                item.update(original_width=width, original_height=height)

    return change


def test_a_photo_of_another_size_keeps_the_files_numbers_and_one_of_another_shape_is_refused():
    back = round_trip(full_file(), notes=(notes := Counter()), change=other_size(2 * WIDTH, 2 * HEIGHT + 1))
    assert as_text(without_provenance(back)) == as_text(full_file())
    assert notes == {"photos of another size than the imported file says, exported in its numbers": 3}
    with pytest.raises(CodecError, match=r"Task \d+ cannot be exported: Expected a photo of 641 x 479 px.* 479 x 641"):
        round_trip(full_file(), change=other_size(HEIGHT, WIDTH))


@pytest.mark.parametrize(
    "text", ["{", '{"image": {}}', "[]", '{"image":{"id":1},"place":0,"rest":{},"people":[],"annotations":[3]}']
)
def test_data_that_somebody_has_edited_are_done_without(text):
    def edit(tasks):
        for task in tasks:
            task["data"][KEY] = text

    back = round_trip(full_file(), notes=(notes := Counter()), change=edit)
    assert sorted(image["id"] for image in back["images"]) == ["a", "b", "c", "empty"]
    assert sum(a["num_keypoints"] == 15 for a in back["annotations"]) >= 5
    assert notes == {"tasks whose imported entries cannot be read any more; what is drawn is exported": 4}


@pytest.mark.slow
@settings(deadline=None, max_examples=150, derandomize=True)
@given(data=st.data())
def test_any_damage_to_what_goes_along_is_done_without_or_refused(data):
    """Whoever can edit a task's data can put anything there."""
    tasks = saved(coco_to_tasks(full_file(), CONFIG, kind="annotations"))
    task = data.draw(st.sampled_from(tasks))
    content = json.loads(task["data"][KEY])
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key, inner = None, None, content
        while isinstance(inner, dict | list) and inner and (holder is None or data.draw(st.integers(0, 3))):
            holder = inner
            key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            inner = holder[key]
        if holder is not None:
            holder[key] = data.draw(st.sampled_from([None, True, -1, 10**400, 1.5, "x", [], [[]], {}, {"id": []}, [3]]))
    task["data"][KEY] = json.dumps(content)
    try:
        back = tasks_to_coco(tasks, CONFIG)
    except CodecError as error:
        assert str(error)
    else:
        json.dumps(back, allow_nan=False)
        assert {annotation["image_id"] for annotation in back["annotations"]} <= {
            image["id"] for image in back["images"]
        }


def test_regions_of_an_earlier_export_that_were_nobodys_are_counted():
    coco = full_file()
    coco["images"][0]["label_studio"] = {"unassigned": [{}, {}]}
    coco_to_tasks(coco, CONFIG, kind="annotations", notes=(notes := Counter()))
    assert notes["regions that were nobody's in an earlier export, left out"] == 2


def test_what_goes_along_is_bounded_and_the_longest_fields_are_left_out_first():
    coco = full_file()
    coco["annotations"][0]["segmentation"] = [[0.123456789] * 60_000]
    tasks = coco_to_tasks(coco, CONFIG, kind="annotations", notes=(notes := Counter()))
    assert notes["'segmentation' too long to go along, left out"] == 1
    assert max(len(task["data"][KEY]) for task in tasks) < 1.1 * MAX_CHARACTERS
    back = without_provenance(tasks_to_coco(saved(tasks), CONFIG))
    del coco["annotations"][0]["segmentation"]
    assert as_text(back) == as_text(coco)


def test_no_address_in_the_data_is_one_that_label_studio_would_replace():
    for task in coco_to_tasks(full_file(), CONFIG):
        assert "://" not in task["data"][KEY]
        assert task["data"][KEY].isascii()
        assert unpack(task["data"]).image["file_name"] == task["data"]["file_name"]


def test_results_come_back_with_all_their_digits():
    rng = np.random.default_rng(4)
    images = [{"id": "a", "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}, {"id": "b", "file_name": "b.jpg"}]
    results = []
    for score in (0.123456789, 0.9):
        triple = np.column_stack([rng.uniform(5, 400, (17, 2)), rng.uniform(0, 1, 17)])
        triple[3] = 0
        results.append(
            {"image_id": "a", "category_id": 7, "keypoints": triple.ravel().tolist(), "score": score, "extra": "é"}
        )
    tasks = coco_results_to_tasks(results, images, CONFIG, categories=[CAR, PERSON])
    assert [task["predictions"][0]["score"] for task in tasks] == [0.1235, 1.0]
    back = tasks_to_coco(saved(tasks), CONFIG, source="prediction")
    own = {key: person_category(COCO)[key] for key in ("keypoints", "skeleton")}
    assert back["categories"] == [CAR, PERSON | own]  # results stand in the skeleton's order
    for annotation, result in zip(back["annotations"], results, strict=True):
        numbers = np.reshape(result["keypoints"], (-1, 3))
        assert np.reshape(annotation["keypoints"], (-1, 3))[:, :2].tolist() == numbers[:, :2].tolist()
        assert annotation["keypoints"][2::3] == [2, 2, 2, 0, *[2] * 13]
        assert annotation["keypoint_scores"] == numbers[:, 2].tolist()
        assert (annotation["score"], annotation["extra"]) == (result["score"], "é")


def test_a_networks_own_file_keeps_its_scores_into_the_regions():
    coco = full_file()
    coco["annotations"] = [
        coco["annotations"][2],
        {**coco["annotations"][4], "score": 0.75, "keypoint_scores": [0.5] * 17},
    ]
    tasks = {task["data"]["coco_image_id"]: task for task in coco_to_tasks(coco, CONFIG)}
    assert {id_: task["predictions"][0]["score"] for id_, task in tasks.items()} == {
        "a": 0.1235, "b": 1.0, "c": 1.0, "empty": 1.0,
    }  # fmt: skip
    scores = {
        item["id"]: item.get("score") for item in tasks["a"]["predictions"][0]["result"] if item["type"] != "choices"
    }
    assert (scores["cp-9007"], scores["cp-9002"], scores["cp-9002-nose"]) == (0.1235, 0.75, 0.5)
    assert scores["cp-9007-nose"] == round(NOSE / 17, 4)
    assert None not in scores.values()


def test_results_whose_third_numbers_are_flags_have_the_persons_score():
    images = [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}]
    results = [{"image_id": 1, "keypoints": [10, 20, 1] * 17, "score": score} for score in (0.95, 0.08)]
    (task,) = coco_results_to_tasks(results, images, CONFIG)
    joints = [i["score"] for i in task["predictions"][0]["result"] if i["type"] == "keypointlabels"]
    assert joints == [0.95] * 17 + [0.08] * 17


def test_export_says_which_tasks_it_leaves_out():
    (task,) = saved(coco_to_tasks({**full_file(), "images": [full_file()["images"][1]], "annotations": []}, CONFIG))
    tasks = [
        {**task, "id": 1}, {**task, "id": 2, "annotations": [], "data": {"image": "2"}},
        {**task, "id": 3, "annotations": [], "drafts": [{"result": []}], "data": {"image": "3"}},
        {**task, "id": 4, "annotations": [{"result": [], "was_cancelled": True}], "data": {"image": "4"}},
        {**task, "id": 5, "annotations": [{"result": None}], "data": {"image": "5"}},
    ]  # fmt: skip
    back = tasks_to_coco(tasks, CONFIG, notes=(notes := Counter()))
    assert [image["label_studio"]["task"] for image in back["images"]] == [1, 5]
    assert notes == {
        "tasks without an annotation, left out": 1,
        "tasks with nothing but a draft (not submitted), left out": 1,
        "tasks that were only skipped (cancelled), left out": 1,
    }


def test_different_photos_under_one_name_are_refused_and_one_photo_twice_is_said():
    tasks = [
        {"id": n, "data": {"image": f"s3://{n}/a.jpg", "file_name": "a.jpg"}, "annotations": [{"result": []}]}
        for n in (1, 2)
    ]
    with pytest.raises(CodecError, match=r"different file names for different photos, got a.jpg for the tasks 1 and 2"):
        tasks_to_coco(tasks, CONFIG)
    tasks[1]["data"] = tasks[0]["data"]
    tasks_to_coco(tasks, CONFIG, notes=(notes := Counter()))
    assert notes == {"tasks that show the photo of another task, under the same file name": 1}


def test_regions_of_other_controls_are_counted():
    size = {"original_width": WIDTH, "original_height": HEIGHT, "to_name": "image"}
    others = [
        {"id": "v1", "from_name": "bones", "type": "vectorlabels", **size,
         "value": {"vertices": [], "vectorlabels": ["x"]}},
        {"id": "p1", "from_name": "outline", "type": "polygonlabels", "value": {"points": [[1, 1]]}, **size},
        {"id": "d1", "from_name": "box", "type": "rectanglelabels", **size,
         "value": {"x": 1, "y": 1, "width": 1, "height": 1, "rectanglelabels": ["dog"]}},
        {"id": "m1", "from_name": "mask", "type": "brushlabels", "value": {"format": "rle", "rle": [0]}, **size},
        {"id": "t1", "from_name": "video", "type": "videorectangle", "value": {"sequence": []}},
        {"id": "c1", "from_name": "quality", "type": "choices", "value": {"choices": ["good"]}, "to_name": "image"},
    ]  # fmt: skip

    def add(tasks):
        for task in tasks[:1]:
            task["annotations"][0]["result"] += others

    back = round_trip(full_file(), notes=(notes := Counter()), change=add)
    assert as_text(without_provenance(back)) == as_text(full_file())
    assert notes == {"regions of other labels or controls, not exported": 5}
