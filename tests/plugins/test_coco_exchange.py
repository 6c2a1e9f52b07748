"""COCO files into a dataset and out again: what came in goes out, what somebody changed is changed."""

import contextlib
import copy
import io
import json

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO as CocoFile
from pycocotools.cocoeval import COCOeval

from clickpose.data.coco_categories import person_category
from clickpose.metrics.average_precision import FIGURES, average_precision
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS
from clickpose_fiftyone.coco_exchange import export_coco, import_coco
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.evaluation import evaluate_poses
from clickpose_fiftyone.skeletons import skeleton_of

WIDTH, HEIGHT = 320, 240
CATEGORY = {
    "id": 1, "name": "person", "supercategory": "person", "keypoints": list(COCO.names),
    "skeleton": [[a + 1, b + 1] for a, b in COCO.edges],
}  # fmt: skip
DOG = {"id": 18, "name": "dog", "keypoints": ["nose", "tail", "left_paw"], "skeleton": [[1, 2]]}
NAMES = (
    "a.jpg", "night/a.jpg", "day/a.jpg", "Straße ü.jpg", "100%+1 #2?.jpg", "x y/plus+.png", "c.jpg", "e.jpg", "f.jpg",
)  # fmt: skip


def save_photo(path, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 60)).save(path)


def make_person(rng, labelled=0.75):
    """Keypoints (17, 2) px of many digits, visibility, box."""
    left, top = rng.uniform(5, 120, 2)
    width, height = rng.uniform(60, 180), rng.uniform(60, 110)
    keypoints = np.column_stack([rng.uniform(left, left + width, 17), rng.uniform(top, top + height, 17)])
    visibility = np.where(rng.random(17) < labelled, rng.integers(1, 3, 17), 0)
    return keypoints, visibility, [float(left), float(top), float(width), float(height)]


def triples(keypoints, thirds):
    return [number for (x, y), v in zip(keypoints.tolist(), thirds.tolist(), strict=True)
            for number in ((x, y, v) if v else (0, 0, 0))]  # fmt: skip


@pytest.fixture
def content(tmp_path, rng):
    """A file that holds all that importers like to drop: crowds, text ids, other categories, masks, odd fields."""
    images, annotations = [], []
    for index, name in enumerate(NAMES):
        save_photo(tmp_path / "images" / name)
        image_id = f"photo-{index}" if index % 2 else index + 100
        images.append({"id": image_id, "file_name": name, "width": WIDTH, "height": HEIGHT, "license": 3, "date": "x"})
        for number in range(index % 4):
            keypoints, visibility, box = make_person(rng)
            annotations.append(
                {"id": f"{name}/{number}", "image_id": image_id, "category_id": 1, "bbox": box, "iscrowd": 0,
                 "keypoints": triples(keypoints, visibility), "num_keypoints": int((visibility > 0).sum()),
                 "area": float(box[2] * box[3] * rng.uniform(0.3, 0.6)), "segmentation": [[1.5, 2, 3.25, 4, 5, 6]],
                 "track": {"id": 7, "tags": ["é", None]}}
            )  # fmt: skip
    annotations[1] |= {"iscrowd": 1, "keypoints": [0] * 51, "num_keypoints": 0,
                       "segmentation": {"counts": [1, 2], "size": [HEIGHT, WIDTH]}}  # fmt: skip
    annotations[2]["num_keypoints"] = 0  # beside labelled joints
    annotations[3] |= {"keypoints": [0] * 51, "num_keypoints": 0}
    annotations[4]["keypoints"][:3] = [12.25, 40, 0]  # not labelled, with a position
    annotations[4] |= {"num_keypoints": sum(v > 0 for v in annotations[4]["keypoints"][2::3]), "area": 200}
    others = [
        {"id": 9001, "image_id": 100, "category_id": 18, "bbox": [1, 2, 30, 40], "area": 7.5, "iscrowd": 0,
         "keypoints": [5, 6, 2, 0, 0, 0, 7, 8, 1], "num_keypoints": 2},
        {"id": 9002, "image_id": 100, "category_id": 44, "bbox": [3, 4, 5.5, 6.25], "area": 11, "segmentation": []},
        {"id": 9003, "image_id": "photo-1", "category_id": 44, "segmentation": [[1, 2, 3, 4, 5, 6]]},
    ]  # fmt: skip
    annotations = [*annotations[:3], others[0], *annotations[3:], *others[1:]]
    return {
        "info": {"year": 2017, "about": None}, "licenses": [{"id": 3, "name": "cc"}], "images": images[::-1],
        "annotations": annotations, "categories": [DOG, CATEGORY, {"id": 44, "name": "bottle"}], "extra": [1.5],
    }  # fmt: skip


