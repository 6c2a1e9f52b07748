"""A part is one process's at a time, and nobody's once that process is gone."""

import json
import os
import socket
import subprocess
import sys

import pytest

from clickpose.large_sets.claims import Claims


def claim(folder, holder, age_s=0.0):
    """Write a claim of somebody else."""
    path = folder / "000003"
    path.write_text(json.dumps(holder))
    now = path.stat().st_mtime
    os.utime(path, (now - age_s, now - age_s))
    return path


def gone_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_claim_holds_until_the_end_of_the_block(tmp_path):
    one, other = Claims(tmp_path), Claims(tmp_path)
    with one.take(3) as mine:
        assert mine
        with other.take(3) as theirs, other.take(4) as beside:
            assert not theirs and beside
    with other.take(3) as theirs:
        assert theirs
    assert list(tmp_path.iterdir()) == []


def test_an_error_gives_the_part_back(tmp_path):
    with pytest.raises(KeyError), Claims(tmp_path).take(3):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("holder", "age_s", "taken"),
    [
        ({"host": "elsewhere", "process": 1}, 0, False),
        ({"host": "elsewhere", "process": 1}, 60, False),
        ({"host": "elsewhere", "process": 1}, 3600, True),
        ({"host": socket.gethostname(), "process": os.getpid()}, 60, False),
        ({"host": socket.gethostname(), "process": None}, 60, False),
    ],
)
def test_a_claim_ends_when_it_is_not_touched(tmp_path, holder, age_s, taken):
    claim(tmp_path, holder, age_s)
    with Claims(tmp_path, expires_s=120).take(3) as mine:
        assert mine == taken


def test_a_claim_of_a_process_that_is_gone_from_this_machine_ends_at_once(tmp_path):
    claim(tmp_path, {"host": socket.gethostname(), "process": gone_process()})
    with Claims(tmp_path).take(3) as mine:
        assert mine


@pytest.mark.parametrize("content", ["", "no JSON", "[]"])
def test_a_claim_that_was_cut_short_is_waited_for(tmp_path, content):
    path = tmp_path / "000003"
    path.write_text(content)
    with Claims(tmp_path).take(3) as mine:
        assert not mine
    os.utime(path, (0, 0))
    with Claims(tmp_path).take(3) as mine:
        assert mine


def test_what_somebody_has_taken_over_is_not_given_back_by_the_first(tmp_path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    with first.take(3):
        os.utime(tmp_path / "000003", (0, 0))  # held up for long
        with second.take(3) as mine:
            assert mine
            holding = (tmp_path / "000003").stat().st_ino
            first_ended = Claims(tmp_path)
            with first_ended.take(3) as third:
                assert not third
            assert (tmp_path / "000003").stat().st_ino == holding


def test_a_claim_is_touched_while_it_is_held(tmp_path):
    with Claims(tmp_path, expires_s=0.4).take(3):
        path = tmp_path / "000003"
        os.utime(path, (0, 0))
        while path.stat().st_mtime == 0:  # a thread does it, some time
            pass
