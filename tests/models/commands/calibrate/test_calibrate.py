"""``clickpose calibrate``: fit on a results file, apply to another, fit lite; figures, files, and what is refused."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from clickpose.calibration.calibrator_file import load_calibrator, load_ccnet
from clickpose.calibration.results_file import match_to_truth, result_scores
from clickpose.cli import app
from clickpose.commands.calibrate.outcome import CalibrateOptions
from clickpose.commands.calibrate.results import fit_results
from clickpose.lite.calibration import CCNetScores
from clickpose.lite.predictor import LitePredictor, network_mark
from clickpose.metrics.average_precision import average_precision
from clickpose.networks.lite import LiteNetwork
from clickpose.skeleton import COCO
from clickpose.weights_io import save_weights, verify_checksum

RUNNER = CliRunner()


def run(*arguments):
    result = RUNNER.invoke(app, ["calibrate", *map(str, arguments)])
    return result, " ".join(result.output.split())


def make_world(photos, seed):
    """Two people a photo; a joint's score is the square of what it should be, and one joint in ten is not labelled."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for number in range(photos):
        for side in (0.0, 400.0):
            area = float(rng.uniform(4_000, 20_000))
            truth = rng.uniform([side, 0], [side + 150, 200], (17, 2))
            spread = rng.uniform(0.2, 2.5, (17, 1)) * rng.uniform(0.5, 1.5)
            length = 2 * COCO.sigma_array[:, None] * np.sqrt(area)
            found = truth + rng.normal(0, 1, (17, 2)) * spread * length
            expected = 1 / (1 + np.square(spread[:, 0]))
            visibility = rng.choice([0, 1, 2], 17, p=[0.1, 0.2, 0.7])
            annotations.append(
                {"id": len(annotations) + 1, "image_id": 100 + number, "category_id": 1, "iscrowd": 0, "area": area,
                 "bbox": [side, 0.0, 150.0, 200.0], "num_keypoints": int((visibility > 0).sum()),
                 "keypoints": np.column_stack([truth * (visibility > 0)[:, None], visibility]).ravel().tolist()}
            )  # fmt: skip
            results.append(
                {"image_id": 100 + number, "category_id": 1, "score": float(rng.uniform(0.3, 0.9)),
                 "bbox": [side, 0.0, 150.0, 200.0],
                 "keypoints": np.column_stack([found, expected**2]).ravel().tolist()}
            )  # fmt: skip
    images = [{"id": 100 + i, "file_name": f"{i}.png", "width": 600, "height": 240} for i in range(photos)]
    dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    return dataset, results


@pytest.fixture
def world(tmp_path, request):
    dataset, results = make_world(getattr(request, "param", 40), 0)
    (tmp_path / "gt.json").write_text(json.dumps(dataset))
    (tmp_path / "val.json").write_text(json.dumps(results))
    return tmp_path, dataset, results


def fit(folder, *more):
    return run("--results", folder / "val.json", "--annotations", folder / "gt.json", "--name", "hrnet", *more)


def test_fit_and_apply_a_results_file(world):
    folder, *_ = world
    result, output = fit(folder, "--method", "platt", "--out", folder / "hrnet.calibration.json")
    assert result.exit_code == 0, result.output
    calibrator, provenance = load_calibrator(folder / "hrnet.calibration.json")
    assert calibrator.kind == "platt"
    assert calibrator.predict(np.full((1, 17), 0.25)) == pytest.approx(0.5, abs=0.07)  # the square is undone
    assert (
        provenance.model == "hrnet" and provenance.skeleton == "coco" and "79 persons" in provenance.data
    )  # one is nowhere near
    figures = provenance.figures
    assert figures["Brier, joints, after"] < figures["Brier, joints, before"]
    assert figures["COCO AR, after"] == figures["COCO AR, before"]
    assert figures["COCO AP, after"] > figures["COCO AP, before"] + 0.02  # persons' own scores were random
    assert f"{figures['COCO AP, after']:.4f}" in output

    test_dataset, test_results = make_world(10, 1)
    (folder / "test.json").write_text(json.dumps(test_results))
    out = folder / "new" / "out.json"
    result, output = run(
        "--apply", folder / "hrnet.calibration.json", "--results", folder / "test.json", "--name", "hrnet",
        "--calibrated", out,
    )  # fmt: skip
    assert result.exit_code == 0 and f"wrote {out}" in result.output.replace("\n", "")
    written = json.loads(out.read_text())
    expected = calibrator.predict(result_scores(test_results, COCO).scores)
    np.testing.assert_allclose([w["keypoint_scores"] for w in written], expected)
    assert [w["keypoints"][0::3] for w in written] == [r["keypoints"][0::3] for r in test_results]
    before, after = (average_precision(test_dataset, r) for r in (test_results, written))
    assert after["AR"] == before["AR"] and after["AP"] > before["AP"]