def exported(samples, path, field="gt", **options):
    export_coco(samples, path, field, **options)
    return json.loads(path.read_text(encoding="utf-8"))


def results_of(content, rng, noise=6.0):
    """Results for the people of a file, a stray person and doubles; the third numbers are confidences."""
    results = []
    people = [a for a in content["annotations"] if a["category_id"] == 1 and a["num_keypoints"] and not a["iscrowd"]]
    for annotation in people:
        for _ in range(int(rng.integers(0, 3))):
            came = np.array(annotation["keypoints"], float).reshape(-1, 3)
            found = came[:, :2] + rng.normal(0, noise, (17, 2)) + 3
            results.append(
                {"image_id": annotation["image_id"], "category_id": 1, "score": float(rng.uniform(0.1, 0.99)),
                 "keypoints": np.column_stack([found, rng.uniform(0.1, 1, 17)]).ravel().tolist(), "model": "x"}
            )  # fmt: skip
    results += [{**results[0], "image_id": content["images"][0]["id"]}, {**results[-1], "score": 0.05}]
    return results


def pycocotools_figures(truth, results):
    """The ten figures of pycocotools; text ids become numbers, which it wants."""
    numbers = {image["id"]: place for place, image in enumerate(truth["images"], 1)}
    truth, results = copy.deepcopy(truth), copy.deepcopy(results)
    truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] == 1]
    truth["categories"] = [CATEGORY]
    for place, annotation in enumerate(truth["annotations"], 1):
        annotation |= {"id": place, "image_id": numbers[annotation["image_id"]]}
    for image in truth["images"]:
        image["id"] = numbers[image["id"]]
    for result in results:
        result["image_id"] = numbers[result["image_id"]]
    with contextlib.redirect_stdout(io.StringIO()):
        ground = CocoFile()
        ground.dataset = truth
        ground.createIndex()
        evaluation = COCOeval(ground, ground.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = COCO.sigma_array
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(FIGURES, evaluation.stats.tolist(), strict=True))


def same_figures(figures, expected):
    for name, value in expected.items():
        wanted = float("nan") if value == -1 else value
        assert figures[name] == pytest.approx(wanted, abs=1e-9, nan_ok=True), name


def test_a_file_with_everything_comes_back_as_it_was(content, new_dataset, tmp_path):
    (tmp_path / "gt.json").write_text(json.dumps(content), encoding="utf-8")
    dataset = new_dataset()
    summary = import_coco(dataset, tmp_path / "gt.json", tmp_path / "images")
    assert summary.photos == len(NAMES) and summary.persons == len(content["annotations"]) - 3
    assert "3 annotations of categories that are no people" in str(summary)
    assert exported(dataset, tmp_path / "out.json") == content


def test_a_view_is_exported_with_its_own_photos_only(content, new_dataset, tmp_path):
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    view = dataset.match(fo.ViewField("filepath").ends_with("night/a.jpg"))
    document = exported(view, tmp_path / "out.json")
    assert [image["file_name"] for image in document["images"]] == ["night/a.jpg"]
    image_id = document["images"][0]["id"]
    assert document["annotations"] == [a for a in content["annotations"] if a["image_id"] == image_id]


def test_the_same_results_have_the_same_figures_before_and_after(content, new_dataset, tmp_path, rng):
    results = results_of(content, rng)
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images", "gt")
    import_coco(dataset, results, field="pred")
    before = pycocotools_figures(content, results)
    assert 0.05 < before["AP"] < 0.95 and before["AP_large"] != before["AP_medium"]
    same_figures(evaluate_poses(dataset, "pred", "gt", None).figures, before)
    truth, found = exported(dataset, tmp_path / "gt.json"), exported(dataset, tmp_path / "pred.json", "pred")
    assert found == results
    assert pycocotools_figures(truth, found) == before
    again = new_dataset()
    import_coco(again, tmp_path / "gt.json", tmp_path / "images", "gt")
    import_coco(again, tmp_path / "pred.json", field="pred")
    same_figures(evaluate_poses(again, "pred", "gt", None).figures, before)


def test_boxes_of_results_decide_sizes_as_pycocotools_has_it(content, new_dataset, tmp_path, rng):
    results = results_of(content, rng, noise=20)
    for result in results:
        result["bbox"] = [1.0, 2.0, float(rng.uniform(20, 200)), float(rng.uniform(20, 100))]
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images", "gt")
    import_coco(dataset, results, field="pred")
    same_figures(evaluate_poses(dataset, "pred", "gt", None).figures, pycocotools_figures(content, results))


