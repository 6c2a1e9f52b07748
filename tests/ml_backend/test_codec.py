"""Label Studio results <-> poses and annotations, on values."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clickpose.skeleton import COCO
from clickpose.structures import Annotations, Poses
from clickpose_labelstudio.codec import (
    decode_result,
    encode_annotations,
    encode_poses,
    unique_person_ids,
)
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.region_items import CodecError

CONFIG = parse_labeling_config(build_labeling_config())
PARTIAL = parse_labeling_config("""
<View><Image name="img" value="$image"/>
<KeyPointLabels name="kp" toName="img"><Label value="Nose"/><Label value="LWrist"/></KeyPointLabels>
<RectangleLabels name="r" toName="img"><Label value="human"/></RectangleLabels></View>""")
HW = (240, 320)


def point(region_id, label, x, y, *, origin="manual", parent=None, config=CONFIG):
    item = {
        "id": region_id, "from_name": config.keypoint_name, "to_name": config.image_name, "type": "keypointlabels",
        "original_width": 320, "original_height": 240, "image_rotation": 0, "origin": origin,
        "value": {"x": x / 3.2, "y": y / 2.4, "width": 0.5, "keypointlabels": [label]},
    }  # fmt: skip
    return item if parent is None else {**item, "parentID": parent}


def box(region_id, left, top, right, bottom, *, rotation=0, label="person", origin="manual", config=CONFIG):
    return {
        "id": region_id, "from_name": config.box_name, "to_name": config.image_name, "type": "rectanglelabels",
        "original_width": 320, "original_height": 240, "image_rotation": 0, "origin": origin,
        "value": {
            "x": left / 3.2, "y": top / 2.4, "width": (right - left) / 3.2, "height": (bottom - top) / 2.4,
            "rotation": rotation, "rectanglelabels": [label],
        },
    }  # fmt: skip


def choice(region_id, text):
    return {"id": region_id, "from_name": "visibility", "to_name": "image", "type": "choices", "origin": "manual",
            "value": {"x": 1, "y": 1, "width": 0.5, "choices": [text]}}  # fmt: skip


def joint_of(decoded, person, name):
    """Return (x, y), visibility, touched of a joint."""
    row, column = decoded.annotations.ids.index(person), COCO.names.index(name)
    parts = decoded.annotations
    return parts.keypoints[row, column].tolist(), int(parts.visibility[row, column]), bool(parts.touched[row, column])


def two_poses(**changes):
    fields = {
        "keypoints": np.random.default_rng(1).uniform(0, 239, (2, 17, 2)),
        "boxes_xyxy": [[10, 20, 110, 220], [150, 30, 300, 230]],
        "keypoint_scores": np.linspace(0, 1, 34).reshape(2, 17),
        "visibility_scores": np.full((2, 17), 0.9),
        "instance_scores": [0.75, 0.5],
    }
    return Poses(skeleton=COCO, **{**fields, **changes})


@pytest.mark.parametrize(
    ("box_xyxy", "width_pct"),
    [([10, 20, 110, 220], 0.6), ([150, 30, 170, 150], 0.38), ([10, 20, 15, 40], 0.25)],  # 200, 120, 20 of 320 px
)
def test_points_are_drawn_no_larger_than_fits_the_person(box_xyxy, width_pct):
    poses = two_poses(boxes_xyxy=[box_xyxy, box_xyxy]).select([0])
    items = [item for item in encode_poses(poses, CONFIG, HW) if item["type"] == "keypointlabels"]
    assert {item["value"]["width"] for item in items} == {width_pct}


@st.composite
def annotations(draw):
    height, width = draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
    count = draw(st.integers(0, 3))
    unit = st.floats(0, 1)
    keypoints = draw(hnp.arrays(float, (count, 17, 2), elements=unit)) * [width, height]
    visibility = draw(hnp.arrays(int, (count, 17), elements=st.integers(0, 2)))
    corners = np.sort(draw(hnp.arrays(float, (count, 2, 2), elements=unit)), axis=1) * [width, height]
    touched = draw(hnp.arrays(bool, (count, 17))) & (visibility > 0)
    names = st.one_of(st.from_regex(r"cp-[0-9a-f]{4}", fullmatch=True), st.text("abcXYZ019_", min_size=1, max_size=10))
    ids = draw(st.lists(names, min_size=count, max_size=count, unique=True))
    return Annotations(
        skeleton=COCO,
        keypoints=keypoints,
        visibility=visibility,
        boxes_xyxy=corners.reshape(-1, 4),
        touched=touched,
        ids=tuple(ids),
    ), (height, width)


@given(annotations())
@settings(deadline=None)
def test_annotations_round_trip(case):
    labels, image_hw = case
    back = decode_result(encode_annotations(labels, CONFIG, image_hw), CONFIG)
    assert back.unassigned == ()
    assert back.annotations.ids == labels.ids
    np.testing.assert_array_equal(back.annotations.visibility, labels.visibility)
    np.testing.assert_array_equal(back.annotations.touched, labels.touched)
    np.testing.assert_allclose(back.annotations.keypoints, labels.keypoints, rtol=0, atol=1e-9)
    np.testing.assert_allclose(back.annotations.boxes_xyxy, labels.boxes_xyxy, rtol=0, atol=1e-9)


def test_two_people_of_every_visibility_round_trip():
    rng = np.random.default_rng(7)
    visibility = np.stack([np.arange(17) % 3, (np.arange(17) + 1) % 3])
    labels = Annotations(
        skeleton=COCO,
        keypoints=rng.uniform(0, 240, (2, 17, 2)),
        visibility=visibility,
        boxes_xyxy=[[1.25, 2, 100.5, 200], [90, 9, 310, 239]],
    )
    result = encode_annotations(labels, CONFIG, HW)
    random.Random(3).shuffle(result)
    back = decode_result(result, CONFIG).annotations
    order = [back.ids.index(person) for person in labels.ids]
    np.testing.assert_array_equal(back.visibility[order], visibility)
    np.testing.assert_allclose(back.keypoints[order], labels.keypoints, rtol=0, atol=1e-9)


def test_person_without_a_rectangle_round_trips():
    labels = Annotations(
        skeleton=COCO,
        keypoints=np.full((1, 17, 2), 5.0),
        visibility=np.full((1, 17), 2),
        boxes_xyxy=np.full((1, 4), np.nan),
        ids=("cp-9",),
    )
    back = decode_result(encode_annotations(labels, CONFIG, HW), CONFIG).annotations
    assert back.ids == ("cp-9",)
    assert np.isnan(back.boxes_xyxy).all()
    np.testing.assert_allclose(back.keypoints, 5)


def test_poses_are_written_as_label_studio_shows_them():
    result = encode_poses(two_poses(), CONFIG, HW, ["cp-a", "cp-b"])
    kinds = [item["type"] for item in result]
    assert kinds == ["keypointlabels"] * 34 + ["rectanglelabels"] * 2
    wrist = next(item for item in result if item["id"] == "cp-a-left_wrist")
    pose = two_poses()
    assert wrist["parentID"] == "cp-a"
    assert (wrist["original_width"], wrist["original_height"], wrist["origin"]) == (320, 240, "prediction")
    assert wrist["score"] == pytest.approx(pose.keypoint_scores[0, 9], abs=1e-4)
    assert wrist["value"]["x"] == pytest.approx(pose.keypoints[0, 9, 0] / 3.2)
    assert wrist["value"]["y"] == pytest.approx(pose.keypoints[0, 9, 1] / 2.4)
    assert wrist["value"]["keypointlabels"] == ["left_wrist"]
    person = result[-1]
    assert (person["id"], person["score"]) == ("cp-b", 0.5)
    assert person["value"] == {
        "x": 46.875, "y": 12.5, "width": 46.875, "height": pytest.approx(200 / 2.4), "rotation": 0,
        "rectanglelabels": ["person"],
    }  # fmt: skip


def test_low_visibility_is_written_as_occluded_beside_its_keypoint():
    visibility = np.full((2, 17), 0.9)
    visibility[1, 9] = 0.49
    result = encode_poses(two_poses(visibility_scores=visibility), CONFIG, HW, ["cp-a", "cp-b"])
    (index,) = [i for i, item in enumerate(result) if item["type"] == "choices"]
    assert result[index]["id"] == result[index - 1]["id"] == "cp-b-left_wrist"
    assert result[index]["from_name"] == "visibility"
    assert result[index]["value"]["choices"] == ["occluded"]
    back = decode_result(result, CONFIG)
    assert joint_of(back, "cp-b", "left_wrist")[1:] == (1, False)
    assert joint_of(back, "cp-a", "left_wrist")[1:] == (2, False)
    assert not any(item["type"] == "choices" for item in encode_poses(two_poses(), CONFIG, HW, occluded_below=0.1))


def test_joints_of_very_low_visibility_are_left_out_where_that_is_wanted():
    visibility = np.full((2, 17), 0.9)
    visibility[0, [5, 16]] = 0.19, 0.2
    result = encode_poses(two_poses(visibility_scores=visibility), CONFIG, HW, ["cp-a", "cp-b"], unlabelled_below=0.2)
    back = decode_result(result, CONFIG).annotations
    assert back.visibility.tolist() == [[2] * 5 + [0] + [2] * 10 + [1], [2] * 17]


def test_predictions_outside_the_image_are_clipped_and_unplaced_joints_left_out():
    keypoints = np.full((2, 17, 2), 50.0)
    keypoints[0, 0], keypoints[0, 1], keypoints[1, 0] = (-4, 300), (np.nan, 3), (320.4, 10)
    boxes = [[-10, -10, 400, 400], [0, 0, 320, 240]]
    result = encode_poses(two_poses(keypoints=keypoints, boxes_xyxy=boxes), CONFIG, HW, ["cp-a", "cp-b"])
    values = {item["id"]: item["value"] for item in result}
    assert (values["cp-a-nose"]["x"], values["cp-a-nose"]["y"]) == (0, 100)
    assert values["cp-b-nose"]["x"] == 100
    assert "cp-a-left_eye" not in values
    assert [values["cp-a"][key] for key in ("x", "y", "width", "height")] == [0, 0, 100, 100]


def test_partial_configuration_gets_its_own_labels_only():
    result = encode_poses(two_poses(), PARTIAL, HW, ["cp-a", "cp-b"])
    assert [item["value"].get("keypointlabels") for item in result[:2]] == [["Nose"], ["LWrist"]]
    assert [item["id"] for item in result] == ["cp-a-nose", "cp-a-left_wrist", "cp-b-nose", "cp-b-left_wrist",
                                               "cp-a", "cp-b"]  # fmt: skip
    back = decode_result(result, PARTIAL).annotations
    assert (back.visibility[0] > 0).nonzero()[0].tolist() == [0, 9]


def test_labels_that_a_configuration_would_lose_are_refused():
    labels = Annotations(
        skeleton=COCO, keypoints=np.zeros((1, 17, 2)), visibility=np.full((1, 17), 2), boxes_xyxy=[[0, 0, 9, 9]]
    )
    with pytest.raises(CodecError, match=r"no label for joints that are labelled: left_eye, right_eye"):
        encode_annotations(labels, PARTIAL, HW)
    visibility = np.zeros((1, 17), int)
    visibility[0, 0] = 1
    with pytest.raises(CodecError, match="no per-region Choices"):
        encode_annotations(
            Annotations(
                skeleton=COCO, keypoints=np.zeros((1, 17, 2)), visibility=visibility, boxes_xyxy=[[0, 0, 9, 9]]
            ),
            PARTIAL,
            HW,
        )


def test_default_person_ids_repeat_and_differ():
    boxes = [[1, 2, 3, 4], [1.2, 2, 3, 4], [5, 6, 7, 8]]
    ids = unique_person_ids(boxes, "image")
    assert len(set(ids)) == 3
    assert ids == unique_person_ids(boxes, "image")
    assert ids != unique_person_ids(boxes, "another image")
    with pytest.raises(ValueError, match="Expected 2 different person ids"):
        encode_poses(two_poses(), CONFIG, HW, ["cp-a", "cp-a"])


def test_scores_are_what_label_studio_accepts():
    result = encode_poses(two_poses(instance_scores=[np.nan, 1.0000001]), CONFIG, HW)
    assert [item["score"] for item in result if item["type"] == "rectanglelabels"] == [0, 1]


def test_stock_regions_are_grouped_by_parent():
    result = [
        point("k1", "nose", 200, 100, parent="r2"),  # lies in r1's box, but says r2
        point("k2", "nose", 60, 50, parent="r1"),
        box("r1", 10, 10, 300, 230),
        box("r2", 20, 20, 100, 100),
    ]
    decoded = decode_result(result, CONFIG)
    assert decoded.annotations.ids == ("r1", "r2")
    assert joint_of(decoded, "r2", "nose")[0] == pytest.approx([200, 100])
    assert joint_of(decoded, "r1", "nose")[0] == pytest.approx([60, 50])


def test_stock_regions_without_parent_go_to_the_box_they_lie_in():
    result = [
        point("k1", "nose", 50, 30),
        point("k2", "nose", 250, 30),
        point("k3", "left_wrist", 105, 90),  # 5 px outside r1, 95 px outside r2
        point("k4", "left_wrist", 310, 239),  # in reach of r2 only
        box("r1", 0, 0, 100, 200),
        box("r2", 200, 0, 300, 200),
    ]
    decoded = decode_result(result, CONFIG)
    assert joint_of(decoded, "r1", "nose")[0] == pytest.approx([50, 30])
    assert joint_of(decoded, "r2", "nose")[0] == pytest.approx([250, 30])
    assert joint_of(decoded, "r1", "left_wrist")[0] == pytest.approx([105, 90])
    assert joint_of(decoded, "r2", "left_wrist")[0] == pytest.approx([310, 239])
    assert decoded.unassigned == ()


def test_keypoints_that_belong_to_nobody_are_kept_apart():
    far, tail = point("k1", "nose", 319, 239), point("k2", "tail", 50, 50, parent="r1")
    second = point("k3", "left_eye", 12, 12, origin="prediction", parent="r1")
    result = [point("k0", "left_eye", 10, 10, parent="r1"), second, far, tail, box("r1", 0, 0, 100, 100)]
    decoded = decode_result(result, CONFIG)
    assert sorted(item["id"] for item in decoded.unassigned) == ["k1", "k2", "k3"]
    assert joint_of(decoded, "r1", "left_eye") == ([pytest.approx(10), pytest.approx(10)], 2, True)


def test_of_two_regions_of_one_joint_the_touched_one_stands():
    predicted = point("k3", "left_eye", 12, 12, origin="prediction", parent="r1")
    placed = point("k0", "left_eye", 10, 10, parent="r1")
    decoded = decode_result([predicted, placed, box("r1", 0, 0, 100, 100)], CONFIG)
    assert joint_of(decoded, "r1", "left_eye")[0] == pytest.approx([10, 10])
    assert [item["id"] for item in decoded.unassigned] == ["k3"]


def test_keypoints_without_any_box_are_one_person_if_no_joint_occurs_twice():
    one = decode_result([point("a", "nose", 5, 6), point("b", "left_eye", 7, 8)], CONFIG)
    assert len(one.annotations) == 1
    assert one.annotations.visibility[0, :3].tolist() == [2, 2, 0]
    assert np.isnan(one.annotations.boxes_xyxy).all()
    two = decode_result([point("a", "nose", 5, 6), point("b", "nose", 7, 8)], CONFIG)
    assert len(two.annotations) == 0
    assert len(two.unassigned) == 2


def test_keypoints_of_a_deleted_rectangle_stay_together():
    labels = Annotations(
        skeleton=COCO,
        keypoints=np.full((2, 17, 2), 9.0),
        visibility=np.full((2, 17), 2),
        boxes_xyxy=[[0, 0, 20, 20]] * 2,
        ids=("cp-a", "r2"),
    )
    result = [item for item in encode_annotations(labels, CONFIG, HW) if item["type"] != "rectanglelabels"]
    back = decode_result([{**item, "parentID": ""} for item in result], CONFIG)
    assert len(back.annotations) == 2
    assert (back.annotations.visibility == 2).all()
    assert back.annotations.ids[0] == "cp-a"
    assert decode_result(result, CONFIG).annotations.ids == back.annotations.ids


def test_labels_overwritten_by_label_studio_are_repaired_from_the_ids():
    result = encode_poses(two_poses(), CONFIG, HW, ["cp-a", "cp-b"])
    good = decode_result(result, CONFIG).annotations
    for item in result:
        if item["id"].startswith("cp-a-"):
            item["value"]["keypointlabels"] = ["left_wrist"]
    bad = decode_result(result, CONFIG)
    np.testing.assert_array_equal(bad.annotations.keypoints, good.keypoints)
    assert bad.unassigned == ()


def test_labels_that_a_human_exchanged_stand():
    result = encode_poses(two_poses(), CONFIG, HW, ["cp-a", "cp-b"])
    before = decode_result(result, CONFIG).annotations.keypoints[0]
    swap = {"cp-a-left_wrist": "right_wrist", "cp-a-right_wrist": "left_wrist"}
    for item in result:
        if item["id"] in swap:
            item["value"]["keypointlabels"] = [swap[item["id"]]]
    after = decode_result(result, CONFIG).annotations.keypoints[0]
    np.testing.assert_array_equal(after[[9, 10]], before[[10, 9]])
    np.testing.assert_array_equal(after[:9], before[:9])


def test_rotated_box_becomes_the_upright_box_around_it():
    (upright,) = decode_result([box("r", 100, 50, 140, 110, rotation=90)], CONFIG).annotations.boxes_xyxy
    np.testing.assert_allclose(upright, [40, 50, 100, 90], atol=1e-9)  # turned clockwise about its top left corner
    (tilted,) = decode_result([box("r", 100, 50, 140, 80, rotation=30)], CONFIG).annotations.boxes_xyxy
    cos, sin = math.cos(math.pi / 6), 0.5
    np.testing.assert_allclose(tilted, [100 - 30 * sin, 50, 100 + 40 * cos, 50 + 40 * sin + 30 * cos], atol=1e-9)


def test_touched_comes_from_origin_and_from_named_ids():
    result = [
        point("cp-a-nose", "nose", 1, 1, origin="prediction"),
        point("cp-a-left_eye", "left_eye", 2, 2, origin="prediction-changed"),
        point("cp-a-right_eye", "right_eye", 3, 3, origin="manual"),
        point("cp-a-left_ear", "left_ear", 4, 4, origin="prediction"),
        {key: value for key, value in point("cp-a-right_ear", "right_ear", 4, 4).items() if key != "origin"},
    ]
    decoded = decode_result(result, CONFIG, touched_ids=["cp-a-left_ear"])
    assert decoded.annotations.touched[0, :5].tolist() == [False, True, True, True, True]


def test_items_of_other_controls_are_no_regions():
    result = [
        {"id": "x1", "from_name": "notes", "type": "textarea", "value": {"text": ["hi"]}},
        {"type": "relation", "from_id": "a", "to_id": "b"},
        box("dog", 0, 0, 10, 10, label="dog"),
        {**box("r", 0, 0, 9, 9), "from_name": "other"},
    ]
    decoded = decode_result(result, CONFIG)
    assert len(decoded.annotations) == 0
    assert decoded.unassigned == ()


def test_image_size_given_by_the_caller_wins():
    result = [point("cp-a-nose", "nose", 160, 120)]
    assert joint_of(decode_result(result, CONFIG, (480, 640)), "cp-a", "nose")[0] == pytest.approx([320, 240])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": {}}, r"value\.x of region 'k1' to be a percentage, got none"),
        ({"value": None}, r"value\.x of region 'k1'"),
        ({"value": {"x": "5", "y": 3}}, r"value\.x .* got '5'"),
        ({"value": {"x": 5, "y": float("nan")}}, r"value\.y .* got nan"),
        ({"value": {"x": True, "y": 5}}, r"value\.x .* got true"),
        ({"value": {"x": 10**400, "y": 5}}, r"value\.x"),
        ({"id": 5}, "id of item 0 of the result to be text, got 5"),
        ({"original_width": None}, "Expected original_width and original_height"),
        ({"original_height": 0}, "Expected original_width and original_height"),
    ],
)
def test_malformed_region_is_refused_with_its_id(change, message):
    with pytest.raises(CodecError, match=message):
        decode_result([{**point("k1", "nose", 1, 1), **change}], CONFIG)


@pytest.mark.parametrize(
    ("result", "message"), [(None, "list of regions"), ("abc", "list of"), ([3], "item 0 .* got 3")]
)
def test_malformed_result_is_refused(result, message):
    with pytest.raises(CodecError, match=message):
        decode_result(result, CONFIG)


def test_decoding_leaves_its_input_alone():
    result = encode_poses(two_poses(), CONFIG, HW)
    before = copy.deepcopy(result)
    decode_result(result, CONFIG, touched_ids=[result[0]["id"]])
    assert result == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ODD_ITEM = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["cp-a", "cp-a-nose", "cp-b-left_eye", "r1", "cp--", "cp-a-", "", "\ud800"]) | JSON,
        "from_name": st.sampled_from([CONFIG.keypoint_name, CONFIG.box_name, "visibility"]) | JSON,
        "parentID": st.sampled_from(["cp-a", "r1", ""]) | JSON,
        "origin": st.sampled_from(["manual", "prediction", "prediction-changed"]) | JSON,
        "original_width": st.just(320) | JSON,
        "original_height": st.just(240) | JSON,
        "value": st.fixed_dictionaries(
            {},
            optional={
                "x": st.floats(-1, 101) | JSON, "y": st.floats(-1, 101) | JSON,
                "width": st.floats(0, 100) | JSON, "height": st.floats(0, 100) | JSON, "rotation": JSON,
                "keypointlabels": st.just(["nose"]) | JSON, "rectanglelabels": st.just(["person"]) | JSON,
                "choices": st.just(["occluded"]) | JSON,
            },
        ) | JSON,
    },
)  # fmt: skip


@pytest.mark.slow
@given(st.lists(ODD_ITEM | JSON, max_size=6) | JSON)
@settings(deadline=None, max_examples=300)
def test_any_json_is_read_or_refused(result):
    try:
        decoded = decode_result(result, CONFIG)
    except CodecError:
        return
    kept = sum(len(person.joints) + (person.box_item is not None) for person in decoded.persons)
    ours = [item for item in result if item.get("from_name") in (CONFIG.keypoint_name, CONFIG.box_name)]
    others = [item for item in ours if item["from_name"] == CONFIG.box_name and _is_another_thing(item)]
    assert kept + len(decoded.unassigned) + len(others) == len(ours)


def _is_another_thing(item):
    labels = item["value"].get("rectanglelabels") if isinstance(item.get("value"), dict) else None
    texts = [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []
    return bool(texts) and "person" not in texts
