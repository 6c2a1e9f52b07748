"""Files that a command is to write are looked at before the work."""

import os

import pytest

from clickpose.outputs import check_output


def test_a_place_that_can_be_written_to_passes(tmp_path):
    check_output("out", None)
    check_output("out", tmp_path / "new.json")
    check_output("out", tmp_path / "new" / "folder" / "new.json")  # which will be made
    (tmp_path / "old.json").write_text("old")
    check_output("out", tmp_path / "old.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


def test_what_cannot_be_written_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="Expected a file for `out`, got the folder"):
        check_output("out", tmp_path)
    (tmp_path / "old.json").write_text("old")
    with pytest.raises(ValueError, match=r"Expected a folder to write `report` to, got .*: .*old\.json is a file"):
        check_output("report", tmp_path / "old.json" / "new.html")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    for path in (tmp_path / "old.json", tmp_path / "new.json"):
        with pytest.raises(ValueError, match=r"Expected a place to write `out` to, got .*nothing may be written"):
            check_output("out", path)