def test_predictions_of_this_package_keep_their_scores_and_figures(content, new_dataset, tmp_path, rng):
    """A dataset of predictions, as ``clickpose predict`` writes it."""
    annotations = [
        {**result, "id": place, "iscrowd": 0, "num_keypoints": 17, "bbox": [5.5, 6, 70, 80.25], "area": 70 * 80.25,
         "keypoint_scores": rng.uniform(0, 1, 17).tolist(), "visibility_scores": rng.uniform(0, 1, 17).tolist(),
         "fixed": [False] * 17}
        for place, result in enumerate(results_of(content, rng), 1)
    ]  # fmt: skip
    for annotation in annotations:
        annotation["keypoints"][2::3] = [2 if v >= 0.5 else 1 for v in annotation["visibility_scores"]]
    document = {"images": content["images"], "annotations": annotations, "categories": [CATEGORY]}
    dataset = new_dataset()
    import_coco(dataset, document, tmp_path / "images", "pred")
    label = next(label for found in dataset.values("pred.keypoints") for label in found if label.coco_id == 1)
    assert label.pred_oks == annotations[0]["score"] and label.keypoint_oks == annotations[0]["keypoint_scores"]
    assert label.visibility == annotations[0]["visibility_scores"] and label.confidence == label.keypoint_oks
    assert exported(dataset, tmp_path / "out.json", "pred") == document


@pytest.mark.parametrize(
    ("change", "confidence"),
    [
        (lambda result: result.update(keypoint_scores=[0.25] * 17), 0.25),
        (lambda result: None, 0.75),
        (lambda result: result.update(keypoints=[5, 6, 1] * 17), 0.5),
        (lambda result: result.update(keypoints=[5, 6, 1.1] * 17), 1.0),
    ],
    ids=["keypoint scores", "third numbers", "v = 1", "overshoot"],
)
def test_one_rule_says_what_a_confidence_is(content, new_dataset, tmp_path, change, confidence):
    result = {"image_id": 100, "category_id": 1, "score": 0.5, "keypoints": [5, 6, 0.75] * 17}
    change(result)
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    summary = import_coco(dataset, [result], field="pred")
    (label,) = [label for found in dataset.values("pred.keypoints") for label in found or ()]
    assert label.confidence == label.keypoint_oks == [confidence] * 17
    assert label.pred_oks == label.score_raw == 0.5
    assert ("overshoot" in str(summary)) == (confidence == 1.0)
    assert exported(dataset, tmp_path / "out.json", "pred") == [result]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda result: result.update(keypoint_scores=[87.0] * 17), r"within 0\.\.1 as keypoint_scores.*percent"),
        (lambda result: result.update(keypoint_scores=[-2.0] * 17), r"keypoint_scores.*sigmoid"),
        (lambda result: result.update(score=57), r"score of the result at place 0"),
        (lambda result: result.pop("score"), r"score in the result at place 0.*none"),
        (lambda result: result.update(image_id=5), r"image 5 of the result at place 0"),
        (lambda result: result.update(image_id=None), r"image_id.*place 0.*none"),
        (lambda result: result.update(image_id={}), r"image_id.*place 0.*object"),
        (lambda result: result.update(keypoints=[1, 2]), r"51 numbers of keypoints.*place 0"),
        (lambda result: result.update(keypoints=[float("inf")] * 51), r"finite.*place 0.*infinity"),
    ],
    ids=["percent", "logits", "score of a person", "no score", "image", "null", "object", "too few", "infinity"],
)
def test_what_is_no_result_is_a_sentence_and_writes_nothing(content, new_dataset, tmp_path, change, sentence):
    result = {"image_id": 100, "category_id": 1, "score": 0.5, "keypoints": [5, 6, 0.75] * 17}
    change(result)
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    with pytest.raises(ValueError, match=sentence) as caught:
        import_coco(dataset, [result], field="pred")
    assert "KeyError" not in str(caught.value) and "NoneType" not in str(caught.value)
    assert "pred" not in dataset.get_field_schema()


def test_joints_of_results_at_0_0_0_are_not_there(content, new_dataset, tmp_path):
    keypoints = [100, 50, 0.9, 0, 0, 0, 140, 90, 0.0, *[120, 70, 0.5] * 14]
    result = {"image_id": 100, "category_id": 1, "score": 0.5, "keypoints": keypoints}
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    import_coco(dataset, [result], field="pred")
    (label,) = [label for found in dataset.values("pred.keypoints") for label in found or ()]
    assert label.visibility[:3] == [1, 0, 1] and np.isfinite(label.points).all()
    columns = PersonColumns(dataset, "pred")
    assert np.isnan(columns.keypoints[0, 1]).all() and columns.keypoints[0, 2] == pytest.approx([140, 90])
    assert columns.boxes_xyxy[0] == pytest.approx([100, 50, 140, 90])
    assert exported(dataset, tmp_path / "out.json", "pred") == [result]


