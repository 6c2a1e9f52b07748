"""A working folder goes on with its own plan and no other: every setting of every plan counts or is named."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from clickpose.data.persons import Augmentation
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset, labels_digest
from clickpose.lite import train as lite_train
from clickpose.lite.train import LitePlan, TrainingFolder
from clickpose.networks.backbone import BackboneConfig
from clickpose.networks.movenet_backbone import MoveNetBackboneConfig
from clickpose.r50 import train as r50_train
from clickpose.r50.train import PRESETS, R50Plan, WeightedData
from clickpose.skeleton import COCO
from clickpose.training.engine import TrainConfig
from clickpose.training.plan import describe_plan, keep_plan


def person(folder: Path, number: int = 1, **changes) -> PersonRecord:
    values = {
        "annotation_id": number, "image_path": folder / "a.png", "image_hw": (80, 90), "keypoints": np.ones((17, 2)),
        "visibility": np.full(17, 2), "box_xyxy": np.array([1.0, 2, 30, 40]), "area": 900.0, "visibility_known": True,
    }  # fmt: skip
    return PersonRecord(**(values | changes))


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "people"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations.json").write_text("{}")
    return folder


@pytest.fixture
def lite_plan(tmp_path, data) -> LitePlan:
    start = tmp_path / "start.safetensors"
    start.write_bytes(b"weights")
    return LitePlan([TrainingFolder(data), TrainingFolder(data, 0.5, 10, "mpii", data / "images")], start, tmp_path)


@pytest.fixture
def r50_plan(tmp_path, data) -> R50Plan:
    people = PoseDataset(
        name="people", skeleton=COCO, images=[ImageRecord(1, data / "images" / "a.png", (80, 90))],
        persons=[person(data)],
    )  # fmt: skip
    return R50Plan([WeightedData(people, 2.0)], PRESETS["small"], tmp_path, None, tmp_path / "backbone.pth")


def variants(value, name: str = ""):
    """Yield (dotted name, changed copy) for every field of a value, and of the dataclasses in it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, PoseDataset):
        for part in dataclasses.fields(value):
            for where, changed in variants(getattr(value, part.name), f"{name}.{part.name}".removeprefix(".")):
                copied = copy.copy(value)  # past the checks of values: only that it differs matters here
                object.__setattr__(copied, part.name, changed)
                yield where, copied
    elif isinstance(value, WeightedData):
        yield f"{name}.weight", value._replace(weight=value.weight + 1)
    elif isinstance(value, (list, tuple)) and value and not isinstance(value[0], (int, float, str, tuple)):
        yield name, [*value, value[0]]
        for number, item in enumerate(value):
            for where, changed in variants(item, f"{name}.{number}"):
                yield where, [*value[:number], changed, *value[number + 1 :]]
    else:
        yield name, other_than(value)


def other_than(value):
    if isinstance(value, Path):
        return value.with_name("other")
    if isinstance(value, dict):
        return {**value, "other": ()}
    if isinstance(value, (list, tuple)):
        return (*value, 1)
    return {bool: lambda: not value, str: lambda: f"{value}x", type(None): lambda: 3}.get(
        type(value), lambda: value + 1
    )()


@pytest.mark.parametrize(
    ("fixture", "may_differ"), [("lite_plan", lite_train.MAY_DIFFER), ("r50_plan", r50_train.MAY_DIFFER)]
)
def test_two_plans_that_differ_in_any_setting_never_go_on_with_each_other(fixture, may_differ, request, tmp_path):
    plan = request.getfixturevalue(fixture)
    keep_plan(tmp_path / "run", describe_plan(plan, may_differ))
    seen = set()
    for name, changed in variants(plan):
        seen.add(name)
        if name in may_differ:
            keep_plan(tmp_path / "run", describe_plan(changed, may_differ))
        else:
            with pytest.raises(ValueError, match=rf"\b{name}\b.* and was .*Name another working folder"):
                keep_plan(tmp_path / "run", describe_plan(changed, may_differ))
    assert set(may_differ) < seen
    keep_plan(tmp_path / "run", describe_plan(plan, may_differ))


def test_what_may_differ_is_decided_here():
    """A new exception needs a reason: what it changes must not change the weights that a number of steps gives."""
    kinds = {name.rpartition(".")[2] for name in (*lite_train.MAY_DIFFER, *r50_train.MAY_DIFFER)}
    assert kinds == {"out", "steps", "epochs", "workers", "checkpoint_steps"}
    assert "trunk.steps" not in lite_train.MAY_DIFFER  # the cached features and the decoder stand on the trunk's end


