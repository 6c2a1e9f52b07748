"""The contract with what is private in FiftyOne: each function does what its docstring says, and nobody else asks."""

import ast
from pathlib import Path

import fiftyone as fo
import pytest
from bson import ObjectId
from pymongo import UpdateOne

from clickpose_fiftyone import fiftyone_internals as internals

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
HOME = PLUGINS / "clickpose_fiftyone" / "fiftyone_internals.py"


def changed(function) -> str:
    return (
        f"FiftyOne {fo.__version__} changed what clickpose_fiftyone.fiftyone_internals.{function.__name__} stands on; "
        f"mend it there. It promises: {function.__doc__.splitlines()[0]}"
    )


def promise(function, *args, **kwargs):
    """Call a function of the contract; what FiftyOne does not know any more is a sentence."""
    try:
        return function(*args, **kwargs)
    except (AttributeError, KeyError, TypeError) as error:
        pytest.fail(f"{changed(function)} ({error})")


@pytest.fixture
def patches(person_dataset):
    return person_dataset((2, 1)).to_patches("pred")


def test_a_dataset_and_its_views_lead_to_the_dataset(person_dataset):
    dataset = person_dataset((2, 1))
    for samples in (dataset, dataset.view(), dataset.limit(1)):
        for function in (internals.dataset_of, internals.root_dataset_of):
            assert promise(function, samples).name == dataset.name, changed(function)


def test_patches_lead_to_their_own_documents_and_to_what_the_user_opened(person_dataset):
    dataset = person_dataset((2, 1))
    patches = dataset.to_patches("pred")
    assert promise(internals.root_dataset_of, patches).name == dataset.name, changed(internals.root_dataset_of)
    own = promise(internals.dataset_of, patches)
    assert own.name != dataset.name and own.get_field("pred").document_type is fo.Keypoint, changed(
        internals.dataset_of
    )


def test_people_cut_out_and_copies_are_told_from_photos(person_dataset):
    dataset = person_dataset((2, 1))
    for samples, cut_out in ((dataset, False), (dataset.limit(1), False), (dataset.to_patches("pred"), True)):
        for function in (internals.is_patches, internals.is_generated):
            assert promise(function, samples) is cut_out, changed(function)


def test_frames_of_videos_are_copies_but_no_people(new_dataset):
    video = fo.Sample("/nowhere/video.mp4")
    video.frames[1] = fo.Frame(filepath="/nowhere/video/1.jpg")
    frames = new_dataset(video).to_frames(sample_frames=False)
    assert promise(internals.is_generated, frames) is True, changed(internals.is_generated)
    assert promise(internals.is_patches, frames) is False, changed(internals.is_patches)


def test_a_view_is_rebuilt_from_its_stages(person_dataset):
    dataset = person_dataset((2, 1, 0))
    view = dataset.skip(1).limit(1)
    stages = promise(internals.serialized_view, view)
    rebuilt = fo.DatasetView._build(dataset, stages)
    assert rebuilt.values("id") == view.values("id"), changed(internals.serialized_view)
    assert promise(internals.serialized_view, dataset) == [], changed(internals.serialized_view)


def test_ids_are_those_of_the_database_in_the_order_of_the_view(person_dataset):
    dataset = person_dataset((1, 1, 1))
    view = dataset.sort_by("filepath", reverse=True)
    ids = promise(internals.object_ids, view)
    assert all(isinstance(known, ObjectId) for known in ids), changed(internals.object_ids)
    assert list(map(str, ids)) == view.values("id"), changed(internals.object_ids)


def test_operations_reach_the_photos(person_dataset):
    dataset = person_dataset((1, 1))
    dataset.add_sample_field("number", fo.IntField)
    view = dataset.limit(1)
    operations = [UpdateOne({internals.ID: internals.object_ids(view)[0]}, {"$set": {"number": 3}})]
    promise(internals.write_operations, view, operations)
    assert dataset.values("number") == [3, None], changed(internals.write_operations)
    internals.write_operations(view, [])  # nothing to do is nothing to say


