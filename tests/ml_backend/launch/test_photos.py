"""Photo folders: what is counted, how Label Studio reaches them, what is wrong with one."""

import os

import pytest

from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.photos import choose_photos


def test_demo_photos_are_there_and_small():
    demo = choose_photos(None)
    assert demo.count() == 4
    assert all(path.stat().st_size <= 400_000 for path in demo.source.glob("*.jpg"))


def test_counts_photos_in_sub_folders_and_nothing_else(tmp_path):
    for name in ("a.jpg", "b.PNG", "notes.txt", ".hidden.jpg", "sub/c.webp", "sub/deep/d.jpeg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    photos = choose_photos(tmp_path)
    assert photos.count() == 4
    assert photos.title == f"Click-Pose {tmp_path.name}"[:50]
    assert photos.left_out() == "1 .txt"
    assert choose_photos(tmp_path / "sub").left_out() == ""


def test_links_lead_to_the_folder_and_differ_by_folder(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    links = []
    for parent in ("x", "y"):
        source = tmp_path / parent / "my photos"
        source.mkdir(parents=True)
        (source / "a.jpg").write_bytes(b"1")
        photos = choose_photos(source)
        links.append(photos.link_below(root))
        assert photos.link_below(root) == links[-1]
        assert (links[-1] / "a.jpg").read_bytes() == b"1"
    assert links[0] != links[1]
    assert links[0].name.startswith("my-photos-")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "none", "There is no folder"),
        (lambda path: path / "file.jpg", "is not a folder"),
        (lambda path: path, "There is no photo in"),
    ],
)
def test_says_what_is_wrong_with_a_folder(tmp_path, make, message):
    if "file" in str(make(tmp_path)):
        (tmp_path / "file.jpg").write_bytes(b"")
    with pytest.raises(LaunchError, match=message):
        choose_photos(make(tmp_path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every folder")
def test_unreadable_folder(tmp_path):
    tmp_path.chmod(0)
    with pytest.raises(LaunchError, match="cannot be read"):
        choose_photos(tmp_path)
    tmp_path.chmod(0o700)
