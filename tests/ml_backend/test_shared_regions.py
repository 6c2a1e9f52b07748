"""Machines with a cache each share what they have encoded: by network, whole, bounded, and safe beside one another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clickpose.frames import CropFrame, ImageFrame
from clickpose.predictor import EncodedRegion
from clickpose_labelstudio import shared_regions
from clickpose_labelstudio.build import region_store_of
from clickpose_labelstudio.learning.versions import WEIGHTS, Versions
from clickpose_labelstudio.region_store import MAX_REGIONS_PER_IMAGE, DiskRegionStore
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.shared_regions import SharedFolder

TESTS = Path(__file__).resolve().parents[1]
MANY = 1_000_000_000


def region(left=10.0, values=8) -> EncodedRegion:
    box = np.array([left, 20.1, left + 50, 120.7])
    features = {"p4": np.full(values, left, np.float32)}
    return EncodedRegion(frame=CropFrame.around_box(box, 256), prompt_box_xyxy=box, features=features)


def kept(folder, image="image", network="weights"):
    found = (folder.load(image, network, outline) for outline in folder.outlines(image, network))
    return sorted(float(each.prompt_box_xyxy[0]) for each in found if each is not None)


def files_of(path):
    return sorted(path.rglob("*.region"), key=lambda file: file.stat().st_mtime_ns)


def test_a_region_comes_back_with_its_place_to_the_last_digit(tmp_path):
    SharedFolder(tmp_path, MANY).add("image", "weights", [region(1 / 3)])
    other = SharedFolder(tmp_path, MANY)
    (outline,) = other.outlines("image", "weights")
    assert outline.frame == region(1 / 3).frame and outline.features == {}
    np.testing.assert_array_equal(outline.prompt_box_xyxy, region(1 / 3).prompt_box_xyxy)
    np.testing.assert_array_equal(other.load("image", "weights", outline).features["p4"], region(1 / 3).features["p4"])
    whole = EncodedRegion(frame=ImageFrame(480, 640), prompt_box_xyxy=None, features={"a": np.zeros(2)})
    other.add("whole", "weights", [whole])
    (outline,) = other.outlines("whole", "weights")
    assert outline.frame == whole.frame and outline.prompt_box_xyxy is None


def test_other_images_and_other_networks_see_nothing(tmp_path):
    folder = SharedFolder(tmp_path, MANY)
    folder.add("image", "weights", [region()])
    assert kept(folder, network="weights-2") == [] == kept(folder, image="image-2")
    folder.add("../../outside", "a/../b", [region()])
    assert len(files_of(tmp_path)) == 2  # names lead nowhere else


@pytest.mark.parametrize(
    "damage", [lambda data: data[:100], lambda data: b"", lambda data: data[:200] + b"x" + data[201:]]
)
def test_a_damaged_file_is_dropped_and_written_again(tmp_path, caplog, damage):
    folder = SharedFolder(tmp_path, MANY)
    folder.add("image", "weights", [region(values=200)])
    (path,) = files_of(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert kept(folder) == [] and "damaged shared region is dropped" in caplog.text and not path.exists()
    folder.add("image", "weights", [region(values=200)])
    assert kept(SharedFolder(tmp_path, MANY)) == [10.0]


def test_a_file_under_another_ones_name_is_dropped(tmp_path):
    folder = SharedFolder(tmp_path, MANY)
    folder.add("image", "weights", [region(1.0), region(2.0)])
    one, two = files_of(tmp_path)
    one.write_bytes(two.read_bytes())
    assert len(kept(folder)) == 1


@pytest.mark.parametrize("name", ["notes.txt", "AAAA.region", "!!.region", "a" * 86 + ".region", ".region"])
def test_foreign_files_count_as_absent(tmp_path, name):
    folder = SharedFolder(tmp_path, MANY)
    folder.add("image", "weights", [region()])
    (files_of(tmp_path)[0].parent / name).write_text("?")
    assert kept(folder) == [10.0]


def test_what_was_used_longest_ago_goes_when_the_folder_is_full(tmp_path):
    """Regions of 4 kB in 45 kB; of the first ten the one that was just looked at stays."""
    folder = SharedFolder(tmp_path, 45_000)
    for number in range(10):
        folder.add(f"image {number}", "weights", [region(float(number), 1000)])
        (path,) = tmp_path.rglob(f"{shared_regions.digest_of(f'image {number}')}/*")
        os.utime(path, (number + 1, number + 1))
    assert kept(folder, "image 0") == [0.0]
    for number in range(10, 14):
        folder.add(f"image {number}", "weights", [region(float(number), 1000)])
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 45_000
    assert kept(folder, "image 0") == [0.0] and kept(folder, "image 13") == [13.0]
    assert kept(folder, "image 1") == kept(folder, "image 2") == []
    assert not any(path.is_dir() and not list(path.iterdir()) for path in tmp_path.rglob("*"))


def test_regions_of_an_image_are_bounded(tmp_path):
    folder = SharedFolder(tmp_path, MANY)
    for left in range(MAX_REGIONS_PER_IMAGE + 2):
        folder.add("image", "weights", [region(float(left))])
        for path in files_of(tmp_path):
            os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))
    assert kept(folder) == [float(left) for left in range(2, MAX_REGIONS_PER_IMAGE + 2)]


def test_a_folder_that_is_swept_away_under_a_writer_is_made_again(tmp_path, monkeypatch):
    folder, write = SharedFolder(tmp_path, MANY), Path.write_bytes
    swept = []

    def sweep_first(path, data):
        if not swept:
            swept.append(path.parent.rmdir())
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", sweep_first)
    folder.add("image", "weights", [region()])
    assert swept and kept(folder) == [10.0]


def test_a_folder_that_cannot_be_used_leaves_the_own_cache(tmp_path, caplog):
    (tmp_path / "shared").write_text("a file stands in the way")
    store = region_store_of(ServiceSettings(cache_dir=tmp_path / "own", shared_cache_dir=tmp_path / "shared"))
    for _ in range(5):
        store.add("image", "weights", [region()])
    assert kept(store) == [10.0] and kept(store, "other image") == []
    assert caplog.text.count("Regions were not shared") == 1  # and not with every edit


def test_without_a_shared_folder_there_is_the_own_store_alone(tmp_path):
    assert isinstance(region_store_of(ServiceSettings(cache_dir=tmp_path)), DiskRegionStore)


HAMMER = """
import sys
import numpy as np
from pathlib import Path
sys.path.insert(0, {here!r})
from test_shared_regions import SharedFolder, region
folder, rng = SharedFolder(Path(sys.argv[1]), 60_000), np.random.default_rng(int(sys.argv[2]))
sys.stdin.readline()
seen = 0
for _ in range(400):
    number = int(rng.integers(40))
    folder.add(f"image {{number}}", "weights", [region(float(number), 1000)])
    other = int(rng.integers(40))
    for outline in folder.outlines(f"image {{other}}", "weights"):
        got = folder.load(f"image {{other}}", "weights", outline)
        if got is not None:
            seen += 1
            assert (got.features["p4"] == other).all() and len(got.features["p4"]) == 1000