def test_held_samples_are_found_and_told_what_was_written_without_writing_it_again(person_dataset):
    dataset = person_dataset((1, 1))
    assert promise(internals.loaded_samples, dataset) == {}, changed(internals.loaded_samples)
    held = dataset.first()
    assert dict(internals.loaded_samples(dataset)) == {held.id: held}, changed(internals.loaded_samples)
    person = held.pred.keypoints[0]
    promise(internals.set_loaded, person, pred_oks=0.125, visibility=[0.5] * 17)
    promise(internals.set_loaded, held, filepath="/nowhere/other.jpg")
    assert (person.pred_oks, person.visibility[3], held.filepath) == (0.125, 0.5, "/nowhere/other.jpg")
    held.tags.append("mine")
    held.save()
    stored = dataset.values(["filepath", "pred.keypoints.pred_oks", "tags"])
    assert stored[0][0] == "/nowhere/0.jpg" and stored[1][0] != [0.125], changed(internals.set_loaded)
    assert stored[2][0] == ["mine"]


def test_columns_are_read_as_they_are_stored_in_the_order_of_the_view(person_dataset):
    dataset = person_dataset((2, 0, 1))
    view = dataset.sort_by("filepath", reverse=True).skip(1)
    wanted = {"path": "$filepath", "none": "$nothing", "ids": "$pred.keypoints._id"}
    found = promise(internals.raw_columns, view, wanted)
    assert found["path"] == view.values("filepath") and found["none"] == [None, None], changed(internals.raw_columns)
    ids = [[str(label_id) for label_id in ids] for ids in found["ids"]]
    assert ids == view.values("pred.keypoints.id"), changed(internals.raw_columns)


def test_every_change_is_noticed_and_nothing_else(person_dataset):
    dataset = person_dataset((2, 1))
    seen = [promise(internals.last_change, dataset)]
    assert internals.last_change(dataset.limit(1)) == seen[0], changed(internals.last_change)
    label = dataset.first().pred.keypoints[0]
    changes = (
        lambda: dataset.select_labels(ids=[label.id], fields="pred").tag_labels("seen"),
        lambda: dataset.add_sample(fo.Sample("/nowhere/new.jpg")),
        lambda: (dataset.info.update(note="new"), dataset.save()),
        lambda: dataset.delete_samples([dataset.last().id]),
    )
    for change in changes:
        change()
        seen.append(internals.last_change(dataset))
    assert len(set(seen)) == len(seen), changed(internals.last_change)


def test_views_are_compared_without_the_numbers_of_the_app(person_dataset):
    dataset = person_dataset((2, 1))
    first, again = (promise(internals.stages_of, dataset.limit(1).skip(0)) for _ in range(2))
    assert first == again and len(first) == 2 and first != internals.stages_of(dataset.limit(2)), changed(
        internals.stages_of
    )
    assert internals.stages_of(dataset) == []


@pytest.mark.parametrize(("kind", "name"), [(fo.Keypoints, "keypoints"), (fo.Detections, "detections")])
def test_labels_are_kept_in_a_list_of_documents(kind, name):
    assert promise(internals.list_name, kind) == name, changed(internals.list_name)
    one = {fo.Keypoints: fo.Keypoint, fo.Detections: fo.Detection}[kind](label="person")
    stored = kind(**{name: [one]}).to_dict()
    assert stored[internals.CLASS] == kind.__name__ and isinstance(stored[name][0][internals.ID], ObjectId), (
        f"FiftyOne {fo.__version__} stores labels in another form; mend clickpose_fiftyone.column_writes.documents"
    )
    own = promise(internals.own_attributes, kind)
    assert set(stored[name][0]) <= own, changed(internals.own_attributes)
    assert "pred_oks" not in own and {"label", "tags"} <= own, changed(internals.own_attributes)


