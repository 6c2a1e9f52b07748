"""A run's list never changes, a part is there whole or not at all, and another task is refused."""

from dataclasses import replace

import pytest

from clickpose.large_sets.manifests import Listed
from clickpose.large_sets.run_folder import Asked, RunFolder

ASKED = Asked(network="fake", threshold=0.0, max_pixels=1, max_bytes=1, skeleton="coco")


def listed(count, folder="/photos"):
    return [Listed(f"{number}.jpg", f"{folder}/{number}.jpg") for number in range(count)]


def rows(run, part):
    return [{"photo": photo.name, "people": []} for photo in run.photos(part)]


def test_photos_are_in_parts_each_once_and_in_order(tmp_path):
    run = RunFolder.start(tmp_path, ASKED, ["list"], [*listed(40), *listed(3)])
    assert (run.count, run.parts, run.part_size, run.doubles) == (40, 3, 16, 3)
    again = RunFolder(tmp_path)
    assert [photo for part in range(3) for photo in again.photos(part)] == listed(40)
    assert again.asked == ASKED and again.sources == ["list"]


@pytest.mark.parametrize(("count", "size"), [(1, 16), (800, 20), (30_000, 512)])
def test_parts_grow_with_the_set(tmp_path, monkeypatch, count, size):
    monkeypatch.setattr("clickpose.large_sets.run_folder._PARTS", 40)
    run = RunFolder.start(tmp_path, ASKED, [], listed(count))
    assert run.part_size == size and len(run.photos(run.parts - 1)) == (count - 1) % size + 1


def test_of_two_who_begin_one_lists_the_photos_for_both(tmp_path):
    first = RunFolder.start(tmp_path, ASKED, [], listed(40))
    second = RunFolder.start(tmp_path, ASKED, [], listed(41))  # another photo has come since
    assert first.list_hash == second.list_hash and second.count == 40


def test_a_part_is_done_once(tmp_path):
    run = RunFolder.start(tmp_path, ASKED, [], listed(40))
    assert run.done() == set() and not run.is_done(1)
    run.finish(1, rows(run, 1))
    run.finish(1, [])  # somebody else, later
    assert run.done() == {1} and run.is_done(1) and run.rows(1) == rows(run, 1)
    run.finish(1, [row | {"error": "x"} for row in rows(run, 1)], again=True)
    assert run.rows(1)[0]["error"] == "x"
    assert list((tmp_path / "partial").iterdir()) == []


def test_without_links_between_files_the_later_answers_count(tmp_path, monkeypatch):
    run = RunFolder.start(tmp_path, ASKED, [], listed(40))

    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("clickpose.large_sets.run_folder.os.link", refuse)
    run.finish(0, rows(run, 0))
    run.finish(0, rows(run, 0))
    assert run.rows(0) == rows(run, 0)


@pytest.mark.parametrize("damage", [lambda text: text[:-20], lambda text: text + text, lambda text: ""])
def test_a_damaged_part_is_told(tmp_path, damage):
    run = RunFolder.start(tmp_path, ASKED, [], listed(40))
    run.finish(1, rows(run, 1))
    path = tmp_path / "done" / "000001.jsonl"
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=r"part 1 .*000001\.jsonl"):
        run.rows(1)


@pytest.mark.parametrize(
    ("changes", "sources", "match"),
    [
        ({"network": "other"}, [], "Expected network 'fake', with which the run in .* began, got 'other'"),
        ({"threshold": 0.5}, [], "Expected threshold 0.0"),
        ({}, ["elsewhere"], "Expected the photos of list, .* got elsewhere"),
    ],
)
def test_another_task_needs_another_run(tmp_path, changes, sources, match):
    run = RunFolder.start(tmp_path, ASKED, ["list"], listed(3))
    run.check(ASKED, ["list"])
    run.check(ASKED, [])
    with pytest.raises(ValueError, match=match):
        run.check(replace(ASKED, **changes), sources)


def test_what_is_no_run_or_has_no_photos_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"Expected a run of clickpose predict in .*, got no .*run\.json"):
        RunFolder(tmp_path)
    with pytest.raises(ValueError, match="Expected photos, got none"):
        RunFolder.start(tmp_path, ASKED, [], [])
    with pytest.raises(ValueError, match=r"different names, got 0\.jpg twice"):
        RunFolder.start(tmp_path, ASKED, [], [*listed(1), *listed(1, "/others")])
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="Expected a run of clickpose predict"):
        RunFolder(tmp_path)
