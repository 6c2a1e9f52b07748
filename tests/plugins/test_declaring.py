"""Fields that several declare, describe and delete at once, threads and processes: nobody's field is forgotten."""

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fiftyone as fo
import pytest

from clickpose_fiftyone.column_writes import write_columns
from clickpose_fiftyone.dataset_info import keep, kept_of
from clickpose_fiftyone.declaring import declare, delete_fields, describe
from clickpose_fiftyone.derived import refresh_derived
from clickpose_fiftyone.evaluation import evaluate_poses
from clickpose_fiftyone.field_names import ACCEPTED, REJECTED
from clickpose_fiftyone.fiftyone_internals import stored_fields
from clickpose_fiftyone.provenance import network_of
from clickpose_fiftyone.settling import settle
from clickpose_fiftyone.skeletons import set_skeleton

ROUNDS = 12
NUMBER, TEXT = (fo.FloatField, None), (fo.StringField, None)
OTHER_PROCESS = """
import sys
import fiftyone as fo
from clickpose_fiftyone.column_writes import write_columns
from clickpose_fiftyone.dataset_info import keep
from clickpose_fiftyone.declaring import declare
dataset = fo.load_dataset(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    name = f"theirs_{number}"
    declare(dataset, {name: (fo.FloatField, None), f"pred.keypoints.{name}": (fo.StringField, None)})
    keep(dataset, "clickpose_test", name, number)
"""


def test_fields_are_changed_in_one_place():
    """What writes FiftyOne's own list of fields back whole is called nowhere; a test of the race would rarely tell."""
    plugins = Path(__file__).resolve().parents[2] / "plugins"
    whole = re.compile(r"\.(add_(dynamic_)?|clone_|rename_|delete_|remove_dynamic_)(sample|frame)_fields?\(")
    found = [
        f"{path.relative_to(plugins)}: {line.strip()}"
        for path in plugins.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if whole.search(line)
    ]
    assert whole.search("dataset.add_sample_field(name, kind)") and whole.search("d.delete_sample_fields([name])")
    assert not found, f"{found}: call clickpose_fiftyone.declaring"


def stored_paths(dataset):
    """What the database says, whatever this process remembers: photos' fields and people's."""
    fields = {field["name"]: field for field in stored_fields(dataset)}
    people = next(inner for inner in fields["pred"]["fields"] if inner["name"] == "keypoints")
    return {*fields} | {f"pred.keypoints.{field['name']}" for field in people["fields"]}


def test_threads_that_declare_at_once_forget_nothing(person_dataset):
    dataset, names = person_dataset((2, 1)), ["a", "b", "c", "d"]
    start = threading.Barrier(len(names))

    def work(name):
        start.wait()
        for number in range(ROUNDS):
            declare(dataset, {f"{name}_{number}": NUMBER, f"pred.keypoints.{name}_{number}": TEXT})
            write_columns(dataset, "pred.keypoints", [None, None], {}, {f"{name}_{number}": [1.0, 2.0]})
            keep(dataset, "clickpose_test", f"{name}_{number}", number)
            assert len([sample.id for sample in dataset]) == 2  # photos can be read all the time

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(work, names))
    wanted = {f"{name}_{number}" for name in names for number in range(ROUNDS)}
    wanted |= {f"pred.keypoints.{name}" for name in wanted}
    assert wanted <= stored_paths(dataset)
    assert all(dataset.get_field(path) is not None for path in wanted)
    assert len(dataset.info["clickpose_test"]) == len(names) * ROUNDS
    assert {sample["b_3"] for sample in dataset} == {1.0, 2.0}
    dataset.reload()
    assert all(dataset.get_field(path) is not None for path in wanted)
    assert len(dataset.info["clickpose_test"]) == len(names) * ROUNDS


