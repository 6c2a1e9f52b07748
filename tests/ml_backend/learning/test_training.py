"""A job from labels to a version: who is held out, what is compared, when it goes live; stopped anywhere it goes on."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from clickpose.lite import team_learning
from clickpose.lite.looks import KindRule
from clickpose.lite.predictor import DEFAULT_FILE, load_network, network_mark
from clickpose.lite.two_kinds import TwoKindsLite, save_known_kind
from clickpose.lite.weights import load_lite
from clickpose.weights_io import save_weights
from clickpose_labelstudio.commands import labelstudio
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.learning import training
from clickpose_labelstudio.learning.training import LearningJob, is_compared, is_held_out, learn
from clickpose_labelstudio.learning.verdict import Verdict
from clickpose_labelstudio.learning.versions import Versions
from clickpose_labelstudio.settings import ServiceSettings
from helpers.labelled import annotation, person
from helpers.web_server import canned_server

JOINTS = {"nose": (50, 20), "left_eye": (52, 18), "right_eye": (48, 18), "left_hip": (55, 60), "right_hip": (45, 60)}
TASKS = range(1, 9)


@pytest.fixture
def studio():
    with canned_server() as server:
        png = io.BytesIO()
        Image.new("RGB", (100, 80), "navy").save(png, format="PNG")
        tasks = []
        for number in TASKS:
            server.answers[f"/data/upload/7/{number}.png"] = (200, {}, png.getvalue())
            saved = annotation(person(f"cp-{number}", JOINTS), number=number, task=number)
            tasks.append({"id": number, "data": {"image": f"/data/upload/7/{number}.png"}, "annotations": [saved]})
        body = {"tasks": tasks, "total": len(tasks)}
        server.answers["/api/projects/7/"] = (200, {}, json.dumps({"label_config": build_labeling_config()}).encode())
        address = "/api/tasks/?project=7&fields=all&resolve_uri=False&page=1&page_size=100"
        server.answers[address] = (200, {}, json.dumps(body).encode())
        yield server


@pytest.fixture
def trained(monkeypatch):
    """Training stands still: what comes out are the shipped weights, a little off."""
    plans = []

    def train(plan):
        plans.append(plan)
        network, _ = load_lite(DEFAULT_FILE)
        state = network.state_dict()
        state["decoder.codebook"] = state["decoder.codebook"] + 0.01 * len(plans)
        plan.out.mkdir(parents=True, exist_ok=True)
        save_weights(plan.out / "lite.safetensors", state, {"kind": "lite", "skeleton": "coco"})
        return plan.out / "lite.safetensors"

    monkeypatch.setattr(team_learning, "train_lite", train)
    monkeypatch.setattr(team_learning, "another_kind", lambda start, records: None)
    return plans


@pytest.fixture(autouse=True)
def renewed(monkeypatch):
    """Which versions tasks were predicted anew by."""
    numbers = []
    monkeypatch.setattr(training, "renew_predictions", lambda client, project, number: numbers.append(number) or 0)
    return numbers


@pytest.fixture
def verdicts(monkeypatch):
    said = []
    monkeypatch.setattr(training, "_compare", lambda *_: said.pop(0))
    return said


def job(tmp_path, name="1"):
    return LearningJob(project=7, out=tmp_path / "project-7" / name)


def settings(tmp_path, studio):
    return ServiceSettings(cache_dir=tmp_path / "cache", label_studio_url=studio.url(), label_studio_api_key="k")


def test_a_quarter_is_held_out_for_ever():
    shares = np.array([[is_held_out(project, task) for task in range(4000)] for project in (1, 2)])
    assert shares.mean(axis=1) == pytest.approx([0.25, 0.25], abs=0.03)
    assert (shares[0] != shares[1]).any()


@pytest.mark.slow
def test_versions_go_live_or_not_and_a_stopped_job_makes_none_twice(
    tmp_path, studio, trained, verdicts, renewed, monkeypatch
):
    versions = Versions(tmp_path, 7)
    verdicts += [Verdict(passed=True, reasons=("fewer clicks",)), Verdict(passed=False, reasons=("more clicks",))]
    first = learn(job(tmp_path), settings(tmp_path, studio), versions)
    held = [task for task in TASKS if is_held_out(7, task)]
    assert 0 < len(held) < len(TASKS)
    assert (first.number, versions.live().number) == (1, 1)
    assert (first.facts["persons"], first.facts["held_out"]) == (len(TASKS) - len(held), len(held))
    assert [folder.path for folder in trained[0].folders] == [tmp_path / "project-7" / "1" / "data"]
    assert (tmp_path / "project-7" / "1" / "lite.safetensors").exists()
    with pytest.raises(ValueError, match="which holds finished weights"):
        learn(job(tmp_path), settings(tmp_path, studio), versions)

    second = learn(job(tmp_path, "2"), settings(tmp_path, studio), versions)
    assert (second.number, versions.live().number, second.facts["before"]) == (2, 1, 1)

    verdicts += [Verdict(passed=True, reasons=())] * 2  # stopped when the version was there, and before it was live
    with monkeypatch.context() as patch:
        patch.setattr(Versions, "use", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            learn(job(tmp_path, "3"), settings(tmp_path, studio), versions)
    assert versions.live().number == 1
    studio.requests.clear()
    assert learn(job(tmp_path, "3"), settings(tmp_path, studio), versions).number == 3
    assert studio.requests == []  # it goes on with the labels that it had
    assert (versions.live().number, len(versions.all())) == (3, 4)
    assert renewed == [1, 3]


def test_half_of_the_ordinary_photos_is_trained_on_and_the_other_half_compared_on(
    tmp_path, studio, trained, monkeypatch
):
    ordinary = tmp_path / "ordinary"
    (ordinary / "images").mkdir(parents=True)
    people = {"category_id": 1, "bbox": [1, 1, 30, 30], "area": 500.0, "iscrowd": 0, "keypoints": [9, 9, 2] * 17}
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    for number in range(40):
        Image.new("RGB", (60, 50)).save(ordinary / "images" / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png", "width": 60, "height": 50})
        content["annotations"].append({**people, "id": number, "image_id": number})
    (ordinary / "annotations.json").write_text(json.dumps(content))
    compared = []
    monkeypatch.setattr(training, "_figures", lambda before, after, records, skeleton: compared.append(records))
    monkeypatch.setattr(training, "judge", lambda own, persons, **_: Verdict(passed=False, reasons=()))
    learn(replace(job(tmp_path), replay=ordinary), settings(tmp_path, studio), Versions(tmp_path, 7))
    own, replayed = trained[0].folders
    names = {image["file_name"] for image in json.loads((replayed.path / "annotations.json").read_text())["images"]}
    assert names == {f"{n}.png" for n in range(40) if not is_compared(f"{n}.png")}
    assert {record.image_path.name for record in compared[0]} == {f"{n}.png" for n in range(40)} - names
    held_out = sum(is_held_out(7, task) for task in TASKS)
    assert replayed.weight / own.weight == pytest.approx((len(TASKS) - held_out) / len(names))


@pytest.mark.slow
def test_photos_of_another_kind_teach_how_to_see_and_others_are_seen_as_before(tmp_path, studio, monkeypatch, verdicts):
    plans = []

    def learn_own_kind(plan, rule):
        plans.append((plan, rule))
        network, _ = load_lite(DEFAULT_FILE)
        plan.out.mkdir(parents=True)
        weights = plan.out / "lite.safetensors"
        save_weights(weights, network.state_dict(), {"kind": "lite", "skeleton": "coco", "run": "1"})
        save_known_kind(weights, plan.start, rule)
        return weights

    rule = KindRule(torch.ones(80), 1e9)
    asked = []
    monkeypatch.setattr(
        team_learning, "another_kind", lambda start, records: asked.append((start, len(records))) or rule
    )
    monkeypatch.setattr(team_learning, "learn_own_kind", learn_own_kind)
    monkeypatch.setattr(team_learning, "train_lite", None)
    verdicts.append(Verdict(passed=True, reasons=("fewer clicks",)))
    made = learn(replace(job(tmp_path), trunk_steps=7), settings(tmp_path, studio), Versions(tmp_path, 7))
    ((plan, given),) = plans
    assert given is rule and asked == [(DEFAULT_FILE, made.facts["persons"])]
    assert (plan.folder, plan.training.steps) == (tmp_path / "project-7" / "1" / "data", 7)
    served = load_network(made.weights)
    assert isinstance(served.network, TwoKindsLite)
    assert set(made.facts["files"]) >= {"lite.safetensors", "lite.known.safetensors"}
    assert made.facts["fingerprint"] == network_mark(made.weights)
    assert isinstance(load_network(tmp_path / "project-7" / "1" / "lite.safetensors").network, TwoKindsLite)


def test_versions_at_the_terminal(tmp_path, studio, trained, verdicts, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    versions = Versions(tmp_path, 7)
    change = {"before": [3.0, 2, 4], "after": [2.5, 2, 3], "change": [-0.5, -0.9, -0.1]}
    verdicts.append(
        Verdict(passed=True, reasons=("fewer clicks",), figures={"held out": {"NoC90": change, "AP": change}})
    )
    learn(job(tmp_path), settings(tmp_path, studio), versions)

    def run(*arguments):
        result = CliRunner().invoke(
            labelstudio, ["versions", *arguments, "--project", "7", "--train-dir", str(tmp_path)]
        )
        return result.exit_code, result.output

    code, listed = run("list")
    assert code == 0 and "3.00 -> 2.50" in listed and "live" in listed
    code, compared = run("compare", "1")
    assert code == 0 and "-0.900 to -0.100" in compared and "fewer clicks" in compared
    assert run("rollback") == (0, "project 7 is served by version 0\n")
    assert run("use", "1") == (0, "project 7 is served by version 1\n")
    assert versions.live().number == 1
    shutil.rmtree(versions.folder / "1")
    assert run("use", "1")[0] == 2


@pytest.mark.slow
def test_the_demo_photos_tell_the_same_network_from_a_broken_one(tmp_path):
    network, _ = load_lite(DEFAULT_FILE)
    state = network.state_dict()
    state["decoder.codebook"] = state["decoder.codebook"] * -3
    save_weights(tmp_path / "broken.safetensors", state, {"kind": "lite", "skeleton": "coco"})
    assert training.agreement_on_demo(DEFAULT_FILE, DEFAULT_FILE) == pytest.approx(1)
    assert training.agreement_on_demo(DEFAULT_FILE, tmp_path / "broken.safetensors") < 0.9
