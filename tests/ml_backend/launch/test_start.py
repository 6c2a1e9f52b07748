"""Starting and stopping everything, with stand-ins for both servers."""

import os
import sys

import pytest

from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.folder import DataFolder, FolderLock
from clickpose_labelstudio.launch.start import LaunchOptions, label_studio_environment, running, start


def is_free(data_dir) -> bool:
    """Tell whether no launcher holds a data folder."""
    lock = FolderLock(DataFolder(data_dir))
    held_by = lock.acquire()
    lock.release()
    return held_by is None


@pytest.fixture
def broken_label_studio(tmp_path):
    """A Python that says it has Label Studio, which then fails."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] && { echo 1.22.0; exit; }\necho no such table; exit 1\n')
    python.chmod(0o755)
    return python


def test_missing_label_studio_is_a_sentence(tmp_path, capsys):
    options = LaunchOptions(data_dir=tmp_path / "data", label_studio_python=tmp_path / "python")
    assert start(options) == 1
    assert "Run `make setup`" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_second_start_says_where_the_first_is(tmp_path, capsys, broken_label_studio):
    lock = FolderLock(DataFolder(tmp_path))
    assert lock.acquire() is None
    lock.announce({"pid": 4711, "url": "http://localhost:8080/projects/1/data"})
    try:
        assert start(LaunchOptions(data_dir=tmp_path, label_studio_python=broken_label_studio)) == 0
    finally:
        lock.release()
    said = capsys.readouterr().out
    assert "running already at http://localhost:8080/projects/1/data" in said and "4711" in said


def test_named_backend_must_answer(tmp_path, broken_label_studio):
    options = LaunchOptions(
        data_dir=tmp_path / "data",
        label_studio_python=broken_label_studio,
        backend_url="http://127.0.0.1:9",
        port=28200,
    )
    with (
        pytest.raises(LaunchError, match=r"No backend answers at http://127\.0\.0\.1:9/health"),
        running(options, print),
    ):
        pass
    assert is_free(tmp_path / "data")


@pytest.mark.slow
def test_failing_label_studio_is_reported_and_the_backend_stopped(tmp_path, monkeypatch, broken_label_studio):
    """The launcher tells what it printed and leaves nothing behind."""
    monkeypatch.setenv("CLICKPOSE_CACHE_DIR", str(tmp_path / "cache"))
    options = LaunchOptions(
        data_dir=tmp_path / "data", label_studio_python=broken_label_studio, port=28300, backend_port=28400
    )
    said = []
    refusal = r"Label Studio has stopped \(exit code 1\)[\s\S]*no such table"
    with pytest.raises(LaunchError, match=refusal), running(options, said.append):
        pass
    assert said[0].startswith("Starting the backend and Label Studio 1.22.0 (the first start")
    assert is_free(tmp_path / "data")


def test_a_python_without_label_studio_is_refused_before_anything_starts(tmp_path):
    options = LaunchOptions(data_dir=tmp_path / "data", label_studio_python=sys.executable)
    with pytest.raises(LaunchError, match="Label Studio is not installed beside"), running(options, str):
        pass
    assert not (tmp_path / "data").exists()


def test_an_older_label_studio_leaves_the_database_of_a_newer_one_alone(tmp_path):
    folder = DataFolder(tmp_path)
    folder.begin_with("1.22.0")
    folder.begin_with("1.23.2")
    with pytest.raises(LaunchError, match=r"1\.23\.2 has worked with the data .* and 1\.9\.9 does not know"):
        folder.begin_with("1.9.9")
    folder.begin_with("1.23.2.post1")


def test_label_studio_gets_no_foreign_settings_and_calls_nobody(tmp_path):
    folder = DataFolder(tmp_path)
    environ = {"PATH": os.defpath, "PORT": "1", "HOST": "example.org", "DEBUG": "1", "PYTHONPATH": "/x"}
    made = label_studio_environment(environ, folder, folder.credentials())
    assert made["PATH"] == os.defpath
    assert not made.keys() & {"PORT", "HOST", "DEBUG", "PYTHONPATH"}
    assert made["COLLECT_ANALYTICS"] == "false" and made["SENTRY_DSN"] == ""
    assert made["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(folder.photos)
