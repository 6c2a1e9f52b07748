"""Labels that name no joint: what they may have meant."""

from __future__ import annotations

import time

import pytest

from clickpose.skeleton import COCO
from clickpose_labelstudio.joint_words import LONGEST_LABEL, meant_joints, plain, say_unknown
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("Handgelenk links", ["left_wrist"]),
        ("linkes Handgelenk", ["left_wrist"]),
        ("HandgelenkRechts", ["right_wrist"]),
        ("Hüfte rechts", ["right_hip"]),
        ("Huefte_L", ["left_hip"]),
        ("Fußgelenk li", ["left_ankle"]),
        ("rechtsknie", ["right_knee"]),
        ("Kniegelenk rechts", ["right_knee"]),
        ("Œil gauche", ["left_eye"]),
        ("épaule droite", ["right_shoulder"]),
        ("Muñeca derecha", ["right_wrist"]),
        ("Nase", ["nose"]),
        ("Schulter", ["left_shoulder", "right_shoulder"]),
        ("wrist", ["left_wrist", "right_wrist"]),
        ("left_wirst", ["left_wrist"]),
        ("rigth knee", ["right_knee"]),
        ("ball", []),
        ("person", []),
        ("手首", []),
        ("", []),
        ("💥" * 3, []),
    ],
)
def test_what_a_label_may_have_meant(label, meant):
    assert meant_joints(label, COCO) == meant


def test_no_joint_of_another_skeleton_is_guessed():
    arm = COCO.subset([5, 7, 9], "left arm")
    assert meant_joints("Handgelenk rechts", arm) == []
    assert meant_joints("Handgelenk", arm) == ["left_wrist"]


def test_guesses_come_first_and_the_rest_is_counted():
    labels = ["fin", "tail", "Knie links", "horn", "wing"]
    assert say_unknown(labels, COCO) == "“Knie links” (left_knee?), “fin”, “tail” and 2 more"
    assert say_unknown([], COCO) == ""
    assert len(say_unknown(["x" * 10_000], COCO)) <= LONGEST_LABEL + 2
    assert say_unknown(["a\nb"], COCO) == "“a b”"


def test_letters_lose_their_accents():
    assert plain("Hüfte, œil, ß") == "Hufte, oeil, ss"


def test_many_long_labels_cost_little():
    labels = "".join(f'<Label value="{number} {"left_wrist " * 20}"/>' for number in range(700))
    xml = build_labeling_config().replace("</KeyPointLabels>", labels + "</KeyPointLabels>")
    config = parse_labeling_config(xml)
    started = time.perf_counter()
    config.say_unmatched()
    assert time.perf_counter() - started < 2