def test_joints_are_matched_by_their_names(content, new_dataset, tmp_path):
    """Right before left, in other spellings: in the dataset in the skeleton's order, in the file as they came."""
    order = [*range(1, 17), 0]
    category = {**CATEGORY, "keypoints": [COCO.names[joint].replace("_", " ").title() for joint in order]}
    for annotation in content["annotations"]:
        if annotation["category_id"] == 1:
            came = np.array(annotation["keypoints"], object).reshape(-1, 3)
            annotation["keypoints"] = came[order].ravel().tolist()
    shuffled = {**content, "categories": [category]}
    shuffled["annotations"] = [a for a in content["annotations"] if a["category_id"] == 1]
    dataset = new_dataset()
    import_coco(dataset, shuffled, tmp_path / "images")
    label = next(label for found in dataset.values("gt.keypoints") for label in found if label.coco_id == "day/a.jpg/1")
    entry = next(a for a in shuffled["annotations"] if a["id"] == "day/a.jpg/1")
    assert label.visibility == [entry["keypoints"][3 * order.index(joint) + 2] for joint in range(17)]
    assert exported(dataset, tmp_path / "out.json") == shuffled


@pytest.mark.parametrize("bones", [[[1, 2], [2, 4]], [[0, 1], ["a", 2], 3, [1, 9]], None, "1-2"])
def test_joints_of_another_skeleton_are_carried(new_dataset, tmp_path, bones):
    """A hand of four joints: FiftyOne shows it, the file comes back, no figure is made of it."""
    save_photo(tmp_path / "hand.jpg")
    document = {
        "images": [{"id": 1, "file_name": "hand.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "bbox": [10, 10, 50, 50], "area": 900, "iscrowd": 0,
                         "keypoints": [11, 12, 2, 0, 0, 0, 33.5, 34.125, 1, 20, 50, 2], "num_keypoints": 3}],
        "categories": [{"id": 5, "name": "hand", "keypoints": ["wrist", "thumb", "index", "pinky"], "skeleton": bones}],
    }  # fmt: skip
    dataset = new_dataset()
    import_coco(dataset, document, tmp_path, "hands")
    assert dataset.skeletons["hands"].labels == ["wrist", "thumb", "index", "pinky"]
    assert exported(dataset, tmp_path / "out.json", "hands") == document


def test_what_a_human_changed_is_changed_and_nothing_else(content, new_dataset, tmp_path):
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    sample = next(sample for sample in dataset if sample.filepath.endswith("Straße ü.jpg"))
    moved, deleted, boxed = sample.gt.keypoints
    was = {label.coco_id: json.loads(label.coco_extra)["entry"] for label in sample.gt.keypoints}
    there = next(joint for joint, v in enumerate(deleted.visibility) if v > 0)
    moved.points[5], moved.visibility[5] = [0.25, 0.5], 1
    deleted.points[there], deleted.visibility[there] = [float("nan")] * 2, 0
    boxed.bounding_box = [0.1, 0.2, 0.3, 0.4]
    sample.save()
    document = exported(dataset, tmp_path / "out.json")
    now = {a["id"]: a for a in document["annotations"]}
    expected = copy.deepcopy(was)
    one, two, three = (expected[label.coco_id] for label in (moved, deleted, boxed))
    one["keypoints"][15:18] = [WIDTH / 4, HEIGHT / 2, 1]
    one["num_keypoints"] = sum(v > 0 for v in one["keypoints"][2::3])
    two["keypoints"][3 * there : 3 * there + 3] = [0, 0, 0]
    two["num_keypoints"] -= 1
    three["area"] = pytest.approx(three["area"] * 96 * 96 / (three["bbox"][2] * three["bbox"][3]))
    three["bbox"] = [32, 48, 96, 96]
    assert {key: now[key] for key in expected} == expected
    rest = {a["id"]: a for a in content["annotations"] if a["id"] not in expected}
    assert {key: value for key, value in now.items() if key not in expected} == rest


def test_the_area_of_a_box_follows_the_box(content, new_dataset, tmp_path):
    for annotation in content["annotations"]:
        if annotation["category_id"] == 1:
            annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    assert exported(dataset, tmp_path / "same.json") == content
    sample = next(sample for sample in dataset if sample.filepath.endswith("night/a.jpg"))
    sample.gt.keypoints[0].bounding_box = [0.1, 0.2, 0.3, 0.4]
    sample.save()
    now = {a["id"]: a for a in exported(dataset, tmp_path / "out.json")["annotations"]}
    assert now["night/a.jpg/0"]["area"] == pytest.approx(96 * 96)


def test_calibrated_scores_go_out(content, new_dataset, tmp_path, rng):
    results = results_of(content, rng)
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    import_coco(dataset, results, field="pred")
    columns = PersonColumns(dataset, "pred")
    columns.write_all({"pred_oks": np.full(len(columns), 0.5), "keypoint_oks": np.full((len(columns), 17), 0.25)})
    out = exported(dataset, tmp_path / "out.json", "pred")
    assert out == [{**result, "score": 0.5, "keypoint_scores": [0.25] * 17} for result in results]


