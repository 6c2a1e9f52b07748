"""The data folder of ``make run``: login, projects, one launcher at a time."""

import stat
import sys

import pytest

from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.folder import DataFolder, FolderLock


def test_login_is_made_once_and_only_the_owner_reads_it(tmp_path):
    first = DataFolder(tmp_path / "data").credentials()
    assert DataFolder(tmp_path / "data").credentials() == first
    assert DataFolder(tmp_path / "other").credentials().password != first.password
    assert stat.S_IMODE((tmp_path / "data" / "credentials.json").stat().st_mode) == 0o600
    assert len(first.token) == 40
    assert first.password not in repr(first) and first.token not in repr(first)


def test_projects_are_remembered_by_photo_folder(tmp_path):
    folder = DataFolder(tmp_path)
    folder.remember_project(tmp_path / "a", 1)
    folder.remember_project(tmp_path / "b", 2)
    again = DataFolder(tmp_path)
    assert [again.project_id(tmp_path / name) for name in "abc"] == [1, 2, None]


def test_broken_file_is_named(tmp_path):
    folder = DataFolder(tmp_path)
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(LaunchError, match=r"credentials\.json cannot be read"):
        folder.credentials()


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LaunchError, match="cannot be made"):
        DataFolder(tmp_path / "file" / "data")


def test_second_launcher_is_told_where_the_first_is(tmp_path):
    first, second = FolderLock(DataFolder(tmp_path)), FolderLock(DataFolder(tmp_path))
    assert first.acquire() is None
    first.announce({"pid": 7, "url": "http://localhost:1"})
    assert second.acquire() == {"pid": 7, "url": "http://localhost:1"}
    first.release()
    assert second.acquire() is None
    second.release()


def test_lock_of_a_dead_launcher_does_not_hold(tmp_path):
    import subprocess

    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from clickpose_labelstudio.launch.folder import DataFolder, FolderLock\n"
        "assert FolderLock(DataFolder(Path(sys.argv[1]))).acquire() is None\nos._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    lock = FolderLock(DataFolder(tmp_path))
    assert lock.acquire() is None
    lock.release()


def test_a_path_with_steps_up_and_links_means_one_place(tmp_path):
    """Label Studio serves photos only from below the folder that it was given, and compares the paths as text."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    here = (tmp_path / "real" / "data").resolve()
    assert DataFolder(tmp_path / "other" / ".." / "real" / "data").photos == here / "photos"
    assert DataFolder(tmp_path / "link" / "data").photos == here / "photos"
