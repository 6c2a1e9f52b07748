"""Skeletons as files: the shipped ones hold the published facts, a user's own is read or refused with a sentence."""

import json

import numpy as np
import pytest

from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS, load_skeleton, skeleton_from_dict, skeleton_to_dict, skeleton_to_json

GOLF = """
name: golf
joints:
  left_wrist:
  right_wrist:
  club_head: 0.08
edges: [[left_wrist, right_wrist], [right_wrist, club_head]]
parts: {hands: [left_wrist, right_wrist]}
aliases: {club: club_head}
"""


@pytest.fixture
def golf(tmp_path):
    def write(text=GOLF):
        path = tmp_path / "golf.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "joints", "edges", "pairs", "sigma_sum"),
    [
        ("coco", 17, 19, 8, 1.138),
        ("humanart21", 21, 23, 10, 1.138 + 4 * 0.089),
        ("crowdpose", 14, 15, 6, 2 * (0.079 + 0.072 + 0.062 + 0.107 + 0.087 + 0.089 + 0.079)),
        ("mpii", 16, 15, 6, 2 * (0.089 + 0.083 + 0.107 + 0.062 + 0.072 + 0.179) + 4 * 0.026),
        ("aic", 14, 14, 6, 0.30056174),
        ("wholebody", 133, 130, 61, 1.138 + 0.48 + 1.137 + 2 * 0.553),
        ("halpe26", 26, 27, 11, 1.138 + 3 * 0.08 + 6 * 0.089),
        ("blazepose", 33, 39, 16, 1.138 + 4 * 0.025 + 2 * 0.026 + 6 * 0.062 + 4 * 0.089),
        ("halpe", 136, 136, 61, 1.138 + 3 * 0.08 + 6 * 0.089 + 110 * 0.025),
    ],
)
def test_shipped_skeletons_hold_the_published_facts(name, joints, edges, pairs, sigma_sum):
    skeleton = load_skeleton(name)
    assert (skeleton.name, len(skeleton), len(skeleton.edges), len(skeleton.flip_pairs)) == (name, joints, edges, pairs)
    assert sum(skeleton.sigmas) == pytest.approx(sigma_sum, abs=1e-9)
    assert len(set(map(frozenset, skeleton.edges))) == edges  # no bone twice
    order = skeleton.flip_indices
    np.testing.assert_array_equal(order[order], np.arange(joints))
    for left, right in skeleton.flip_pairs:
        assert skeleton.sigmas[left] == pytest.approx(skeleton.sigmas[right], abs=0.036)


def test_the_library_lists_what_it_holds():
    others = ["aic", "blazepose", "crowdpose", "halpe", "halpe26", "humanart21", "mpii", "wholebody"]
    assert list(SKELETONS) == ["coco", *others]
    assert len(SKELETONS) == 9 and SKELETONS["coco"] is COCO
    assert SKELETONS["mpii"] is SKELETONS["mpii"]  # read once
    with pytest.raises(KeyError):
        SKELETONS["../skeletons/mpii"]


def test_whole_body_parts_follow_each_other_and_cover_every_joint():
    parts = SKELETONS["wholebody"].parts
    assert {name: (joints[0], joints[-1] + 1) for name, joints in parts.items()} == {
        "body": (0, 17), "feet": (17, 23), "face": (23, 91), "left_hand": (91, 112), "right_hand": (112, 133),
    }  # fmt: skip
    assert [joint for joints in parts.values() for joint in joints] == list(range(133))


@pytest.mark.parametrize(
    ("skeleton", "label", "joint"),
    [("crowdpose", "top_head", "head"), ("mpii", "Head Top", "head_top"), ("mpii", "neck", "upper_neck"),
     ("wholebody", "left-thumb1", "left_thumb1"), ("aic", "Head top", "head_top")],
)  # fmt: skip
def test_other_spellings_are_matched(skeleton, label, joint):
    skeleton = SKELETONS[skeleton]
    assert skeleton.names[skeleton.match(label)] == joint


