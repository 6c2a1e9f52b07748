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


def test_missing_label_studio_is_a_sentence(tmp_path, capsys):
    options = LaunchOptions(data_dir=tmp_path / "data", label_studio_python=tmp_path / "python")
    assert start(options) == 1
    assert "Run `make setup`" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_second_start_says_where_the_first_is(tmp_path, capsys):
    lock = FolderLock(DataFolder(tmp_path))
    assert lock.acquire() is None
    lock.announce({"pid": 4711, "url": "http://localhost:8080/projects/1/data"})
    try:
        assert start(LaunchOptions(data_dir=tmp_path, label_studio_python=sys.executable)) == 0
    finally:
        lock.release()
    said = capsys.readouterr().out
    assert "running already at http://localhost:8080/projects/1/data" in said and "4711" in said


def test_named_backend_must_answer(tmp_path):
    options = LaunchOptions(
        data_dir=tmp_path, label_studio_python=sys.executable, backend_url="http://127.0.0.1:9", port=28200
    )
    with pytest.raises(LaunchError, match=r"No backend answers at http://127\.0\.0\.1:9/health"), running(options):
        pass
    assert is_free(tmp_path)


@pytest.mark.slow
def test_failing_label_studio_is_reported_and_the_backend_stopped(tmp_path, monkeypatch):
    """An interpreter without Label Studio: the launcher tells what it printed and leaves nothing behind."""
    monkeypatch.setenv("CLICKPOSE_CACHE_DIR", str(tmp_path / "cache"))
    options = LaunchOptions(
        data_dir=tmp_path / "data", label_studio_python=sys.executable, port=28300, backend_port=28400
    )
    with pytest.raises(LaunchError, match=r"Label Studio has stopped[\s\S]*not installed here"), running(options):
        pass
    assert is_free(tmp_path / "data")


def test_label_studio_gets_no_foreign_settings_and_calls_nobody(tmp_path):
    folder = DataFolder(tmp_path)
    environ = {"PATH": os.defpath, "PORT": "1", "HOST": "example.org", "DEBUG": "1", "PYTHONPATH": "/x"}
    made = label_studio_environment(environ, folder, folder.credentials())
    assert made["PATH"] == os.defpath
    assert not made.keys() & {"PORT", "HOST", "DEBUG", "PYTHONPATH"}
    assert made["COLLECT_ANALYTICS"] == "false" and made["SENTRY_DSN"] == ""
    assert made["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(folder.photos)
