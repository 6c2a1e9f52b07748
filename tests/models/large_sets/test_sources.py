"""Photos from lists and from wherever fsspec finds them; sizes are bounded, secrets are not said."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from clickpose.image_io import ImageError
from clickpose.large_sets.addresses import check_address, list_photos, read_photo, shown
from clickpose.large_sets.manifests import Listed, is_manifest, read_manifest
from clickpose.named_image import name_of

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket():
    """Two photos in folders, and a text, in memory."""
    system = fsspec.filesystem("memory")
    data = io.BytesIO()
    Image.new("RGB", (30, 20), (255, 0, 0)).save(data, "PNG")
    for name in ("/set/a.png", "/set/deep/b.PNG", "/set/notes.txt"):
        system.pipe(name, data.getvalue())
    yield "memory://set"
    system.rm("/set", recursive=True)


def test_a_bucket_is_listed_with_its_folders_and_read(bucket):
    assert list_photos(bucket) == ["memory:///set/a.png", "memory:///set/deep/b.PNG"]
    assert list_photos("memory://set/a.png") == ["memory:///set/a.png"]
    image = read_photo("memory:///set/deep/b.PNG")
    assert image.shape == (20, 30, 3) and (image == [255, 0, 0]).all() and name_of(image) == "memory:///set/deep/b.PNG"
    with pytest.raises(ValueError, match=r"Expected photos .* in memory://set/none, got none"):
        list_photos("memory://set/none")


def test_files_of_this_machine_are_read_the_same_way(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_photo(str(tmp_path / "a.png")), np.zeros((20, 30, 3)))
    np.testing.assert_array_equal(read_photo(f"file://{tmp_path}/a.png"), np.zeros((20, 30, 3)))


def test_no_more_is_read_than_allowed(bucket, monkeypatch):
    with pytest.raises(ImageError, match=r"Cannot read memory:///set/a\.png: Expected a file of at most 20 bytes"):
        read_photo("memory:///set/a.png", max_bytes=20)


def test_secrets_are_neither_taken_nor_said(monkeypatch):
    with pytest.raises(ValueError, match=r"^Expected credentials where fsspec finds them, .*: ftp://host/a$"):
        check_address("ftp://me:secret@host/a")
    assert shown("see s3://key:secret@bucket/a.jpg?X-Amz-Signature=1a2b now") == "see s3://bucket/a.jpg now"
    assert shown("what?no address") == "what?no address"

    def fail(address, **_):
        raise RuntimeError(f"403 for {address}")

    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    with pytest.raises(ImageError) as caught:
        read_photo("https://host/a.jpg?sig=secret")
    assert "secret" not in str(caught.value) and "403 for https://host/a.jpg" in str(caught.value)


def test_an_unknown_scheme_is_one_sentence():
    with pytest.raises(ValueError, match=r"Cannot open nowhere://a/b\.jpg"):
        check_address("nowhere://a/b.jpg")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "a.jpg\n\n  deep/b.jpg \n"),
        ("list.jsonl", '{"id": 1, "image": "a.jpg"}\n"deep/b.jpg"\n'),
        ("list.csv", 'n,file_name\n1,a.jpg\n2,"deep/b.jpg"\n'),
        ("list.tsv", "\ufefffilepath\tn\r\na.jpg\t1\r\ndeep/b.jpg\t2\r\n"),
    ],
)
def test_lists_name_photos_from_their_folder_or_another(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert is_manifest(path)
    assert list(read_manifest(path)) == [
        Listed("a.jpg", str(tmp_path / "a.jpg")), Listed("deep/b.jpg", str(tmp_path / "deep" / "b.jpg"))
    ]  # fmt: skip
    assert [photo.address for photo in read_manifest(path, "s3://bucket/x/")] == [
        "s3://bucket/x/a.jpg", "s3://bucket/x/deep/b.jpg"
    ]  # fmt: skip


def test_the_images_of_a_coco_dataset_keep_their_ids(tmp_path):
    path = tmp_path / "set.json"
    images = [{"id": 17, "file_name": "a.jpg", "coco_url": "https://host/a.jpg"}, {"id": 4, "file_name": "/b.jpg"}]
    path.write_text(json.dumps({"images": images}))
    assert list(read_manifest(path)) == [Listed("a.jpg", str(tmp_path / "a.jpg"), 17), Listed("/b.jpg", "/b.jpg", 4)]
    path.write_text(json.dumps({"images": images[:1]}))
    assert list(read_manifest(path, column="coco_url")) == [Listed("https://host/a.jpg", "https://host/a.jpg", 17)]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("list.jsonl", '{"image": "a"}\nnonsense', r"Expected JSON in line 2 of .*list\.jsonl, got nonsense"),
        ("list.jsonl", '{"id": 3}', "Expected photo or image or .* in line 1 of"),
        ("list.csv", "photo,n\na,1\n,2\n", "in row 3 of"),
        ("set.json", "[1]", "Expected a COCO dataset with images"),
        ("none.txt", None, "Cannot read .*none.txt"),
    ],
)
def test_what_a_list_lacks_is_told_with_its_place(tmp_path, name, text, match):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=match):
        list(read_manifest(tmp_path / name))