def test_the_parameters_of_a_backend_are_the_given_ones_else_the_configured_ones():
    from clickpose_fiftyone.backends import BACKEND, register_backends
    from clickpose_fiftyone.labelstudio_pose import LabelStudioPoseBackendConfig

    register_backends()
    config = LabelStudioPoseBackendConfig(BACKEND, {}, url="http://first")
    promise(internals.take_parameters, config, url="http://second", api_key=None)
    assert config.url == "http://second" and config.api_key is None, changed(internals.take_parameters)
    fo.annotation_config.backends[BACKEND]["api_key"] = "configured"
    try:
        internals.take_parameters(config, url=None, api_key=None)
    finally:
        register_backends()
    assert config.url == "http://second" and config.api_key == "configured", changed(internals.take_parameters)


def test_stored_results_come_back_through_the_mix_in(person_dataset):
    from clickpose_fiftyone.backends import register_backends
    from clickpose_fiftyone.evaluation import PoseEvaluationResults, evaluate_poses

    register_backends()
    dataset = person_dataset((2, 1, 0))
    figures = evaluate_poses(dataset, "pred", "gt", "run").figures
    loaded = dataset.load_evaluation_results("run", cache=False)
    assert isinstance(loaded, PoseEvaluationResults) and loaded.figures == figures, changed(internals.RestoredResults)


def _modules() -> list[Path]:
    return [path for path in sorted(PLUGINS.rglob("*.py")) if path != HOME]


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _own_names(tree: ast.Module) -> set[str]:
    """Names that a module gives to functions, classes, variables and attributes."""
    nodes = list(ast.walk(tree))
    named = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    stored = [node for node in nodes if isinstance(getattr(node, "ctx", None), ast.Store)]
    named |= {node.attr for node in stored if isinstance(node, ast.Attribute)}
    return named | {node.id for node in stored if isinstance(node, ast.Name)}


def _foreign_private_names(tree: ast.Module, own: set[str]) -> list[str]:
    """Private names that a module uses and that are none of ours."""
    used = [
        f"line {node.lineno}: .{node.attr}" for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and _private(node.attr) and node.attr not in own
    ]  # fmt: skip
    imported = [
        f"line {node.lineno}: {alias.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        for alias in node.names if _private(alias.name) and (node.module or "").startswith("fiftyone")
    ]  # fmt: skip
    return used + imported


def test_no_other_module_uses_what_is_private_in_fiftyone():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _modules()}
    own = set().union(*map(_own_names, trees.values()))
    found = {str(path.relative_to(PLUGINS)): _foreign_private_names(tree, own) for path, tree in trees.items()}
    found = {path: names for path, names in found.items() if names}
    assert not found, f"Private names of FiftyOne {found}: put them into fiftyone_internals.py"


def test_the_search_finds_what_it_looks_for():
    planted = ast.parse(
        "from fiftyone.core.view import _make\n"
        "class A:\n"
        "    def _own(self):\n"
        "        self._x, _y = samples._dataset, self._own()\n"
        "        return self._x\n"
    )
    assert _own_names(planted) == {"A", "_own", "_x", "_y"}
    assert _foreign_private_names(planted, _own_names(planted)) == ["line 4: ._dataset", "line 1: _make"]


def test_no_class_overrides_what_is_private_in_fiftyone():
    from clickpose_fiftyone import evaluation, labelstudio_pose, model

    for module in (evaluation, labelstudio_pose, model):
        for kind in vars(module).values():
            if not isinstance(kind, type) or kind.__module__ != module.__name__:
                continue
            bases = [base for base in kind.__mro__ if base.__module__.startswith(("fiftyone.", "eta."))]
            overridden = [name for name in vars(kind) if _private(name) and any(hasattr(base, name) for base in bases)]
            overridden = [name for name in overridden if not name.startswith("_abc_")]  # of Python's own ABCs
            assert not overridden, f"{kind.__name__} overrides {overridden}: put that into fiftyone_internals.py"
