"""Whose a keypoint is: the region tree, relations, boxes of other labels; what is nobody's is said to be."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from clickpose.skeleton import COCO
from clickpose_labelstudio.codec import decode_result
from clickpose_labelstudio.labeling_config import parse_labeling_config

CONFIG = parse_labeling_config(
    """<View><Image name="image" value="$image"/>
    <RectangleLabels name="box" toName="image"><Label value="person"/><Label value="dog"/></RectangleLabels>
    <RectangleLabels name="things" toName="image"><Label value="ball"/></RectangleLabels>
    <KeyPointLabels name="keypoint" toName="image">"""
    + "".join(f'<Label value="{name}"/>' for name in (*COCO.names, "tail"))
    + """</KeyPointLabels>
    <KeyPointLabels name="dog_keypoint" toName="image"><Label value="nose"/></KeyPointLabels>
    <PolygonLabels name="shape" toName="image"><Label value="person"/><Label value="sofa"/></PolygonLabels>
    </View>"""
)
SIDE = 100  # px of the photo, so that percent are px


def region(region_id, kind, value, **more):
    name = {"keypointlabels": "keypoint", "rectanglelabels": "box", "polygonlabels": "shape"}[kind]
    size = {"original_width": SIDE, "original_height": SIDE, "image_rotation": 0}
    return {"id": region_id, "from_name": name, "to_name": "image", "type": kind, **size, "value": value, **more}


def point(region_id, joint, x, y, **more):
    labels = {} if joint is None else {"keypointlabels": [joint]}
    return region(region_id, "keypointlabels", {"x": x, "y": y, "width": 0.5, **labels}, **more)


def box(region_id, left, top, right, bottom, label="person", **more):
    value = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
    return region(region_id, "rectanglelabels", {**value, "rectanglelabels": [label]}, **more)


def polygon(region_id, label):
    return region(region_id, "polygonlabels", {"points": [[1, 1], [9, 1], [5, 9]], "polygonlabels": [label]})


def relation(from_id, to_id, **more):
    return {"type": "relation", "from_id": from_id, "to_id": to_id, "direction": "right", **more}


def owners(result):
    """Return keypoint id -> person id, and how many are left over why, whatever the order of the items."""
    found = []
    for seed in range(4):
        items = list(result)
        random.Random(seed).shuffle(items)
        decoded = decode_result(items, CONFIG)
        owned = {point.item["id"]: person.id for person in decoded.persons for point in person.joints.values()}
        found.append((owned, Counter(reason for _, reason in decoded.left_over)))
    assert all(other == found[0] for other in found)
    return found[0]


JOINTS = ("nose", "left_wrist", "right_wrist", "left_hip")
TWO_BOXES = [box("A", 10, 10, 50, 90), box("B", 20, 15, 60, 95)]


def joints_of(prefix, offset, **more):
    """Four keypoints well inside both boxes: distance would give many of them to the other person."""
    places = [(30, 20), (45, 50), (25, 50), (38, 60)]
    return [
        point(f"{prefix}{n}", joint, x + offset, y, **more)
        for n, (joint, (x, y)) in enumerate(zip(JOINTS, places, strict=True))
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_relations_decide_before_distance_in_either_direction(turned):
    points = joints_of("a", 4) + joints_of("b", 0)  # A's lie nearer to B's middle
    pairs = [(item["id"], item["id"][0].upper()) for item in points]
    links = [relation(*(pair[::-1] if turned else pair)) for pair in pairs]
    owned, left = owners(TWO_BOXES + points + links)
    assert owned == dict(pairs)
    assert not left


def test_parent_counts_before_a_relation_and_our_own_id():
    held = [
        point("k1", "nose", 30, 20, parentID="A"), relation("k1", "B"),
        point("cp-7-left_wrist", "left_wrist", 30, 30, parentID="B"), box("cp-7", 10, 10, 60, 90),
    ]  # fmt: skip
    assert owners(TWO_BOXES + held)[0] == {"k1": "A", "cp-7-left_wrist": "B"}


def test_relation_counts_before_our_own_id_whose_person_is_gone():
    points = [point("cp-9-nose", "nose", 30, 20), point("cp-9-left_hip", "left_hip", 30, 50)]
    assert owners(TWO_BOXES + points + [relation(item["id"], "B") for item in points])[0] == {
        "cp-9-nose": "B", "cp-9-left_hip": "B",
    }  # fmt: skip


def test_keypoints_nested_or_linked_through_others_belong_to_the_same_person():
    nested = [point("k1", "left_hip", 40, 60, parentID="B"), point("k2", "left_wrist", 45, 50, parentID="k1")]
    linked = [point("k3", "nose", 30, 20), relation("k3", "k2"), point("k4", "right_hip", 12, 60), relation("k4", "k3")]
    assert owners(TWO_BOXES + nested + linked)[0] == dict.fromkeys(("k1", "k2", "k3", "k4"), "B")


def test_circles_in_the_region_tree_end():
    owned, _ = owners(
        [*TWO_BOXES, point("k1", "nose", 30, 20, parentID="k2"), point("k2", "left_hip", 30, 60, parentID="k1")]
    )
    assert set(owned) == {"k1", "k2"}


@pytest.mark.parametrize("other", [box("D", 40, 40, 80, 80, "dog"), polygon("D", "sofa")])
def test_keypoints_nested_in_or_linked_with_another_label_are_nobodys(other):
    points = [point("d1", "nose", 42, 45, parentID="D"), point("d2", "left_hip", 45, 60)]
    owned, left = owners(
        [*TWO_BOXES, other, *points, relation("d2", "D"), point("a1", "left_eye", 30, 20, parentID="A")]
    )
    assert owned == {"a1": "A"}
    assert left == {"of another label's region": 2}


def test_a_hand_linked_with_what_it_holds_stays_its_persons():
    ball = {**box("ball", 40, 40, 80, 80, "ball"), "from_name": "things"}
    points = [point("w", "left_wrist", 45, 50, parentID="A"), point("h", "left_hip", 45, 60)]
    links = [relation("w", "ball"), relation("h", "ball"), relation("h", "B")]
    assert owners([*TWO_BOXES, ball, *points, *links])[0] == {"w": "A", "h": "B"}


@pytest.mark.parametrize("control", ["box", "things"])
def test_dog_without_parents_beside_a_person_is_nobodys(control):
    dog = {**box("D", 52, 40, 95, 90, "dog"), "from_name": control}
    person = [point(f"a{n}", joint, 15 + 5 * n, 30 + 10 * n) for n, joint in enumerate(JOINTS)]
    beside = [point(f"d{n}", joint, 55 + 2 * n, 50 + 5 * n) for n, joint in enumerate((*JOINTS, "left_ankle"))]
    owned, left = owners([box("A", 10, 10, 50, 90), dog, *person, *beside])
    assert owned == dict.fromkeys(("a0", "a1", "a2", "a3"), "A")
    assert left == {"of another label's region": 5}


def test_wrist_within_a_racket_in_front_of_its_person_stays_the_persons():
    racket = {**box("R", 30, 40, 48, 60, "ball"), "from_name": "things"}
    assert owners([box("A", 10, 10, 50, 90), racket, point("w", "left_wrist", 40, 50)]) == ({"w": "A"}, {})


def test_dog_alone_is_no_person():
    dog = [box("D", 10, 10, 50, 90, "dog"), point("d1", "nose", 20, 20), point("d2", "left_eye", 22, 18)]
    assert owners(dog) == ({}, {"of another label's region": 2})


def test_keypoints_of_another_control_are_not_read():
    assert owners([box("A", 10, 10, 50, 90), {**point("d", "nose", 30, 20), "from_name": "dog_keypoint"}]) == ({}, {})


def test_people_without_boxes_are_told_apart_by_relations_or_parents():
    points = joints_of("a", 4) + joints_of("b", 0)
    chains = [relation(f"{p}{n}", f"{p}{n + 1}") for p in "ab" for n in range(3)]
    star = [relation(f"{p}0", f"{p}{n}") for p in "ab" for n in (1, 2, 3)]
    parents = [{**item, "parentID": f"{item['id'][0]}0"} if item["id"][1] != "0" else item for item in points]
    shapes = [{**item, "parentID": f"S{item['id'][0]}"} for item in points]
    outlines = [polygon("Sa", "person"), polygon("Sb", "person")]
    for result in (points + chains, points + star, parents, [*shapes, *outlines], shapes):
        owned, left = owners(result)
        people = {owner: {key[0] for key, other in owned.items() if other == owner} for owner in owned.values()}
        assert sorted(map(sorted, people.values())) == [["a"], ["b"]]
        assert len(owned) == 8
        assert not left


def test_people_without_anything_that_tells_them_apart_are_said():
    assert owners(joints_of("a", 4) + joints_of("b", 0)) == (
        {}, {"with no box, parent or relation that tells whose": 8},
    )  # fmt: skip


def test_linked_person_without_a_box_is_not_swallowed_by_whoever_stands_there():
    boxed = [{**item, "parentID": "A"} for item in joints_of("a", 0)]
    linked = joints_of("b", 4)
    chain = [relation(f"b{n}", f"b{n + 1}") for n in range(3)]
    owned, _ = owners([box("A", 10, 10, 50, 90), *boxed, *linked, *chain])
    assert {owned[f"a{n}"] for n in range(4)} == {"A"}
    (other,) = {owned[f"b{n}"] for n in range(4)}
    assert other != "A"


def test_two_keypoints_that_are_linked_go_together_to_the_person_they_lie_on():
    points = [point("l", "left_wrist", 20, 50), point("r", "right_wrist", 40, 50), relation("l", "r")]
    assert owners([box("A", 10, 10, 50, 90), *points])[0] == {"l": "A", "r": "A"}
    alone = [*points, point("n", "nose", 30, 15)]  # the only person of the photo, whatever links some of the joints
    assert len(set(owners(alone)[0].values())) == 1
    assert len(owners(alone)[0]) == 3


def test_a_relation_between_two_people_moves_nobodys_joints():
    points = [point("a", "left_wrist", 30, 50, parentID="A"), point("b", "nose", 30, 20, parentID="B")]
    assert owners([*TWO_BOXES, *points, relation("a", "b"), relation("A", "B")])[0] == {"a": "A", "b": "B"}


def test_what_is_left_over_says_why():
    result = [
        box("A", 10, 10, 50, 90), box("A", 10, 10, 50, 90),
        point("k1", "nose", 20, 20, parentID="A"), point("k2", "nose", 21, 20, parentID="A", origin="prediction"),
        point("k3", None, 22, 20, parentID="A"), point("k4", "tail", 23, 20), point("k5", "left_hip", 99, 99),
        point("k6", "nose", 24, 20),
    ]  # fmt: skip
    owned, left = owners(result)
    assert owned == {"k1": "A"}
    assert left == {
        "a box of the same id": 1, "a joint that the person has already": 2, "without a label": 1,
        "of a label that is no joint": 1, "near no person": 1,
    }  # fmt: skip


def test_odd_relations_tell_nothing():
    odd = [relation(None, "A"), relation(3, {}), relation("gone", "k1"), relation("k1", "k1"), {"type": "relation"}]
    assert owners([*TWO_BOXES, point("k1", "nose", 12, 12), *odd])[0] == {"k1": "A"}


def test_every_order_of_parents_and_relations_gives_the_same_people():
    result = [*TWO_BOXES, *joints_of("a", 4), *joints_of("b", 0)]
    result += [relation(item["id"], item["id"][0].upper()) for item in result if item["id"][0] in "ab"]
    for order in itertools.islice(itertools.permutations(result, len(result)), 0, 5000, 500):
        owned = {
            p.item["id"]: person.id for person in decode_result(order, CONFIG).persons for p in person.joints.values()
        }
        assert all(owner == key[0].upper() for key, owner in owned.items())
