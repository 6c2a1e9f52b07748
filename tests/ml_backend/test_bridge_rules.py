"""The bridge's pure rules in node: who is meant, what belongs to nobody, what looks exchanged, which key is which."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from clickpose.skeleton import COCO
from helpers.bridge_modules import run_in_node

CONFIG = {"joints": list(COCO.names), "bones": [[COCO.names[a], COCO.names[b]] for a, b in COCO.edges]}
WITH_CONFIG = f"globalThis.__clickposeConfig = {json.dumps(CONFIG)};\n"
# a standing person seen from in front, px: the left side is on the right of the picture
STANDING = {
    "nose": (0, -40), "left_eye": (8, -46), "right_eye": (-8, -46),
    "left_shoulder": (30, 0), "right_shoulder": (-30, 0),
    "left_elbow": (40, 45), "right_elbow": (-40, 45), "left_wrist": (45, 85), "right_wrist": (-45, 85),
    "left_hip": (20, 100), "right_hip": (-20, 100), "left_knee": (22, 170), "right_knee": (-22, 170),
    "left_ankle": (22, 240), "right_ankle": (-22, 240),
}  # fmt: skip
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


@pytest.fixture
def run(tmp_path):
    """Run a script with the skeleton's configuration in place."""
    return lambda script, given=None: run_in_node(tmp_path, WITH_CONFIG + script, given)


def exchanged(pose, *parts):
    """Exchange left and right of some parts."""
    other = {f"left_{part}": f"right_{part}" for part in parts}
    other |= {right: left for left, right in other.items()}
    return {joint: pose[other.get(joint, joint)] for joint in pose}


def test_a_key_is_the_letter_printed_on_it_and_its_place_where_none_is(run):
    shift = {"shiftKey": True, "ctrlKey": False, "altKey": False, "metaKey": False}
    wanted = [
        ({"key": "A", "code": "KeyA"}, "acceptPerson"),
        ({"key": "A", "code": "KeyQ"}, "acceptPerson"),  # AZERTY
        ({"key": "a", "code": "KeyA"}, "acceptPerson"),  # with the caps lock on
        ({"key": "Q", "code": "KeyA"}, None),
        ({"key": "Ф", "code": "KeyA"}, "acceptPerson"),  # Cyrillic
        ({"key": "Α", "code": "KeyA"}, "acceptPerson"),  # Greek, not the Latin letter
        ({"key": "Dead", "code": "KeyN", "altKey": True}, "previousDoubtful"),  # Option+Shift+N on a Mac
        ({"key": "A", "code": "KeyA", "ctrlKey": True}, None),
        ({"key": "A", "code": "KeyA", "metaKey": True}, None),
        ({"key": "a", "code": "KeyA", "shiftKey": False}, None),
        ({"key": "?", "code": "Slash"}, "toggleHelp"),
        ({"key": "?", "code": "KeyM"}, "toggleHelp"),  # AZERTY
        ({"key": "?", "code": "Minus"}, "toggleHelp"),  # QWERTZ
        ({"key": "/", "code": "Slash", "shiftKey": False}, None),
        ({"key": "Backspace", "code": "Backspace"}, "deletePerson"),
        ({"key": "Backspace", "code": "Backspace", "shiftKey": False}, None),  # Label Studio's own
    ]
    found = run(
        'const {bindingOf} = await import("./bridge/keys/bindings.js");\n'
        "say(given.map((event) => bindingOf(event)?.action ?? null));",
        [shift | event for event, _ in wanted],
    )
    assert found == [action for _, action in wanted]


def test_every_key_of_the_list_is_there_once_and_does_something(run):
    bindings = run('say((await import("./bridge/keys/bindings.js")).bindings);')
    keys = [tuple(binding["keys"]) for binding in bindings]
    assert len(set(keys)) == len(keys)
    assert all(set(binding) == {"keys", "does", "group", "action"} and binding["does"] for binding in bindings)


EXCHANGED = """
const {exchangedJoints} = await import("./bridge/pose/sides.js");
say(given.map((pose) => exchangedJoints(new Map(Object.entries(pose)))));
"""


