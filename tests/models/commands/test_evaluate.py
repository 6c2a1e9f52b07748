"""``clickpose evaluate`` on results files: COCO's figures to the last digit, and what is said beside them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.clicks.interactive import evaluate_poses
from clickpose.clicks.result_poses import read_result_poses
from clickpose.commands.evaluate import EvaluationPlan, evaluate_plan
from clickpose.data.coco_categories import person_category
from clickpose.data.formats import read_dataset
from clickpose.skeleton import COCO
from helpers.reference import corner_dataset, pycocotools_evaluation

PERSON = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "num_keypoints": 17}


def make_figure(left: float = 60.0, off: float = 0.0) -> list[float]:
    """Keypoint numbers of a made person, 80 x 200 px, each joint ``off`` px to the right."""
    rng = np.random.default_rng(5)
    return np.column_stack([rng.uniform(left, left + 80, 17) + off, rng.uniform(20, 220, 17), np.full(17, 2)]).ravel()


def make_person(id_: int, image_id: int, left: float = 60.0, **more) -> dict:
    box = [left, 20.0, 80.0, 200.0]
    numbers = make_figure(left).tolist()
    return PERSON | {"id": id_, "image_id": image_id, "bbox": box, "area": 9000.0, "keypoints": numbers} | more


def make_result(image_id: int, left: float = 60.0, score: float = 0.9, off: float = 0.0, **more) -> dict:
    numbers = make_figure(left, off).tolist()
    return {"image_id": image_id, "category_id": 1, "keypoints": numbers, "score": score} | more


def write(folder: Path, images: int, annotations: list[dict], results, **more) -> tuple[Path, Path]:
    entries = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(1, images + 1)]
    content = {"images": entries, "annotations": annotations, "categories": [person_category(COCO)]} | more
    (folder / "gt.json").write_text(json.dumps(content))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "gt.json", folder / "results.json"


def evaluate(truth: Path, results: Path, clicks: int = 0, **more):
    plan = EvaluationPlan([truth], results={"net": results}, protocol=ClickProtocol(clicks=clicks), **more)
    return next(iter(evaluate_plan(plan, None).values()))


def c0(truth: Path, results: Path) -> float:
    return evaluate(truth, results).curves["net + manual"][0]


@pytest.mark.parametrize("categories", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_c_n_is_pycocotools_average_precision_before_and_after_clicks(tmp_path, seed, categories):
    """Crowds, people without labels, ties, more than 20 poses, joints not found, false people on photos without any."""
    annotations, results = corner_dataset(seed, COCO.sigma_array, categories=categories)
    images = [image | {"file_name": f"{image['id']}.jpg"} for image in annotations["images"]]
    for person in annotations["annotations"]:  # boxes by which an annotator knows whose pose it is
        points = np.reshape(person["keypoints"], (17, 3))[:, :2]
        person["bbox"] = [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()]
    for result in results[: 30 * (seed % 2)]:  # joints that were not found
        result["keypoints"][6:12] = [0] * 6
    (tmp_path / "gt.json").write_text(json.dumps(annotations | {"images": images}))
    (tmp_path / "results.json").write_text(json.dumps(results))
    wanted = pycocotools_evaluation(annotations, results, COCO.sigma_array).stats[0]
    assert c0(tmp_path / "gt.json", tmp_path / "results.json") == pytest.approx(100 * wanted, abs=1e-9)
    dataset = read_dataset(tmp_path / "gt.json")
    found = read_result_poses(tmp_path / "results.json", dataset)
    clicked = evaluate_poses(dataset, found.poses, ClickProtocol(clicks=3, noise_sigmas=0.3), found.category_ids)
    assert (clicked.keypoints[3] != clicked.keypoints[0]).any()
    after = [
        {"image_id": image_id, "category_id": category, "score": float(score),
         "keypoints": np.column_stack([np.nan_to_num(points), np.ones(17)]).ravel().tolist()}
        for points, score, image_id, category in zip(
            clicked.keypoints[3], clicked.scores[3], clicked.image_ids,
            clicked.category_ids or [1] * len(clicked.image_ids), strict=True,
        )
    ]  # fmt: skip
    wanted = pycocotools_evaluation(annotations, after, COCO.sigma_array).stats[0]
    assert clicked.average_precision(3) == pytest.approx(100 * wanted, abs=1e-9)


def test_false_people_on_photos_without_people_count(tmp_path):
    results = [make_result(1, score=0.6), make_result(2, score=0.9), make_result(3, score=0.95)]
    truth, path = write(tmp_path, 3, [make_person(1, 1)], results)
    assert c0(truth, path) == pytest.approx(100 / 3)
    assert (
        evaluate(truth, path, clicks=2).notes[0]
        == "net + manual: 2 poses of nobody labelled, 2 in photos without people"
    )
    # the same where the file does not tell the size of the photos without people, which is no matter here
    content = json.loads(truth.read_text())
    for image in content["images"][1:]:
        del image["width"], image["height"]
    truth.write_text(json.dumps(content))
    assert c0(truth, path) == pytest.approx(100 / 3)


def test_crowds_and_people_with_num_keypoints_0_are_neither_right_nor_wrong(tmp_path):
    far = 400.0
    results = [make_result(1, score=0.5), make_result(1, far, score=0.9, off=300.0)]
    for more, wanted in (({}, 100 * 51 / 101 / 2), ({"num_keypoints": 0}, 50.0), ({"iscrowd": 1}, 50.0)):
        truth, path = write(tmp_path, 1, [make_person(1, 1), make_person(2, 1, far, **more)], results)
        assert c0(truth, path) == pytest.approx(wanted, abs=0.3)
    truth, path = write(
        tmp_path,
        1,
        [make_person(1, 1), make_person(2, 1, far, iscrowd=1)],
        [results[0], make_result(1, far, score=0.9)],
    )
    assert c0(truth, path) == pytest.approx(100)  # the pose on the crowd is no mistake


def test_other_categories_are_left_out_of_both_files_and_counted(tmp_path):
    car = {"id": 9, "image_id": 1, "category_id": 3, "bbox": [300, 20, 200, 200], "area": 9000.0, "iscrowd": 0}
    categories = [person_category(COCO, 5), {"id": 3, "name": "car"}]
    people = [make_person(1, 1, category_id=5), car]
    results = [make_result(1, category_id=5), make_result(1, 300.0, score=0.99, category_id=3)]
    truth, path = write(tmp_path, 1, people, results, categories=categories)
    found = evaluate(truth, path)
    assert found.curves["net + manual"] == [pytest.approx(100)]
    assert "1 annotations of other categories" in found.report and found.notes == ["net: 1 results of other categories"]
    path.write_text(json.dumps([make_result(1, category_id=3)]))
    with pytest.raises(
        ValueError, match=r"results of people \(category 5\) in .*results\.json, got none but of other categories"
    ):
        evaluate(truth, path)


def test_results_of_other_photos_are_counted_and_scores_may_be_any_numbers(tmp_path):
    results = [make_result(1, score=-3.0), make_result(2, score=-1.0, off=400.0), make_result(77, score=12.0)]
    truth, path = write(tmp_path, 2, [make_person(1, 1), make_person(2, 2)], results)
    found = evaluate(truth, path, clicks=1)
    assert found.curves["net + manual"][0] == pytest.approx(100 * 51 / 101 / 2, abs=0.3)  # the false one is surer
    assert found.notes[:2] == [
        "net: 1 results of photos that the data set lacks, left out",
        "net: 2 results without confidences of joints, whose scores are no 0..1 and only rank them",
    ]


def test_predictions_of_photos_of_other_names_are_refused_by_a_name(tmp_path):
    truth, path = write(tmp_path, 1, [make_person(1, 1)], [])
    theirs = {"images": [{"id": 1, "file_name": "x/other.jpg"}], "annotations": [{"id": 1, **make_result(1)}]}
    path.write_text(json.dumps(theirs))
    with pytest.raises(ValueError, match=r"such as 1\.jpg, got none .* of other names, such as x/other\.jpg"):
        evaluate(truth, path)


def test_photos_of_a_file_of_predictions_are_known_by_their_names(tmp_path):
    """``predict --json`` counts its photos by itself; the ids of its file are not those of the labels."""
    truth, path = write(tmp_path, 2, [make_person(1, 1), make_person(2, 2, 300.0)], [])
    images = [{"id": 1, "file_name": "some/where/2.jpg", "width": 640, "height": 480}]
    images.append({"id": 2, "file_name": "some/where/1.jpg", "width": 640, "height": 480})
    poses = [make_result(1, 300.0), make_result(2)]
    document = {"images": images, "categories": [person_category(COCO)]}
    path.write_text(json.dumps(document | {"annotations": [pose | {"id": i} for i, pose in enumerate(poses)]}))
    assert c0(truth, path) == pytest.approx(100)
    images[0]["file_name"] = "some/where/3.jpg"
    path.write_text(json.dumps(document | {"annotations": [pose | {"id": i} for i, pose in enumerate(poses)]}))
    found = evaluate(truth, path)
    assert "net: 1 results of photos that the data set lacks, left out" in found.notes


def test_what_keeps_images_from_a_precision_is_said(tmp_path):
    crowded = [make_person(i, 1, 20.0 * i) for i in range(1, 31)]
    results = [make_result(1, 20.0 * i, score=i / 40) for i in range(1, 31)]
    people = [*crowded, make_person(41, 2), make_person(42, 3), make_person(43, 3, 400.0), make_person(44, 4)]
    results += [make_result(2), make_result(2, 500.0, score=0.95), make_result(3), make_result(4)]
    truth, path = write(tmp_path, 4, people, results)
    found = evaluate(truth, path, clicks=4)
    assert found.notes[-1] == (
        "net + manual: 3 of 4 images never reach AP 0.95 and count as 4 clicks: 1 with more than 20 people, of whom "
        "COCO's AP counts 20, 1 with missed people, 1 with false people"
    )
    assert found.tables["average_precision"].rows["net + manual"]["NoC95"] == (4 + 4 + 4 + 0) / 4
    truth, path = write(tmp_path, 1, [make_person(1, 1)], [make_result(1, off=300.0, bbox=[60, 20, 80, 200])])
    assert evaluate(truth, path, clicks=3).notes[-1].endswith("count as 3 clicks: 1 with too few clicks")
    assert evaluate(truth, path, clicks=17).notes == []
    assert evaluate(truth, path, clicks=0).notes == []


def test_areas_that_follow_from_boxes_are_said(tmp_path):
    truth, path = write(tmp_path, 1, [make_person(1, 1, area=0.53 * 80 * 200)], [make_result(1)])
    assert evaluate(truth, path).notes == [
        "areas are 0.53 of the boxes, not COCO's: compare figures with others of such data only"
    ]


def test_one_name_for_one_figure(tmp_path):
    """C_n is average precision, S_n the share of persons."""
    results = [make_result(1, score=0.6), make_result(2, score=0.9)]
    truth, path = write(tmp_path, 2, [make_person(1, 1)], results)
    found = evaluate(truth, path, clicks=1).to_json()
    assert list(found["average_precision"]["net + manual"])[:2] == ["C0", "C1"]
    assert list(found["persons"]["net + manual"])[:2] == ["S0", "S1"]
    assert found["average_precision"]["net + manual"]["C0"] == pytest.approx(50)
    assert found["persons"]["net + manual"]["S0"] == 100
    assert found["notes"] == evaluate(truth, path, clicks=1).notes


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def refused(*arguments) -> str:
    result = run(*arguments)
    assert result.exit_code == 2 and "Traceback" not in result.output
    sentences = [line for line in result.stderr.splitlines() if line.strip() and not line.startswith("clicking:")]
    assert len(sentences) == 1
    return sentences[0]


def test_what_cannot_be_is_refused_before_the_work(tmp_path, monkeypatch):
    truth, path = write(tmp_path, 1, [make_person(1, 1)], [make_result(1)])
    monkeypatch.setattr("clickpose.commands.evaluate._rows", lambda *arguments: pytest.fail("the work has begun"))
    results = ["--model", "none", "--results", f"net={path}"]
    assert "Expected a picture of a kind of" in refused(truth, *results, "--plot", tmp_path / "a.xyz")
    assert "Expected --json to be a file to write, got the folder" in refused(truth, *results, "--json", tmp_path)
    assert "Expected --json to leave the input alone" in refused(truth, *results, "--json", path)
    (tmp_path / "annotations.json").write_bytes(truth.read_bytes())  # what a folder is read from
    of_folder = refused(tmp_path, *results, "--json", tmp_path / "annotations.json")
    assert "Expected --json to leave the input alone" in of_folder
    assert "where a file stands in the way" in refused(truth, *results, "--plot", truth / "a.png")
    assert "where a file stands in the way" in refused(truth, truth, *results, "--plot", path)  # a folder for several
    (tmp_path / "a.png").mkdir()
    assert "Expected --plot to be a file to write" in refused(truth, *results, "--plot", tmp_path / "a.png")
    both = ["--plot", tmp_path / "b.png", "--json", tmp_path / "b.png"]
    assert "Expected different files for --json and --plot" in refused(truth, *results, *both)
    assert "Expected a joint of skeleton 'coco'" in refused(truth, *results, "--joints", "tail")
    assert "at nowhere" in refused(truth, "nowhere", *results)  # the second data set
    (tmp_path / "broken.json").write_text("{}")
    assert "broken.json" in refused(truth, *results, "--results", f"other={tmp_path / 'broken.json'}")


@pytest.mark.parametrize(
    ("photo", "sentence"),
    [
        (None, "No such file or directory"),
        (b"<!doctype html>", "Expected an image (JPEG, PNG"),
        (
            (480, 640),
            "Expected a photo of 640 x 480 pixels, as its labels say, or of this shape at another",
        ),
        ((400, 400), "got 400 x 400"),
        ((12_000, 9_000), "at most 80,000,000 pixels, got 12000 x 9000 (--max-pixels allows more)"),
    ],
)
def test_photos_that_cannot_be_measured_are_refused_before_the_work(tmp_path, monkeypatch, photo, sentence):
    truth, _ = write(tmp_path, 1, [make_person(1, 1)], [])
    monkeypatch.setattr("clickpose.commands.evaluate._rows", lambda *arguments: pytest.fail("the work has begun"))
    if isinstance(photo, bytes):
        (tmp_path / "1.jpg").write_bytes(photo)
    elif photo:
        Image.new("1", photo).save(tmp_path / "1.jpg", "PNG")
    assert sentence in refused(truth, "--no-flip-test", "--threads", 1)


def test_a_broken_photo_is_a_sentence(tmp_path):
    truth, _ = write(tmp_path, 1, [make_person(1, 1)], [])
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.jpg", "PNG")
    data = bytearray((tmp_path / "1.jpg").read_bytes())
    place = data.find(b"IDAT", 20_000)
    data[place - 4 : place] = b"\0\0\0\x05"
    (tmp_path / "1.jpg").write_bytes(bytes(data))
    assert "1.jpg: Expected a whole PNG image, got one that cannot be decoded" in refused(
        truth, "--no-flip-test", "--threads", 1, "--clicks", 0
    )


def test_boxes_that_were_given_are_said(tmp_path):
    truth, _ = write(tmp_path, 1, [make_person(1, 1)], [])
    Image.new("RGB", (320, 240), (90, 120, 60)).save(tmp_path / "1.jpg", "PNG")
    result = run(truth, "--no-flip-test", "--threads", 1, "--clicks", 0)
    assert result.exit_code == 0, result.output
    assert "lite was given the boxes of the people: nobody is missed and nobody false" in result.stdout.replace(
        "\n", " "
    )