def test_a_users_file_is_read(golf):
    skeleton = load_skeleton(golf())
    assert skeleton.names == ("left_wrist", "right_wrist", "club_head")
    assert skeleton.sigmas == (0.062, 0.062, 0.08)  # COCO's where the file leaves it out
    assert skeleton.edges == ((0, 1), (1, 2)) and skeleton.flip_pairs == ((0, 1),)
    assert skeleton.parts == {"hands": (0, 1)} and skeleton.match("Club") == 2
    assert skeleton.neighbours(1) == (0, 2)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read(golf, encoding):
    path = golf()
    expected = load_skeleton(path)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert load_skeleton(path) == expected


@pytest.mark.parametrize("name", ["coco", "wholebody", "crowdpose"])
def test_round_trip(name):
    skeleton = SKELETONS[name]
    again = skeleton_from_dict(json.loads(skeleton_to_json(skeleton)))
    assert again == skeleton and again.parts == skeleton.parts and again.aliases == skeleton.aliases
    assert skeleton_to_dict(again) == skeleton_to_dict(skeleton)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("name: golf", "", "Expected the entries name, joints, edges, got none for name"),
        ("club_head: 0.08", "club_head:", "Expected a sigma for 'club_head', got none"),
        ("club_head: 0.08", "club_head: -1", "Expected a sigma above 0 for 'club_head', got -1"),
        ("club_head: 0.08", f"club_head: {10**400}", "Expected a sigma above 0 for 'club_head', got 1000"),
        ("club_head: 0.08", "club_head: wide", "Expected a sigma above 0 for 'club_head', got 'wide'"),
        ("  right_wrist:\n", "  right_wrist:\n  RightWrist:\n", "different names, got right_wrist, RightWrist"),
        ("  right_wrist:\n", "  right_wrist:\n  right_wrist:\n", "Expected each entry once, got right_wrist twice"),
        ("[right_wrist, club_head]]", "[right_wrist, ball]]", "Expected edges to name joints .* got 'ball'"),
        ("[right_wrist, club_head]]", "[club_head]]", "Expected edges as pairs of two different joints"),
        ("aliases: {club: club_head}", "aliases: {club: ball}", "Expected aliases to name joints"),
        ("aliases:", "alias:", "got alias"),
        ("joints:", "joints: []\nedge:", "."),
        (
            "parts:",
            "flip_pairs: [[left_wrist, club_head]]\nparts:",
            "one mirror joint each, got several for left_wrist",
        ),
        ("aliases: {club: club_head}", "aliases: [club]", "Expected aliases as a mapping, got a list"),
        ("parts:", "flip_pairs: 5\nparts:", "Expected flip_pairs as a list of pairs of joints, got 5"),
        ("parts: {hands: [left_wrist, right_wrist]}", "parts: [hands]", "Expected parts as a mapping, got a list"),
        (
            "parts: {hands: [left_wrist, right_wrist]}",
            "parts: {hands: 3}",
            "Expected parts.hands as a list of joints",
        ),
        (GOLF, "- golf", "Expected a mapping with name, joints, edges, got a list"),
        (GOLF, "", "Expected a mapping with name, joints, edges, got none"),
        (GOLF, "{", "Cannot read the skeleton .*golf.yaml"),
    ],
)
def test_broken_files_are_refused_with_a_sentence(golf, old, new, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_skeleton(golf(GOLF.replace(old, new)))


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(FileNotFoundError, match="one of coco, aic, blazepose, crowdpose, halpe"):
        load_skeleton(tmp_path / "none.yaml")


def test_a_subset_keeps_what_remains_among_its_joints():
    arm = COCO.subset([COCO.index(name) for name in ("left_wrist", "left_elbow", "right_elbow")], "arm")
    assert arm.names == ("left_wrist", "left_elbow", "right_elbow") and arm.sigmas == (0.062, 0.072, 0.072)
    assert arm.edges == ((1, 0),) and arm.flip_pairs == ((1, 2),) and arm.parts == {"arms": (1, 2, 0)}
