"""How the labelling goes: figures by hand, by annotator, day and version; the table, the page, Prometheus."""

import csv
import io
import math

import pytest

from clickpose_labelstudio.learning.events import read_events
from clickpose_labelstudio.learning.journal import Journal
from clickpose_labelstudio.learning.statistics import COLUMNS, as_csv, figures_of, grouped, reliability
from clickpose_labelstudio.learning.stats_page import plot, stats_page
from helpers.labelled import annotation, moved, person, webhook

POSE = person("cp-a", {"nose": (50, 20), "left_eye": (51, 19)}, score=0.75)


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    two = [*moved(POSE, "nose", 1, 0), *person("cp-b", {"nose": (20, 20)}, origin="manual")]
    first = annotation(two, POSE, number=1, annotator=1, lead_time=30.0)
    second = {**annotation(POSE, POSE, number=2, annotator=2, lead_time=10.0), "created_at": "2026-11-22T08:00:00Z"}
    third = {**annotation(moved(POSE, "nose", 0, 0), None, number=3, annotator=2), "lead_time": None}
    skipped = {**annotation(POSE, POSE, number=4, annotator=2), "was_cancelled": True}
    for each in (first, second, third, skipped):
        made.append(read_events(webhook(each)))
    made.apply_pending()
    yield made
    made.close()


def test_figures_worked_out_by_hand(journal):
    found = figures_of(journal.entries(7))
    assert (found.annotations, found.persons) == (3, 4)
    assert found.clicks_a_person == 3 / 4  # a nose that was moved, two that were placed where none was predicted
    assert found.seconds_a_person == 40 / 3  # of the two annotations whose time is known
    assert (found.unseen_share, found.accepted_share) == (4 / 7, 0)
    assert found.predicted_oks == 0.75
    assert found.checked_true_oks < found.true_oks < 1
    assert found.calibration_error == pytest.approx(abs(found.true_oks - 0.75), abs=1e-3)


def test_groups_say_who_when_and_with_which_network(journal):
    by_annotator = grouped(journal.entries(7), "annotator")
    assert {name: each.persons for name, each in by_annotator.items()} == {"1": 2, "2": 2}
    assert {n: each.annotations for n, each in grouped(journal.entries(7), "day").items()} == {
        "2026-11-21": 2, "2026-11-22": 1,
    }  # fmt: skip
    assert list(grouped(journal.entries(7), "version")) == ["clickpose-1", "none"]
    with pytest.raises(ValueError, match="`by` to be one of all, annotator, day, version"):
        grouped(journal.entries(7), "team")
    ((low, true, joints),) = reliability(journal.entries(7))
    assert (low, joints) == (0.75, 4) and true == pytest.approx(figures_of(journal.entries(7)).true_oks)


def test_the_table_has_all_groups_and_no_formula(journal):
    entries = journal.entries(7)
    entries[0].work.__dict__["version"] = "=cmd()"
    rows = list(csv.DictReader(io.StringIO(as_csv(entries))))
    assert list(rows[0]) == ["grouping", "group", *COLUMNS]
    assert [(row["grouping"], row["persons"]) for row in rows[:3]] == [
        ("all", "4"),
        ("annotator", "2"),
        ("annotator", "2"),
    ]
    assert "'=cmd()" in [row["group"] for row in rows]


def test_nothing_is_said_of_nothing():
    found = figures_of([])
    assert (found.persons, math.isnan(found.clicks_a_person), math.isnan(found.calibration_error)) == (0, True, True)
    assert "<svg" in plot([]) and "–" in stats_page([], None, [])


def test_the_page_escapes_what_comes_from_outside(journal):
    entries = journal.entries(7)
    entries[0].work.__dict__["version"] = "<script>alert(1)</script>"
    page = stats_page(entries, 7, [7, 8])
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "project 7" in page and 'href="?project=8"' in page and "stats.csv?project=7" in page
