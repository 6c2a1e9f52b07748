"""Files that a command is to write are looked at before the work."""

import os

import pytest

from clickpose.outputs import check_outputs


def test_a_place_that_can_be_written_to_passes(tmp_path):
    check_outputs({"--out": None, "--json": tmp_path / "new.json"}, {"--photos": None})
    check_outputs({"--out": tmp_path / "new" / "folder" / "new.json"}, inputs=[tmp_path / "gt.json"])
    (tmp_path / "old.json").write_text("old")
    check_outputs({"--out": tmp_path / "old.json"})
    assert (tmp_path / "old.json").read_text() == "old"


def test_what_cannot_be_written_is_named(tmp_path, monkeypatch):
    old = tmp_path / "old.json"
    old.write_text("old")
    with pytest.raises(ValueError, match="Expected --out to be a file to write, got the folder"):
        check_outputs({"--out": tmp_path})
    with pytest.raises(ValueError, match=r"Expected --report in a folder, got .*old\.json, where a file stands"):
        check_outputs({"--report": old / "new.html"})
    with pytest.raises(ValueError, match="Expected --out to leave the input alone, got"):
        check_outputs({"--out": tmp_path / "x" / ".." / "old.json"}, inputs=[old])
    with pytest.raises(ValueError, match="Expected different files for --out and --json"):
        check_outputs({"--out": old, "--json": old})
    with pytest.raises(ValueError, match="Expected --photos in a folder"):
        check_outputs(folders={"--photos": old})
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    with pytest.raises(ValueError, match="Expected --out in a folder that can be written to"):
        check_outputs({"--out": old})
