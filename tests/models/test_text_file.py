"""Text of users in the encodings that tools save it in."""

import codecs

import pytest

from clickpose.text_file import read_text

TEXT = '{"é": "Größe 山"}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_is_read_in_usual_encodings(tmp_path, encoding):
    (tmp_path / "a").write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / "a") == TEXT


def test_big_endian_marks_are_read(tmp_path):
    (tmp_path / "a").write_bytes(codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"))
    assert read_text(tmp_path / "a") == TEXT


@pytest.mark.parametrize("data", [b"", b"a", b"\xef\xbb\xbf"])
def test_short_files_are_text(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert read_text(tmp_path / "a") in ("", "a")


@pytest.mark.parametrize("data", [TEXT.encode("utf-8")[:-3] + b"\xe9}", b"\x89PNG\r\n", b"\xff\xfea"])
def test_other_bytes_are_refused_by_name(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(
        ValueError, match=r"Expected text in UTF-8 or UTF-16 in .*a\.json, got bytes of another encoding"
    ):
        read_text(tmp_path / "a.json")
