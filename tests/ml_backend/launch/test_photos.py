"""Photo folders: what is found, how Label Studio reaches them, what is wrong with one."""

import os

import numpy as np
import pytest
from PIL import Image

from clickpose_labelstudio.launch.errors import LaunchError
from clickpose_labelstudio.launch.photos import choose_photos


def test_demo_photos_are_there_and_small():
    demo = choose_photos(None)
    assert len(demo.check().shown) == 4 and demo.check().left_out == {}
    assert all(path.stat().st_size <= 400_000 for path in demo.source.glob("*.jpg"))


def write(path, kind="JPEG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, kind)
    return path


def test_finds_photos_in_sub_folders_and_nothing_else(tmp_path):
    for name in ("a.jpg", "b.PNG", ".hidden.jpg", ".cache/e.jpg", "sub/c.webp", "sub/deep/d.jpeg"):
        write(tmp_path / name, {"png": "PNG", "webp": "WEBP"}.get(name.rpartition(".")[2].lower(), "JPEG"))
    (tmp_path / "notes.txt").write_text("")
    photos = choose_photos(tmp_path)
    assert photos.check().shown == ["a.jpg", "b.PNG", "sub/c.webp", "sub/deep/d.jpeg"]
    assert photos.title == f"Click-Pose {tmp_path.name}"[:50]
    assert photos.check().sentences() == ["Left out for their endings: 1 .txt."]
    assert choose_photos(tmp_path / "sub").check().sentences() == []
    assert photos.gone(["a.jpg", "sub/c.webp", "sub/gone.jpg"]) == ["sub/gone.jpg"]


def test_names_what_browsers_do_not_show_with_the_reasons(tmp_path):
    write(tmp_path / "good.jpg")
    for name in ("1.tif", "2.TIFF", "3.tif", "4.tif", "5.tif"):
        (tmp_path / name).write_bytes(b"II*\0")
    (tmp_path / "phone.heic").write_bytes(b"x")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "text.jpg").write_text("no picture")
    found = choose_photos(tmp_path).check()
    assert found.shown == ["good.jpg"]
    assert found.sentences() == [
        "Left out, since browsers do not show HEIC: phone.heic.",
        "Left out, since browsers do not show TIFF: 1.tif, 2.TIFF, 3.tif and 2 more.",
        "Left out, since the file holds no picture: sub/text.jpg.",
        "Left out, since the file is empty: empty.jpg.",
    ]


def test_a_folder_of_tiffs_alone_is_refused_with_their_names(tmp_path):
    (tmp_path / "scan.tif").write_bytes(b"II*\0")
    with pytest.raises(LaunchError, match=r"no photo that browsers show[\s\S]*do not show TIFF: scan\.tif"):
        choose_photos(tmp_path)


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
        (lambda path: path, "There is no photo that browsers show in"),
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