def test_somebody_new_gets_what_the_file_has(content, new_dataset, tmp_path):
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    sample = dataset.first()
    known = {a["id"] for a in content["annotations"]}
    points = [[float("nan")] * 2] * 15 + [[0.25, 0.5], [0.5, 0.75]]
    sample.gt.keypoints.append(fo.Keypoint(label="person", points=points, visibility=[0] * 15 + [2, 1]))
    sample.gt.keypoints.append(sample.gt.keypoints[0].copy() if len(sample.gt.keypoints) > 1 else fo.Keypoint(
        label="person", points=points, visibility=[0] * 15 + [2, 2]))  # fmt: skip
    sample.save()
    new = [a for a in exported(dataset, tmp_path / "out.json")["annotations"] if a["id"] not in known]
    assert len({a["id"] for a in new}) == 2
    entry = new[0]
    assert entry["keypoints"] == [0] * 45 + [80, 120, 2, 160, 180, 1] and entry["num_keypoints"] == 2
    assert entry["bbox"] == [80, 120, 80, 60] and entry["area"] == pytest.approx(0.53 * 80 * 60)
    assert entry["category_id"] == 1 and entry["image_id"] == content["images"][0]["id"]


def test_fields_of_two_files_keep_their_own_ids(content, new_dataset, tmp_path):
    other = copy.deepcopy(content)
    for image in other["images"]:
        image["id"] = f"other {image['id']}"
    for annotation in other["annotations"]:
        annotation["image_id"] = f"other {annotation['image_id']}"
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images", "gt")
    import_coco(dataset, other, tmp_path / "images", "second")
    assert len(dataset) == len(NAMES)
    assert exported(dataset, tmp_path / "gt.json", "gt") == content
    assert exported(dataset, tmp_path / "second.json", "second") == other


def test_photos_that_are_not_there_are_counted_and_all_missing_ones_refused(content, new_dataset, tmp_path):
    (tmp_path / "images" / "night" / "a.jpg").unlink()
    dataset = new_dataset()
    summary = import_coco(dataset, content, tmp_path / "images")
    assert summary.photos == len(NAMES) - 1
    assert "1 photos that are not in the folder, left out with their people (night/a.jpg)" in str(summary)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="got none of "):
        import_coco(dataset, content, tmp_path / "empty", "other")
    with pytest.raises(ValueError, match=r"folder of the photos, got .*, which is none"):
        import_coco(dataset, content, tmp_path / "nowhere", "other")
    assert "other" not in dataset.get_field_schema()


def test_one_photo_under_two_names_is_refused(content, new_dataset, tmp_path):
    content["images"].append({"id": 1, "file_name": "night\\a.jpg", "width": WIDTH, "height": HEIGHT})
    with pytest.raises(ValueError, match=r"a photo for each image, got .*a\.jpg for images .*night"):
        import_coco(new_dataset(), content, tmp_path / "images")


def test_folders_of_windows_and_other_spellings_of_letters_are_found(new_dataset, tmp_path):
    save_photo(tmp_path / "day one" / "u\u0308.jpg")
    images = [{"id": 1, "file_name": "day one\\\u00fc.jpg", "width": WIDTH, "height": HEIGHT}]
    document = {"images": images, "annotations": [], "categories": [CATEGORY]}
    dataset = new_dataset()
    assert import_coco(dataset, document, tmp_path).photos == 1
    assert exported(dataset, tmp_path / "out.json") == document


def test_photos_of_one_name_get_different_names(new_dataset, tmp_path):
    paths = [tmp_path / name for name in ("cam1/0001.jpg", "cam2/0001.jpg", "cam2/#%+?.jpg")]
    for path in paths:
        save_photo(path)
    dataset = new_dataset(*(fo.Sample(str(path)) for path in paths))
    dataset.set_values("gt", [fo.Keypoints()] * 3)
    from clickpose_fiftyone.skeletons import set_skeleton

    set_skeleton(dataset, "gt")
    document = exported(dataset, tmp_path / "out.json")
    names = [image["file_name"] for image in document["images"]]
    assert names == ["cam1/0001.jpg", "cam2/0001.jpg", "cam2/#%+?.jpg"]
    again = new_dataset()
    assert import_coco(again, tmp_path / "out.json", tmp_path).photos == 3
    assert sorted(again.values("filepath")) == sorted(map(str, paths))


