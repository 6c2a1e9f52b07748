"""The logic behind /predict, with a fake network whose moves are known to the pixel."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clickpose
from clickpose.skeleton import COCO
from clickpose_labelstudio import service as service_module
from clickpose_labelstudio.interaction import RequestError
from clickpose_labelstudio.labeling_config import LabelingConfigError, build_labeling_config
from clickpose_labelstudio.service import AnnotationService
from helpers import fakes

XML = build_labeling_config()
FIXTURES = Path(__file__).with_name("fixtures")
BOXES = [[20.0, 30.0, 120.0, 200.0], [150.0, 40.0, 260.0, 220.0]]


class Bench:
    """A service on fakes, and what the tests do with it: pre-annotate, drag, ask."""

    def __init__(self, **options):
        self.predictor = fakes.FakePredictor(**options)
        self.images = fakes.FakeImages({"/data/a.png": fakes.blank_image()})
        self.regions = fakes.MemoryRegions()
        self.service = AnnotationService(lambda: self.predictor, self.images, self.regions)

    def task(self, **saved):
        return {"id": 1, "data": {"image": "/data/a.png"}, **saved}

    def preannotate(self):
        (reply,) = self.service.predict([self.task()], XML)
        return reply["result"]

    def ask(self, context, **saved):
        (reply,) = self.service.predict([self.task(**saved)], XML, context)
        return reply


@pytest.fixture
def bench():
    return Bench()


def by_id(result, kind="keypointlabels"):
    return {item["id"]: item for item in result if item["type"] == kind}


def pixels(item):
    return np.array([item["value"]["x"] * 3.2, item["value"]["y"] * 2.4])


def box_pixels(item):
    left, top, width, height = (item["value"][key] for key in ("x", "y", "width", "height"))
    return np.array([left * 3.2, top * 2.4, (left + width) * 3.2, (top + height) * 2.4])


def persons_of(result):
    return [item["id"] for item in result if item["type"] == "rectanglelabels"]


def drag(result, region_id, x, y):
    """Return the annotation as Label Studio serialises it after a drag to (x, y) percent."""
    moved = copy.deepcopy(result)
    for item in moved:
        if item["id"] == region_id:
            item["origin"] = "prediction-changed"
            item["value"].update(x=x, y=y)
    return moved


def drawn_box(region_id="-zMQ_j9d3n", value=None):
    return {
        "id": region_id, "from_name": "box", "to_name": "image", "type": "rectanglelabels", "origin": "manual",
        "original_width": 320, "original_height": 240, "image_rotation": 0,
        "value": value or {"x": 50, "y": 25, "width": 25, "height": 50, "rotation": 0, "rectanglelabels": ["person"]},
    }  # fmt: skip


def smart_click(label, x, y, region_id="-zMQUj9d3n"):
    return {
        "id": region_id, "from_name": "keypoint", "to_name": "image", "type": "keypointlabels", "origin": "manual",
        "original_width": 320, "original_height": 240, "image_rotation": 0, "is_positive": True,
        "value": {"x": x, "y": y, "width": 0.23, "labels": [label], "keypointlabels": [label]},
    }  # fmt: skip


# Batch


def test_batch_finds_everybody(bench):
    (reply,) = bench.service.predict([bench.task()], XML)
    assert reply["score"] == 0.7  # the lowest instance score
    assert reply["model_version"] == bench.service.model_version == f"clickpose-fake-{clickpose.__version__}-f00dfeed"
    persons = persons_of(reply["result"])
    assert len(persons) == len(set(persons)) == 2
    keypoints = by_id(reply["result"])
    assert len(keypoints) == 34
    for person, box in zip(persons, BOXES, strict=True):
        found = [pixels(keypoints[f"{person}-{name}"]) for name in COCO.names]
        np.testing.assert_allclose(found, fakes.template(box), atol=1e-9)
        np.testing.assert_allclose(box_pixels(by_id(reply["result"], "rectanglelabels")[person]), box, atol=1e-9)


def test_batch_repeats_itself_without_encoding_again(bench):
    first = bench.preannotate()
    assert bench.predictor.encoded == 2
    assert bench.preannotate() == first
    assert bench.predictor.encoded == 2


def test_an_endless_batch_is_refused_at_once(bench):
    with pytest.raises(RequestError, match="at most 10000 tasks, got 10001"):
        bench.service.predict([{}] * 10_001, XML)


def test_batch_leaves_out_what_nobody_would_label():
    ids = {item["id"].split("-")[-1] for item in Bench(visible=0.1).preannotate() if item["from_name"] == "keypoint"}
    assert ids == set(COCO.names[1::2])  # the fake network gives every other joint the low visibility


def test_left_out_joints_stay_out_when_the_others_are_refined():
    bench = Bench(visible=0.1)
    result = bench.preannotate()
    eye = next(item for item in result if item["id"].endswith("-left_eye"))
    reply = bench.ask({"result": result, "edited": [eye["id"]]})
    person = eye["parentID"]
    assert {item["id"] for item in reply["result"]} == {person, *(f"{person}-{name}" for name in COCO.names[1::2])}


@pytest.mark.parametrize("mark", ["named by the bridge", "read-only in Label Studio"])
def test_locked_regions_stay_and_the_rest_follows_around_them(bench, mark):
    result = bench.preannotate()
    person = persons_of(result)[0]
    nose, wrist = f"{person}-nose", f"{person}-left_wrist"
    moved = drag(result, wrist, 20, 30)
    if mark == "named by the bridge":
        context = {"result": moved, "edited": [wrist], "locked": [nose, person]}
    else:
        locked = [{**item, "readonly": True} if item["id"] in (nose, person) else item for item in moved]
        context = {"result": locked, "edited": [wrist]}
    answer = bench.ask(context)["result"]
    before, after = by_id(result), by_id(answer)
    assert after[nose]["value"] == before[nose]["value"]
    assert by_id(answer, "rectanglelabels")[person]["value"] == by_id(result, "rectanglelabels")[person]["value"]
    hip = f"{person}-left_hip"
    np.testing.assert_allclose(pixels(after[hip]), pixels(before[hip]) + fakes.SHIFT, atol=1e-9)
    _, pose, clicks = bench.predictor.refined[-1]
    assert pose.fixed.nonzero()[0].tolist() == [COCO.index("nose"), COCO.index("left_wrist")]
    assert clicks.mask.nonzero()[0].tolist() == [COCO.index("left_wrist")]


def test_drawn_box_starts_as_a_pre_annotation_does():
    """A box drawn where one was pre-annotated gets the same joints and the same choices."""
    for visible in (0.1, 0.3, 0.9):
        bench = Bench(visible=visible)
        left = persons_of(bench.preannotate())[0]
        found = [item for item in bench.preannotate() if item["id"].startswith(f"{left}-")]
        value = {"x": 6.25, "y": 12.5, "width": 31.25, "height": 100 * 170 / 240, "rotation": 0, "rectanglelabels": []}
        reply = bench.ask({"result": [drawn_box("by-hand", value)], "edited": ["by-hand"]})
        drawn = [item for item in reply["result"] if item["type"] != "rectanglelabels"]
        described = [[(item["id"].split("-", 2)[2], item["type"]) for item in items] for items in (found, drawn)]
        assert described[0] == described[1]
        assert len(drawn) == {0.1: 8, 0.3: 17 + 9, 0.9: 17}[visible]


def test_batch_marks_doubtful_visibility():
    result = Bench(visible=0.3).preannotate()
    choices = by_id(result, "choices")
    assert len(choices) == 18  # nine even joints of two persons
    assert all(item["value"]["choices"] == ["occluded"] for item in choices.values())


def test_bad_image_does_not_spoil_the_batch(bench, caplog):
    tasks = [bench.task(), {"id": 7, "data": {"image": "/gone.png"}}, {"id": 8, "data": {}}, {"id": 9}, bench.task()]
    replies = bench.service.predict(tasks, XML)
    assert [sorted(reply) for reply in replies] == [
        ["model_version", "result", "score"], ["error"], ["error"], ["error"], ["model_version", "result", "score"],
    ]  # fmt: skip
    assert "There is no image at '/gone.png'" in replies[1]["error"]
    assert "no such text" in replies[2]["error"]
    assert "Task 7 gets no prediction" in caplog.text


def test_an_id_neither_writes_log_lines_nor_fills_the_log(bench, caplog):
    bench.service.predict([{"id": "7\nERROR forged " + "x" * 100_000, "data": {}}], XML)
    assert r"7\nERROR forged" in caplog.text
    assert "\nERROR forged" not in caplog.text and len(caplog.text) < 1000


def test_images_that_are_slow_and_never_come_do_not_hold_up_a_batch_for_ever(bench, monkeypatch):
    """Three of 40 s each; after these neither a bad nor a good one is tried. Good ones may take their time."""
    clock = [0.0]
    monkeypatch.setattr("clickpose_labelstudio.service.time.monotonic", lambda: clock[0])
    load = bench.images.load

    def slowly(reference):
        clock[0] += 40.0
        return load(reference)

    monkeypatch.setattr(bench.images, "load", slowly)
    good, bad = bench.task(), {"id": 2, "data": {"image": "/gone.png"}}
    replies = bench.service.predict([good, good, bad, bad, good, bad, bad, good], XML)
    assert ["result" in reply for reply in replies] == [True, True, False, False, True, False, False, False]
    assert [reply.get("error", "").split(":")[0] for reply in replies[-3:]] == [
        "There is no image at '/gone.png'", "Not tried", "Not tried"
    ]  # fmt: skip


def test_nobody_found_is_served_first():
    (reply,) = Bench(boxes_xyxy=()).service.predict([{"id": 1, "data": {"image": "/data/a.png"}}], XML)
    assert (reply["result"], reply["score"]) == ([], 1.0)  # not the most doubtful one


def test_recorded_batch_is_answered():
    body = json.loads((FIXTURES / "predict_batch.json").read_text())
    images = fakes.FakeImages({task["data"]["image"]: fakes.blank_image() for task in body["tasks"]})
    service = AnnotationService(fakes.FakePredictor, images, fakes.MemoryRegions())
    replies = service.predict(body["tasks"], body["label_config"], body["params"]["context"])
    assert len(replies) == len(body["tasks"]) == 3
    for reply in replies:  # this configuration has only a nose and a left eye
        assert [item["from_name"] for item in reply["result"]] == ["kp"] * 4 + ["box"] * 2
        assert {item["to_name"] for item in reply["result"]} == {"img"}


# The bridge


def test_dragged_keypoint_moves_the_rest_of_its_person_only(bench):
    result = bench.preannotate()
    first, second = persons_of(result)
    wrist = f"{first}-left_wrist"
    loads = bench.images.loads
    reply = bench.ask({"result": drag(result, wrist, 12.5, 40.0), "edited": [wrist], "draft_id": 3})
    assert (bench.images.loads, bench.predictor.encoded) == (loads, 2)  # neither loaded nor encoded again
    assert reply["score"] == 0.85
    keypoints, before = by_id(reply["result"]), by_id(result)
    assert set(keypoints) == {f"{first}-{name}" for name in COCO.names}
    assert (keypoints[wrist]["value"]["x"], keypoints[wrist]["value"]["y"]) == (12.5, 40.0)
    assert keypoints[wrist]["score"] == 1.0
    for region_id in set(keypoints) - {wrist}:
        np.testing.assert_allclose(pixels(keypoints[region_id]), pixels(before[region_id]) + fakes.SHIFT, atol=1e-9)
        assert keypoints[region_id]["score"] == 0.6
    boxes = by_id(reply["result"], "rectanglelabels")
    assert set(boxes) == {first}
    np.testing.assert_allclose(box_pixels(boxes[first]), np.array(BOXES[0]) + fakes.BOX_SHIFT, atol=1e-9)
    assert boxes[first]["score"] == 0.85
    assert not any(item["id"].startswith(second) for item in reply["result"])
    assert [item["type"] for item in reply["result"]] == ["keypointlabels"] * 17 + ["rectanglelabels"]


def test_everything_that_a_human_touched_stays(bench):
    result = bench.preannotate()
    first, _ = persons_of(result)
    edited, dragged, placed, confirmed = (f"{first}-{name}" for name in ("nose", "left_hip", "right_hip", "left_knee"))
    shown = drag(drag(result, dragged, 10.125, 60.3), edited, 9.9, 15.7)
    for item in shown:
        if item["id"] == placed:
            item["origin"] = "manual"
    reply = bench.ask({"result": shown, "edited": [edited], "confirmed": [confirmed]})
    before, after = by_id(shown), by_id(reply["result"])
    same = {region_id for region_id in after if after[region_id]["value"] == before[region_id]["value"]}
    assert same == {edited, dragged, placed, confirmed}
    _, pose, clicks = bench.predictor.refined[-1]
    assert clicks.mask.nonzero()[0].tolist() == [COCO.index("nose")]
    assert pose.fixed.nonzero()[0].tolist() == [0, 11, 12, 13]
    np.testing.assert_allclose(clicks.positions[0], [9.9 * 3.2, 15.7 * 2.4])


def test_deleted_keypoint_stays_deleted(bench):
    result = bench.preannotate()
    first, _ = persons_of(result)
    shown = [item for item in drag(result, f"{first}-nose", 9, 15) if item["id"] != f"{first}-left_ear"]
    reply = bench.ask({"result": shown, "edited": [f"{first}-nose"]})
    assert len(by_id(reply["result"])) == 16
    assert f"{first}-left_ear" not in by_id(reply["result"])
    assert np.isnan(bench.predictor.refined[-1][1].keypoints[COCO.index("left_ear")]).all()


def test_choices_are_echoed_and_never_flipped(bench):
    result = bench.preannotate()
    first, _ = persons_of(result)
    ear = next(item for item in result if item["id"] == f"{first}-left_ear")
    place = {key: ear["value"][key] for key in ("x", "y", "width")}
    choice = {**ear, "from_name": "visibility", "type": "choices", "value": {**place, "choices": ["occluded"]}}
    note = {**choice, "from_name": "note", "type": "textarea", "value": {"text": ["blurred"]}}
    shown = drag(result, f"{first}-nose", 9, 15)
    reply = bench.ask({"result": [*shown, choice, note], "edited": [f"{first}-nose"]})
    (echo,) = by_id(reply["result"], "choices").values()
    moved = by_id(reply["result"])[f"{first}-left_ear"]["value"]
    assert echo["value"] == {"x": moved["x"], "y": moved["y"], "width": moved["width"], "choices": ["occluded"]}
    assert by_id(reply["result"], "textarea")[f"{first}-left_ear"]["value"] == {"text": ["blurred"]}


def test_box_that_a_human_drew_stays(bench):
    result = bench.preannotate()
    first, _ = persons_of(result)
    shown = drag(result, f"{first}-nose", 9, 15)
    for item in shown:
        if item["id"] == first:
            item["origin"] = "manual"
    reply = bench.ask({"result": shown, "edited": [f"{first}-nose"]})
    assert by_id(reply["result"], "rectanglelabels")[first]["value"] == by_id(result, "rectanglelabels")[first]["value"]


def test_both_persons_edited_both_move(bench):
    result = bench.preannotate()
    first, second = persons_of(result)
    ids = [f"{first}-nose", f"{second}-nose"]
    reply = bench.ask({"result": drag(drag(result, ids[0], 9, 15), ids[1], 55, 20), "edited": ids})
    assert persons_of(reply["result"]) == [first, second]
    assert len(by_id(reply["result"])) == 34
    kinds = [item["type"] for item in reply["result"]]
    assert kinds == ["keypointlabels"] * 34 + ["rectanglelabels"] * 2


def test_no_edit_is_of_everybody_at_once(bench, monkeypatch):
    """Each edited person costs work, so one request could keep the service busy for minutes."""
    monkeypatch.setattr(service_module, "_MAX_EDITED", 1)
    result = bench.preannotate()
    ids = [f"{person}-nose" for person in persons_of(result)]
    assert bench.ask({"result": result, "edited": ids[:1]})["result"]
    with pytest.raises(RequestError, match="at most 1 persons, got 2"):
        bench.ask({"result": result, "edited": ids})


def test_a_whole_number_that_no_float_can_hold_is_no_place(bench):
    """JSON may hold one; Python cannot subtract a float from it."""
    state = bench.preannotate()
    region_id = f"{persons_of(state)[0]}-nose"
    far, near = drag(state, region_id, 10**400, 15.0), drag(state, region_id, 10.5, 15.0)
    with pytest.raises(RequestError, match="to be a percentage, got a number of more than"):
        bench.ask({"result": far}, predictions=[{"result": near}])
    assert by_id(bench.ask({"result": near}, predictions=[{"result": far}])["result"])[region_id]["value"]["x"] == 10.5


def test_drawn_box_gets_all_keypoints(bench):
    rectangle = drawn_box()
    reply = bench.ask({"result": [*bench.preannotate(), rectangle], "edited": [rectangle["id"]]})
    keypoints = by_id(reply["result"])
    assert len(keypoints) == 17
    assert {item["parentID"] for item in keypoints.values()} == {rectangle["id"]}
    tokens = {region_id.split("-")[1] for region_id in keypoints}
    assert len(tokens) == 1
    found = [pixels(keypoints[f"cp-{tokens.copy().pop()}-{name}"]) for name in COCO.names]
    np.testing.assert_allclose(found, fakes.template([160, 60, 240, 180]), atol=1e-9)
    (echo,) = by_id(reply["result"], "rectanglelabels").values()
    assert (echo["id"], echo["value"]) == (rectangle["id"], rectangle["value"])
    assert bench.predictor.encoded == 3


def test_box_over_the_edge_is_encoded_once(bench):
    value = {"x": 90, "y": 25, "width": 25, "height": 50, "rotation": 0, "rectanglelabels": ["person"]}
    rectangle = drawn_box(value=value)
    for _ in range(2):
        reply = bench.ask({"result": [rectangle], "edited": [rectangle["id"]]})
    assert len(by_id(reply["result"])) == 17
    assert bench.predictor.encoded == 1


def test_box_outside_the_image_is_refused_with_a_sentence(bench):
    value = {"x": 101, "y": 25, "width": 25, "height": 50, "rotation": 0, "rectanglelabels": ["person"]}
    rectangle = drawn_box(value=value)
    with pytest.raises(RequestError, match="inside the image"):
        bench.ask({"result": [rectangle], "edited": [rectangle["id"]]})


def test_drawn_box_is_refined_afterwards_without_encoding(bench):
    rectangle = drawn_box()
    drawn = bench.ask({"result": [rectangle], "edited": [rectangle["id"]]})["result"]
    encoded = bench.predictor.encoded
    nose = next(region_id for region_id in by_id(drawn) if region_id.endswith("-nose"))
    reply = bench.ask({"result": drag(drawn, nose, 60, 30), "edited": [nose]})
    assert bench.predictor.encoded == encoded == 1
    after, before = by_id(reply["result"]), by_id(drawn)
    assert set(after) == set(before)
    for region_id in set(after) - {nose}:
        np.testing.assert_allclose(pixels(after[region_id]), pixels(before[region_id]) + fakes.SHIFT, atol=1e-9)


def test_dragged_box_asks_anew_but_keeps_touched_keypoints(bench):
    result = bench.preannotate()
    first, _ = persons_of(result)
    shown = drag(result, f"{first}-left_hip", 30.0, 70.0)
    for item in shown:
        if item["id"] == first:
            item["origin"] = "prediction-changed"
            item["value"].update(x=10, y=20, width=40, height=60)
    reply = bench.ask({"result": shown, "edited": [first]})
    new_box = np.array([32, 48, 160, 192])
    keypoints = by_id(reply["result"])
    expected = fakes.template(new_box) + fakes.SHIFT
    expected[COCO.index("left_hip")] = [96, 168]
    found = [pixels(keypoints[f"{first}-{name}"]) for name in COCO.names]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(box_pixels(by_id(reply["result"], "rectanglelabels")[first]), new_box, atol=1e-9)


def test_without_cached_region_the_edit_encodes_once():
    result = Bench().preannotate()
    fresh = Bench()
    first, _ = persons_of(result)
    for x in (9.0, 9.5, 10.0):
        fresh.ask({"result": drag(result, f"{first}-nose", x, 15), "edited": [f"{first}-nose"]})
    assert (fresh.predictor.encoded, fresh.images.loads) == (1, 1)


def test_keypoints_without_a_rectangle_are_refined_in_their_own_box(bench):
    result = [item for item in bench.preannotate() if item["type"] != "rectanglelabels"]
    nose = result[0]["id"]
    reply = bench.ask({"result": drag(result, nose, 9, 15), "edited": [nose]})
    assert len(by_id(reply["result"])) == 17
    assert persons_of(reply["result"]) == []


@pytest.mark.parametrize("context", [{"result": []}, {"result": [], "edited": ["cp-a-nose"]}])
def test_nothing_shown_is_nothing_changed(bench, context):
    assert bench.ask(context) == {}
    assert bench.images.loads == 0


def test_edited_region_that_is_gone_moves_nothing(bench):
    assert bench.ask({"result": bench.preannotate(), "edited": ["cp-a-nose"]}) == {}


# Stock Label Studio


@pytest.mark.parametrize("source", ["drafts", "annotations", "predictions"])
def test_smart_click_corrects_the_person_it_lies_on(bench, source):
    state = bench.preannotate()
    _, second = persons_of(state)
    click = smart_click("left_wrist", 60.0, 50.0)
    same_label = [item for item in state if item["id"].endswith("-left_wrist")]
    saved = {source: [{"id": 4, "result": state, "updated_at": "2026-01-01T00:00:00Z"}]}
    reply = bench.ask({"result": [*same_label, click]}, **saved)
    keypoints = by_id(reply["result"])
    assert set(keypoints) == {f"{second}-{name}" for name in COCO.names}
    wrist = keypoints[f"{second}-left_wrist"]
    assert (wrist["value"]["x"], wrist["value"]["y"], wrist["origin"]) == (60.0, 50.0, "manual")
    before = by_id(state)
    np.testing.assert_allclose(
        pixels(keypoints[f"{second}-nose"]), pixels(before[f"{second}-nose"]) + fakes.SHIFT, atol=1e-9
    )
    assert persons_of(reply["result"]) == [second]


def test_smart_click_starts_from_the_state_that_was_shown_not_from_another_annotators(bench):
    state = bench.preannotate()
    _, second = persons_of(state)
    theirs = drag(drag(state, f"{second}-nose", 90.0, 90.0), f"{second}-left_wrist", 91.0, 91.0)
    same_label = [item for item in state if item["id"].endswith("-left_wrist")]
    reply = bench.ask(
        {"result": [*same_label, smart_click("left_wrist", 60.0, 50.0)]},
        annotations=[{"result": theirs}],
        predictions=[{"result": state}],
    )
    nose = f"{second}-nose"
    expected = pixels(by_id(state)[nose]) + fakes.SHIFT
    np.testing.assert_allclose(pixels(by_id(reply["result"])[nose]), expected, atol=1e-9)


def test_second_smart_click_keeps_the_first(bench):
    state = bench.preannotate()
    _, second = persons_of(state)
    predictions = [{"id": 1, "result": state}]
    first_reply = bench.ask({"result": [smart_click("left_wrist", 60.0, 50.0)]}, predictions=predictions)
    replaced = {(item["id"], item["type"]): item for item in first_reply["result"]}
    now = [replaced.get((item["id"], item["type"]), item) for item in state]
    drafts = [{"id": 2, "result": now}]
    reply = bench.ask({"result": [smart_click("nose", 62.0, 20.0)]}, predictions=predictions, drafts=drafts)
    keypoints = by_id(reply["result"])
    wrist, nose = keypoints[f"{second}-left_wrist"]["value"], keypoints[f"{second}-nose"]["value"]
    assert ((wrist["x"], wrist["y"]), (nose["x"], nose["y"])) == ((60.0, 50.0), (62.0, 20.0))
    assert bench.predictor.refined[-1][1].fixed.nonzero()[0].tolist() == [0, 9]


def test_smart_click_brings_a_missing_joint_back(bench):
    state = [item for item in bench.preannotate() if not item["id"].endswith("-nose")]
    _, second = persons_of(state)
    reply = bench.ask({"result": [smart_click("nose", 62.0, 20.0)]}, drafts=[{"result": state}])
    nose = by_id(reply["result"])[f"{second}-nose"]
    assert (nose["value"]["x"], nose["value"]["y"], nose["parentID"]) == (62.0, 20.0, second)


@pytest.mark.parametrize(
    "change", [{}, {"is_positive": False}, {"value": {"x": 60, "y": 50, "keypointlabels": ["tail"]}}]
)
def test_click_that_is_nobodys_moves_nothing(bench, change):
    saved = {"predictions": [{"result": bench.preannotate()}]} if change else {}
    assert bench.ask({"result": [{**smart_click("nose", 60, 50), **change}]}, **saved) == {}


def test_stale_predictions_do_not_hide_the_draft(bench):
    state = bench.preannotate()
    _, second = persons_of(state)
    draft = drag(state, f"{second}-right_hip", 70.0, 60.0)
    reply = bench.ask(
        {"result": [smart_click("left_wrist", 60, 50)]},
        predictions=[{"result": state, "updated_at": "2027"}],
        drafts=[{"result": state, "updated_at": "2025"}, {"result": draft, "updated_at": "2026"}],
    )
    assert by_id(reply["result"])[f"{second}-right_hip"]["value"]["x"] == 70.0


@pytest.mark.parametrize("has_draft", [False, True])
def test_dynamic_prediction_refines_after_a_drag_and_loses_nobody(bench, has_draft):
    state = bench.preannotate()
    first, second = persons_of(state)
    dragged = [item for item in drag(state, f"{first}-nose", 9, 15) if item["id"] == f"{first}-nose"]
    saved = {"predictions": [{"result": [{**item, "dynamic": True} for item in state]}]}
    if has_draft:  # drafts do not say what is dynamic
        saved["drafts"] = [{"result": state, "updated_at": "2026"}]
    reply = bench.ask({"result": dragged}, **saved)
    assert not any("dynamic" in item for item in reply["result"])  # Label Studio would delete them
    assert sorted(item["id"] for item in reply["result"]) == sorted(item["id"] for item in state)
    before, after = by_id(state), by_id(reply["result"])
    assert (after[f"{first}-nose"]["value"]["x"], after[f"{first}-nose"]["value"]["y"]) == (9, 15)
    np.testing.assert_allclose(
        pixels(after[f"{first}-left_eye"]), pixels(before[f"{first}-left_eye"]) + fakes.SHIFT, atol=1e-9
    )
    assert all(after[f"{second}-{name}"] == before[f"{second}-{name}"] for name in COCO.names)
    assert [item["type"] for item in reply["result"]][-2:] == ["rectanglelabels"] * 2


def test_drag_that_a_draft_already_holds_still_refines(bench):
    state = bench.preannotate()
    first, _ = persons_of(state)
    moved = drag(state, f"{first}-nose", 9, 15)
    noses = [item for item in moved if item["id"].endswith("-nose")]
    reply = bench.ask({"result": noses}, drafts=[{"result": moved}])
    assert persons_of(reply["result"]) == [first]


def test_overwritten_labels_come_back_right(bench):
    state = bench.preannotate()
    first, _ = persons_of(state)
    for item in state:
        if item["type"] == "keypointlabels":
            item["value"]["keypointlabels"] = ["nose"]
    reply = bench.ask({"result": drag(state, f"{first}-nose", 9, 15), "edited": [f"{first}-nose"]})
    for name in COCO.names:
        assert by_id(reply["result"])[f"{first}-{name}"]["value"]["keypointlabels"] == [name]


def test_smart_box_drawn_in_stock_label_studio_gets_keypoints(bench):
    state = bench.preannotate()
    reply = bench.ask({"result": [drawn_box()]}, predictions=[{"result": state}])
    assert len(by_id(reply["result"])) == 17
    assert persons_of(reply["result"]) == [drawn_box()["id"]]


def test_recorded_smart_click_is_answered():
    body = json.loads((FIXTURES / "predict_interactive_ui.json").read_text())
    images = fakes.FakeImages({body["tasks"][0]["data"]["image"]: fakes.blank_image()})
    service = AnnotationService(fakes.FakePredictor, images, fakes.MemoryRegions())
    (reply,) = service.predict(body["tasks"], body["label_config"], body["params"]["context"])
    clicked, followed = reply["result"]
    assert (clicked["id"], clicked["value"]["x"], clicked["value"]["y"]) == ("k0", 57.7415812591508, 58.78477306002928)
    assert followed["id"] == "k1"
    np.testing.assert_allclose(pixels(followed), [160 + fakes.SHIFT[0], 96 + fakes.SHIFT[1]])


def test_recorded_click_without_any_state_moves_nothing():
    body = json.loads((FIXTURES / "predict_interactive_api.json").read_text())
    images = fakes.FakeImages({body["tasks"][0]["data"]["image"]: fakes.blank_image()})
    service = AnnotationService(fakes.FakePredictor, images, fakes.MemoryRegions())
    assert service.predict(body["tasks"], body["label_config"], body["params"]["context"]) == [{}]


# Bad requests


@pytest.mark.parametrize(
    ("tasks", "context", "message"),
    [
        (None, None, "tasks to be a list"),
        ([3], None, "tasks to be a list of objects"),
        ([{}], [], "context to be an object or null, got a list"),
        ([{}], {"edited": []}, r"context\.result to be a list"),
        ([{}, {}], {"result": []}, "one task with an interactive context, got 2"),
        ([{"data": {"image": "/data/a.png"}}], {"result": [{}], "edited": "x"}, r"context\.edited to be a list"),
        (
            [{"data": {"image": "/data/a.png"}}],
            {"result": [{}]},
            r"item 0 of context\.result to be a region with an id",
        ),
        ([{"data": {"image": "/gone.png"}}], {"result": [{}], "edited": []}, "no image at"),
    ],
)
def test_request_that_cannot_be_understood_says_why(bench, tasks, context, message):
    with pytest.raises(RequestError, match=message):
        bench.service.predict(tasks, XML, context)


@pytest.mark.parametrize(("xml", "error"), [(None, RequestError), (3, RequestError), ("<View/>", LabelingConfigError)])
def test_configuration_that_cannot_serve_says_why(bench, xml, error):
    with pytest.raises(error):
        bench.service.predict([bench.task()], xml)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
IDS = st.sampled_from(["cp-a", "cp-b", "cp-a-nose", "cp-a-left_eye", "cp-b-nose", "r1", "k1", ""])
VALUE = st.fixed_dictionaries(
    {"x": st.floats(-20, 120), "y": st.floats(-20, 120)},
    optional={
        "width": st.floats(-5, 120), "height": st.floats(-5, 120), "rotation": st.floats(-400, 400),
        "keypointlabels": st.lists(st.sampled_from(["nose", "left_eye", "tail"]), max_size=2),
        "rectanglelabels": st.lists(st.sampled_from(["person", "dog"]), max_size=1) | JSON,
        "choices": st.just(["occluded"]) | JSON,
    },
)  # fmt: skip
BOX_VALUE = st.fixed_dictionaries(
    {key: st.floats(0, 100) for key in ("x", "y", "width", "height")}, optional={"rotation": st.floats(0, 360)}
)
ITEM = st.fixed_dictionaries(
    {"id": IDS, "from_name": st.sampled_from(["keypoint", "visibility"]), "value": VALUE},
    optional={
        "parentID": IDS | JSON, "origin": st.sampled_from(["manual", "prediction", "prediction-changed"]) | JSON,
        "is_positive": st.booleans(), "dynamic": st.booleans() | JSON, "type": JSON,
    },
) | st.fixed_dictionaries(
    {"id": IDS, "from_name": st.just("box"), "value": BOX_VALUE},
    optional={"origin": st.sampled_from(["manual", "prediction", "prediction-changed"])},
)  # fmt: skip
RESULT = st.lists(ITEM, max_size=7) | st.lists(ITEM | JSON, max_size=4) | JSON
SAVED = st.lists(st.fixed_dictionaries({"result": RESULT}, optional={"updated_at": JSON}), max_size=2) | JSON


def check_answered_or_refused(tasks, context):
    bench = Bench()
    try:
        replies = bench.service.predict(tasks, XML, context)
    except (RequestError, LabelingConfigError):
        return
    assert len(replies) == len(tasks)
    json.dumps(replies)


@pytest.mark.slow
@given(tasks=JSON, context=JSON)
@settings(deadline=None)
def test_any_request_is_answered_or_refused(tasks, context):
    check_answered_or_refused(tasks, context)


@pytest.mark.slow
@given(
    saved=st.dictionaries(st.sampled_from(["drafts", "annotations", "predictions"]), SAVED, max_size=2),
    context=st.fixed_dictionaries(
        {"result": RESULT}, optional={"edited": st.lists(IDS, max_size=3) | JSON, "confirmed": st.lists(IDS) | JSON}
    ),
)
@settings(deadline=None, max_examples=300)
def test_any_interactive_context_is_answered_or_refused(saved, context):
    check_answered_or_refused([{"id": 1, "data": {"image": "/data/a.png"}, **saved}], context)


@pytest.mark.slow
@given(result=st.lists(ITEM, min_size=1, max_size=7), edited=st.none() | st.lists(IDS, min_size=1, max_size=3))
@settings(deadline=None, max_examples=300)
def test_any_edit_of_readable_regions_is_answered(result, edited):
    context = {"result": result} if edited is None else {"result": result, "edited": edited}
    check_answered_or_refused([{"id": 1, "data": {"image": "/data/a.png"}}], context)
