"""What a COCO file means is one thing for ``evaluate``, ``calibrate``, ``refine`` and the API: what pycocotools says.

Files are written in odd ways that mean the same, and in ways that mean nothing; the referee reads the plain file.
"""

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.commands.calibrate.results import LabelledResults, Results
from clickpose.commands.evaluate import EvaluationPlan, evaluate_plan
from clickpose.data.coco_results import read_pose_file
from clickpose.metrics.average_precision import FIGURES, average_precision
from clickpose.skeleton import COCO
from helpers.reference import corner_dataset, pycocotools_evaluation

ORDER = np.random.default_rng(5).permutation(17)


def plain_files(seed, images=6):
    """Return a dataset and results with crowds, people without labels, ties, twins and photos without people."""
    dataset, results = corner_dataset(seed, COCO.sigmas, images=images)
    rng = np.random.default_rng(seed)
    dataset["categories"] = [{"id": 1, "name": "person", "keypoints": list(COCO.names)}]
    for image in dataset["images"]:
        image["file_name"] = f"{image['id']}.jpg"
    for annotation in dataset["annotations"]:
        annotation["keypoints"] = [float(value) for value in annotation["keypoints"]]
    for result in results:  # confidences, and joints that a bottom-up network did not see
        numbers = np.reshape(result["keypoints"], (17, 3))
        numbers[:, 2] = rng.uniform(0.05, 1.0, 17)
        numbers[rng.random(17) < 0.1] = 0
        result["keypoints"] = numbers.ravel().tolist()
    return dataset, results


def text_ids(dataset, results):
    for entry in dataset["images"]:
        entry["id"] = f"photo {entry['id']}"
    for entry in [*dataset["annotations"], *results]:
        entry["image_id"] = f"photo {entry['image_id']}"
    for entry in dataset["annotations"]:
        entry["id"] = str(entry["id"])


def flags_as_text(dataset, results):
    for entry in dataset["annotations"]:
        entry["iscrowd"] = str(entry["iscrowd"])


def flags_as_booleans(dataset, results):
    for entry in dataset["annotations"]:
        entry["iscrowd"] = True if entry["iscrowd"] else None


def no_flags_where_there_is_none(dataset, results):
    for entry in dataset["annotations"]:
        if not entry["iscrowd"]:
            del entry["iscrowd"]


def counts_left_out(dataset, results):
    for entry in dataset["annotations"]:
        labelled = sum(v > 0 for v in entry["keypoints"][2::3])
        if (labelled > 0) == (entry["num_keypoints"] > 0):
            entry["num_keypoints"] = None


def numbers_as_text(dataset, results):
    for entry in dataset["annotations"]:
        for name in ("keypoints", "bbox"):
            entry[name] = [str(value) if value is not None else None for value in entry[name] or ()]
        entry["area"] = str(entry["area"])


def sizes_as_fractions(dataset, results):
    for entry in dataset["images"]:
        entry |= {"width": float(entry["width"]), "height": float(entry["height"])}


def joints_in_an_order(order):
    def change(dataset, results):
        dataset["categories"][0]["keypoints"] = [COCO.names[joint].replace("_", " ").title() for joint in order]
        for entry in dataset["annotations"]:
            entry["keypoints"] = np.reshape(entry["keypoints"], (17, 3))[order].ravel().tolist()

    return change


def unlabelled_joints_as_null(dataset, results):
    for entry in dataset["annotations"]:
        for joint, v in enumerate(entry["keypoints"][2::3]):
            if not v:
                entry["keypoints"][3 * joint : 3 * joint + 3] = [None, None, 0]


def boxes_left_out(dataset, results):
    for entry in dataset["annotations"]:
        if any(entry["keypoints"][2::3]):
            entry["bbox"] = [] if entry["id"] % 2 else None


