"""Versions: whole or not there, exchanged at once, never lost; and what answers a project before, during and after."""

import subprocess
import sys
import threading
import time

import pytest
import torch

from clickpose.skeleton import COCO, Skeleton
from clickpose.weights_io import save_weights, skeleton_metadata
from clickpose_labelstudio.learning.versions import LIVE, WEIGHTS, VersionError, Versions
from clickpose_labelstudio.live_services import LiveServices, project_number


def put(text, **facts):
    def write(place):
        (place / WEIGHTS).write_text(text)
        return {"persons": 5, **facts}

    return write


@pytest.fixture
def versions(tmp_path):
    return Versions(tmp_path, 7)


def test_versions_are_numbered_listed_used_and_rolled_back(versions):
    assert [version.number for version in versions.all()] == [0]
    assert (versions.live().number, versions.live().weights) == (0, None)
    for text in "abc":
        versions.add(put(text))
    assert [version.number for version in versions.all()] == [0, 1, 2, 3]
    marks = [versions.mark()]
    for number in (1, 3):
        versions.use(number, "better")
        marks.append(versions.mark())
        assert versions.live().weights.read_text() == {1: "a", 3: "c"}[number]
    assert len(set(marks)) == 3
    assert [versions.roll_back().number for _ in range(2)] == [1, 0]
    assert versions.live().number == 0
    with pytest.raises(VersionError, match="an earlier version of project 8"):
        Versions(versions.folder, 8).roll_back()
    assert [entry["version"] for entry in versions.history()] == [1, 3, 1, 0]
    assert Versions(versions.folder.parents[1], 8).live().number == 0  # another project's are its own


def test_what_is_not_whole_is_not_served(versions):
    versions.add(put("a"))
    versions.add(put("b"))
    versions.use(1, "better")
    (versions.folder / "2" / WEIGHTS).write_text("changed")
    with pytest.raises(VersionError, match=r"Version 2 is damaged: .*lite\.safetensors has changed"):
        versions.use(2, "by hand")
    (versions.folder / "2" / WEIGHTS).unlink()
    with pytest.raises(VersionError, match="Version 2 is not whole"):
        versions.use(2, "by hand")
    with pytest.raises(VersionError, match="got 9, which is not there"):
        versions.use(9, "by hand")
    assert versions.live().number == 1

    def fails(place):
        (place / WEIGHTS).write_text("half")
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        versions.add(fails)
    assert sorted(path.name for path in versions.folder.iterdir()) == ["1", "2", LIVE]
    (versions.folder / LIVE).write_text("{broken")
    assert versions.live().number == 0


KILL = """
import os, sys
from pathlib import Path
from clickpose_labelstudio.learning import versions as module
versions = module.Versions(Path(sys.argv[1]), 7)
def die(*_):
    os.kill(os.getpid(), 9)
if sys.argv[2] == "adding":
    module.sha256 = die
    versions.add(lambda place: (place / module.WEIGHTS).write_text("new") and {})
else:
    module.os.replace = die
    versions.use(1, "killed")
"""


@pytest.mark.parametrize("moment", ["adding", "switching"])
def test_a_process_that_is_killed_leaves_the_old_one(versions, moment):
    versions.add(put("a"))
    versions.add(put("b"))
    versions.use(2, "better")
    command = [sys.executable, "-c", KILL, str(versions.folder.parents[1]), moment]
    assert subprocess.run(command).returncode == -9
    assert (versions.live().number, [v.number for v in versions.all()]) == (2, [0, 1, 2])
    assert versions.add(put("c")).number == 3
    assert versions.use(1, "again").number == 1


def test_a_version_of_other_joints_is_refused_with_a_sentence(tmp_path, versions, caplog):
    other = Skeleton("hand", ("wrist", "tip"), ((0, 1),), (), (0.05, 0.05))

    def weights_of(skeleton):
        def write(place):
            save_weights(place / WEIGHTS, {"a": torch.zeros(1)}, {"kind": "lite", **skeleton_metadata(skeleton)})
            return {}

        return write

    versions.add(weights_of(COCO))
    versions.add(weights_of(other))
    sentence = r"Expected version 2 to have the 17 joints .* \(coco\), got 2 \(hand\): it was trained from other"
    with pytest.raises(VersionError, match=sentence):
        versions.use(2, "by hand", COCO)
    assert versions.live().number == 0
    assert [versions.use(number, "by hand", COCO).number for number in (1, 0)] == [1, 0]
    versions.use(2, "when the service had been started with that")

    def make(version, project):
        version.check_joints(COCO)
        return Service("other joints")

    assert LiveServices(Service("base"), tmp_path, make).of(7).model_version == "base"
    assert "Project 7 keeps its network: Expected version 2 to have the 17 joints" in caplog.text


class Service:
    """Stands in for the service of one network."""

    def __init__(self, name):
        self.model_version = name


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_switch_reaches_all_workers_and_the_old_one_answers_until_the_new_one_is_there(tmp_path, versions):
    going = threading.Event()

    def make(version, project):
        assert going.wait(20)
        return Service(f"p{project}v{version.number}")

    base = Service("base")
    workers = [LiveServices(base, tmp_path, make) for _ in range(2)]
    assert all(worker.of("7.1795") is base for worker in workers)
    versions.add(put("a"))
    versions.add(put("b"))
    going.set()
    versions.use(1, "better")
    assert [worker.of("7.1795").model_version for worker in workers] == ["p7v1", "p7v1"]
    assert workers[0].of("8.1") is base
    going.clear()
    held = workers[0].of(7)
    versions.use(2, "better still")
    assert workers[0].of(7) is held  # its weights are being loaded
    going.set()
    for worker in workers:
        wait_until(lambda worker=worker: worker.of(7).model_version == "p7v2")
    versions.use(0, "by hand")
    wait_until(lambda: workers[0].of(7) is base)


def test_what_cannot_be_loaded_leaves_the_old_one(tmp_path, versions, caplog):
    def make(version, project):
        if version.weights.read_text() == "bad":
            raise RuntimeError("no network in there")
        return Service(f"v{version.number}")

    services = LiveServices(Service("base"), tmp_path, make)
    for text in ("a", "bad", "c"):
        versions.add(put(text))
    versions.use(2, "bad from the start")
    assert services.of(7).model_version == "base"
    versions.use(1, "good")
    wait_until(lambda: services.of(7).model_version == "v1")
    versions.use(3, "to be damaged")
    (versions.folder / "3" / WEIGHTS).write_text("changed")
    wait_until(lambda: services.of(7) and "Version 3 is damaged" in caplog.text)
    assert services.of(7).model_version == "v1"
    assert "Project 7 keeps its network: no network in there" in caplog.text


@pytest.mark.parametrize(
    ("name", "number"),
    [("7.1795", 7), (7, 7), ("7", 7), ("x", None), (None, None), (True, None), ("٧", None), ("1" * 12, None)],
)
def test_projects_are_named_as_label_studio_does(name, number):
    assert project_number(name) == number
