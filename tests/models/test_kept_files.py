"""What is kept can be lost, cut short or refused by the disk at any time, and nobody is the worse for it."""

import os
from pathlib import Path

import pytest

from clickpose.kept_files import KeptFiles, cache_folder


@pytest.fixture
def kept(tmp_path):
    return KeptFiles(tmp_path / "cache" / "graphs", ".graph", most=3)


def test_what_is_kept_is_read_again_and_nothing_else_lies_about(kept):
    assert kept.read("a") is None
    assert kept.keep("a", b"content") and kept.keep("empty", b"")
    assert (kept.read("a"), kept.read("empty")) == (b"content", b"")
    assert sorted(path.name for path in kept.folder.iterdir()) == ["a.graph", "empty.graph"]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + b"x" + b[41:], lambda b: b[:9]])
def test_a_damaged_file_counts_as_none(kept, damage):
    kept.keep("a", b"content")
    path = kept.folder / "a.graph"
    path.write_bytes(damage(path.read_bytes()))
    assert kept.read("a") is None
    assert kept.keep("a", b"again") and kept.read("a") == b"again"


def test_the_one_used_longest_ago_goes(kept):
    for age, name in enumerate("abc"):
        kept.keep(name, name.encode())
        os.utime(kept.folder / f"{name}.graph", (age, age))
    assert kept.read("a") == b"a"  # used just now
    kept.keep("d", b"d")
    assert [kept.read(name) for name in "abcd"] == [b"a", None, b"c", b"d"]


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("in the way")
    kept = KeptFiles(tmp_path / "file", ".graph")
    assert not kept.keep("a", b"content") and kept.read("a") is None


def test_the_cache_lies_where_it_was_put():
    assert cache_folder({"CLICKPOSE_CACHE_DIR": "/elsewhere", "XDG_CACHE_HOME": "/x"}) == Path("/elsewhere")
    assert cache_folder({"CLICKPOSE_CACHE_DIR": " ", "XDG_CACHE_HOME": "/x"}) == Path("/x/clickpose")
    assert cache_folder({}) == Path.home() / ".cache" / "clickpose"
