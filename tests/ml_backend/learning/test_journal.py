"""The journal: nothing is lost and nothing counted twice, whatever is killed, repeated, late, full or damaged."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from clickpose_labelstudio.learning.events import read_events
from clickpose_labelstudio.learning.journal import JOURNAL, Journal, JournalError
from helpers.labelled import annotation, moved, person, webhook

POSE = person("cp-a", {"nose": (50, 20), "left_eye": (51, 19)})


def saved(number=1, second=0, result=POSE, **facts):
    return read_events(webhook(annotation(result, POSE, number=number, second=second, **facts)))


def deleted(number):
    return read_events({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": number}], "project": {"id": 7}})


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    yield made
    made.close()


def note(journal, *batches):
    for events in batches:
        journal.append(events)
    journal.apply_pending()


def test_an_event_is_the_same_however_often_it_is_told(journal):
    assert [journal.append(saved()), journal.append(saved()), journal.append(saved())] == [1, 0, 0]
    assert journal.pending() == 1
    assert [journal.apply_pending(), journal.apply_pending()] == [1, 0]
    assert journal.append(saved()) == 0
    (entry,) = journal.entries(7)
    assert (entry.annotation, entry.task, entry.annotator, entry.work.persons) == (1, 1, 1, 1)
    assert journal.fresh_persons(7) == 1
    assert journal.body(1)["result"] == POSE
    assert (journal.projects(), journal.entries(8), journal.body(2)) == ([7], [], None)


def test_what_comes_late_changes_nothing(journal):
    corrected = moved(POSE, "nose", 2, 0)
    note(journal, saved(second=5, result=corrected), saved(second=2))
    (entry,) = journal.entries(7)
    assert (entry.work.clicks, entry.revision) == (1, "2026-11-21T01:48:05.000000Z")
    note(journal, saved(second=9))
    assert journal.entries(7)[0].work.clicks == 0


def test_what_is_deleted_stays_so_and_is_kept(journal):
    note(journal, saved(1), saved(2, task=9), deleted(1))
    assert [entry.annotation for entry in journal.entries(7)] == [2]
    assert journal.fresh_persons(7) == 1
    note(journal, saved(1, second=9), deleted(3), saved(3))  # late, and told before it was created
    assert [entry.annotation for entry in journal.entries(7)] == [2]
    assert [entry.annotation for entry in journal.entries(7, deleted=True)] == [1, 2, 3]
    assert journal.body(1)["result"] == POSE
    note(journal, read_events({"action": "TASKS_DELETED", "tasks": [{"id": 9}]}), saved(4, task=9))
    assert journal.entries(7) == []


def test_regions_that_cannot_be_read_are_said_and_read_again(journal):
    broken = [{**POSE[0], "value": {"x": "left"}}]
    note(journal, saved(1, result=broken), saved(2))
    entry, sound = journal.entries(7)
    assert (entry.work.persons, "to be a percentage" in entry.problem, sound.problem) == (0, True, None)
    config = journal.label_config(7)
    journal.learn_config(7, "<View/>")
    note(journal, [replace(event, label_config=None) for event in saved(3)])
    assert journal.entries(7)[2].problem is not None
    journal.learn_config(7, config)
    journal.read_again(7)
    assert [e.problem is None for e in journal.entries(7)] == [False, True, True]


def test_what_nobody_foresaw_stands_in_the_way_of_nothing(journal, monkeypatch, caplog):
    strange = {**annotation(POSE, None, number=1), "completed_by": 10**40, "prediction": {"result": [{"id": 5}]}}
    with monkeypatch.context() as patch:
        patch.setattr("clickpose_labelstudio.learning.journal.work_of", lambda *_: {}["a fault"])
        note(journal, saved(2))
    note(journal, read_events(webhook(strange)))
    assert [(e.annotation, e.annotator, e.problem) for e in journal.entries(7)] == [(1, None, None)]
    assert "Event 1 of the journal cannot be applied" in caplog.text
    assert journal.pending() == 0


def test_a_wish_is_one_until_it_ends_and_takes_what_is_new(journal):
    training = read_events({"action": "START_TRAINING", "project": {"id": 7}})
    note(journal, saved(1), training, training)
    journal.wish(7, "25 new persons")
    journal.wish(8, "25 new persons")
    wish = journal.open_wish()
    assert (wish.project, wish.reason, wish.job, wish.starts) == (7, "Start training", None, 0)
    journal.begin_wish(wish, "project-7-1")
    assert journal.fresh_persons(7) == 0
    note(journal, saved(2))
    journal.begin_wish(journal.open_wish(), "project-7-1")  # it was stopped and goes on with what it had
    assert (journal.fresh_persons(7), journal.open_wish().starts) == (1, 2)
    journal.end_wish(wish.number, "finished")
    assert journal.open_wish().project == 8
    note(journal, saved(1, second=30))  # a correction is new, too
    assert journal.fresh_persons(7) == 2
    journal.wish(7, "again")
    assert journal.open_wish().project == 8


CRASH = """
import os, sys
from helpers.labelled import annotation, person, webhook
from clickpose_labelstudio.learning import journal as module
from clickpose_labelstudio.learning.events import read_events
pose = person("cp-a", {"nose": (50, 20)})
events = read_events(webhook(annotation(pose, pose, number=int(sys.argv[2]))))
book = module.Journal(sys.argv[1])
kill = lambda *_: os.kill(os.getpid(), 9)
if sys.argv[3] == "before the end of the transaction":
    module._learn_config = kill