def cars_and_groups(dataset, results):
    dataset["categories"] = [{"id": 0, "name": "all", "supercategory": "none"}, *dataset["categories"],
                             {"id": "car", "name": "car", "supercategory": "vehicle"}]  # fmt: skip
    for image in dataset["images"]:
        id_ = 1000 + image["id"]
        car = {"id": id_, "image_id": image["id"], "category_id": "car", "bbox": [1, 2, 90, 80], "segmentation": []}
        dataset["annotations"].insert(0, car)
        results.append({"image_id": image["id"], "category_id": "car", "keypoints": [5.0, 6.0, 0.5] * 17, "score": 1.0})


def a_dog(dataset, results):
    dataset["categories"].insert(0, {"id": 5, "name": "dog", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]})
    dog = {"id": 1000, "image_id": 1, "category_id": 5, "keypoints": [1, 2, 2, 3, 4, 2], "num_keypoints": 2}
    dataset["annotations"].append(dog | {"bbox": [1, 2, 9, 9], "area": 50.0, "iscrowd": 0})


def names_left_out(dataset, results):
    del dataset["categories"][0]["keypoints"]


def scores_in_their_field(dataset, results):
    for entry in results:
        entry["keypoint_scores"] = entry["keypoints"][2::3]


SAME = {  # in the order in which they can follow one another
    "no_flags_where_there_is_none": no_flags_where_there_is_none,
    "counts_left_out": counts_left_out,
    "unlabelled_joints_as_null": unlabelled_joints_as_null,
    "right_first": joints_in_an_order(COCO.flip_indices),
    "shuffled": joints_in_an_order(ORDER),
    "boxes_left_out": boxes_left_out,
    "numbers_as_text": numbers_as_text,
    "flags_as_text": flags_as_text,
    "flags_as_booleans": flags_as_booleans,
    "sizes_as_fractions": sizes_as_fractions,
    "scores_in_their_field": scores_in_their_field,
    "names_left_out": names_left_out,
    "cars_and_groups": cars_and_groups,
    "a_dog": a_dog,
    "text_ids": text_ids,
}
APART = (  # of which one is chosen
    ("right_first", "shuffled", "names_left_out"),
    ("no_flags_where_there_is_none", "flags_as_text", "flags_as_booleans"),
    ("names_left_out", "a_dog"),
)


def write(folder, dataset, results, encoding="utf-8"):
    paths = folder / "gt.bak", folder / "results"
    for path, content in zip(paths, (dataset, results), strict=True):
        path.write_bytes(json.dumps(content).encode(encoding))
    return paths


def c0(annotations, results):
    plan = EvaluationPlan([annotations], results={"n": results}, protocol=ClickProtocol(clicks=0))
    (figures,) = evaluate_plan(plan, None).values()
    return figures.curves["n + manual"][0]


def calibrated_figures(annotations, results):
    labelled = LabelledResults.read(Results.read(results, COCO, annotations), annotations)
    sample = labelled.sample
    figures, _ = labelled.average_precision(sample.scores, sample.instance_scores)
    return {name: before for name, (before, _) in figures.items()}


def all_figures(folder, dataset, results, encoding="utf-8"):
    """Return COCO's ten figures by the API, and AP by each command."""
    paths = write(folder, dataset, results, encoding)
    figures = average_precision(dataset, results)
    return [figures[name] for name in FIGURES], c0(*paths) / 100, calibrated_figures(*paths)["COCO AP"]


@settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    names=st.lists(st.sampled_from(list(SAME)), max_size=4, unique=True),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_odd_files_that_mean_the_same_have_pycocotools_figures_everywhere(tmp_path, seed, names, encoding):
    dataset, results = plain_files(seed)
    stats = pycocotools_evaluation(dataset, results, COCO.sigma_array).stats
    if stats[0] < 0:  # nobody to find, which the commands refuse
        return
    for group in APART:
        names = [name for name in names if name not in group or name == min(set(group) & set(names))]
    for name in sorted(names, key=list(SAME).index):
        SAME[name](dataset, results)
    try:
        ten, evaluated, calibrated = all_figures(tmp_path, dataset, results, encoding)
    except ValueError as error:
        assert "Expected labelled persons" in str(error)  # those to find have no labelled joint: there is no click
        ten = list(average_precision(dataset, results).values())
        evaluated = calibrated = stats[0]
    np.testing.assert_allclose(ten, np.where(stats < 0, np.nan, stats), rtol=0, atol=1e-9)
    assert evaluated == pytest.approx(stats[0], abs=1e-9) and calibrated == pytest.approx(stats[0], abs=1e-9)