def test_figures_are_of_photos_that_were_not_fitted_on(world):
    """Few labels, a flexible curve: in sample it would look better than it is."""
    folder, _, results = world
    rng = np.random.default_rng(5)
    for entry in results:  # scores that say nothing
        entry["keypoints"][2::3] = rng.uniform(0.1, 0.9, 17).tolist()
    (folder / "val.json").write_text(json.dumps(results[:16]))
    result, _ = fit(folder, "--method", "isotonic", "--per-joint", "--out", folder / "c.json")
    assert result.exit_code == 0, result.output
    figures = load_calibrator(folder / "c.json")[1].figures
    assert figures["Pearson, joints, after"] < 0.25


def test_people_of_one_photo_are_not_fitted_on_each_other(tmp_path):
    """The one photo whose people are right has a confidence of its own: from other photos nobody can tell."""
    dataset, results = make_world(10, 0)
    for annotation, entry in zip(dataset["annotations"], results, strict=True):
        right = annotation["image_id"] == 104
        oks, score = (1.0, 0.9) if right else (0.3, 0.5)
        triples = np.reshape(annotation["keypoints"], (17, 3))
        distance = np.sqrt(-2 * np.log(oks) * annotation["area"]) * 2 * COCO.sigma_array
        found = np.column_stack([triples[:, 0] + distance, triples[:, 1], np.full(17, score)])
        entry["keypoints"] = found.ravel().tolist()
    (tmp_path / "gt.json").write_text(json.dumps(dataset))
    (tmp_path / "val.json").write_text(json.dumps(results))
    options = CalibrateOptions("isotonic")
    outcome = fit_results(tmp_path / "val.json", tmp_path / "gt.json", "hrnet", COCO, options)
    right = outcome.before.image_ids == 104
    assert outcome.before.oks[right].max() == pytest.approx(1) and outcome.before.instance_oks[right].min() > 0.9
    assert outcome.after.scores[right] == pytest.approx(0.3)
    assert outcome.notes[1] == f"isotonic: mean squared error {outcome.figures()['Brier, joints'][1]:.4f}"


def test_only_labelled_joints_of_people_that_were_found_are_measured(world):
    folder, dataset, results = world
    options = CalibrateOptions("temperature")
    outcome = fit_results(folder / "val.json", folder / "gt.json", "hrnet", COCO, options)
    truth = match_to_truth(dataset, results, COCO)
    assert truth.matched.sum() == 79  # of 80
    for sample in (outcome.before, outcome.after):
        np.testing.assert_array_equal(sample.measured, truth.matched)
        np.testing.assert_array_equal(sample.labelled, truth.visibility > 0)
        np.testing.assert_array_equal(sample.oks, truth.oks)


def test_auto_chooses_by_cross_validation_and_says_so(world):
    folder, *_ = world
    result, output = fit(folder, "--out", folder / "c")  # the suffix is added
    assert result.exit_code == 0, result.output
    for kind in ("as they are", "isotonic", "platt", "temperature", "closed_form"):
        assert f"{kind}: mean squared error 0." in output
    assert load_calibrator(folder / "c.json")[0].kind in ("isotonic", "platt", "closed_form")


def test_results_in_a_dataset_are_matched_by_file_name_and_stay_in_it(world):
    folder, dataset, results = world
    own_ids = {image["id"]: number for number, image in enumerate(dataset["images"], start=1)}
    document = {
        "images": [{**image, "id": own_ids[image["id"]], "file_name": "elsewhere/" + image["file_name"]}
                   for image in dataset["images"]],
        "annotations": [{**entry, "image_id": own_ids[entry["image_id"]]} for entry in results],
        "categories": dataset["categories"],
    }  # fmt: skip
    (folder / "val.json").write_text(json.dumps(document))
    result, _ = fit(folder, "--method", "platt", "--calibrated", folder / "out.json")
    assert result.exit_code == 0, result.output
    written = json.loads((folder / "out.json").read_text())
    assert written["images"] == document["images"]
    assert [w["image_id"] for w in written["annotations"]] == [a["image_id"] for a in document["annotations"]]
    assert written["annotations"][0]["score"] != results[0]["score"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d, r: d["images"][0].pop("id"), "Expected images with an id"),
        (lambda d, r: r["images"].pop(), "Expected results of the photos that stand beside them, got image_id 139"),
        (lambda d, r: r.pop("images"), "Expected results of the photos that stand beside them, got image_id 100"),
        (lambda d, r: d["images"][3].pop("file_name"), "Expected one annotated photo of the name '3.png'"),
        (
            lambda d, r: (
                d["images"][3].update(file_name="a/x.png"),
                d["images"][4].update(file_name="b/x.png"),
                r["images"][3].update(file_name="x.png"),
            ),
            "Expected one annotated photo of the name 'x.png', as the results' photo, got several",
        ),
    ],
)
def test_photos_that_cannot_be_told_are_refused(world, change, sentence):
    folder, dataset, results = world
    document = {"images": [dict(image) for image in dataset["images"]], "annotations": results}
    change(dataset, document)
    (folder / "gt.json").write_text(json.dumps(dataset))
    (folder / "val.json").write_text(json.dumps(document))
    result, output = fit(folder, "--method", "platt")
    assert result.exit_code == 2 and sentence in output


