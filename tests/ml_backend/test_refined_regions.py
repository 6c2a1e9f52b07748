"""A refined person goes back over the regions that it came from; a click and a stray keypoint find their person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clickpose.skeleton import COCO
from clickpose.structures import Pose
from clickpose_labelstudio.codec import decode_result, encode_new_person, encode_refined, place_keypoint
from clickpose_labelstudio.grouping import TWICE, Person, nearest_person
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config

CONFIG = parse_labeling_config(build_labeling_config())
SIDE = 200  # px of the photo: a percent is two px


def region(region_id, kind, value, **more):
    name = CONFIG.keypoint_name if kind == "keypointlabels" else CONFIG.box_name
    size = {"original_width": SIDE, "original_height": SIDE, "image_rotation": 0}
    return {"id": region_id, "from_name": name, "to_name": CONFIG.image_name, "type": kind, **size, "value": value,
            "origin": "manual", **more}  # fmt: skip


def point(region_id, joint, x, y, **more):
    value = {"x": x / 2, "y": y / 2, "width": 0.5, "keypointlabels": [joint]}
    return region(region_id, "keypointlabels", value, **more)


def box(region_id, left, top, right, bottom):
    value = {"x": left / 2, "y": top / 2, "width": (right - left) / 2, "height": (bottom - top) / 2, "rotation": 0}
    return region(region_id, "rectanglelabels", {**value, "rectanglelabels": [CONFIG.person_label]})


def on(item, **value):
    """An item of another control on a region, as Label Studio stores it: with a copy of the region's place."""
    own = {key: item["value"][key] for key in ("x", "y", "width", "height") if key in item["value"]}
    return {"id": item["id"], "from_name": "note", "to_name": "image", "type": "textarea", "value": {**own, **value}}


def refined_pose(**fixed_at):
    """Every joint at (20 + its number, 50), scores .01 · number; the box from -20 on, which the photo cuts off."""
    fixed = np.array([name in fixed_at for name in COCO.names])
    keypoints = np.stack([20 + np.arange(17.0), np.full(17, 50.0)], 1)
    for name, place in fixed_at.items():
        keypoints[COCO.index(name)] = place
    return Pose(
        skeleton=COCO, keypoints=keypoints, box_xyxy=[-20, 10, 90, 190], keypoint_scores=0.01 * np.arange(17),
        visibility_scores=np.ones(17), instance_score=0.75, fixed=fixed,
    )  # fmt: skip


@pytest.mark.parametrize("keep_box", [False, True])
def test_a_refined_person_keeps_its_regions_and_moves_them(keep_box):
    nose, person = point("n", "nose", 33.3, 44.4, parentID="P"), box("P", 10, 20, 80, 180)
    wrist = point("w", "left_wrist", 60, 70, parentID="P")
    notes = [on(wrist, text=["seen"]), on(person, text=["who"]), {**on(nose), "value": "nothing"}]
    decoded = decode_result([person, nose, wrist, *notes], CONFIG)
    pose = refined_pose(nose=(33.3, 44.4))
    items = encode_refined(decoded, decoded.persons[0], pose, CONFIG, keep_box=keep_box)
    assert [item["id"] for item in items] == ["n", "n", "w", "w", "P", "P"]
    assert [item["type"] for item in items] == ["keypointlabels", "textarea"] * 2 + ["rectanglelabels", "textarea"]
    assert items[0] == {**nose, "score": 0.0} and items[1]["value"] == "nothing"  # fixed: the very numbers that came
    left_wrist = COCO.index("left_wrist")
    assert items[2]["value"] == {**wrist["value"], "x": (20 + left_wrist) / 2, "y": 25.0}
    assert items[2]["score"] == pytest.approx(0.01 * left_wrist) and items[2]["parentID"] == "P"
    assert items[3]["value"] == {"x": (20 + left_wrist) / 2, "y": 25.0, "width": 0.5, "text": ["seen"]}
    moved = person["value"] if keep_box else {**person["value"], "x": 0.0, "y": 5.0, "width": 45.0, "height": 90.0}
    assert items[4]["value"] == moved and items[4]["score"] == 0.75
    place = {key: moved[key] for key in ("x", "y", "width", "height")}
    assert items[5]["value"] == {**place, "text": ["who"]}


def test_the_joints_of_a_drawn_box_come_before_it_and_it_stays():
    person = box("P", 10, 20, 80, 180)
    decoded = decode_result([person, on(person, text=["who"])], CONFIG)
    items = encode_new_person(decoded, decoded.persons[0], refined_pose(), CONFIG)
    assert [item["value"]["keypointlabels"][0] for item in items[:17]] == list(COCO.names)
    assert {item["parentID"] for item in items[:17]} == {"P"}
    assert items[17] == {**person, "score": 0.75} and items[18] == on(person, text=["who"]) and len(items) == 19