def test_a_new_photo_never_takes_the_name_of_one_that_came(content, new_dataset, tmp_path):
    save_photo(tmp_path / "elsewhere" / "c.jpg")
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    dataset.add_sample(fo.Sample(str(tmp_path / "elsewhere" / "c.jpg")))
    with pytest.raises(ValueError, match=r"different file names, got 'c\.jpg' for .*images/c\.jpg and .*elsewhere"):
        export_coco(dataset, tmp_path / "out.json")


def test_a_photo_of_another_shape_is_refused_and_one_of_another_scale_is_not(content, new_dataset, tmp_path):
    save_photo(tmp_path / "images" / "a.jpg", (WIDTH // 2, HEIGHT // 2))
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    assert exported(dataset, tmp_path / "out.json") == content
    save_photo(tmp_path / "images" / "c.jpg", (HEIGHT, WIDTH))
    with pytest.raises(ValueError, match=r"320 x 240 pixels, as the file says of image .*, got 240 x 320: .*c\.jpg"):
        import_coco(new_dataset(), content, tmp_path / "images")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["annotations"][0].update(iscrowd="yes"), r"iscrowd in annotation 'night/a\.jpg/0' of gt\.json"),
        (
            lambda c: c["annotations"][0].update(area="big"),
            r"area .*annotation 'night/a\.jpg/0' of gt\.json, got 'big'",
        ),
        (lambda c: c["annotations"][0].update(id=None), r"annotation at place 0 of gt\.json, got none"),
        (
            lambda c: c["annotations"][5].update(id="night/a.jpg/0"),
            r"gt\.json with different ids, got 'night/a\.jpg/0'",
        ),
        (lambda c: c["annotations"][0]["keypoints"].pop(), r"51 numbers of keypoints.*'night/a\.jpg/0'.*got 50"),
        (lambda c: c["annotations"][0].update(image_id=77), r"image 77 of annotation 'night/a\.jpg/0' of gt\.json"),
        (lambda c: c["annotations"][0]["keypoints"].__setitem__(2, 3), r"0, 1 or 2 in annotation 'night/a\.jpg/0'"),
        (lambda c: c["images"][0].update(width="wide"), r"width in image .* of gt\.json, got 'wide'"),
        (lambda c: c["images"][0].update(file_name=3), r"file_name in image .* of gt\.json, got 3"),
        (lambda c: c.pop("annotations"), r"annotations in gt\.json"),
        (lambda c: c.update(images={}), r"list of images in gt\.json, got an object"),
    ],
    ids=[
        "iscrowd",
        "area",
        "null id",
        "id twice",
        "too few",
        "image",
        "visibility",
        "width",
        "name",
        "no list",
        "object",
    ],
)
def test_a_broken_file_is_a_sentence_that_names_the_place_and_writes_nothing(
    content, new_dataset, tmp_path, change, sentence
):
    change(content)
    (tmp_path / "gt.json").write_text(json.dumps(content), encoding="utf-8")
    dataset = new_dataset()
    with pytest.raises(ValueError, match=sentence) as caught:
        import_coco(dataset, tmp_path / "gt.json", tmp_path / "images")
    for word in ("KeyError", "NoneType", "shape (", "dict", "str "):
        assert word not in str(caught.value)
    assert len(dataset) == 0 and "gt" not in dataset.get_field_schema()


