"""The plugin through FiftyOne's own execution contexts: what is listed is registered, operators and panels answer."""

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
import yaml
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

from clickpose_fiftyone.colours import bin_colors
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.install import install_plugin, plugin_folder, remove_plugin
from helpers.panels import PLUGIN, Answer, bound_keys, figures, in_the_app, output_of, panel

MANIFEST = yaml.safe_load((plugin_folder() / "fiftyone.yml").read_text())


@pytest.fixture(scope="module", autouse=True)
def installed(fiftyone_home):
    install_plugin(fiftyone_home / "plugins")


@pytest.fixture
def dataset(person_dataset, tmp_path, rng):
    """Annotated and predicted people, on photos that exist."""
    dataset = person_dataset((2, 3, 1) * 4, noise=5.0)
    paths = []
    for index in range(len(dataset)):
        paths.append(str(tmp_path / f"{index}.jpg"))
        Image.fromarray(np.full((480, 640, 3), 90, np.uint8)).save(paths[-1])
    dataset.set_values("filepath", paths)
    return dataset


def test_all_that_is_listed_is_registered_with_a_risk_level():
    for name in (*MANIFEST["operators"], *MANIFEST["panels"]):
        operator = foo.get_operator(f"{PLUGIN}/{name}")
        assert operator.config.label
        if name in MANIFEST["operators"]:
            assert operator.config.risk_level.value != "dangerous" and operator.config.icon


