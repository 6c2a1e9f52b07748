"""Two fields side by side: the joints that differ most, as a list, as a field in colour and in the panel."""

import json

import numpy as np
import pytest
from PIL import Image

from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.comparison import AGREES_FROM, BEFORE, compare_fields
from clickpose_fiftyone.refinement import find_person, save_refinement
from helpers.panels import Answer, figures, in_the_app, panel


@pytest.fixture
def dataset(person_dataset):
    """Predictions of two networks: the second has the left wrist of each person elsewhere, the first person not."""
    dataset = person_dataset((2, 1, 3), noise=4.0)
    dataset.clone_sample_field("pred", "other")
    dataset.skeletons["other"] = dataset.skeletons["pred"]
    dataset.save()
    for number, sample in enumerate(dataset):
        for person in sample.other.keypoints:
            points = np.array(person.points)
            points[9] += (0.02 * (number + 1), 0)
            person.points = points.tolist()
        if number == 0:
            sample.other.keypoints = sample.other.keypoints[1:]
        sample.save()
    return dataset


def test_the_joints_that_differ_come_most_different_first(dataset):
    before = set(dataset.get_field_schema())
    found = compare_fields(dataset, "pred", "other", write=False)
    assert set(dataset.get_field_schema()) == before
    assert found.agreement.shape == (5, 17) and found.only_second == ()
    assert found.only_first == (dataset.first().pred.keypoints[0].id,)
    assert {d.joint for d in found.differences} == {"left_wrist"}
    oks = [d.oks for d in found.differences]
    assert oks == sorted(oks) and max(oks) < AGREES_FROM
    columns = PersonColumns(dataset, "pred")
    person = columns.label_ids.index(found.differences[0].label_id)
    box = columns.boxes_xyxy[person]
    area = 0.53 * (box[2] - box[0]) * (box[3] - box[1])
    moved = 640 * 0.02 * (int(columns.rows[person]) + 1)
    sigma = columns.skeleton.sigma_array[9]
    assert oks[0] == pytest.approx(np.exp(-(moved**2) / (2 * (2 * sigma) ** 2 * area)))
    assert np.isnan(found.differences[0].first_oks)
    np.testing.assert_allclose(np.delete(found.by_joint, 9), 1)
    assert "5 people in both" in str(found) and "1 only in pred" in str(found)
    assert found.other_ids[0] == dataset.first().other.keypoints[0].id


def test_labels_tell_which_of_the_two_is_nearer(dataset):
    found = compare_fields(dataset, "pred", "other", "gt", write=False)
    labelled = [d for d in found.differences if np.isfinite(d.first_oks)]
    assert labelled and all(d.first_oks > d.second_oks for d in labelled if d.oks < 0.3)
    visibility = {p.id: p.visibility[9] for sample in dataset for p in sample.gt.keypoints}
    assert len(labelled) <= sum(value > 0 for value in visibility.values())


def test_the_different_joints_are_drawn_in_the_colour_of_their_oks(dataset):
    found = compare_fields(dataset, "pred", "other")
    dataset.reload()
    drawn = [joint for sample in dataset for joint in sample.pred_differences.keypoints]
    assert len(drawn) == len(found.differences) and {joint.label for joint in drawn} == {"left_wrist"}
    worst = min(drawn, key=lambda joint: joint.oks)
    assert worst.oks == pytest.approx(found.differences[0].oks) and worst.oks_bin.startswith(f"{worst.oks:.1f}"[:2])
    (described,) = (f for f in dataset.app_config.color_scheme.fields if f["path"] == "pred_differences")
    assert described["colorByAttribute"] == "oks_bin"
    assert found.agreement.shape == compare_fields(dataset, "pred", "other").agreement.shape  # it is nobody's people


def test_before_and_after_corrections(dataset, tmp_path):
    from dataclasses import replace

    with pytest.raises(ValueError, match="whom somebody corrected, got none"):
        compare_fields(dataset, "pred", BEFORE)
    Image.new("RGB", (640, 480)).save(tmp_path / "photo.png")
    dataset.set_values("filepath", [str(tmp_path / "photo.png"), *dataset.values("filepath")[1:]])
    label = dataset.first().pred.keypoints[1]
    person = find_person(dataset, "pred", label.id)
    keypoints = person.pose.keypoints + 0.0
    keypoints[5] += 60
    save_refinement(person, replace(person.pose, keypoints=keypoints))
    found = compare_fields(dataset, "pred", BEFORE, write=False)
    assert found.label_ids == (label.id,) == found.other_ids
    assert [d.joint for d in found.differences] == ["left_shoulder"]
    assert "1 person in both" in str(found)


def test_fields_that_cannot_be_compared_are_refused(dataset):
    from clickpose_fiftyone.skeletons import own_skeleton, set_skeleton

    with pytest.raises(ValueError, match='got "pred" twice'):
        compare_fields(dataset, "pred", "pred")
    with pytest.raises(ValueError, match='Expected "nothing"'):
        compare_fields(dataset, "pred", "nothing")
    set_skeleton(dataset, "other", own_skeleton([f"joint {number}" for number in range(17)]))
    with pytest.raises(ValueError, match="to have the same joints"):
        compare_fields(dataset, "pred", "other")
    assert "pred_differences" not in dataset.get_field_schema()


def test_the_panel_lists_draws_and_shows(dataset, fiftyone_home):
    from clickpose_fiftyone.install import install_plugin

    install_plugin(fiftyone_home / "plugins")
    drawn = panel(dataset, "comparison_panel", "on_load")
    shown = drawn.of("show_panel_output")[-1]["output"]["type"]["properties"]
    assert "5 people in both" in shown["summary"]["default"]
    assert figures(drawn, "agreement")[0]["y"][9] < 0.85
    rows = figures(drawn, "differences")
    assert rows[0]["joint"] == "left wrist" and any(row["nearer"].startswith("pred (") for row in rows)
    answer = panel(dataset, "comparison_panel", "on_row", drawn.state, row=0)
    view = in_the_app(dataset, answer.of("set_view")[-1]["view"])
    assert view.count("pred.keypoints") == view.count("other.keypoints") == 1
    alone = panel(dataset, "comparison_panel", "on_alone", drawn.state, side="only_first")
    assert "only in pred" in alone.notices[0]
    state = drawn.state | answer.state
    event = {"panel_id": "p", "panel_state": state, "__method__": "on_change_view"}
    again = Answer(dataset, "comparison_panel", event, view)
    assert figures(again, "agreement") == figures(drawn, "agreement")  # a click does not change what it is of
    panel(dataset, "comparison_panel", "on_draw", drawn.state)
    assert "pred_differences" in dataset.get_field_schema()
    operator = Answer(dataset, "compare_fields", {"pred_field": "pred", "other": "other"})
    assert "5 people in both" in operator.result["message"]
    assert json.dumps(operator.of("set_color_scheme"))
    dataset.delete_sample_fields(["other", "gt", "pred_differences"])
    assert "Nothing to compare with" in panel(dataset, "comparison_panel").state["problem"]