@pytest.mark.parametrize("name", SAME)
def test_each_odd_way_to_write_a_file_means_the_same(tmp_path, name):
    dataset, results = plain_files(4)
    expected = all_figures(tmp_path, dataset, results)
    before = json.dumps([dataset, results])
    SAME[name](dataset, results)
    assert json.dumps([dataset, results]) != before, "the change must change something"
    found = all_figures(tmp_path, dataset, results)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-12)
    assert found[1:] == pytest.approx(expected[1:], abs=1e-12)


def first(**changes):
    def change(dataset):
        dataset["annotations"][0] |= changes

    return change


def image(**changes):
    def change(dataset):
        dataset["images"][0] |= changes

    return change


def other_joints(dataset):
    dataset["categories"][0]["keypoints"][3] = "tail"


def same_id_twice(dataset):
    dataset["annotations"][1]["id"] = dataset["annotations"][0]["id"]


BROKEN = [
    (first(iscrowd="yes"), "Expected 0 or 1 as iscrowd in annotation 1"),
    (first(iscrowd=2), "Expected 0 or 1 as iscrowd in annotation 1"),
    (first(id=None), "Expected an id that is a whole number or text in the annotation at place 0"),
    (first(id=1.5), "Expected an id that is a whole number or text in the annotation at place 0"),
    (first(id=[1]), "Expected an id that is a whole number or text in the annotation at place 0"),
    (first(image_id="1"), "Expected image '1' of annotation 1"),
    (first(image_id=None), "Expected an image_id that is a whole number or text in annotation 1"),
    (first(category_id=[1]), "Expected a category_id that is a whole number or text in annotation 1"),
    (first(bbox=[1, 2, 3]), "Expected 4 numbers of bbox (left, top, width, height) in annotation 1"),
    (first(bbox={"x": 1}), "Expected 4 numbers of bbox (left, top, width, height) in annotation 1"),
    (first(bbox=[1, 2, None, 4]), "Expected 4 finite numbers of bbox in annotation 1"),
    (first(area=[5.0]), "Expected an area of 0 px² or more in annotation 1"),
    (first(area=-5.0), "Expected an area of 0 px² or more in annotation 1"),
    (first(keypoints=[1.0, 2.0, 2]), "Expected 51 numbers of keypoints (coco) in annotation 1"),
    (first(keypoints=[[1.0, 2.0, 2]] * 51), "Expected 51 numbers of keypoints (coco) in annotation 1"),
    (first(keypoints=[float("inf"), 2.0, 2] * 17), "Expected 51 finite numbers of keypoints (coco) in annotation 1"),
    (image(id=None), "Expected an id that is a whole number or text in the image at place 0"),
    (image(id=2), "with different ids, got 2 more than once"),
    (same_id_twice, "with different ids, got 1 more than once"),
    (other_joints, "Expected the joints nose, left_eye"),
    (lambda dataset: dataset.pop("images"), "Expected a COCO keypoint dataset with a list of images"),
    (lambda dataset: dataset.update(annotations={}), "Expected a list of annotations"),
    (lambda dataset: dataset.update(annotations=[3]), "Expected objects as annotations"),
]
OF_TRUTH = [  # what predictions need not have
    (first(area=None), "Expected an area of 0 px² or more in annotation 1"),
    (first(num_keypoints="many"), "Expected a whole number as num_keypoints in annotation 1"),
    (first(keypoints=[1.0, 2.0, 0.5] * 17), "Expected visibility of 0, 1 or 2 in annotation 1"),
]
SIZES = [  # what the API's figures need not know
    (image(width="640"), "Expected a whole number of pixels above 0 as width in image 1"),
    (image(width=None), "Expected a whole number of pixels above 0 as width in image 1"),
    (image(height=0), "Expected a whole number of pixels above 0 as height in image 1"),
    (image(height=float("nan")), "Expected a whole number of pixels above 0 as height in image 1"),
]