def test_photos_of_the_same_name_in_two_folders_are_told_apart(world):
    folder, dataset, results = world
    expected = fit(folder, "--method", "platt")[1]
    for i, image in enumerate(dataset["images"]):
        image["file_name"] = f"{'ab'[i % 2]}/{i // 2}.png"
    document = {"images": dataset["images"][::-1], "annotations": results}
    (folder / "gt.json").write_text(json.dumps(dataset))
    (folder / "val.json").write_text(json.dumps(document))
    result, output = fit(folder, "--method", "platt")
    assert result.exit_code == 0 and output == expected


def test_a_calibrator_among_the_shipped_files_is_listed_with_its_checksum(world, monkeypatch):
    folder, *_ = world
    monkeypatch.setattr("clickpose.weights_io.WEIGHTS_FOLDER", folder)
    result, _ = fit(folder, "--method", "temperature", "--out", folder / "x.calibration.json")
    assert result.exit_code == 0, result.output
    verify_checksum(folder / "x.calibration.json")


@pytest.mark.slow
@pytest.mark.parametrize("world", [8], indirect=True)
def test_a_report_is_written(world):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    folder, *_ = world
    (folder / "images").mkdir()
    for number in range(8):
        Image.new("RGB", (600, 240), (number, 90, 120)).save(folder / "images" / f"{number}.png")
    result, _ = fit(folder, "--method", "temperature", "--report", folder / "out" / "report.html")
    assert result.exit_code == 0, result.output
    page = (folder / "out" / "report.html").read_text()
    assert "hrnet" in page and "temperature" in page and "image/jpeg" in page and "COCO AP" in page
    (folder / "images" / "3.png").unlink()
    result, output = fit(folder, "--method", "temperature", "--report", folder / "second.html")
    assert result.exit_code == 2 and "got no 3.png; --images names their folder" in output
    assert not (folder / "second.html").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--name", "other"], "Expected confidences of 'hrnet', the model of the calibrator, got 'other'"),
        (["--skeleton", "mpii"], "Expected the 17 joints of skeleton 'coco'"),
        (["--name", ""], "Expected --name, the model that made the results"),
    ],
)
def test_a_calibrator_of_something_else_is_refused(world, change, sentence):
    folder, *_ = world
    fit(folder, "--method", "platt", "--out", folder / "c.json")
    arguments = ["--apply", folder / "c.json", "--results", folder / "val.json", "--name", "hrnet", *change]
    result, output = run(*arguments, "--calibrated", folder / "out.json")
    assert result.exit_code == 2 and sentence in output
    assert not (folder / "out.json").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Expected either --results or --data, got neither"),
        (["--results", "val.json", "--data", "x"], "Expected either --results or --data, got both"),
        (["--results", "val.json", "--name", "a"], "Expected --annotations to fit on, or --apply"),
        (["--apply", "c.json", "--data", "x"], "Expected --results for --apply"),
        (["--results", "no.json", "--annotations", "no.json", "--name", "a"], "Expected COCO keypoints at no.json"),
        (
            ["--results", "val.json", "--name", "a", "--apply", "x.safetensors", "--calibrated", "out.json"],
            "Expected a post-hoc calibrator (.json)",
        ),
        (
            ["--results", "val.json", "--name", "a", "--apply", "c.json"],
            "Expected --calibrated to write to, or --annotations to measure with, for --apply, got neither",
        ),
        (
            ["--results", "val.json", "--name", "a", "--apply", "c.json", "--out", "d.json"],
            "Expected --calibrated for the results of --apply, got --out",
        ),
        (
            [
                "--results",
                "val.json",
                "--name",
                "a",
                "--apply",
                "c.json",
                "--calibrated",
                "o.json",
                "--report",
                "r.html",
            ],
            "Expected --annotations for a report",
        ),
        (["--data", "x", "--annotations", "gt.json"], "Expected no --annotations beside --data"),
        (["--data", "x", "--method", "magic"], "Expected --method to be one of auto, ccnet, isotonic"),
        (["--data", "x"], "Expected COCO keypoints at x"),
        (["--data", "x", "--images", "photos"], "Expected the folder of the photos in --images, got photos"),
        (["--data", "x", "--checkpoint", "no.safetensors"], "Expected lite weights in no.safetensors"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result, output = run(*arguments)
    assert result.exit_code == 2
    assert sentence in output


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda r: r.clear(), "Expected results of the annotated people"),
        (lambda r: r[0].update(score=float("nan")), "Expected finite score, got nan"),
        (lambda r: r[0].update(score=2.5), "Expected finite score of the results within 0..1, got 2.5"),
        (lambda r: r.__setitem__(slice(2, None), []), "Expected people on at least two photos"),
        (lambda r: r[0]["keypoints"].__setitem__(2, 1.5), "Expected finite keypoint scores within 0..1, got 1.5"),
        (lambda r: r[0]["keypoints"].pop(), "numbers in keypoints, got 50: not the 17 joints of skeleton 'coco'"),
        (lambda r: r[0].update(image_id=7), "Expected results for images of the dataset, got image_id 7"),
        (
            lambda r: [e["keypoints"].__setitem__(slice(0, None, 3), [9e4] * 17) for e in r],
            "found none near any of them",
        ),
    ],
)
def test_broken_results_are_one_sentence(world, spoil, sentence):
    folder, _, results = world
    spoil(results)
    (folder / "val.json").write_text(json.dumps(results))
    result, output = fit(folder, "--method", "platt")
    assert result.exit_code == 2
    assert sentence in output


