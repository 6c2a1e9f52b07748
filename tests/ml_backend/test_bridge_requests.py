"""What the bridge sends about an edit: the edited persons, and all that the backend's answer depends on."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from clickpose.skeleton import COCO
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.region_items import keypoint_region_id
from clickpose_labelstudio.service import AnnotationService
from helpers import fakes
from helpers.bridge_modules import run_in_node

XML = build_labeling_config()
TASK = {"id": 1, "data": {"image": "/data/a.png"}}
SIZE = {"original_width": 640, "original_height": 480, "image_rotation": 0}
CONTEXTS = """
const {contextOf} = await import("./bridge/edits/context.js");
say(given.map(({items, edited}) => contextOf(page.annotationOf(items), new Set(edited))));
"""
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def box(region_id, x, y, width, height, label="person", **more):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    return {"id": region_id, "type": "rectanglelabels", "from_name": "box", "to_name": "image", **SIZE,
            "origin": "prediction", "value": value, **more}  # fmt: skip


def point(region_id, joint, x, y, **more):
    value = {"x": x, "y": y, "width": 0.4, "keypointlabels": [joint]}
    return {"id": region_id, "type": "keypointlabels", "from_name": "keypoint", "to_name": "image", **SIZE,
            "origin": "prediction", "value": value, **more}  # fmt: skip


def occluded(item):
    place = {key: item["value"][key] for key in ("x", "y", "width")}
    return {**item, "type": "choices", "from_name": "visibility", "value": {**place, "choices": ["occluded"]}}


def person(rng, name, x, y, width, height, joints=COCO.names):
    """A person's keypoints, in two columns with some noise, and the box."""
    items = []
    for index, joint in enumerate(joints):
        at = x + (0.3 + 0.4 * (index % 2) + rng.uniform(-0.1, 0.1)) * width, y + (index + 0.5) / len(joints) * height
        origin = rng.choice(["prediction", "prediction", "prediction-changed"])
        items.append(point(keypoint_region_id(name, joint), joint, *at, parentID=name, origin=origin, score=0.5))
        if rng.random() < 0.2:
            items.append(occluded(items[-1]))
    return [*items, box(name, x, y, width, height, score=0.6)]


def scene(rng):
    """A crowd with missing and loose joints, dogs, locked regions, people without a box, and one to three edits."""
    items = []
    for number in range(rng.randint(1, 9)):
        joints = rng.sample(COCO.names, rng.randint(0, 17))
        name = f"cp-{number:x}a" if rng.random() < 0.7 else f"drawn{number}"
        size = rng.uniform(5, 20), rng.uniform(10, 40)
        items += person(rng, name, rng.uniform(0, 75), rng.uniform(0, 55), *size, joints)
    if rng.random() < 0.2:
        items.append(box("dog", rng.uniform(0, 60), rng.uniform(0, 60), 30, 30, label="dog"))
    for item in items:
        if item["type"] == "rectanglelabels":
            continue
        if rng.random() < 0.03:
            item.pop("parentID", None)  # dragged out of its person in the outliner
            item["value"] |= {"x": rng.uniform(0, 99)} if item["type"] == "keypointlabels" else {}
        elif rng.random() < 0.02:
            item["parentID"] = "gone"
        elif rng.random() < 0.03:
            item["readonly"] = True
    for number in range(rng.choice([0, 0, 1, 2, 4])):
        joint, origin = rng.choice(COCO.names), rng.choice(["manual", "prediction"])
        items.append(point(f"loose{number}", joint, rng.uniform(0, 99), rng.uniform(0, 99), origin=origin))
    if rng.random() < 0.15:
        gone = next(item["id"] for item in items if item["type"] == "rectanglelabels")
        items = [item for item in items if item["id"] != gone]
    untold = [item["id"] for item in items if not item.get("parentID")]
    if rng.random() < 0.3 and len(items) > 2:
        ends = rng.choice(untold), rng.choice(items)["id"]
        items.append({"type": "relation", "from_id": ends[0], "to_id": ends[1], "direction": "right"})
    edited = {item["id"] for item in rng.sample(items, min(len(items), rng.randint(1, 3))) if "id" in item}
    return {"items": items, "edited": sorted(edited)}


def answer(context):
    """The backend's regions, as a set of texts; a service of its own each time, so that nothing is remembered."""
    images = fakes.FakeImages({"/data/a.png": fakes.blank_image(480, 640)})
    service = AnnotationService(fakes.FakePredictor, images, fakes.MemoryRegions())
    (reply,) = service.predict([TASK], XML, context)
    return {json.dumps(item, sort_keys=True) for item in reply.get("result", [])}


def test_edited_persons_alone_get_the_answer_of_the_whole_annotation(tmp_path):
    rng = random.Random(12)
    scenes = [made for made in (scene(rng) for _ in range(120)) if made["items"] and made["edited"]]
    contexts = run_in_node(tmp_path, CONTEXTS, scenes)
    answered = smaller = 0
    for made, context in zip(scenes, contexts, strict=True):
        touched = [item["id"] for item in made["items"] if item.get("origin", "prediction") != "prediction"]
        whole = {"result": made["items"], "edited": made["edited"], "confirmed": touched}
        wanted = answer(whole)
        assert answer(context) == wanted, (made["edited"], len(made["items"]), len(context["result"]))
        answered += bool(wanted)
        smaller += len(context["result"]) < len(made["items"])
    assert answered > 100 and smaller > 35


def test_a_request_in_a_crowd_of_36_is_a_thirtieth_of_the_annotation(tmp_path):
    rng = random.Random(5)
    crowd = [item for n in range(36) for item in person(rng, f"cp-{n:x}", 10 * (n % 9), 22 * (n // 9), 8, 20)]
    loose = point("loose", "nose", 5, 5, origin="manual")
    edits = [{"items": crowd, "edited": ["cp-7-nose"]}, {"items": [*crowd, loose], "edited": ["cp-7-nose"]}]
    alone, beside = run_in_node(tmp_path, CONTEXTS, edits)
    assert {item.get("parentID") or item["id"] for item in alone["result"]} == {"cp-7"}
    assert 30 * len(json.dumps(alone)) < len(json.dumps({**alone, "result": crowd}))
    sent = {item["id"] for item in beside["result"]}
    assert "loose" in sent and "cp-0-nose" in sent  # whose the loose one is depends on the person whom it lies on
    assert "cp-8-nose" not in sent and 6 * len(json.dumps(beside)) < len(json.dumps({**beside, "result": crowd}))


def test_locked_regions_are_named(tmp_path):
    items = person(random.Random(1), "cp-1", 10, 10, 20, 60)
    for item in items:
        if item["id"] in ("cp-1", "cp-1-nose"):
            item["readonly"] = True
    (context,) = run_in_node(tmp_path, CONTEXTS, [{"items": items, "edited": ["cp-1-left_wrist"]}])
    assert set(context["locked"]) == {"cp-1", "cp-1-nose"}