folder.sweep()
print(seen)
"""


def test_two_processes_add_read_and_sweep_at_once(tmp_path):
    """Of 40 regions 14 fit: each is removed under the other's eyes, and what is read is right or absent."""
    command = [sys.executable, "-c", HAMMER.format(here=str(Path(__file__).parent)), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, str(seed)], **pipes) for seed in (1, 2)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        printed, errors = process.communicate()
        assert process.returncode == 0 and int(printed) > 50, errors
        assert "Traceback" not in errors and "not shared" not in errors and "damaged" not in errors
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 60_000
    assert not list(tmp_path.rglob("*.partial"))


class Machine:
    """A process that serves, with a cache of its own."""

    def __init__(self, own, shared, versions):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, Path(__file__).with_name("shared_worker.py"), own, shared, versions]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, context=None):
        self.process.stdin.write(json.dumps(context) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def preannotate_as(self, version):
        """Ask until a version answers; return how many regions were encoded for the answer."""
        encoded = 0
        while not (answer := self.ask())["version"].endswith(version):  # it loads the weights beside
            encoded += answer["encoded"]
        return encoded + answer["encoded"]


@pytest.fixture
def machines(tmp_path):
    made = [Machine(tmp_path / name, tmp_path / "shared", tmp_path / "learning") for name in ("a", "b")]
    yield made
    for machine in made:
        machine.process.communicate("")


def test_two_machines_share_versions_and_encoded_regions(machines, tmp_path):
    a, b = machines
    assert a.preannotate_as("base") == 2
    found = b.ask()
    assert found["encoded"] == 0  # both people were encoded by the other machine
    nose = next(item for item in found["reply"]["result"] if item["id"].endswith("-nose"))
    nose["value"]["x"] += 1
    edited = {"result": found["reply"]["result"], "edited": [nose["id"]]}
    answer = b.ask(edited)
    assert answer["encoded"] == 0 and len(answer["reply"]["result"]) >= 17
    versions = Versions(tmp_path / "learning", 7)
    for number in (1, 2):
        versions.add(lambda place, number=number: (place / WEIGHTS).write_text(f"weights {number}") and {})
    versions.use(1, "better")
    assert b.preannotate_as("v1") == 2  # another network: nothing of the first serves
    assert a.preannotate_as("v1") == 0
    versions.use(2, "better still")
    assert (a.preannotate_as("v2"), b.preannotate_as("v2")) == (2, 0)
    versions.roll_back()
    assert (a.preannotate_as("v1"), b.preannotate_as("v1")) == (0, 0)