def test_every_field_of_the_plans_has_a_name(lite_plan, r50_plan):
    for plan, nested in (
        (lite_plan, {"trunk": TrainConfig, "decoder": TrainConfig, "augmentation": Augmentation}),
        (r50_plan, {"preset.train": TrainConfig, "preset.network": type(PRESETS["small"].network)}),
    ):
        names = {name.split(".")[0] for name in describe_plan(plan)}
        assert names == {part.name for part in dataclasses.fields(plan)}
        for place, kind in nested.items():
            for part in dataclasses.fields(kind):
                assert any(name.startswith(f"{place}.{part.name}") for name in describe_plan(plan)), part.name


def test_files_count_by_what_they_hold(lite_plan, data, tmp_path):
    before = describe_plan(lite_plan)
    (data / "annotations.json").write_text('{"images": []}')
    after = describe_plan(lite_plan)
    assert {name for name in after if after[name] != before[name]} == {"folders.0.path", "folders.1.path"}
    (tmp_path / "start.safetensors").write_bytes(b"other weights")
    assert describe_plan(lite_plan)["start"] != before["start"]
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "start.safetensors").rename(tmp_path / "elsewhere" / "start.safetensors")
    moved.write_bytes(b"weights")
    assert describe_plan(dataclasses.replace(lite_plan, start=moved))["start"] == before["start"]


def test_data_in_memory_count_by_their_labels(r50_plan, data):
    def mark(**changes):
        dataset = dataclasses.replace(r50_plan.data[0].dataset, **changes)
        return describe_plan(dataclasses.replace(r50_plan, data=[WeightedData(dataset, 2.0)]))

    base = describe_plan(r50_plan)
    assert mark() == base
    moved = np.ones((17, 2))
    moved[3, 1] += 1e-9
    for changes in (
        {"persons": [person(data, keypoints=moved)]},
        {"persons": [person(data, crowd=True)]},
        {"persons": [], "ignored": [person(data)]},
        {"images": []},
        {"name": "others"},
        {"skeleton": dataclasses.replace(COCO, sigmas=(0.03, *COCO.sigmas[1:]))},
    ):
        assert mark(**changes) != base, changes


def test_every_field_of_a_person_is_in_the_digest_of_labels(tmp_path):
    base, changed = person(tmp_path), {}
    for part in dataclasses.fields(PersonRecord):
        value = getattr(base, part.name)
        changed[part.name] = value + 1 if isinstance(value, np.ndarray) else other_than(value)
    digests = {labels_digest([dataclasses.replace(base, **{name: value})]) for name, value in changed.items()}
    assert len(digests | {labels_digest([base])}) == 1 + len(changed)
    first, second = person(tmp_path, 1), person(tmp_path, 2)
    assert labels_digest([first, second]) != labels_digest([second, first])


def test_two_kinds_of_settings_with_the_same_fields_differ():
    @dataclasses.dataclass
    class Plan:
        backbone: object

    names = [describe_plan(Plan(kind)) for kind in (BackboneConfig(), MoveNetBackboneConfig())]
    assert [name["backbone"] for name in names] == ["BackboneConfig", "MoveNetBackboneConfig"]


def test_many_differences_are_counted_and_values_are_shown_as_they_are(tmp_path):
    keep_plan(tmp_path, {**dict.fromkeys("abcdefg", 1), "gone": [1, 2]})
    message = (
        r"a is 0.5 and was 1; b is 0.5 and was 1; c is 0.5 and was 1; d is 0.5 and was 1; e is 0.5 and was 1; "
        r"and 4 more. Name"
    )
    with pytest.raises(ValueError, match=message):
        keep_plan(tmp_path, {**dict.fromkeys("abcdefg", 0.5), "new": None})
    with pytest.raises(ValueError, match=r"got another: new is null and was not set; gone is not set and was \[1, 2\]"):
        keep_plan(tmp_path, {**dict.fromkeys("abcdefg", 1), "new": None})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"data": [["/people", 1.0]], "start": "/lite.safetensors", "seeds": [0, 0]}', "0.1.0 wrote down only a part"),
        ('{"version": 3, "plan": {}}', "a training of this version, got one begun with another"),
        ('{"version": 2, "pl', "got a damaged file"),
        ("[]", "got a damaged file"),
    ],
)
def test_a_folder_of_another_version_or_a_damaged_one_is_refused_and_stays(tmp_path, content, sentence):
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(ValueError, match=f"{sentence}.*name another working folder"):
        keep_plan(tmp_path, {"a": 1})
    assert (tmp_path / "plan.json").read_text() == content


def test_an_exception_that_hides_nothing_and_a_value_that_cannot_be_kept_are_errors():
    @dataclasses.dataclass
    class Plan:
        value: object = 1

    with pytest.raises(ValueError, match="Expected settings of Plan, got stesp"):
        describe_plan(Plan(), ("stesp",))
    with pytest.raises(TypeError, match="Expected a plain value for value of a plan, got set"):
        describe_plan(Plan({1}))
    assert json.dumps(describe_plan(Plan((1, (2.5, "x"))))) == '{"value": [1, [2.5, "x"]]}'
