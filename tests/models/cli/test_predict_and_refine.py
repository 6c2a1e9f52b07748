"""The command line, with a predictor that needs no weights."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import clickpose
from clickpose import cli
from clickpose.data.coco_results import read_coco
from clickpose.data.openpose import read_openpose
from clickpose.predictor import place_clicks
from clickpose.skeleton import COCO
from clickpose.structures import Clicks, Poses


class FakePredictor:
    """Finds a confident and a doubtful person; refining moves every free joint by (1, 2)."""

    name, skeleton, fingerprint = "fake", COCO, "f00dfeed"

    def __init__(self, calls):
        self.calls = calls

    def detect(self, image):
        return None

    def encode_photos(self, photos):
        self.calls.append(("encode", [image.shape for image, _ in photos]))
        return [["region"]] * len(photos)

    def decode_photos(self, photos):
        return [self.predict() for _ in photos]

    def set_image(self, image):
        self.calls.append(("set_image", image.shape))

    def predict(self, boxes_xyxy=None, *, find_others=False):
        others = ["and others"] if find_others else []
        self.calls.append(("predict", None if boxes_xyxy is None else boxes_xyxy.tolist(), *others))
        boxes = np.array([[10.0, 10, 50, 90], [60, 10, 90, 90]]) if boxes_xyxy is None else boxes_xyxy
        count = len(boxes)
        keypoints = boxes[:, None, :2] + np.arange(17)[:, None] * np.array([1.5, 4.25])
        scores = np.array([0.9, 0.3])[np.arange(count) % 2]
        return Poses(
            skeleton=COCO,
            keypoints=keypoints,
            boxes_xyxy=boxes,
            keypoint_scores=np.tile(scores[:, None], 17),
            visibility_scores=np.ones((count, 17)),
            instance_scores=scores,
        )

    def refine(self, pose, clicks):
        self.calls.append(("refine", clicks))
        moved = place_clicks(pose, Clicks.from_mapping(COCO, clicks))
        keypoints = np.where(moved.fixed[:, None], moved.keypoints, moved.keypoints + np.array([1, 2]))
        return replace(moved, keypoints=keypoints, instance_score=0.95)


@pytest.fixture
def calls(monkeypatch):
    """What reached the predictor."""
    made = []
    monkeypatch.setattr(clickpose, "load", lambda name, **options: made.append((name, options)) or FakePredictor(made))
    return made


@pytest.fixture
def photo(tmp_path):
    Image.new("RGB", (100, 120), (120, 120, 120)).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def assert_one_sentence(result, *parts):
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1 and "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr


def test_version_and_help_with_examples():
    assert run("--version").stdout == f"clickpose {clickpose.__version__}\n"
    for command in ("predict", "refine"):
        result = run(command, "--help")
        assert result.exit_code == 0 and f"clickpose {command} photo.jpg" in result.output
    for command in ("predict", "refine", "serve", "labelstudio"):
        assert command in run("--help").output


def test_predict_draws_writes_and_reports(calls, photo, tmp_path):
    result = run("predict", photo, "--out", tmp_path / "new" / "drawn.png", "--json", tmp_path / "new" / "poses.json")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{photo}: 2 people, predicted OKS 0.90, 0.30\n"
    drawn = np.asarray(Image.open(tmp_path / "new" / "drawn.png"))
    assert drawn.shape == (120, 100, 3) and (drawn != 120).any()
    (entry,) = read_coco(tmp_path / "new" / "poses.json")
    assert entry.file_name == photo.as_posix() and entry.image_hw == (120, 100)
    np.testing.assert_array_equal(entry.poses.keypoints[1, 16], [60 + 1.5 * 16, 10 + 4.25 * 16])
    assert calls == [
        ("lite", {"checkpoint": None, "device": "cpu", "threads": None}),
        ("encode", [(120, 100, 3)]),
        ("predict", None),
    ]


def test_predict_writes_openpose_files_of_all_photos(calls, photo, tmp_path):
    Image.new("RGB", (80, 90)).save(tmp_path / "other.png")
    done = run("predict", photo, tmp_path / "other.png", "--openpose", tmp_path / "op")
    assert done.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "op").iterdir()) == [
        "other_keypoints.json", "photo_keypoints.json"
    ]  # fmt: skip
    poses = read_openpose(tmp_path / "op" / "photo_keypoints.json")
    assert poses.instance_scores.tolist() == pytest.approx([0.9, 0.3])
    assert poses.keypoints[1, 3].tolist() == [60 + 3 * 1.5, 10 + 3 * 4.25]
    calls.clear()
    refused = run("predict", photo, "--openpose", tmp_path / "op", "--openpose-tolerance", 0)
    assert refused.exit_code != 0
    assert "Expected a positive --openpose-tolerance, got 0" in refused.stderr
    assert calls == []  # before anybody waits for all photos


def test_predict_with_boxes_and_threshold(calls, photo, tmp_path):
    result = run("predict", photo, "--box", "1,2,30,40", "--box", "5,6,7.5,8", "--threshold", 0.5, "--threads", 2)
    assert result.stdout == f"{photo}: 1 person, predicted OKS 0.90\n"
    assert calls[0][1]["threads"] == 2
    assert calls[-1] == ("predict", [[1, 2, 31, 42], [5, 6, 12.5, 14]])
    run("predict", photo, "--box", "1,2,30,40", "--find-others")
    assert calls[-1] == ("predict", [[1, 2, 31, 42]], "and others")


def test_predict_takes_folders_and_goes_on_after_a_bad_photo(calls, photo, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"text")
    (tmp_path / "notes.txt").write_text("not a photo")
    result = run("predict", tmp_path, "--out", tmp_path / "drawn", "--json", tmp_path / "poses.json")
    assert_one_sentence(result, "Cannot read", "broken.png")
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["photo.png"]
    assert len(json.loads((tmp_path / "poses.json").read_text())["images"]) == 1


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["missing.jpg"], ["Cannot read missing.jpg: No such file"]),
        (["PHOTO", "--box", "1,2,3"], ["Expected --box x,y,width,height in pixels, got '1,2,3'"]),
        (["PHOTO", "--box", "1,2,nan,4"], ["Expected --box x,y,width,height in pixels"]),
        (["PHOTO", "--box", "1,2,0,4"], ["width and height above 0, got '1,2,0,4'"]),
        (["PHOTO", "missing.jpg", "--box", "1,2,3,4"], ["Expected one photo with --box, got 2"]),
        (["PHOTO", "--find-others"], ["Expected --box for --find-others, got none"]),
        (["PHOTO", "--out", "PHOTO"], ["Expected --out to leave the photos alone"]),
        (["PHOTO", "elsewhere/photo.png", "--out", "FOLDER/drawn"], ["Expected photos with different names"]),
        (["FOLDER/empty"], ["Expected photos", "got none"]),
        (["PHOTO", "--out", "FOLDER/x.unknown"], ["unknown"]),
    ],
)
def test_predict_answers_mistakes_with_one_sentence(calls, photo, tmp_path, arguments, parts):
    (tmp_path / "empty").mkdir()
    filled = [a.replace("PHOTO", str(photo)).replace("FOLDER", str(tmp_path)) for a in arguments]
    assert_one_sentence(run("predict", *filled), *parts)


def test_unknown_model_and_bad_weights_are_one_sentence(photo, tmp_path):
    assert_one_sentence(run("predict", photo, "--model", "big"), "Expected name to be one of 'lite', 'r50', got 'big'")
    assert_one_sentence(run("predict", photo, "--checkpoint", tmp_path / "none.safetensors"), "none.safetensors")


@pytest.mark.parametrize("command", [["predict"], ["refine", "--poses", "POSES", "--click", "nose=40,50"]])
def test_the_flip_test_can_be_left_out_of_lite_alone(calls, photo, tmp_path, command):
    poses = tmp_path / "poses.json"
    assert run("predict", photo, "--json", poses).exit_code == 0
    name, *arguments = [poses if argument == "POSES" else argument for argument in command]
    del calls[:]
    for option, wanted in (("--no-flip-test", {"flip_test": False}), ("--flip-test", {})):
        assert run(name, photo, *arguments, option).exit_code == 0
        (options,) = (call[1] for call in calls if call[0] == "lite")
        assert {key: value for key, value in options.items() if key == "flip_test"} == wanted
        del calls[:]
    refused = run(name, photo, *arguments, "--no-flip-test", "--model", "r50", "--checkpoint", "c.pth")
    assert_one_sentence(refused, "Expected the network lite where the flip test is left out, got 'r50'")
    assert not calls


def test_refine_moves_one_person_and_keeps_clicks_over_several_runs(calls, photo, tmp_path):
    poses = tmp_path / "poses.json"
    assert run("predict", photo, "--json", poses).exit_code == 0
    before = read_coco(poses)[0].poses
    result = run("refine", photo, "--poses", poses, "--person", 1, "--click", "LWrist=70.5,33", "--json", poses)
    assert result.exit_code == 0, result.output
    assert "person 1, left_wrist placed, 16 other keypoints moved, predicted OKS 0.30 -> 0.95" in result.stdout
    result = run(
        "refine",
        photo,
        "--poses",
        poses,
        "--person",
        1,
        "--click",
        "nose=61,12",
        "--json",
        poses,
        "--out",
        tmp_path / "d.png",
    )
    assert result.exit_code == 0 and (tmp_path / "d.png").is_file()
    after = read_coco(poses)[0].poses
    np.testing.assert_array_equal(after.keypoints[0], before.keypoints[0])
    np.testing.assert_array_equal(after.keypoints[1, [0, 9]], [[61, 12], [70.5, 33]])
    np.testing.assert_array_equal(after.keypoints[1, 5], before.keypoints[1, 5] + [2, 4])
    assert np.flatnonzero(after.fixed[1]).tolist() == [0, 9] and not after.fixed[0].any()


def test_refine_says_which_clicks_are_outside_the_photo(calls, photo, tmp_path):
    poses = tmp_path / "poses.json"
    run("predict", photo, "--json", poses)
    result = run("refine", photo, "--poses", poses, "--click", "nose=100,120", "--click", "left_wrist=705,33")
    assert result.exit_code == 0 and "nose, left_wrist placed, " in result.stdout
    assert result.stderr == f"{photo}: left_wrist placed outside the photo of 100 x 120 pixels\n"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"--person": "2"}, ["Expected --person to be below 2", "got 2"]),
        ({"--click": "tail=1,2"}, ["Expected --click joint=x,y with a joint of nose, left_eye", "got 'tail=1,2'"]),
        ({"--click": "nose=1"}, ["Expected --click joint=x,y in pixels, got 'nose=1'"]),
        ({"--click": "nose"}, ["Expected --click joint=x,y in pixels, got 'nose'"]),
        ({"--poses": "none.json"}, ["Cannot read none.json: No such file"]),
    ],
)
def test_refine_answers_mistakes_with_one_sentence(calls, photo, tmp_path, changes, parts):
    poses = tmp_path / "poses.json"
    assert run("predict", photo, "--json", poses).exit_code == 0
    options = {"--poses": str(poses), "--click": "nose=1,2", **changes}
    assert_one_sentence(run("refine", photo, *[part for pair in options.items() for part in pair]), *parts)


def test_refine_refuses_a_photo_that_was_scaled_since(calls, photo, tmp_path):
    poses = tmp_path / "poses.json"
    run("predict", photo, "--json", poses)
    with Image.open(photo) as image:
        width, height = image.size
        image.resize((width // 2, height)).save(photo)
    result = run("refine", photo, "--poses", poses, "--click", "nose=1,1")
    assert_one_sentence(result, f"{width} x {height} pixels", f"got {width // 2} x {height}")


def test_refine_finds_the_photo_by_path_then_name(calls, photo, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("photo.jpg", "second.jpg"):
        Image.open(photo).save(other / name)
    poses = tmp_path / "poses.json"
    assert run("predict", other, "--json", poses).exit_code == 0
    assert run("refine", photo, "--poses", poses, "--click", "nose=1,2").exit_code == 0
    Image.open(photo).save(tmp_path / "third.jpg")
    result = run("refine", tmp_path / "third.jpg", "--poses", poses, "--click", "nose=1,2")
    assert_one_sentence(result, "to hold the people of third.jpg, got 2 photos and not that one")


@pytest.mark.parametrize("names", [["a/1.jpg", "b/1.jpg"], ["a\\1.jpg", "b\\1.jpg"], ["/x/a/1.jpg", "/x/b/1.jpg"]])
def test_refine_tells_photos_of_one_name_by_their_folders(calls, photo, tmp_path, monkeypatch, names):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.open(photo).save(tmp_path / folder / "1.jpg")
    poses, out = tmp_path / "poses.json", tmp_path / "out.json"
    assert run("predict", tmp_path / "a", tmp_path / "b", "--json", poses).exit_code == 0
    document = json.loads(poses.read_text())
    for image, name in zip(document["images"], names, strict=True):
        image["file_name"] = name
    poses.write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path / "b")
    assert run("refine", "1.jpg", "--poses", poses, "--click", "nose=1,2", "--json", out).exit_code == 0
    changed = [
        new["image_id"]
        for new, old in zip(json.loads(out.read_text())["annotations"], document["annotations"], strict=True)
        if new != old
    ]
    assert changed == [2]
    Image.open(photo).save(tmp_path / "1.jpg")
    result = run("refine", tmp_path / "1.jpg", "--poses", poses, "--click", "nose=1,2")
    assert_one_sentence(result, "Cannot tell which photo", "poses.json is meant", "whose folders do not tell")


def test_refine_says_that_the_only_photo_has_another_name(calls, photo, tmp_path):
    poses = tmp_path / "poses.json"
    assert run("predict", photo, "--json", poses).exit_code == 0
    photo.rename(tmp_path / "renamed.jpg")
    result = run("refine", tmp_path / "renamed.jpg", "--poses", poses, "--click", "nose=1,2")
    assert result.exit_code == 0
    assert "1 photo of another name, " in result.stderr and "photo.jpg, taken for " in result.stderr
    twice = run("refine", tmp_path / "renamed.jpg", "--poses", poses, "--click", "nose=1,2", "--click", "Nose=3,4")
    assert_one_sentence(twice, "--click once for a joint, got nose twice")


def test_refine_writes_everything_else_as_it_was_read(calls, photo, tmp_path):
    poses = tmp_path / "poses.json"
    assert run("predict", photo, "--json", poses).exit_code == 0
    document = json.loads(poses.read_text())
    document["categories"].append({"id": "car", "name": "car"})
    document["info"] = {"contributor": "é"}
    others = [{"id": 90, "image_id": 1, "category_id": "car", "bbox": [0, 0, 5, 5], "area": 25},
              {"id": 91, "image_id": 1, "category_id": 1, "iscrowd": "1", "segmentation": {"counts": [3]}}]  # fmt: skip
    document["annotations"] = [others[0], *document["annotations"], others[1]]
    document["annotations"][1] |= {"id": "text", "area": 17.25, "segmentation": [[1, 2, 3]]}
    poses.write_bytes(json.dumps(document).encode("utf-16"))
    result = run("refine", photo, "--poses", poses, "--person", 1, "--click", "nose=61,12", "--json", poses)
    assert result.exit_code == 0, result.output
    assert f"{poses}: 1 annotations of other categories; 1 crowds left out" in result.stderr
    written = json.loads(poses.read_text(encoding="utf-8"))
    assert written["annotations"][2]["keypoints"][:2] == [61, 12]
    written["annotations"][2] = document["annotations"][2]
    assert written == document


def test_predict_says_what_of_a_folder_it_leaves_out(calls, photo, tmp_path):
    folder = tmp_path / "holiday"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.JFIF", "c.ppm", "sub/d.jpg"):
        Image.new("RGB", (40, 30)).save(folder / name, "PPM" if name.endswith("ppm") else "JPEG")
    for name in ("e.heic", "f.heic", "notes.txt", "README", ".hidden"):
        (folder / name).write_text("no photo")
    result = run("predict", folder, folder / "a.jpg", folder / "sub" / ".." / "a.jpg")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == (
        f"{folder}: left out 4 files with other endings (1 no ending, 2 .heic, 1 .txt) and 1 sub-folder"
    ) or lines[0].startswith(f"{folder}: left out 4 files with other endings (2 .heic, ")
    assert [line.split(":")[0].rsplit("/")[-1] for line in lines[1:]] == ["a.jpg", "b.JFIF", "c.ppm"]  # each once
    (tmp_path / "only" / "sub").mkdir(parents=True)
    (tmp_path / "only" / "e.heic").write_text("no photo")
    refused = run("predict", tmp_path / "only")
    assert_one_sentence(refused, "got 1 file with other endings (1 .heic) and 1 sub-folder")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["PHOTO", "FOLDER/b/photo.png", "--openpose", "FOLDER/op"], ["photos with different names, got", "photo.png"]),
        (["PHOTO", "--openpose", "PHOTO"], ["Expected --openpose in a folder, got", "where a file stands in the way"]),
        (["PHOTO", "--json", "FOLDER"], ["Expected --json to be a file to write, got the folder"]),
        (["PHOTO", "--json", "PHOTO/poses.json"], ["Expected --json in a folder", "where a file stands in the way"]),
        (["PHOTO", "--json", "PHOTO"], ["Expected --json to leave the input alone"]),
        (["PHOTO", "--json", "FOLDER/x.png", "--out", "FOLDER/x.png"], ["different files for --json and --out"]),
        (["PHOTO", "--out", "FOLDER/x.unknown"], ["Expected --out with an ending such as .png or .jpg"]),
    ],
)
def test_predict_refuses_what_it_cannot_write_before_the_work(calls, photo, tmp_path, arguments, parts):
    (tmp_path / "b").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "b" / "photo.png")
    filled = [a.replace("PHOTO", str(photo)).replace("FOLDER", str(tmp_path)) for a in arguments]
    assert_one_sentence(run("predict", *filled), *parts)
    assert (calls == [] and not (tmp_path / "op").exists()) or not any((tmp_path / "op").iterdir())


def test_the_limit_of_pixels_is_an_option(calls, photo, tmp_path):
    poses = tmp_path / "poses.json"
    assert run("predict", photo, "--json", poses).exit_code == 0
    for command in (["predict", photo], ["refine", photo, "--poses", poses, "--click", "nose=1,2"]):
        refused = run(*command, "--max-pixels", 11_999)
        assert_one_sentence(refused, "at most 11,999 pixels, got 100 x 120 (--max-pixels allows more)")
        assert run(*command).exit_code == 0  # the option is this run's
    Image.new("1", (30000, 2800)).save(tmp_path / "panorama.png")
    assert_one_sentence(run("predict", tmp_path / "panorama.png"), "at most 80,000,000 pixels, got 30000 x 2800 (--max")


@pytest.mark.slow
def test_pillows_remarks_are_not_shown(photo, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x20\0\x12\x01\x03\0\x01\0")
    arguments = ["predict", str(tmp_path / "a.jpg"), "--no-flip-test"]
    code = f"from clickpose.cli import app; app({arguments!r})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and ran.stderr == "" and "0 people" in ran.stdout


def test_refine_writes_no_pose_file_over_the_photo(calls, photo, tmp_path):
    poses = tmp_path / "poses.json"
    assert run("predict", photo, "--json", poses).exit_code == 0
    refused = run("refine", photo, "--poses", poses, "--click", "nose=1,2", "--json", photo)
    assert_one_sentence(refused, "Expected --json to leave the input alone")
    refused = run("refine", photo, "--poses", poses, "--click", "nose=1,2", "--json", tmp_path)
    assert_one_sentence(refused, "Expected --json to be a file to write, got the folder")
