"""``clickpose calibrate fit | apply | network``: figures, files, and what is refused, before the work where it can."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.helpers.result_files import make_world
from typer.testing import CliRunner

from clickpose.calibration.calibrator_file import load_calibrator
from clickpose.calibration.results_file import match_to_truth, result_scores
from clickpose.cli import app
from clickpose.commands.calibrate.fit import FitRequest, fit_results
from clickpose.metrics.average_precision import average_precision
from clickpose.skeleton import COCO
from clickpose.weights_io import verify_checksum

RUNNER = CliRunner()
FILES = ("--results", "val.json", "--annotations", "gt.json")
APPLIED = ("--results", "val.json", "--name", "a")


def run(*arguments):
    result = RUNNER.invoke(app, ["calibrate", *map(str, arguments)])
    return result, " ".join(result.output.split())


@pytest.fixture
def world(tmp_path, request):
    dataset, results = make_world(getattr(request, "param", 40), 0)
    (tmp_path / "gt.json").write_text(json.dumps(dataset))
    (tmp_path / "val.json").write_text(json.dumps(results))
    return tmp_path, dataset, results


def fit(folder, *more):
    files = ("--results", folder / "val.json", "--annotations", folder / "gt.json")
    return run("fit", *files, "--name", "hrnet", *more)


def fit_of(folder, method):
    files = {"results": folder / "val.json", "annotations": folder / "gt.json"}
    return fit_results(FitRequest(**files, name="hrnet", method=method))


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
        "apply", folder / "hrnet.calibration.json", "--results", folder / "test.json", "--name", "hrnet",
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
    result, output = fit(folder, "--method", "isotonic", "--out", folder / "c.json")
    assert result.exit_code == 0, result.output
    assert "isotonic is worse than the network's own scores" not in output  # which say nothing either
    assert "16 labelled people are few for isotonic, 20 or more are better" in output
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
    outcome = fit_of(tmp_path, "isotonic")
    right = outcome.before.image_ids == 104
    assert outcome.before.oks[right].max() == pytest.approx(1) and outcome.before.instance_oks[right].min() > 0.9
    assert outcome.after.scores[right] == pytest.approx(0.3)
    assert outcome.notes[1] == f"isotonic: mean squared error {outcome.figures()['Brier, joints'][1]:.4f}"


def test_only_labelled_joints_of_people_that_were_found_are_measured(world):
    folder, dataset, results = world
    outcome = fit_of(folder, "temperature")
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
    for kind in ("own scores", "isotonic", "platt", "temperature", "closed_form"):
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
        (
            lambda d, r: d["images"][0].pop("id"),
            "Expected an id that is a whole number or text in the image at place 0 of",
        ),
        (lambda d, r: r["images"].pop(), "Expected image 139 of the annotation at place 78 of"),
        (lambda d, r: r.pop("images"), "Expected a COCO keypoint dataset with a list of images in"),
        (lambda d, r: d["images"][3].pop("file_name"), "Expected an annotated photo of the name of image 103 of"),
        (
            lambda d, r: (
                d["images"][3].update(file_name="a/x.png"),
                d["images"][4].update(file_name="b/x.png"),
                r["images"][3].update(file_name="x.png"),
            ),
            "Expected one photo of the name 'x.png', got 2 whose folders do not tell",
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
        (["--name", ""], "Expected --name, of the network that predicted: a calibrator fits one network only"),
    ],
)
def test_a_calibrator_of_something_else_is_refused(world, change, sentence):
    folder, *_ = world
    fit(folder, "--method", "platt", "--out", folder / "c.json")
    arguments = ["apply", folder / "c.json", "--results", folder / "val.json", "--name", "hrnet", *change]
    result, output = run(*arguments, "--calibrated", folder / "out.json")
    assert result.exit_code == 2 and sentence in output
    assert not (folder / "out.json").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "--results", "val.json", "--name", "a"], "Missing option '--annotations'"),
        (["fit", "--results", "val.json", "--annotations", "gt.json"], "Missing option '--name'"),
        (["fit", "--results", "no.json", "--annotations", "no.json", "--name", "a"], "no.json"),
        (["fit", *FILES, "--name", " "], "Expected --name, of the network that predicted"),
        (["fit", *FILES, "--name", "a", "--method", "magic"], "Expected --method to be one of auto, isotonic"),
        (
            ["fit", *FILES, "--name", "a", "--method", "ccnet"],
            "needs a network's features: clickpose calibrate network",
        ),
        (["fit", *FILES, "--name", "a", "--images", "photos"], "Expected the folder of the photos in --images, got"),
        (["fit", *FILES, "--name", "a", "--images", "."], "Expected --report beside --images"),
        (["apply", "x.safetensors", *APPLIED, "--calibrated", "o.json"], "Expected a post-hoc calibrator (.json)"),
        (["apply", "c.json", *APPLIED], "Expected --calibrated to write to, or --annotations to measure with, got"),
        (["apply", "c.json", *APPLIED, "--calibrated", "o.json", "--report", "r"], "Expected --annotations for a --re"),
        (["apply", "c.json", *APPLIED, "--calibrated", "o.json"], "Expected a calibrator in c.json"),
        (["apply", "c.json", *APPLIED, "--out", "d.json"], "No such option"),
        (["network"], "Missing option '--data'"),
        (["network", "--data", "x"], "Expected COCO keypoints at x"),
        (["network", "--data", "x", "--method", "magic"], "Expected --method auto, ccnet, isotonic, platt or tempera"),
        (["network", "--data", "x", "--method", "closed_form"], "its scores know the person's size already"),
        (["network", "--data", "x", "--device", "cuda"], "Expected --device cpu for lite"),
        (["network", "--data", "x", "--model", "big"], "Expected --model to be lite or r50, got 'big'"),
        (["network", "--data", "x", "--model", "r50", "--method", "platt"], "is the same for every keypoint"),
        (["network", "--data", "x", "--model", "r50", "--cache", "y"], "Expected no --cache for r50"),
        (["network", "--data", "x", "--checkpoint", "no.safetensors"], "Expected lite weights in no.safetensors"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    result, output = run(*arguments)
    assert result.exit_code == 2
    assert sentence in output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda r: r.clear(), "that the predictions found, got none"),
        (lambda r: r[0].update(score=float("nan")), "Expected a finite number as score in the result at place 0 of"),
        (lambda r: r[0].update(score=2.5), "within 0..1 as score of the result at place 0 of"),
        (lambda r: r.__setitem__(slice(2, None), []), "Expected people on at least two photos"),
        (
            lambda r: r[0]["keypoints"].__setitem__(2, 1.5),
            "within 0..1 as third numbers of keypoints of the result at place 0 of",
        ),
        (lambda r: r[0]["keypoints"].pop(), "Expected 51 numbers of keypoints (coco) in the result at place 0 of"),
        (lambda r: r[0].update(image_id=7), "Expected image 7 of the result at place 0 of"),
        (
            lambda r: [e["keypoints"].__setitem__(slice(0, None, 3), [9e4] * 17) for e in r],
            "that the predictions found, got none",
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


def test_own_scores_are_kept_where_no_curve_is_nearer(world):
    """Confidences that are the OKS itself: auto writes a calibrator that changes nothing, and says so."""
    folder, dataset, results = world
    for entry, oks in zip(results, match_to_truth(dataset, results, COCO).oks, strict=True):
        entry["keypoints"][2::3] = oks.tolist()
    (folder / "val.json").write_text(json.dumps(results))
    files = ("--out", folder / "c.json", "--calibrated", folder / "out.json")
    result, output = fit(folder, *files)
    assert result.exit_code == 0, result.output
    assert "The network's own scores are kept: no calibration is nearer to the OKS" in output
    assert json.loads((folder / "out.json").read_text()) == results
    calibrator, provenance = load_calibrator(folder / "c.json")
    assert calibrator.kind == "identity" and provenance.figures["Brier, joints, after"] == 0
    arguments = ("--results", folder / "val.json", "--name", "hrnet", "--annotations", folder / "gt.json")
    result, output = run("apply", folder / "c.json", *arguments, "--calibrated", folder / "again.json")
    assert result.exit_code == 0 and "identity fitted on" in output
    assert json.loads((folder / "again.json").read_text()) == results

    result, output = fit(folder, *files, "--method", "isotonic")  # who names a method gets it
    assert result.exit_code == 0 and "isotonic is worse than the network's own scores, 0.00" in output
    assert load_calibrator(folder / "c.json")[0].kind == "isotonic"


def test_auto_wants_people_enough(world):
    folder, dataset, _ = world
    dataset["annotations"] = dataset["annotations"][:18]
    (folder / "gt.json").write_text(json.dumps(dataset))
    result, output = fit(folder)
    assert result.exit_code == 2 and "got 18; a method that is named takes fewer" in output
    result, output = fit(folder, "--method", "platt")
    assert result.exit_code == 0 and "18 labelled people are few for platt" in output


@pytest.mark.slow
def test_the_old_spelling_is_understood(world):
    folder, *_ = world
    expected = fit(folder, "--method", "platt", "--out", folder / "c.json")[1]
    old = ("--results", folder / "val.json", f"--annotations={folder / 'gt.json'}", "--name=hrnet", "--method", "platt")
    result, output = run(*old, "--out", folder / "c.json")
    assert (
        result.exit_code == 0
        and output.removeprefix("three commands now, this one is spelled: clickpose calibrate fit ") == expected
    )
    result, output = run("--results", folder / "val.json", "--name", "hrnet", "--apply", folder / "c.json",
                         "--calibrated", folder / "out.json")  # fmt: skip
    assert result.exit_code == 0 and "clickpose calibrate apply" in output and (folder / "out.json").is_file()
    result, output = run("--model", "lite", "--data", folder / "absent")
    assert result.exit_code == 2 and "clickpose calibrate network" in output and "Expected COCO keypoints at" in output


@pytest.mark.parametrize("option", ["--out", "--calibrated", "--report"])
@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (lambda folder: folder, "Expected {option} to be a file to write, got the folder"),
        (lambda folder: folder / "gt.json" / "new.json", "Expected {option} in a folder, got"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(tmp_path, option, place, sentence):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    (tmp_path / "gt.json").write_text("not read")
    result, output = run("fit", "--results", tmp_path / "val.json", "--annotations", tmp_path / "gt.json", "--name",
                         "hrnet", option, place(tmp_path))  # fmt: skip
    assert result.exit_code == 2 and sentence.format(option=option) in output


def test_who_is_found_by_nobody_is_said_with_the_reason(world):
    folder, dataset, _ = world
    for annotation in dataset["annotations"]:
        annotation["area"] = 0
    (folder / "gt.json").write_text(json.dumps(dataset))
    result, output = fit(folder)
    assert result.exit_code == 2 and "that the predictions found, got none" in output
    assert "80 persons with an area of 0, whom only an exact pose matches" in output


def test_results_of_another_category_are_the_reason_why_nobody_is_found(world):
    folder, _, results = world
    (folder / "val.json").write_text(json.dumps([{**result, "category_id": "1"} for result in results]))
    result, output = fit(folder)
    assert result.exit_code == 2 and "that the predictions found, got none" in output
    assert f"val.json: {len(results)} results of other categories; {len(results)} of these with a category_id" in output


def test_only_a_calibrator_is_replaced(world):
    folder, dataset, _ = world
    (folder / "other.json").write_text(json.dumps(dataset))
    result, output = fit(folder, "--out", folder / "other.json")
    assert result.exit_code == 2 and "does not say it is one" in output
    for option in ("--out", "--calibrated"):
        result, output = fit(folder, option, folder / "gt.json")
        assert result.exit_code == 2 and f"Expected {option} to leave the input alone" in output
    for name in ("gt", "other"):
        assert json.loads((folder / f"{name}.json").read_text()) == dataset