def test_sizes_of_zero_rule_out_the_closed_form(world):
    folder, _, results = world
    for entry in results:
        entry["bbox"] = [0, 0, 0, 0]
    (folder / "val.json").write_text(json.dumps(results))
    result, output = fit(folder)
    assert result.exit_code == 0 and "closed_form" not in output
    result, output = fit(folder, "--method", "closed_form")
    assert result.exit_code == 2 and "Expected finite area above 0, got 0.0" in output


@pytest.fixture(scope="module")
def labelled_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    dataset, _ = make_world(2, 3)
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        pixels = rng.integers(0, 256, (120, 300, 3), dtype=np.uint8)  # stored at half its size
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    (folder / "annotations.json").write_text(json.dumps(dataset))
    return folder


@pytest.mark.slow
def test_fit_lite_beside_its_weights(labelled_folder, tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "mine.safetensors"
    save_weights(weights, LiteNetwork().state_dict(), {"kind": "lite", "skeleton": "coco"})
    arguments = ["--data", labelled_folder, "--checkpoint", weights, "--clicks", 1, "--threads", 1,
                 "--cache", tmp_path / "cache"]  # fmt: skip
    result, output = run(*arguments, "--method", "ccnet", "--out", tmp_path / "mine.calibration")
    assert result.exit_code == 0, result.output
    assert "after 0 clicks" in output and "after 1 clicks" in output and "Pearson, joints" in output
    provenance = load_ccnet(tmp_path / "mine.calibration.safetensors")[1]
    assert (provenance.model, provenance.fingerprint) == ("lite", network_mark(weights))
    assert isinstance(LitePredictor.load(weights).read_scores, CCNetScores)

    result, output = run(*arguments, "--out", tmp_path / "auto")  # from the cache
    assert result.exit_code == 0 and "own scores" in output and "ccnet:" in output and "isotonic:" in output

    before = weights.read_bytes()
    result, output = run(*arguments, "--method", "ccnet", "--out", weights)
    assert result.exit_code == 2 and "Expected ccnet weights" in output
    assert weights.read_bytes() == before  # a network is never replaced by its calibration
    result, output = run(*arguments, "--method", "closed_form")
    assert result.exit_code == 2 and "its scores know the person's size already" in output
    result, output = run(*arguments, "--device", "cuda")
    assert result.exit_code == 2 and "Expected --device cpu for lite" in output
    result, output = run("--data", labelled_folder, "--model", "big")
    assert result.exit_code == 2 and "Expected --model lite or r50 for --data, got 'big'" in output