def test_numbers_as_tools_write_them_are_read(content, new_dataset, tmp_path):
    content["images"][0]["width"] = float(WIDTH)
    content["annotations"][0]["iscrowd"] = "0"
    content["annotations"][1]["iscrowd"] = True
    (tmp_path / "gt.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())
    dataset = new_dataset()
    import_coco(dataset, tmp_path / "gt.json", tmp_path / "images")
    assert sum(crowd for people in dataset.values("gt.keypoints.iscrowd") for crowd in people) == 1
    assert exported(dataset, tmp_path / "out.json") == content


def test_a_list_of_results_needs_photos_that_have_ids(new_dataset, tmp_path):
    save_photo(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="import the labels first"):
        import_coco(new_dataset(fo.Sample(str(tmp_path / "a.jpg"))), [], field="pred")


def test_predictions_go_out_as_a_list_that_pycocotools_loads(content, new_dataset, tmp_path, rng):
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    points = [[float(x), float(y)] for x, y in rng.uniform(0.1, 0.9, (17, 2))]
    label = fo.Keypoint(label="person", points=points, confidence=[0.5] * 17, keypoint_oks=[0.5] * 17, pred_oks=0.75,
                        score_raw=0.75, visibility=[0.9] * 17)  # fmt: skip
    sample = dataset.first()
    sample["pred"] = fo.Keypoints(keypoints=[label])
    sample.save()
    from clickpose_fiftyone.skeletons import set_skeleton

    set_skeleton(dataset, "pred")
    (entry,) = exported(dataset, tmp_path / "list.json", "pred", results=True)
    assert entry["image_id"] == content["images"][0]["id"] and entry["score"] == 0.75 and "bbox" not in entry
    np.testing.assert_allclose(np.reshape(entry["keypoints"], (17, 3))[:, :2], np.array(points) * (WIDTH, HEIGHT))
    document = exported(dataset, tmp_path / "document.json", "pred")
    assert document["annotations"][0]["keypoint_scores"] == [0.5] * 17


def test_predictions_are_exported_with_boxes_scores_and_flags_of_visibility(person_dataset, tmp_path):
    dataset = person_dataset((1,))
    visibility = np.full((1, 17), 0.9)
    visibility[0, 4] = 0.1
    PersonColumns(dataset, "pred").write("visibility", visibility)
    (record,) = exported(dataset, tmp_path / "pred.json", "pred")["annotations"]
    label = dataset.first().pred.keypoints[0]
    assert record["keypoints"][2::3] == [2, 2, 2, 2, 1] + [2] * 12 and record["score"] == label.pred_oks
    assert record["keypoint_scores"] == label.keypoint_oks and record["num_keypoints"] == 17
    left, top, width, height = label.bounding_box
    assert record["bbox"] == pytest.approx([640 * left, 480 * top, 640 * width, 480 * height])


def test_crowds_without_keypoints_count_neither_way_and_survive_the_round_trip(content, new_dataset, tmp_path, rng):
    crowd = content["annotations"][1]
    results = [{"image_id": crowd["image_id"], "category_id": 1, "score": 0.9, "keypoints": []}]
    left, top, width, height = crowd["bbox"]
    points = np.column_stack([rng.uniform(left, left + width, 17), rng.uniform(top, top + height, 17), np.ones(17)])
    results[0]["keypoints"] = points.ravel().tolist()
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images", "gt")
    import_coco(dataset, results, field="pred")
    with_keypoints = evaluate_poses(dataset, "pred", "gt", None)
    same_figures(with_keypoints.figures, pycocotools_figures(content, results))
    del crowd["keypoints"], crowd["num_keypoints"]
    import_coco(dataset, content, tmp_path / "images", "without")
    assert evaluate_poses(dataset, "pred", "without", None).person_scores.size == 0  # it lies on the crowd
    assert exported(dataset, tmp_path / "out.json", "without") == content


def test_labels_with_scores_of_their_own_serve_as_labels(content, new_dataset, tmp_path, rng):
    """Some tools keep a quality score beside each label: figures and file stay the same."""
    results = results_of(content, rng)
    before = pycocotools_figures(content, results)
    for annotation in content["annotations"]:
        if annotation["category_id"] == 1:
            annotation["score"] = 0.5
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images", "gt")
    import_coco(dataset, results, field="pred")
    same_figures(evaluate_poses(dataset, "pred", "gt", None).figures, before)
    assert exported(dataset, tmp_path / "out.json") == content


def test_annotations_of_unknown_images_are_refused_or_told(content, new_dataset, tmp_path):
    content["annotations"].append({"id": 9004, "image_id": [], "category_id": 44, "bbox": [1, 2, 3, 4]})
    content["annotations"].append({"id": 9005, "image_id": 5555, "category_id": 44, "bbox": [1, 2, 3, 4]})
    summary = import_coco(new_dataset(), content, tmp_path / "images")
    assert "2 of these of images that the file does not list, left out" in str(summary)


def test_a_field_takes_files_with_ids_of_numbers_and_of_text(content, new_dataset, tmp_path):
    numbered = copy.deepcopy(content)
    for place, annotation in enumerate(numbered["annotations"], 1):
        annotation["id"] = place
    for first, second in ((numbered, content), (content, numbered)):
        dataset = new_dataset()
        import_coco(dataset, first, tmp_path / "images")
        import_coco(dataset, second, tmp_path / "images")
        assert exported(dataset, tmp_path / "out.json") == second


def test_ids_beyond_what_the_database_holds_survive(content, new_dataset, tmp_path):
    content["annotations"][0]["id"] = 10**30
    content["annotations"][1]["keypoints"] = True  # of a crowd, whose joints nobody reads
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    assert exported(dataset, tmp_path / "out.json") == content


def test_results_of_other_categories_are_no_people_and_come_back(content, new_dataset, tmp_path):
    person = {"image_id": 100, "category_id": 1, "score": 0.5, "keypoints": [5, 6, 0.75] * 17}
    results = [{**person, "category_id": 44, "bbox": [1, 2, 3, 4]}, person, {**person, "category_id": 18}]
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images")
    summary = import_coco(dataset, results, field="pred")
    assert summary.persons == 1 and "2 annotations of categories that are no people" in str(summary)
    assert exported(dataset, tmp_path / "out.json", "pred") == results


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_the_joints_of_every_known_skeleton_are_known(name, new_dataset, tmp_path):
    """Two of them have the same names in different orders."""
    skeleton = SKELETONS[name]
    save_photo(tmp_path / "a.jpg")
    keypoints = [number for joint in range(len(skeleton)) for number in (joint + 1.5, joint + 2.5, 2)]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 50, 50], "area": 900, "iscrowd": 0,
                         "keypoints": keypoints, "num_keypoints": len(skeleton)}],
        "categories": [person_category(skeleton)],
    }  # fmt: skip
    dataset = new_dataset()
    import_coco(dataset, document, tmp_path)
    assert dataset.skeletons["gt"].labels == list(skeleton.names) and skeleton_of(dataset, "gt") is skeleton
    assert exported(dataset, tmp_path / "out.json") == document