def people(count=3):
    keypoints = [value for joint in range(17) for value in (20.0 + 3 * joint, 30.0 + 2 * joint, 2)]
    person = {"category_id": 1, "iscrowd": 0, "num_keypoints": 17, "bbox": [10, 20, 80, 90], "area": 3000.0}
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(1, count + 1)]
    annotations = [{"id": i, "image_id": i, "keypoints": list(keypoints), **person} for i in range(1, count + 1)]
    results = [
        {"image_id": i, "category_id": 1, "keypoints": list(keypoints), "score": 0.5} for i in range(1, count + 1)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO.names)}
    return {"images": images, "annotations": annotations, "categories": [category]}, results


def refusals(folder, dataset, results, without=()):
    """Return what each reader says of a file that means nothing."""
    annotations, found = write(folder, dataset, results)
    readers = {
        "evaluate": lambda: c0(annotations, found),
        "calibrate": lambda: calibrated_figures(annotations, found),
        "the API": lambda: average_precision(dataset, results),
        "refine": lambda: read_pose_file(annotations, COCO),
    }
    said = {}
    for name in readers.keys() - set(without):
        with pytest.raises(ValueError) as raised:
            readers[name]()
        said[name] = str(raised.value)
    return said


@pytest.mark.parametrize(
    ("change", "sentence", "without"),
    [(*pair, ()) for pair in BROKEN]
    + [(*pair, ("refine",)) for pair in OF_TRUTH]
    + [(*pair, ("the API",)) for pair in SIZES],
)
def test_every_reader_refuses_a_broken_file_in_the_same_words(tmp_path, change, sentence, without):
    dataset, results = people()
    change(dataset)
    said = refusals(tmp_path, dataset, results, without)
    for reader, message in said.items():
        if (reader, sentence[:14]) == ("refine", "Expected an id"):
            continue  # a prediction without an id has one by its place; null is none
        assert sentence.split(" in annotation")[0] in message, reader
        assert reader == "the API" or "gt.bak" in message, reader
        for python in ("KeyError", "NoneType", "TypeError", "shape (", "ufunc", "object is not"):
            assert python not in message


def result(**changes):
    def change(results):
        results[0] |= changes

    return change


def thirds(*values):
    def change(results):
        for entry in results:
            entry["keypoints"][2::3] = np.resize(values, 17).tolist()

    return change


@pytest.mark.parametrize(
    ("change", "sentence", "ranked"),
    [
        (result(score=None), "Expected a finite number as score in the result at place 0 of ", False),
        (result(score=float("nan")), "Expected a finite number as score in the result at place 0 of ", False),
        (
            result(image_id=None),
            "Expected an image_id that is a whole number or text in the result at place 0",
            False,
        ),
        (result(keypoints=None), "Expected keypoints in the result at place 0 of ", False),
        (result(keypoints=[1.0] * 50), "Expected 51 numbers of keypoints (coco) in the result at place 0 of ", False),
        (
            result(bbox=[1, 2]),
            "4 numbers of bbox (left, top, width, height) in the result at place 0 of ",
            False,
        ),
        # pycocotools looks at no confidence of a joint, nor do the API's figures
        (thirds(97.0, 3.5), "as third numbers of keypoints of the result at place 0 of ", True),
        (thirds(-2.5, 1.5), "as third numbers of keypoints of the result at place 0 of ", True),
        (result(keypoint_scores=[0.5] * 17), "Expected keypoint_scores in all results or in none", True),
    ],
)
def test_every_reader_refuses_broken_results_in_the_same_words(tmp_path, change, sentence, ranked):
    dataset, results = people()
    change(results)
    said = refusals(tmp_path, dataset, results, ("refine", *(("the API",) if ranked else ())))
    for reader, message in said.items():
        assert sentence.removesuffix(" of ") in message, reader
        assert reader == "the API" or "results" in message