def test_a_click_changes_its_person_alone():
    result = [box("P", 10, 20, 80, 180), box("Q", 100, 20, 180, 180), point("w", "left_wrist", 110, 70, parentID="Q")]
    decoded = decode_result(result, CONFIG)
    wrist, nose = COCO.index("left_wrist"), COCO.index("nose")
    moved = place_keypoint(decoded, decoded.persons[1], wrist, point("click", "nose", 120, 90), CONFIG)
    assert moved.persons[0] is decoded.persons[0]
    assert moved.persons[1].joints[wrist].item["id"] == "w"
    assert moved.annotations.keypoints[1, wrist].tolist() == [120, 90] and moved.annotations.touched[1, wrist]
    new = place_keypoint(moved, moved.persons[0], nose, point("click", "left_ear", 30, 40), CONFIG)
    assert new.persons[1] is moved.persons[1] and set(new.persons[0].joints) == {nose}
    assert new.persons[0].joints[nose].item["parentID"] == "P"
    assert new.annotations.keypoints[0, nose].tolist() == [30, 40]
    assert decoded.persons[0].joints == {}


def people(*boxes):
    return [Person(str(i), {}, np.array(box_xyxy, dtype=float)) for i, box_xyxy in enumerate(boxes)]


def test_a_keypoint_belongs_to_the_nearest_person_in_units_of_the_persons_size():
    """Costs by hand, at (120, 60): 20 px right of a box 100 px high: .2 and its centre 70.7 px off, .707: .907 in all.
    Inside a box of 160 px: 0 and its centre (180, 80) 63.2 px off: .395."""
    small, large = people([0, 0, 100, 100], [100, 0, 260, 160])
    spot = np.array([120.0, 60.0])
    assert nearest_person([small, large], spot, 0, COCO, reach=0.25) is large
    assert nearest_person([small], spot, 0, COCO, reach=0.25) is small
    assert nearest_person([small], spot, 0, COCO, reach=0.19) is None
    assert nearest_person([small], np.array([20.0, 120.0]), 0, COCO, reach=0.2) is small  # below, exactly in reach
    assert nearest_person([], spot, 0, COCO, reach=1.0) is None
    # without joints the centre counts: of two people around a point it goes to the one in whose middle it lies
    wide, tall = people([0, 0, 200, 40], [90, 0, 130, 200])
    assert nearest_person([wide, tall], np.array([105.0, 22.0]), 0, COCO, reach=0.25) is wide
    assert nearest_person([wide, tall], np.array([108.0, 39.0]), 0, COCO, reach=0.25) is wide
    assert nearest_person([wide, tall], np.array([128.0, 90.0]), 0, COCO, reach=0.5) is tall


def test_a_neighbouring_joint_says_more_than_the_boxes_middle():
    elbow = point("e", "left_elbow", 62, 100, parentID="P")
    decoded = decode_result([box("P", 10, 20, 110, 180), box("Q", 60, 20, 160, 180), elbow], CONFIG)
    wrist = COCO.index("left_wrist")
    spot = np.array([75.0, 100.0])  # nearer to the middle of P than of Q, and beside P's elbow
    assert nearest_person(decoded.persons, spot, wrist, COCO, reach=0.25).id == "P"
    far = replace_point(decoded.persons[0], COCO.index("left_elbow"), (12, 22))
    assert nearest_person([far, decoded.persons[1]], np.array([100.0, 100.0]), wrist, COCO, reach=0.25).id == "Q"


def replace_point(person: Person, joint: int, place) -> Person:
    moved = replace(person.joints[joint], point=np.array(place, dtype=float))
    return replace(person, joints={**person.joints, joint: moved})


def test_of_two_stray_keypoints_of_a_joint_the_better_one_stays_and_the_other_is_left_over():
    result = [box("P", 10, 20, 110, 180), point("far", "nose", 15, 25), point("near", "nose", 60, 98)]
    for order in (result, result[::-1]):
        decoded = decode_result(order, CONFIG)
        assert decoded.persons[0].joints[0].item["id"] == "near"
        assert [(left.item["id"], left.reason) for left in decoded.left_over] == [("far", TWICE)]
    # and one that fits two people goes to one of them, not to both
    both = decode_result([box("P", 10, 20, 110, 180), box("Q", 50, 20, 150, 180), point("n", "nose", 75, 100)], CONFIG)
    assert [len(person.joints) for person in both.persons] == [1, 0] and both.left_over == ()