@pytest.mark.slow
def test_processes_that_declare_at_once_forget_nothing(person_dataset):
    dataset = person_dataset((2, 1))
    command = [sys.executable, "-c", OTHER_PROCESS, dataset.name, str(3 * ROUNDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "ready\n"
            other.stdin.write("go\n")
            other.stdin.flush()
            number = 0
            while other.poll() is None:  # this process declares, deletes and reads meanwhile
                declare(dataset, {f"own_{number}": NUMBER, f"gone_{number}": NUMBER})
                dataset.set_values(f"own_{number}", [1.0, 2.0])
                keep(dataset, "clickpose_test", f"own_{number}", number)
                delete_fields(dataset, [f"gone_{number}"])
                assert [sample[f"own_{number}"] for sample in dataset] == [1.0, 2.0]
                number += 1
            assert other.returncode == 0
        finally:
            other.kill()
    wanted = {f"theirs_{n}" for n in range(3 * ROUNDS)}
    people, own = {f"pred.keypoints.{name}" for name in wanted}, {f"own_{n}" for n in range(number)}
    stored = stored_paths(dataset)
    assert wanted | people | own <= stored and not any(path.startswith("gone") for path in stored)
    dataset.reload()
    assert set(dataset.info["clickpose_test"]) == wanted | own
    assert len([sample.id for sample in dataset]) == 2


def test_what_another_one_takes_from_the_list_is_declared_again(person_dataset):
    """FiftyOne itself, in a notebook beside, writes the list back whole as it read it before."""
    dataset = person_dataset((2, 1))
    declare(dataset, {"min_pred_oks": NUMBER})
    dataset.set_values("min_pred_oks", [0.5, 0.7])
    before = [field for field in stored_fields(dataset) if field["name"] != "min_pred_oks"]
    records = fo.core.odm.get_db_conn()["datasets"]
    records.update_one({"name": dataset.name}, {"$set": {"sample_fields": before}})
    assert dataset.get_field("min_pred_oks") is not None  # as this process remembers
    refresh_derived(dataset, "pred")
    assert "min_pred_oks" in stored_paths(dataset)
    dataset.reload()
    assert len([sample.min_pred_oks for sample in dataset]) == 2


def test_a_field_that_another_process_declared_is_known_before_photos_are_read(person_dataset):
    dataset = person_dataset((2, 1))
    records = fo.core.odm.get_db_conn()["datasets"]
    declare(dataset, {"theirs": NUMBER, "pred.keypoints.theirs": TEXT})
    fields = stored_fields(dataset)
    delete_fields(dataset, ["theirs", "pred.keypoints.theirs"])
    assert dataset.get_field("theirs") is None and dataset.get_field("pred.keypoints.theirs") is None
    held = dataset.first()
    records.update_one({"name": dataset.name}, {"$set": {"sample_fields": fields}})
    declare(dataset, {"ours": NUMBER})
    assert dataset.get_field("theirs") is not None and dataset.get_field("pred.keypoints.theirs") is not None
    assert held["theirs"] is None and held["ours"] is None  # also by photos that somebody holds
    held["ours"] = 0.5
    held.save()
    clone = dataset.clone()
    try:
        assert {"theirs", "ours"} <= stored_paths(clone) and clone.first().ours == 0.5
    finally:
        clone.delete()


def test_a_declared_field_is_as_fiftyones_own(person_dataset):
    dataset = person_dataset((2, 1))
    kinds = {
        "count": (fo.IntField, None), "marks": (fo.ListField, fo.FloatField),
        "others": (fo.EmbeddedDocumentField, fo.Keypoints), "others.keypoints.score": NUMBER,
    }  # fmt: skip
    declare(dataset, kinds)
    dataset.add_sample_field("count_", fo.IntField)
    dataset.add_sample_field("marks_", fo.ListField, subfield=fo.FloatField)
    dataset.add_sample_field("others_", fo.EmbeddedDocumentField, embedded_doc_type=fo.Keypoints)
    dataset.add_sample_field("others_.keypoints.score", fo.FloatField)
    fields = {field["name"]: field for field in stored_fields(dataset)}

    def undated(field):
        kept = {name: value for name, value in field.items() if name not in ("created_at", "name", "db_field")}
        return {**kept, "fields": [undated(inner) for inner in field.get("fields") or ()]}

    for name in ("count", "marks", "others"):
        assert undated(fields[name]) == undated(fields[f"{name}_"]) and fields[name]["created_at"] is not None
        assert fields[name]["db_field"] == name
    with pytest.raises(ValueError, match='Expected "count" to be free or a StringField'):
        declare(dataset, {"free": NUMBER, "count": TEXT})
    assert "free" not in stored_paths(dataset)
    declare(dataset, {"unknown": None})
    assert "unknown" not in stored_paths(dataset)
    describe(dataset, "count", "How many")
    assert dataset.get_field("count").description == "How many"
    dataset.reload()
    assert dataset.get_field("count").description == "How many"


def test_a_run_that_is_deleted_takes_its_fields_and_no_others(person_dataset):
    dataset = person_dataset((2, 1))
    before = stored_paths(dataset)
    evaluate_poses(dataset, eval_key="first")
    evaluate_poses(dataset, eval_key="second")
    held = dataset.first()
    dataset.delete_evaluation("first")
    assert {path for path in stored_paths(dataset) - before if "first" in path} == set()
    assert {"second_tp", "second_oks", "pred.keypoints.second_id"} <= stored_paths(dataset)
    assert dataset.get_field("first_tp") is None and "first_tp" not in held.field_names
    assert held["second_tp"] is not None
    dataset.reload()
    assert "first" not in str(dataset.first().to_dict()) and "second" in str(dataset.first().to_dict())


def test_what_is_kept_of_a_field_leaves_that_of_others(person_dataset):
    dataset = person_dataset((1,))
    dataset.info["clickpose_networks"] = None
    dataset.save()
    keep(dataset, "clickpose_networks", "other", {"model": "mine"})
    records = fo.core.odm.get_db_conn()["datasets"]
    records.update_one({"name": dataset.name}, {"$set": {"info.clickpose_networks.theirs": {"model": "x"}}})
    keep(dataset, "clickpose_networks", "pred", None)
    assert kept_of(dataset, "clickpose_networks", "other") == {"model": "mine"} and network_of(dataset, "pred") is None
    dataset.save()  # writes nothing of it
    dataset.reload()
    assert set(dataset.info["clickpose_networks"]) == {"other", "theirs", "pred"}
    set_skeleton(dataset, "pred")
    assert set(dataset.info["clickpose_skeletons"]) == {"gt", "pred"}


def test_many_who_settle_refresh_and_declare_at_once_leave_photos_that_can_be_read(person_dataset):
    """The way it failed: who settles and rejects at once declares who did it, and the photos' lowest OKS."""
    for _ in range(3):
        dataset = person_dataset((3,) * 4, noise=4.0)
        ids, names = dataset.values("pred.keypoints.id", unwind=True), ["Anna", "Ben", "Cem", "Dee"]
        start = threading.Barrier(len(names))

        def work(name, dataset=dataset, ids=ids, start=start):
            start.wait()
            settle(dataset, "pred", *((ids[2:], ACCEPTED) if name < "C" else (ids[:2], REJECTED)), name)
            refresh_derived(dataset, "pred")

        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(work, names))
        dataset.reload()
        assert all(len(person.tags) == 1 for sample in dataset for person in sample.pred.keypoints)
        assert {"min_pred_oks", "num_low_vis", "pred.keypoints.settled_by"} <= stored_paths(dataset)
