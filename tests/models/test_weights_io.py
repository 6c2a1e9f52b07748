"""Weights on disk: values, metadata, checksums, and a sentence for every wrong file."""

import pytest
import torch
from safetensors.torch import save_file

from clickpose.weights_io import (
    WeightsError,
    fingerprint,
    load_weights,
    read_metadata,
    save_weights,
    sha256,
    verify_checksum,
    write_checksum,
)

METADATA = {"kind": "lite", "skeleton": "coco", "note": "trained by hand"}


@pytest.fixture
def state():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, generator=generator)
    return {"weight": weight, "tied": weight, "bias": torch.tensor([1 / 3, 1e-9]), "steps": torch.tensor(7)}


@pytest.fixture
def path(tmp_path, state):
    save_weights(tmp_path / "lite.safetensors", state, METADATA)
    return tmp_path / "lite.safetensors"


def test_round_trip_halves_matrices_and_keeps_vectors_and_integers(path, state):
    loaded = load_weights(path, "lite")
    assert loaded.keys() == state.keys()
    assert loaded["weight"].dtype == torch.float32
    torch.testing.assert_close(loaded["weight"], state["weight"].half().float(), rtol=0, atol=0)
    torch.testing.assert_close(loaded["tied"], loaded["weight"], rtol=0, atol=0)
    torch.testing.assert_close(loaded["bias"], state["bias"], rtol=0, atol=0)
    assert loaded["steps"] == 7 and loaded["steps"].dtype == torch.int64
    assert read_metadata(path) == {**METADATA, "format_version": "1"}
    assert [file.name for file in path.parent.iterdir()] == [path.name], "no partial file is left"


def test_the_same_weights_are_the_same_file(tmp_path, state):
    """Four of the library's own headers are alike by chance once in 14 million times."""
    notes = {f"note{i}": "é" for i in range(5)}
    for name, order in (("a", 1), ("b", -1), ("c", 1), ("d", 1)):
        save_weights(tmp_path / name, state, METADATA | dict(list(notes.items())[::order]))
    assert len({fingerprint(tmp_path / name) for name in "abcd"}) == 1
    assert read_metadata(tmp_path / "a")["note3"] == "é"
    save_weights(tmp_path / "a", state, METADATA | notes | {"note3": "e"})
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


def test_saving_refuses_what_half_precision_cannot_hold_and_nameless_files(tmp_path):
    with pytest.raises(ValueError, match=r"Expected huge to fit half precision, got magnitudes up to 100000"):
        save_weights(tmp_path / "a", {"huge": torch.tensor([[-1e5]])}, METADATA)
    with pytest.raises(ValueError, match="Expected metadata with kind and skeleton, got none for skeleton"):
        save_weights(tmp_path / "a", {}, {"kind": "lite"})
    assert not list(tmp_path.iterdir())


def test_wrong_files_are_refused_with_a_sentence(path, tmp_path):
    whole = path.read_bytes()
    wrong = tmp_path / "wrong.safetensors"

    def refusal(content: bytes | None, kind: str = "lite") -> str:
        wrong.unlink(missing_ok=True)
        if content is not None:
            wrong.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            load_weights(wrong, kind)
        assert str(wrong) in str(caught.value)
        return str(caught.value)

    assert "Expected lite weights in" in refusal(None) and "no readable file (No such file" in refusal(None)
    for damaged in (b"", b"PK\x03\x04 a torch checkpoint", whole[:4], whole[:-5], b"\xff" * 64):
        assert "got no whole safetensors file" in refusal(damaged)
    assert "git lfs pull" in refusal(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "Expected ccnet weights in" in refusal(whole, "ccnet") and "of kind 'lite'" in refusal(whole, "ccnet")
    assert "of format version 1" in refusal(whole.replace(b'"format_version":"1"', b'"format_version":"2"'))
    save_file({"a": torch.zeros(1)}, wrong)
    with pytest.raises(WeightsError, match="does not say what it is"):
        load_weights(wrong, "lite")


def test_checksums_are_listed_beside_the_file_and_verified(path):
    with pytest.raises(WeightsError, match=r"Expected checksums in .*SHA256SUMS, got no readable file"):
        verify_checksum(path)
    write_checksum(path)
    other = path.with_name("a.onnx")
    other.write_bytes(b"abc")
    write_checksum(other)
    write_checksum(other)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc", FIPS 180-2
    assert path.with_name("SHA256SUMS").read_text() == f"{digest}  a.onnx\n{sha256(path)}  lite.safetensors\n"
    assert fingerprint(other) == digest[:12]
    verify_checksum(path)
    verify_checksum(other)
    other.write_bytes(b"abd")
    with pytest.raises(WeightsError, match=rf"SHA-256 {digest}, got [0-9a-f]{{64}}: damaged or changed"):
        verify_checksum(other)
    third = path.with_name("b.onnx")
    third.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"Expected a checksum of b\.onnx"):
        verify_checksum(third)


def test_fingerprint_changes_with_the_weights(path, state):
    before = fingerprint(path)
    assert len(before) == 12 and fingerprint(path) == before
    save_weights(path, {**state, "steps": torch.tensor(8)}, METADATA)
    assert fingerprint(path) != before