def test_installing_twice_and_removing_leave_what_is_not_ours(tmp_path):
    target = install_plugin(tmp_path)
    assert (target / "fiftyone.yml").is_file()
    assert (install_plugin(tmp_path, copy=True) / "panels" / "refine.py").is_file()
    assert remove_plugin(tmp_path) and not remove_plugin(tmp_path)
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="something else"):
        install_plugin(tmp_path)
    assert (target / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", MANIFEST["operators"])
def test_every_form_of_an_empty_dataset_is_a_sentence(name, new_dataset):
    dataset = new_dataset()
    uri = f"{PLUGIN}/{name}"
    context = ExecutionContext({"dataset_name": dataset.name, "params": {}}, executor=Executor(), operator_uri=uri)
    inputs = foo.get_operator(uri).resolve_input(context)
    problem = inputs.type.properties.get("problem")
    if name != "import_coco":
        assert problem.invalid and problem.error_message.startswith("Expected")


def test_operators_answer_and_write(dataset):
    for name, params in (
        ("flag_low_visibility", {"threshold": 0.2}),
        ("calibrate", {"kind": "temperature"}),
        ("evaluate_poses", {}),
        ("diagnose", {}),
        ("find_label_errors", {}),
        ("select_for_labelling", {"budget": 3}),
        ("auto_accept", {"target": 0.6}),
        ("set_up_colours", {}),
    ):
        answer = Answer(dataset, name, {"pred_field": "pred", **params})
        assert "error" not in answer.result, (name, answer.result)
        assert answer.notices == [answer.result["message"]]
    dataset.reload()
    wanted = {"num_low_vis", "min_pred_oks", "eval_tp", "pred_joints", "pred_low_vis"}
    assert wanted <= set(dataset.get_field_schema())
    assert dataset.list_evaluations() == ["eval"]


def test_an_operator_without_labels_says_so_and_writes_nothing(dataset):
    dataset.delete_sample_field("gt")
    before = set(dataset.get_field_schema(flat=True))
    for name in ("calibrate", "evaluate_poses", "diagnose", "find_label_errors"):
        answer = Answer(dataset, name, {"pred_field": "pred", "gt_field": "gt"})
        assert 'Expected "gt" to be a field of Keypoints' in answer.result["error"]
    assert set(dataset.get_field_schema(flat=True)) == before


def test_operators_work_from_python(dataset):
    answer = foo.get_operator(f"{PLUGIN}/flag_low_visibility")(dataset, pred_field="pred", threshold=0.2)
    assert "visibility below 0.2" in answer["message"]
    with pytest.raises(ValueError, match="Expected a name of letters"):
        foo.get_operator(f"{PLUGIN}/evaluate_poses")(dataset, eval_key="not-a-name")


def test_panels_draw(dataset):
    Answer(dataset, "calibrate", {"pred_field": "pred", "kind": "temperature"})
    assert panel(dataset, "review_panel").state == {"problem": None}
    drawn = panel(dataset, "calibration_panel")
    assert {key for params in drawn.of("patch_panel_data") for key in params["data"]} == {
        "scores", "reliability", "sparsification", "precision", "joints"
    }  # fmt: skip
    assert "errors" in panel(dataset, "diagnosis_panel").of("patch_panel_data")[0]["data"]


def test_panels_speak_of_the_field_that_is_chosen(dataset):
    second = dataset.clone()
    try:
        second.clone_sample_field("pred", "other")
        second.skeletons["other"] = second.skeletons["pred"]
        second.save()
        second.delete_sample_field("gt")
        scores = 1 - np.array(second.values("other.keypoints.pred_oks", unwind=True))
        PersonColumns(second, "other").write("pred_oks", scores)
        chosen = panel(second, "review_panel", "on_field", value="other", reviewer="somebody").state
        worst = second.values("other.keypoints.id", unwind=True)[int(scores.argmin())]
        answer = panel(second, "review_panel", "on_load", chosen)
        drawn = answer.of("show_panel_output")[-1]["output"]["type"]["properties"]
        (offered,) = (drawn[name] for name in drawn if name.startswith("pred_field_"))  # each reviewer's own
        assert offered["type"]["values"] == ["pred", "other"] and offered["default"] == "other"
        bound = drawn["keys"]["view"]["bindings"][0]["params"]
        assert bound["label_ids"] == [worst]
        opened = panel(second, "review_panel", "on_open", chosen, **bound)
        assert opened.of("@clickpose/pose_review/refine_person")[0]["field"] == "other"
        problem = panel(second, "diagnosis_panel").state["problem"]
        assert problem.startswith("No labelled people")  # two fields of predictions are not each other's labels
    finally:
        second.delete()


def test_an_open_app_is_told_the_colours_of_all_coloured_fields(dataset):
    answer = Answer(dataset, "set_up_colours", {"pred_field": "pred"})
    told = answer.of("set_color_scheme")[0]
    assert [field["path"] for field in told["fields"]] == ["pred", "pred_joints", "pred_boxes", "gt", "gt_boxes"]
    truth = next(field for field in told["fields"] if field["path"] == "gt")
    assert truth["fieldColor"] not in bin_colors()  # labels look like no score
    assert told["color_by"] == "value" and "Reload the page" in answer.result["message"]
    dataset.clone_sample_field("pred", "other")
    dataset.skeletons["other"] = dataset.skeletons["pred"]
    dataset.save()
    Answer(dataset, "set_up_colours", {"pred_field": "other"})
    again = Answer(dataset, "set_up_colours", {"pred_field": "pred"})
    paths = [field["path"] for field in again.of("set_color_scheme")[0]["fields"]]
    coloured = [f"{field}{part}" for field in ("pred", "other") for part in ("", "_joints", "_boxes")]
    assert paths == [*coloured, "gt", "gt_boxes"]
    assert "Reload" not in again.result["message"]


def test_the_calibration_panel_says_what_calibration_gave_on_people_that_were_not_fitted_on(dataset):
    assert "calibration" not in output_of(dataset, "calibration_panel")
    said = Answer(dataset, "calibrate", {"pred_field": "pred", "kind": "isotonic"}).result["message"]
    assert "(cross-validated)" in said
    assert output_of(dataset, "calibration_panel")["calibration"]["default"] == said


def test_clicking_a_bar_shows_those_people(dataset):
    scores = dataset.values("pred.keypoints.pred_oks", unwind=True)
    low = int(10 * min(scores)) / 10
    answer = panel(dataset, "calibration_panel", "on_score", {"pred_field": "pred"}, x=low + 0.05, y=1)
    assert answer.of("set_view")
    assert not answer.of("set_active_fields")[0]["fields"][2:]  # of nothing that was on: the people are seen, at least
    event = {"panel_id": "p", "panel_state": {}, "__method__": "on_score", "x": low + 0.05, "y": 1}
    beside = Answer(dataset, "calibration_panel", event, active_fields=["gt", "tags"]).of("set_active_fields")
    assert beside[0]["fields"][-3:] == ["pred", "gt", "tags"]
    assert not Answer(dataset, "calibration_panel", event, active_fields=["gt", "pred"]).of("set_active_fields")
    wanted = sum(low <= score < low + 0.1 for score in scores)
    assert answer.notices[0].startswith(f"{wanted} p") and f"predicted OKS {low:.1f}" in answer.notices[0]


def test_accepting_in_the_review_panel_can_be_undone(dataset):
    label_id = dataset.first().pred.keypoints[0].id
    panel(dataset, "review_panel", "on_accept", label_ids=[label_id])
    assert dataset.count_label_tags("pred") == {"accepted": 1}
    event, params = bound_keys(dataset, "review_panel", {})["u"]
    panel(dataset, "review_panel", event, **params)
    assert dataset.count_label_tags("pred") == {} and "u" not in bound_keys(dataset, "review_panel", {})


def test_the_keys_of_the_review_panel_act_on_the_current_person(dataset):
    scores = dataset.values("pred.keypoints.pred_oks", unwind=True)
    ids = dataset.values("pred.keypoints.id", unwind=True)
    first, second = (ids[i] for i in np.argsort(scores)[:2])
    keys = bound_keys(dataset, "review_panel", {})
    assert keys["a"] == ("on_accept", keys["r"][1]) and keys["a"][1]["label_ids"] == [first] and "u" not in keys
    event, params = keys["ArrowRight"]
    moved = panel(dataset, "review_panel", event, {}, **params).state
    assert bound_keys(dataset, "review_panel", moved)["s"][1]["label_ids"] == [second]
    event, params = keys["ArrowLeft"]
    assert list(panel(dataset, "review_panel", event, {}, **params).state.values()) == [0]
    opened = panel(dataset, "review_panel", "on_open", {}, **keys["r"][1])
    wanted = opened.of("@clickpose/pose_review/refine_person")[0]
    assert wanted["label_id"] == first and opened.of("open_panel")
    assert not opened.of("set_selected_labels")  # which the app shares among browsers


def test_a_panel_of_a_dataset_without_poses_is_a_sentence(new_dataset):
    dataset = new_dataset(fo.Sample("/nowhere/a.jpg"))
    for name in MANIFEST["panels"]:
        assert "No predicted poses yet" in panel(dataset, name).state["problem"]


@pytest.mark.parametrize("error", [ValueError("Expected a field"), OSError("no disk"), AttributeError("no mode")])
@pytest.mark.parametrize("name", MANIFEST["panels"])
def test_no_panel_shows_a_traceback(name, error, dataset, monkeypatch):
    def show(self, ctx, drawn):
        drawn.md("half of it", name="half")
        raise error

    monkeypatch.setattr(type(foo.get_operator(f"{PLUGIN}/{name}")), "show", show)
    drawn = str(panel(dataset, name, "on_load").requests)
    assert "half of it" not in drawn and str(error) in drawn and "AlertView" in drawn


def test_the_calibration_panel_of_a_view_without_predictions_is_a_sentence(dataset):
    dataset.delete_sample_field("pred")
    assert "No predicted poses yet" in panel(dataset, "calibration_panel", "on_change_view").state["problem"]


def test_a_click_on_a_cell_shows_those_people_with_their_labels_and_the_figures_stay(dataset):
    drawn = panel(dataset, "diagnosis_panel")
    before = figures(drawn, "errors")
    counts = np.array(before[0]["customdata"])
    joint, error = np.argwhere((counts > 0) & (counts < 8))[0]
    cell = {"x": before[0]["x"][error], "y": before[0]["y"][joint]}
    answer = panel(dataset, "diagnosis_panel", "on_cell", drawn.state, **cell)
    assert (
        answer.notices[0].startswith(f"{counts[joint, error]} p") and f"{cell['y']}, {cell['x']}" in answer.notices[0]
    )
    view = in_the_app(dataset, answer.of("set_view")[-1]["view"])
    assert view.count("pred.keypoints") == counts[joint, error]
    assert view.count("gt.keypoints") == dataset.select(view.values("id")).count("gt.keypoints")  # nobody is hidden
    state = drawn.state | answer.state
    again = Answer(
        dataset, "diagnosis_panel", {"panel_id": "p", "panel_state": state, "__method__": "on_change_view"}, view
    )
    assert again.state["problem"] is None and figures(again, "errors") == before
    other = cell | {"x": next(x for x, n in zip(before[0]["x"], counts[joint], strict=True) if n and x != cell["x"])}
    event = {"panel_id": "p", "panel_state": state, "__method__": "on_cell", **other}
    assert Answer(dataset, "diagnosis_panel", event, view).of("set_view")  # the cells are all of the same photos
    fewer = Answer(dataset, "diagnosis_panel", event | {"__method__": "on_change_view"}, dataset.limit(2).view())
    assert np.array(figures(fewer, "errors")[0]["customdata"]).sum() < counts.sum()  # another view is another's figures


def test_a_click_on_a_bar_of_calibration_keeps_labels_and_figures(dataset):
    drawn = panel(dataset, "calibration_panel")
    scores = np.array(dataset.values("pred.keypoints.pred_oks", unwind=True))
    low = int(10 * scores.min()) / 10
    answer = panel(dataset, "calibration_panel", "on_score", drawn.state, x=low + 0.05, y=1)
    view = in_the_app(dataset, answer.of("set_view")[-1]["view"])
    event = {"panel_id": "p", "panel_state": drawn.state | answer.state, "__method__": "on_change_view"}
    again = Answer(dataset, "calibration_panel", event, view)
    for name in ("scores", "reliability", "precision"):
        assert figures(again, name) == figures(drawn, name)
    assert "unlabelled" not in again.of("show_panel_output")[-1]["output"]["type"]["properties"]


def test_the_queue_of_a_view_of_people_has_those_people_alone(dataset):
    ids = dataset.values("pred.keypoints.id", unwind=True)
    chosen = {ids[0], ids[4], ids[7]}  # the first photo has two people, the second three
    patches = dataset.select_labels(ids=list(chosen), fields="pred").to_patches("pred")
    event = {"panel_id": "p", "panel_state": {}, "__method__": "on_load", "reviewer": "somebody"}
    drawn = Answer(dataset, "review_panel", event, patches).of("show_panel_output")[-1]["output"]["type"]["properties"]
    assert "0 of 3 people settled" in drawn["heading"]["default"]
    (params,) = (
        item["view"]["params"] for name, item in drawn["actions"]["type"]["properties"].items() if name == "accept_page"
    )
    assert set(params["label_ids"]) == chosen
    Answer(dataset, "review_panel", {**event, "__method__": "on_accept", **params}, patches)
    dataset.reload()
    accepted = {person.id for sample in dataset for person in sample.pred.keypoints if "accepted" in person.tags}
    assert accepted == chosen