def test_left_and_right_are_found_exchanged_and_crossed_limbs_are_not(run):
    behind = {joint: (-x, y) for joint, (x, y) in STANDING.items()}
    crossed_legs = STANDING | {"left_ankle": (-30, 230), "right_ankle": (30, 230), "left_knee": (2, 165)}
    folded_arms = STANDING | {"left_wrist": (-30, 45), "right_wrist": (30, 40)}
    profile = {joint: (x * 0.1, y) for joint, (x, y) in STANDING.items()}
    sitting = STANDING | {"left_knee": (80, 110), "right_knee": (-80, 110)}
    torso = ["left_shoulder", "right_shoulder", "left_hip", "right_hip"]
    cases = [
        (STANDING, []),
        (behind, [*torso, "left_eye", "right_eye"]),  # with the face in front
        ({joint: place for joint, place in behind.items() if "eye" not in joint}, []),
        (crossed_legs, []),
        (folded_arms, []),
        (profile, []),
        (exchanged(STANDING, "elbow", "wrist"), ["left_elbow", "right_elbow"]),
        (sitting, []),
        (exchanged(sitting, "knee", "ankle"), ["left_knee", "right_knee"]),
        (exchanged(STANDING, "hip", "knee", "ankle"), torso),
        (exchanged(STANDING, "shoulder", "elbow", "wrist", "hip", "knee", "ankle"), torso),
        ({joint: STANDING[joint] for joint in ("left_hip", "right_hip")}, []),
    ]
    poses = [{joint: {"x": x, "y": y, "seen": True} for joint, (x, y) in pose.items()} for pose, _ in cases]
    found = run(EXCHANGED, poses)
    assert [sorted(joints) for joints in found] == [sorted(joints) for _, joints in cases]
    angle = np.deg2rad(140)  # the picture may stand on its head
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    turned = [
        {joint: p | {"x": p["x"] * cos - p["y"] * sin, "y": p["x"] * sin + p["y"] * cos} for joint, p in pose.items()}
        for pose in poses
    ]
    assert run(EXCHANGED, turned) == found


def test_a_limb_goes_from_the_joint_outwards(run):
    found = run(
        'const skeleton = await import("./bridge/pose/skeleton.js");\n'
        'say([["left_shoulder", "left_elbow", "right_ankle", "left_eye", "nose"].map(skeleton.limbFrom),\n'
        '  ["left_knee", "right_ear", "nose"].map(skeleton.mirror)]);'
    )
    assert found == [
        [
            ["left_shoulder", "left_elbow", "left_wrist"],
            ["left_elbow", "left_wrist"],
            ["right_ankle"],
            ["left_eye", "left_ear"],
            [],
        ],
        ["right_knee", "left_ear", None],
    ]


PROBLEMS = """
const {problemsOf} = await import("./bridge/pose/checks.js");
const image = {naturalWidth: 100, naturalHeight: 100};
const regions = given.map(({id, label, parent = "", at = [0, 0]}) => ({
  cleanId: id, id: `${id}#1`, labelName: label, parentID: parent, x: at[0], y: at[1], object: image, results: [],
  type: label === "person" ? "rectangleregion" : "keypointregion", origin: "prediction", hidden: false,
}));
say(problemsOf({regions}));
"""


def test_what_an_export_leaves_out_is_told(run):
    regions = [
        {"id": "a", "label": "person"},
        {"id": "1", "label": "left_wrist", "parent": "a#1"},
        {"id": "2", "label": "left_wrist", "parent": "a"},
        {"id": "3", "label": "left_knee"},
        {"id": "4", "label": "Handgelenk", "parent": "a"},
        {"id": "5", "label": "nose", "parent": "gone"},
        {"id": "6", "label": "left_eye", "parent": "gone"},
    ]
    assert run(PROBLEMS, regions) == [
        {"kind": "loose", "text": "This left knee belongs to nobody.", "regionIds": ["3"]},
        {
            "kind": "double",
            "text": "One person has two of left wrist: an export leaves this one out.",
            "regionIds": ["2", "1"],
        },
        {"kind": "no joint", "text": "“Handgelenk” is no joint: an export leaves it out.", "regionIds": ["4"]},
        {"kind": "no box", "text": "A person of 2 joints has no box.", "regionIds": ["5", "6"]},
    ]