@pytest.mark.parametrize(
    ("change", "joints"),
    [
        (thirds(0.25, 0.75), [0.25, 0.75]),
        (thirds(1.0, 1.15), [1.0, 1.0]),  # a heatmap's overshoot
        (thirds(1), [0.5, 0.5]),  # COCO's advice: the third number says nothing, the score does
        (thirds(2, 0), [0.5, 0.5]),
        (result(score=0.5), [0.5, 0.5]),
    ],
)
def test_evaluate_and_calibrate_find_the_same_confidences(tmp_path, change, joints):
    from clickpose.clicks.result_poses import read_result_poses
    from clickpose.data.formats import read_dataset

    dataset, results = people()
    change(results)
    annotations, found = write(tmp_path, dataset, results)
    poses = read_result_poses(found, read_dataset(annotations)).poses
    labelled = LabelledResults.read(Results.read(found, COCO, annotations), annotations)
    for row, pose in enumerate(pose for photo in poses.values() for pose in photo):
        np.testing.assert_array_equal(pose.keypoint_scores, np.resize(joints, 17))
        np.testing.assert_array_equal(labelled.sample.scores[row], np.resize(joints, 17))


ANYTHING = [None, True, 0, -1, 1.5, "", "1", "x", [], [1], {}, {"a": 1}, float("nan"), float("inf"), 10**400,
            [None] * 51, [[1, 2]] * 4, [1, 2, 3, 4]]  # fmt: skip
PYTHON = (
    "KeyError",
    "NoneType",
    "shape (",
    "ufunc",
    "object is not",
    "could not",
    "reshape",
    "dtype",
    "broadcast",
    "<class",
)


def spoil(rng, dataset, results):
    """Put anything anywhere."""
    name = str(rng.choice(["images", "annotations", "categories", "results"]))
    entries = results if name == "results" else dataset[name]
    value = ANYTHING[rng.integers(len(ANYTHING))]
    if rng.random() < 0.1:
        dataset[name if name in dataset else "images"] = value
        return
    field = str(rng.choice([*entries[0], "score", "keypoint_scores", "visibility_scores", "fixed", "area", "iscrowd"]))
    if isinstance(entries[0].get(field), list) and rng.random() < 0.4:
        entries[0][field][rng.integers(len(entries[0][field]))] = value
    else:
        entries[0][field] = value


@pytest.mark.parametrize("seed", range(40))
def test_no_file_is_a_traceback(tmp_path, seed):
    dataset, results = people()
    spoil(np.random.default_rng(seed), dataset, results)
    annotations, found = write(tmp_path, dataset, results)
    for read in (
        lambda: c0(annotations, found),
        lambda: calibrated_figures(annotations, found),
        lambda: c0(annotations, annotations),
        lambda: calibrated_figures(annotations, annotations),
        lambda: average_precision(dataset, results),
        lambda: read_pose_file(annotations, COCO),
    ):
        try:
            read()
        except ValueError as error:
            assert not any(word in str(error) for word in PYTHON), error


def test_predictions_come_out_of_refine_and_calibrate_as_they_went_in(tmp_path):
    dataset, _ = people()
    for entry in dataset["annotations"]:
        entry |= {"id": f"p{entry['id']}", "score": 0.5, "segmentation": [[1, 2, 3]], "area": 1234.5, "iscrowd": "0"}
        entry["keypoints"][2::3] = [0.5] * 17
    dataset["annotations"].append({"id": "c", "image_id": 1, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 9, 9]})
    before = copy.deepcopy(dataset)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(dataset))
    results = Results.read(path, COCO)
    results.write(tmp_path / "calibrated.json", list(results.rows))
    assert json.loads((tmp_path / "calibrated.json").read_text()) == before
    file = read_pose_file(path, COCO)
    written = file.with_pose(0, 0, file.photos[0].poses[0])
    assert written["annotations"][1:] == before["annotations"][1:]
    kept = ("id", "area", "iscrowd", "segmentation", "score", "keypoints")
    assert {name: written["annotations"][0][name] for name in kept} == {n: before["annotations"][0][n] for n in kept}