def test_people_of_several_categories_are_compared_within_theirs_as_coco_does(tmp_path, rng, new_dataset):
    dataset = new_dataset()
    images, people = [], []
    for number in range(1, 5):
        save_photo(tmp_path / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": WIDTH, "height": HEIGHT})
        for category_id in (1, 2):
            keypoints, visibility, box = make_person(rng)
            people.append(
                {"id": len(people) + 1, "image_id": number, "category_id": category_id, "bbox": box, "iscrowd": 0,
                 "keypoints": triples(keypoints, visibility), "num_keypoints": int((visibility > 0).sum()),
                 "area": box[2] * box[3]}
            )  # fmt: skip
    categories = [{**CATEGORY, "name": "adult"}, {**CATEGORY, "id": 2, "name": "child"}]
    truth = {"images": images, "annotations": people, "categories": categories}
    results = [
        {"image_id": person["image_id"], "category_id": 1 if number < 4 else person["category_id"],
         "keypoints": [value + 1.5 for value in person["keypoints"]], "score": 1 / number}
        for number, person in enumerate(people, 1)
    ]  # fmt: skip
    for result in results:
        result["keypoints"][2::3] = [0.5] * 17
    import_coco(dataset, truth, tmp_path, "gt")
    import_coco(dataset, results, field="found")
    wanted = average_precision(truth, results)
    same_figures(evaluate_poses(dataset, "found", "gt", eval_key=None).metrics(), wanted)
    assert wanted["AR50"] == pytest.approx((1 + 3 / 4) / 2)  # of the children one was taken for an adult
    as_dataset = {**truth, "annotations": [{**entry, "id": n, "category_id": 1} for n, entry in enumerate(results)]}
    import_coco(dataset, as_dataset, tmp_path, "people")  # of a network that knows people only
    assert evaluate_poses(dataset, "people", "gt", eval_key=None).metrics()["AR50"] == pytest.approx(1)


def test_a_count_of_joints_beside_no_keypoints_makes_nobody_to_be_found(tmp_path, rng, new_dataset):
    dataset = new_dataset()
    save_photo(tmp_path / "1.jpg")
    keypoints, visibility, box = make_person(rng)
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "iscrowd": 0, "area": 900.0, "num_keypoints": 17}
    person["keypoints"] = triples(keypoints, visibility)
    truth = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}], "categories": [CATEGORY],
        "annotations": [person, {**person, "id": 2, "keypoints": None}],
    }  # fmt: skip
    import_coco(dataset, truth, tmp_path, "gt")
    import_coco(dataset, [{"image_id": 1, "category_id": 1, "score": 0.5, "keypoints": person["keypoints"]}], field="p")
    assert evaluate_poses(dataset, "p", "gt", eval_key=None).metrics()["AR"] == pytest.approx(1)  # of one person


def test_cvat_gets_the_people_and_gives_back_what_was_changed_there(content, new_dataset, tmp_path):
    dataset = new_dataset()
    import_coco(dataset, content, tmp_path / "images", "gt")
    people = [person for person in content["annotations"] if not person.get("iscrowd") and person["category_id"] == 1]
    export_coco(dataset, tmp_path / "annotations.xml", "gt")
    again = new_dataset()
    import_coco(again, tmp_path / "annotations.xml", tmp_path / "images", "cvat")
    back = {entry["id"]: entry for entry in exported(again, tmp_path / "back.json", "cvat")["annotations"]}
    compared = 0
    for person in people:
        if any(person["keypoints"][2::3]):
            before = np.array(person["keypoints"], float).reshape(-1, 3)
            before[before[:, 2] == 0] = 0  # joints that are not labelled have no place in CVAT
            assert back[person["id"]]["keypoints"] == pytest.approx(before.ravel(), abs=1e-4)
            compared += 1
    assert compared > 3
    with pytest.raises(ValueError, match=r"Expected a .json file for a list of results, got .*\.xml"):
        export_coco(dataset, tmp_path / "results.xml", "gt", results=True)