def test_exchanged_sides_are_told_and_a_good_pose_is_silent(run):
    def regions(pose):
        joints = [{"id": joint, "label": joint, "parent": "a", "at": place} for joint, place in pose.items()]
        return [{"id": "a", "label": "person"}, *joints]

    assert run(PROBLEMS, regions(STANDING)) == []
    (problem,) = run(PROBLEMS, regions(exchanged(STANDING, "elbow", "wrist")))
    assert problem == {
        "kind": "sides", "text": "Left and right look exchanged: elbow.", "regionIds": ["left_elbow", "right_elbow"]
    }  # fmt: skip


UNDER = """
const {personUnder, personsOf} = await import("./bridge/pose/persons.js");
const image = {internalToCanvasX: (x) => x, internalToCanvasY: (y) => y};
const stage = {
  content: {getBoundingClientRect: () => ({left: 0, top: 0, right: 1000, bottom: 1000})},
  getAbsoluteTransform: () => ({point: (p) => p}),
};
const regions = given.regions.map(({id, label, parent = "", at, hidden = false}) => ({
  cleanId: id, id, labelName: label, parentID: parent, object: image, hidden, results: [],
  x: at[0], y: at[1], width: at[2] ?? 0, height: at[3] ?? 0, canvasX: at[0], canvasY: at[1], canvasWidth: 3,
  type: label === "person" ? "rectangleregion" : "keypointregion",
}));
const annotation = {regions, selectedRegions: regions.filter((r) => r.cleanId === given.selected)};
say(given.points.map(([x, y]) => {
  const under = personUnder({annotation, image, stage}, {x, y});
  return under && [under.person?.id ?? null, under.keypoint?.cleanId ?? null, under.by];
}));
"""


def test_who_is_meant_under_the_mouse(run):
    regions = [
        {"id": "big", "label": "person", "at": [0, 0, 400, 400]},
        {"id": "big-hip", "label": "left_hip", "parent": "big", "at": [100, 200]},
        {"id": "big-knee", "label": "left_knee", "parent": "big", "at": [100, 300]},
        {"id": "small", "label": "person", "at": [80, 150, 200, 200]},
        {"id": "small-hip", "label": "left_hip", "parent": "small", "at": [250, 200]},
        {"id": "small-knee", "label": "left_knee", "parent": "small", "at": [250, 300]},
        {"id": "small-wrist", "label": "left_wrist", "parent": "small", "at": [101, 300]},
        {"id": "loose", "label": "nose", "at": [300, 50]},
        {"id": "hidden", "label": "person", "at": [500, 0, 100, 100], "hidden": True},
        {"id": "empty", "label": "person", "at": [500, 200, 40, 40]},
    ]
    wanted = {
        (100, 201): ["big", "big-hip", "joint"],
        (252, 290): ["small", "small-knee", "joint"],
        (99, 300): ["big", "big-knee", "joint"],
        (302, 52): [None, "loose", "joint"],
        (104, 250): ["big", None, "bone"],  # in both boxes, and the smaller one is not meant
        (250, 250): ["small", None, "bone"],
        (130, 250): ["big", None, "box"],  # nearer to its skeleton
        (220, 250): ["small", None, "box"],
        (20, 20): ["big", None, "box"],
        (520, 220): ["empty", None, "box"],
        (550, 50): None,
        (900, 900): None,
        (-5, 20): None,
    }
    given = {"regions": regions, "points": list(wanted), "selected": ""}
    assert run(UNDER, given) == list(wanted.values())


def test_of_coinciding_joints_the_selected_persons_is_meant(run):
    regions = [
        {"id": "a", "label": "person", "at": [0, 0, 100, 100]},
        {"id": "a-wrist", "label": "left_wrist", "parent": "a", "at": [50, 50]},
        {"id": "b", "label": "person", "at": [0, 0, 100, 100]},
        {"id": "b-wrist", "label": "left_wrist", "parent": "b", "at": [51, 50]},
    ]
    found = run(UNDER, {"regions": regions, "points": [[50, 50]], "selected": "b"})
    assert found == [["b", "b-wrist", "joint"]]
