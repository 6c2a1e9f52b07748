"""The coco-pose backend against pycocotools itself."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO as CocoFile
from pycocotools.cocoeval import COCOeval

from clickpose.metrics.average_precision import FIGURES
from clickpose.skeleton import COCO
from clickpose_fiftyone.backends import register_backends
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.evaluation import evaluate_poses
from clickpose_fiftyone.truth import labelled_visibility, truth_areas


def coco_eval(dataset, thresholds=None, num_keypoints=None):
    """Evaluate a dataset's fields by pycocotools; annotation ids are the persons' numbers, counted from 1."""
    truth, found = PersonColumns(dataset, "gt"), PersonColumns(dataset, "pred")
    visibility, areas = labelled_visibility(truth), truth_areas(truth)
    crowd = np.nan_to_num(truth.scalars("iscrowd")).astype(int)
    counted = (visibility > 0).sum(axis=1).tolist() if num_keypoints is None else num_keypoints
    annotations = []
    for i in range(len(truth)):
        triples = np.column_stack([np.nan_to_num(truth.keypoints[i]), visibility[i]])
        left, top, right, bottom = truth.boxes_xyxy[i].tolist()
        annotations.append(
            {"id": i + 1, "image_id": int(truth.rows[i]) + 1, "category_id": 1, "keypoints": triples.ravel().tolist(),
             "num_keypoints": counted[i], "area": float(areas[i]), "iscrowd": int(crowd[i]),
             "bbox": [left, top, right - left, bottom - top]}
        )  # fmt: skip
    results = [
        {"image_id": int(found.rows[i]) + 1, "category_id": 1, "score": float(found.scalars("pred_oks")[i]),
         "keypoints": np.column_stack([found.keypoints[i], np.ones(len(COCO))]).ravel().tolist()}
        for i in range(len(found))
    ]  # fmt: skip
    images = [{"id": i + 1} for i in range(len(truth.counts))]
    with contextlib.redirect_stdout(io.StringIO()):
        ground = CocoFile()
        ground.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
        ground.createIndex()
        evaluation = COCOeval(ground, ground.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = COCO.sigma_array
        if thresholds is not None:
            evaluation.params.iouThrs = np.array(thresholds)
        evaluation.evaluate()
        if thresholds is None:
            evaluation.accumulate()
            evaluation.summarize()
    return evaluation


@pytest.fixture
def dataset(person_dataset, rng):
    """Crowds, unmatched predictions, doubles and photos without people."""
    dataset = person_dataset((2, 1, 0, 3, 5, 1, 4), noise=9.0)
    crowd = [[0] * n for n in (2, 1, 0, 3, 5, 1, 4)]
    crowd[3][1] = 1
    dataset.set_values("gt.keypoints.iscrowd", crowd, dynamic=True)
    doubled = dataset.skip(4).first()
    copies = [label.copy() for label in doubled.pred.keypoints[:3]]
    for copy in copies:
        copy.pred_oks = float(rng.uniform(0, 1))
    doubled.pred.keypoints += copies
    doubled.save()
    return dataset


def test_all_ten_figures_equal_pycocotools(dataset):
    wanted = coco_eval(dataset).stats
    results = evaluate_poses(dataset, eval_key="eval")
    assert list(results.figures) == list(FIGURES)
    np.testing.assert_allclose(list(results.figures.values()), np.where(wanted < 0, np.nan, wanted), atol=1e-12)
    assert 0.05 < results.figures["AP"] < 0.95


def test_matches_equal_pycocotools_at_the_threshold(dataset):
    evaluate_poses(dataset, eval_key="eval", oks=0.5)
    images = coco_eval(dataset, thresholds=[0.5]).evalImgs[: len(dataset)]  # area range "all" comes first
    found = {int(i): int(g) for e in images if e for i, g in zip(e["dtIds"], e["dtMatches"][0], strict=True)}
    ignored = {int(i) for e in images if e for i, skip in zip(e["dtIds"], e["dtIgnore"][0], strict=True) if skip}
    predictions, truth = PersonColumns(dataset, "pred"), PersonColumns(dataset, "gt")
    for index, (state, partner) in enumerate(
        zip(predictions.values("eval"), predictions.values("eval_id"), strict=True)
    ):
        if index + 1 in ignored:
            assert state == "ignored"
        else:
            assert (state == "tp") == bool(found.get(index + 1))
            wanted = truth.label_ids[found[index + 1] - 1] if found.get(index + 1) else None
            assert partner == wanted
    assert set(predictions.values("eval")) == {"tp", "fp", "ignored"}
    assert dataset.sum("eval_tp") == predictions.values("eval").count("tp")
    assert dataset.sum("eval_fn") == truth.values("eval").count("fn")


def test_the_registered_method_gives_the_same(dataset):
    register_backends()
    ours = evaluate_poses(dataset, eval_key="columns")
    stock = dataset.evaluate_detections("pred", gt_field="gt", method="coco-pose", eval_key="loop", iou=0.5)
    assert stock.figures == pytest.approx(ours.figures, nan_ok=True)
    for name in ("tp", "fp", "fn"):
        assert dataset.values(f"loop_{name}") == dataset.values(f"columns_{name}")
    again = dataset.load_evaluation_results("columns")
    assert again.figures == pytest.approx(ours.figures, nan_ok=True)
    assert (again.mAP(), again.mAR()) == (again.figures["AP"], again.figures["AR"])  # FiftyOne's evaluation panel
    recall, precision = again.pr_curve(0.5)
    assert recall.shape == precision.shape == (101,)
    assert np.nanmean(precision) == pytest.approx(ours.figures["AP50"])
    assert len(dataset.load_evaluation_view("columns")) == len(dataset)
    kinds = dataset.to_evaluation_patches("columns").count_values("type")  # what the app's browser of errors shows
    assert {name: kinds[name] for name in ("tp", "fp", "fn")} == {
        name: sum(dataset.values(f"columns_{name}")) for name in ("tp", "fp", "fn")
    }
    dataset.delete_evaluation("columns")
    assert "columns_oks" not in dataset.get_field_schema()


def test_per_sample_oks_is_the_mean_of_its_predictions(person_dataset):
    dataset = person_dataset((2, 0), noise=0.0)
    evaluate_poses(dataset, eval_key="eval")
    assert dataset.values("eval_oks") == pytest.approx([1.0, None])
    assert dataset.values("pred.keypoints.eval_iou")[0] == pytest.approx([1.0, 1.0])


def test_no_ground_truth_is_a_sentence_and_writes_nothing(person_dataset):
    import fiftyone as fo

    dataset = person_dataset()
    dataset.set_values("gt", [fo.Keypoints() for _ in dataset])
    before = dataset.get_field_schema(flat=True).keys()
    with pytest.raises(ValueError, match='labelled people in field "gt", got none'):
        evaluate_poses(dataset, eval_key="eval")
    assert dataset.get_field_schema(flat=True).keys() == before
    assert not dataset.list_evaluations()


def test_the_registered_method_writes_the_same_documents(dataset):
    register_backends()
    evaluate_poses(dataset, eval_key="columns")
    dataset.evaluate_detections("pred", gt_field="gt", method="coco-pose", eval_key="loop", iou=0.5)
    for field in ("pred", "gt"):
        for suffix in ("", "_id", "_iou"):
            ours = dataset.values(f"{field}.keypoints.columns{suffix}", unwind=True)
            assert dataset.values(f"{field}.keypoints.loop{suffix}", unwind=True) == ours
        assert "ignored" in dataset.distinct(f"{field}.keypoints.loop")
    assert dataset.values("loop_oks") == dataset.values("columns_oks")


@pytest.mark.parametrize("key", ["visibility", "label", "tags", "area", "not-a-name", ""])
def test_a_name_that_is_taken_or_none_is_refused_before_anything_is_written(person_dataset, key):
    dataset = person_dataset()
    before, labels = set(dataset.get_field_schema(flat=True)), dataset.values("pred.keypoints.label")
    with pytest.raises(ValueError, match=r"Expected a (free )?name"):
        evaluate_poses(dataset, eval_key=key)
    assert set(dataset.get_field_schema(flat=True)) == before and not dataset.list_evaluations()
    assert dataset.values("pred.keypoints.label") == labels


def test_a_run_can_be_repeated_under_its_name(person_dataset):
    dataset = person_dataset((2, 1))
    evaluate_poses(dataset, eval_key="eval")
    evaluate_poses(dataset.limit(1), eval_key="eval")
    assert dataset.values("eval_tp")[1] is None and dataset.values("pred.keypoints.eval")[1] == [None]


def test_the_registered_method_refuses_before_it_notes_a_run(person_dataset):
    import fiftyone as fo

    register_backends()
    dataset = person_dataset()
    dataset.set_values("gt", [fo.Keypoints() for _ in dataset])
    with pytest.raises(ValueError, match="got none"):
        dataset.evaluate_detections("pred", gt_field="gt", method="coco-pose", eval_key="loop")
    assert not dataset.list_evaluations() and "loop_tp" not in dataset.get_field_schema()


def test_the_threshold_and_the_ranking_are_what_was_asked_for(person_dataset):
    dataset = person_dataset((2, 3, 4), noise=9.0)
    columns = PersonColumns(dataset, "pred")
    strict = evaluate_poses(dataset, eval_key="strict", oks=0.8)
    evaluate_poses(dataset, eval_key="loose", oks=0.3)
    assert all(oks >= 0.8 for oks in dataset.values("pred.keypoints.strict_iou", unwind=True) if oks is not None)
    assert dataset.sum("strict_tp") < dataset.sum("loose_tp")
    columns.write("score_raw", 1 - columns.scalars("pred_oks"))
    assert evaluate_poses(dataset, eval_key=None, score="score_raw").figures["AP"] != strict.figures["AP"]
    for found, partner in zip(
        dataset.values("gt.keypoints.loose_id", unwind=True), dataset.values("gt.keypoints.loose", unwind=True),
        strict=True,
    ):  # fmt: skip
        assert (found in columns.label_ids) == (partner == "tp")


def test_what_is_assumed_of_labelled_people_is_told(person_dataset):
    dataset = person_dataset((2, 1, 3))
    columns = PersonColumns(dataset, "gt")
    columns.write_all({"area": [None, 900.0, None, 800.0, 700.0, 600.0], "iscrowd": [0, 0, 0, 0, 1, 0],
                       "num_keypoints": [1, 1, 1, 0, 1, 1]})  # fmt: skip
    results = evaluate_poses(dataset, "pred", "gt", "run")
    assert sorted(results.notes.values()) == [2, 2]
    assert "2 labelled people without an area, which is taken as 0.53 of the box" in results.sentence()
    assert "2 labelled people that count neither way" in results.sentence()
    assert dataset.load_evaluation_results("run", cache=False).notes == results.notes
    of_a_view = evaluate_poses(dataset.limit(2), "pred", "gt", None)
    assert "1 photos of the dataset that are not in the view" in of_a_view.sentence()


def test_people_whose_num_keypoints_is_0_count_neither_way_as_in_pycocotools(person_dataset):
    dataset = person_dataset((2, 1, 3, 4))
    PersonColumns(dataset, "gt").write("num_keypoints", [0, 5, 5, 0, 5, 5, 0, 5, 5, 5])
    expected = coco_eval(dataset, num_keypoints=[0, 5, 5, 0, 5, 5, 0, 5, 5, 5]).stats
    plain = coco_eval(dataset).stats
    figures = evaluate_poses(dataset, "pred", "gt", None).figures
    for name, value in zip(FIGURES, expected, strict=True):
        assert figures[name] == pytest.approx(np.nan if value == -1 else value, abs=1e-9, nan_ok=True)
    assert abs(expected - plain).max() > 0.01


@pytest.mark.parametrize("value", [3, 0.5, -1])
def test_a_visibility_that_is_none_is_a_sentence(person_dataset, value):
    dataset = person_dataset((1, 1))
    sample = dataset.last()
    visibility = [2.0] * 17
    visibility[4] = float(value)
    sample.gt.keypoints[0].points = [[0.5, 0.5]] * 17
    sample.save()
    with pytest.raises(ValueError, match=rf'0, 1 or 2 in the labelled people of field "gt", got {value:g} in person'):
        labelled_visibility(Columns(dataset, "gt", visibility))


class Columns(PersonColumns):
    """Columns whose last person has another visibility than the database would take."""

    def __init__(self, samples, field, visibility):
        super().__init__(samples, field)
        self.last = visibility

    def joints(self, attribute):
        values = super().joints(attribute)
        if attribute == "visibility":
            values[-1] = self.last
        return values
