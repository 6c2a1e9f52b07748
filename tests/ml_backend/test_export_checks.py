"""What an export says should be looked at again, and what it must not suspect."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose.skeleton import COCO
from clickpose.structures import Annotations
from clickpose_labelstudio import export_checks
from clickpose_labelstudio.coco_exchange import tasks_to_coco
from clickpose_labelstudio.codec import encode_annotations
from clickpose_labelstudio.export_checks import Findings, sides_are_exchanged
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config

CONFIG = parse_labeling_config(build_labeling_config())
# somebody who faces the camera: the left joints are on the right of the photo
FRONT = np.array(
    [[50, 20], [54, 17], [46, 17], [59, 19], [41, 19], [70, 40], [30, 40], [78, 70], [22, 70], [80, 95], [20, 95],
     [64, 100], [36, 100], [64, 140], [36, 140], [63, 180], [37, 180]], float,
)  # fmt: skip
EVERYTHING = np.ones(17, bool)


def swapped(*names: str) -> np.ndarray:
    """The same person with the two sides of some pairs exchanged."""
    points = FRONT.copy()
    for name in names:
        left, right = COCO.index(f"left_{name}"), COCO.index(f"right_{name}")
        points[[left, right]] = points[[right, left]]
    return points


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("degrees", [0, 90, 137, 180])
@pytest.mark.parametrize(
    ("points", "exchanged"),
    [
        (FRONT, False),
        (FRONT[COCO.flip_indices], False),  # from behind: all sides are exchanged
        (swapped("wrist", "elbow"), False),  # crossed arms
        (swapped("knee", "ankle"), False),  # crossed legs
        (swapped("hip", "knee", "ankle"), True),
        (swapped("shoulder", "elbow", "wrist"), True),
        (swapped("ear"), True),
        (swapped("eye"), True),
        (swapped("eye", "ear"), False),  # may look back over the shoulder
    ],
)
def test_only_what_no_body_can_do_is_suspected(points, exchanged, degrees):
    assert sides_are_exchanged(turned(points, degrees), EVERYTHING, COCO) == exchanged


def test_sides_that_are_not_sure_are_not_suspected():
    points = swapped("hip")
    hips = [COCO.index("left_hip"), COCO.index("right_hip")]
    unlabelled = EVERYTHING.copy()
    unlabelled[hips[0]] = False
    assert not sides_are_exchanged(points, unlabelled, COCO)
    profile = points.copy()
    profile[hips, 0] = 50 + 0.1 * (profile[hips, 0] - 50)  # from the side: a pixel decides
    assert not sides_are_exchanged(profile, EVERYTHING, COCO)
    assert not sides_are_exchanged(np.full((17, 2), np.nan), ~EVERYTHING, COCO)
    assert not sides_are_exchanged(np.zeros((17, 2)), EVERYTHING, COCO)
    arm = COCO.subset([5, 7, 9], "left arm")
    assert not sides_are_exchanged(FRONT[[5, 7, 9]], EVERYTHING[:3], arm)


def result(points: np.ndarray = FRONT, person: str = "cp-1") -> list[dict]:
    box = [points[:, 0].min() - 5, points[:, 1].min() - 5, points[:, 0].max() + 5, points[:, 1].max() + 5]
    labels = Annotations(
        skeleton=COCO, keypoints=points[None], visibility=np.full((1, 17), 2), boxes_xyxy=np.array([box]),
        touched=np.ones((1, 17), bool), ids=(person,),
    )  # fmt: skip
    return encode_annotations(labels, CONFIG, (200, 100))


def task(number: int, *annotations: list[dict], **more: object) -> dict:
    entries = [
        {"id": 100 * number + i, "updated_at": f"2026-01-0{i + 1}", "result": r} for i, r in enumerate(annotations)
    ]
    return {"id": number, "data": {"image": f"/data/upload/1/{number}.jpg"}, "annotations": entries, **more}


def boxless(items: list[dict]) -> list[dict]:
    return [item for item in items if item["type"] != "rectanglelabels"]


def loose(x: float, label: str = "nose", id_: str = "random") -> dict:
    """A keypoint without a parent."""
    items = [item for item in result() if item["type"] == "keypointlabels"]
    value = {**items[0]["value"], "x": x, "y": 10, "keypointlabels": [label]}
    return {**{k: v for k, v in items[0].items() if k != "parentID"}, "id": id_, "value": value}


def lines(*tasks: dict, **options: object) -> list[str]:
    findings = Findings()
    tasks_to_coco(list(tasks), CONFIG, findings=findings, **options)
    assert bool(findings) == bool(findings.lines())
    return findings.lines()


def test_a_good_export_is_quiet():
    assert lines(task(1, result()), task(2, []), task(3, result(FRONT[COCO.flip_indices]))) == []


def test_each_finding_names_its_tasks():
    twice = [*result(), loose(52.0)]
    assert lines(task(4, twice)) == [f"1 {export_checks.DOUBLE} (task 4)"]
    assert lines(task(5, [*result(), loose(99, "left_wrist")], result())) == [f"1 {export_checks.OLDER} (task 5)"]
    far = {**loose(0), "value": {**loose(0)["value"], "y": 99.9}}
    small = result(FRONT / 4)
    assert lines(task(6, [*small, {**far, "value": {**far["value"], "x": 99}}])) == [
        f"1 {export_checks.LOOSE} (task 6)"
    ]
    bare = task(8, boxless(result()))
    assert lines(bare, task(9, boxless(result()))) == [f"2 {export_checks.NO_BOX} (tasks 8, 9)"]
    (annotation,) = tasks_to_coco([bare], CONFIG)["annotations"]
    assert annotation["bbox"] == pytest.approx([20, 17, 60, 163])  # the one around the joints, as the line says
    assert lines(task(10, result(swapped("hip")))) == [f"1 {export_checks.SIDES} (task 10)"]


def test_annotations_that_are_left_out_are_counted():
    several = task(1, result(), result(), result())
    assert lines(several) == [f"2 {export_checks.OLDER} (task 1)"]
    assert lines(several, source="all") == []
    several["annotations"][0]["was_cancelled"] = True
    assert lines(several) == [f"1 {export_checks.OLDER} (task 1)"]
    drafted = task(2, result(), drafts=[{"id": 1, "result": []}])
    assert lines(drafted) == [f"1 {export_checks.DRAFTS} (task 2)"]
    assert lines({**drafted, "drafts": 3}) == []


def test_many_tasks_are_counted():
    (line,) = lines(*(task(number, boxless(result())) for number in range(1, 15)))
    assert line.endswith("(tasks 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 4 more)")


@pytest.mark.parametrize("strict", [False, True])
def test_the_command_says_it_beside_the_output(tmp_path, strict):
    source, out = tmp_path / "export.json", tmp_path / "coco.json"
    source.write_text(json.dumps([task(3, boxless(result())), task(4, result())]))
    options = ["--strict"] if strict else []
    done = CliRunner().invoke(app, ["labelstudio", "export", str(source), "--out", str(out), *options])
    assert (done.exit_code, out.exists()) == (int(strict), not strict)
    assert f"Look again: 1 {export_checks.NO_BOX} (task 3)" in done.stderr
    assert "Look again" not in done.stdout and ("persons on" in done.stdout) == (not strict)
    source.write_text(json.dumps([task(4, result())]))
    assert CliRunner().invoke(app, ["labelstudio", "export", str(source), "--out", str(out), "--strict"]).exit_code == 0
