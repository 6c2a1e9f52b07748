"""``clickpose predict --run`` and ``clickpose join`` from the command line, with a network that needs no weights."""

import json
import shutil

import pytest
from PIL import Image
from typer.testing import CliRunner

import clickpose
from clickpose import cli
from clickpose.data.coco_results import read_coco
from helpers import fakes


class Network(fakes.FakePredictor):
    """Fails on photos whose left upper pixel is black."""

    def detect(self, image):
        if not image[0, 0].any():
            raise ValueError("this photo is too dark")
        return super().detect(image)


@pytest.fixture(autouse=True)
def network(monkeypatch):
    made = Network()
    monkeypatch.setattr(clickpose, "load", lambda name, **options: made)
    return made


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        Image.new("RGB", (320, 240), (number + 1,) * 3).save(folder / f"{number:02}.png")
    return folder


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_a_run_gives_what_predict_gives(photos, tmp_path, network):
    assert run("predict", photos, "--json", tmp_path / "plain.json").exit_code == 0
    first = run("predict", photos, "--run", tmp_path / "run", "--shard", "1/2")
    assert first.exit_code == 0 and "16 of 16 photos" in first.stdout
    early = run("join", tmp_path / "run", "--json", tmp_path / "run.json")
    assert early.exit_code == 2 and "Expected all 2 parts, 1 are not done (1)" in early.stderr
    encoded = network.encoded
    assert "20 of 20 photos" in run("predict", photos, "--run", tmp_path / "run").stdout
    assert run("predict", "--run", tmp_path / "run").stdout == "20 of 20 photos\n"
    assert network.encoded == encoded + 2 * 4  # those of the first part are not done again
    outputs = [tmp_path / "run.json", tmp_path / "results.json", tmp_path / "poses.jsonl"]
    joined = run("join", tmp_path / "run", "--json", outputs[0], "--results", outputs[1], "--lines", outputs[2])
    assert joined.exit_code == 0 and joined.stdout == "20 photos, each once, with 40 people\n"
    plain, poses = (json.loads(path.read_text()) for path in (tmp_path / "plain.json", outputs[0]))
    assert poses == plain
    assert len(read_coco(outputs[0])) == 20
    results = json.loads(outputs[1].read_text())
    assert [entry["image_id"] for entry in results] == [1 + number // 2 for number in range(40)]
    lines = [json.loads(line) for line in outputs[2].read_text().splitlines()]
    assert [line["photo"] for line in lines] == [image["file_name"] for image in plain["images"]]
    assert lines[3]["people"][1]["keypoints"] == results[7]["keypoints"]


def test_bad_photos_are_kept_beside_and_done_again_on_demand(photos, tmp_path):
    Image.new("RGB", (320, 240)).save(photos / "03.png")
    (photos / "05.png").write_text("no photo")
    failed = run("predict", photos, "--run", tmp_path / "run")
    assert failed.exit_code == 2 and "20 of 20 photos, 2 failed here" in failed.stdout
    joined = run("join", tmp_path / "run", "--errors", tmp_path / "bad.jsonl", "--json", tmp_path / "poses.json")
    assert joined.exit_code == 2 and "2 photos failed" in joined.stderr and "too dark" in joined.stderr
    errors = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [error["photo"] for error in errors] == [f"{photos}/03.png", f"{photos}/05.png"]
    assert len(json.loads((tmp_path / "poses.json").read_text())["images"]) == 18
    shutil.copy(photos / "04.png", photos / "05.png")
    again = run("predict", "--run", tmp_path / "run", "--retry")
    assert again.exit_code == 2
    assert again.stdout == "2 photos that had failed were done again, 1 of them failed again\n"
    shutil.copy(photos / "04.png", photos / "03.png")
    assert run("predict", "--run", tmp_path / "run", "--retry").exit_code == 0
    assert run("join", tmp_path / "run").stdout == "20 photos, each once, with 40 people\n"


def test_a_fault_of_the_network_is_no_fault_of_photos(photos, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Network, "decode_photos", broken)
    stopped = run("predict", photos, "--run", tmp_path / "run")
    assert isinstance(stopped.exception, RuntimeError) and not list((tmp_path / "run" / "done").iterdir())


def test_lists_have_ids_and_a_root(photos, tmp_path):
    images = [{"id": 70 - number, "file_name": f"{number:02}.png"} for number in range(3)]
    (tmp_path / "set.json").write_text(json.dumps({"images": images}))
    done = run("predict", tmp_path / "set.json", "--root", photos, "--run", tmp_path / "run")
    assert done.exit_code == 0, done.output
    run("join", tmp_path / "run", "--json", tmp_path / "poses.json")
    written = json.loads((tmp_path / "poses.json").read_text())["images"]
    assert [(image["id"], image["file_name"]) for image in written] == [(70, "00.png"), (69, "01.png"), (68, "02.png")]


def test_addresses_are_predicted(photos, tmp_path):
    pytest.importorskip("fsspec")
    done = run("predict", f"file://{photos}", "--run", tmp_path / "run", "--threshold", 0.75)
    assert done.exit_code == 0, done.output
    assert run("join", tmp_path / "run").stdout == "20 photos, each once, with 20 people\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--json", "poses.json"], "Expected --run without --json"),
        (["--shard", "3/2"], "Expected --shard such as 2/5"),
        (["ftp://me:secret@host/a"], "Expected credentials where fsspec finds them"),
        (["none.txt"], "Cannot read none.txt"),
        (["empty.txt"], "Expected photos, got none"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(tmp_path, monkeypatch, arguments, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    result = run("predict", *arguments, *([] if "." in arguments[0] else ["empty.txt"]), "--run", "run")
    assert result.exit_code == 2 and part in result.stderr and "secret" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_run_is_not_mixed_with_another_and_lists_need_one(photos, tmp_path):
    assert run("predict", photos, "--run", tmp_path / "run").exit_code == 0
    for arguments in ([photos, "--threshold", 0.5], [photos / "00.png"]):
        refused = run("predict", *arguments, "--run", tmp_path / "run")
        assert refused.exit_code == 2 and "with which the run in" in refused.stderr
    for source in ("list.txt", "s3://bucket/photos", "fiftyone:quickstart"):
        assert f"Expected --run, a folder for the results, with {source}" in run("predict", source).stderr
    assert "Expected photos, or folders of photos, got none" in run("predict").stderr
    assert "Expected photos for a new run" in run("predict", "--run", tmp_path / "new").stderr