book.append(events)
if sys.argv[3] == "while it is worked out":
    module.work_of = kill
book.apply_pending() if sys.argv[3] != "after it was written" else kill()
"""


@pytest.mark.parametrize(
    ("moment", "known"),
    [("before the end of the transaction", 0), ("after it was written", 1), ("while it is worked out", 1)],
)
def test_a_process_that_is_killed_loses_nothing_that_was_answered(tmp_path, journal, moment, known):
    command = [sys.executable, "-c", CRASH, str(tmp_path), "5", moment]
    assert subprocess.run(command, env=_environment()).returncode == -9
    assert journal.pending() == known
    assert journal.apply_pending() == known
    assert [entry.work.persons for entry in journal.entries(7)] == [1] * known
    journal.append(saved(6))
    assert journal.apply_pending() == 1


WRITE = """
import sys
from helpers.labelled import annotation, person, webhook
from clickpose_labelstudio.learning.events import read_events
from clickpose_labelstudio.learning.journal import Journal
pose, book = person("cp-a", {"nose": (50, 20)}), Journal(sys.argv[1])
for number in range(1, 41):
    book.append(read_events(webhook(annotation(pose, pose, number=number))))
    book.apply_pending()
"""


@pytest.mark.slow
def test_two_processes_on_one_folder_write_everything_once(tmp_path):
    folder = tmp_path / "new"
    both = [subprocess.Popen([sys.executable, "-c", WRITE, str(folder)], env=_environment()) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    journal = Journal(folder)
    with ThreadPoolExecutor(4) as threads:  # and its threads
        assert sum(threads.map(lambda number: journal.append(saved(number)), range(30, 60))) == 19
    journal.apply_pending()
    assert [entry.annotation for entry in journal.entries(7)] == list(range(1, 60))
    journal.close()


def test_a_full_disk_is_said_and_goes_on_afterwards(journal):
    note(journal, saved(1))
    pages = journal._database().execute("PRAGMA page_count").fetchone()[0]
    journal._database().execute(f"PRAGMA max_page_count = {pages}")
    long = person("cp-a", {"nose": (50, 20)})
    long[0]["meta"] = {"text": [str(number * 7919 % 99991) for number in range(20_000)]}
    with pytest.raises(JournalError, match=r"journal\.sqlite cannot be used: database or disk is full"):
        journal.append(saved(2, result=long))
    assert [entry.annotation for entry in journal.entries(7)] == [1]
    journal._database().execute("PRAGMA max_page_count = 1000000")
    note(journal, saved(2, result=long))
    assert [entry.annotation for entry in journal.entries(7)] == [1, 2]


def test_a_damaged_file_is_put_aside_by_one_and_left_by_the_other(tmp_path, journal):
    other = Journal(tmp_path)
    note(journal, saved(1))
    assert len(other.entries(7)) == 1
    journal.close()
    for ending in ("-wal", "-shm"):  # what they hold would still be read
        (tmp_path / f"{JOURNAL}{ending}").unlink()
    (tmp_path / JOURNAL).write_bytes(b"no database at all" * 500)
    with pytest.raises(JournalError, match="was damaged"):
        journal.append(saved(2))
    note(journal, saved(3))
    assert [entry.annotation for entry in other.entries(7)] == [3]  # not what it had open
    assert len(list(tmp_path.glob(f"{JOURNAL}.damaged-*"))) == 1
    other.close()


def test_a_folder_that_cannot_be_made_and_a_newer_layout_are_sentences(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be made: Not a directory"):
        Journal(tmp_path / "file" / "in").append(saved())
    with sqlite3.connect(tmp_path / JOURNAL) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(JournalError, match="of a newer Click-Pose"):
        Journal(tmp_path).append(saved())


def _environment():
    import os
    from pathlib import Path

    tests = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
