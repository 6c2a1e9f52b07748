"""Weights on disk: safetensors with metadata, half precision, and a list of checksums beside them.

A file of ours says in its header what it is (``kind``), in which form (``format_version``) and for which skeleton, so
that a wrong file is refused with a sentence instead of a list of missing tensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS, skeleton_from_dict, skeleton_to_json

if TYPE_CHECKING:
    import torch

FORMAT_VERSION = "1"
CHECKSUMS = "SHA256SUMS"
WEIGHTS_FOLDER = Path(__file__).parent / "weights"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class WeightsError(ValueError):
    """A weights file is missing, damaged or not the one that was asked for."""


def save_weights(path: str | Path, state: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors; matrices and filters in half precision, vectors (biases, norms) in full.

    The same tensors and metadata give the same bytes, so that a file can be known by its content.

    Args:
        path: file to write; replaced at once, never left half-written.
        state: name -> tensor.
        metadata: at least ``kind`` (such as ``"lite"``) and ``skeleton``; all values are text.

    Raises:
        ValueError: if the metadata lacks an entry, or a finite value does not fit half precision.
    """
    from safetensors.torch import save

    missing = [name for name in ("kind", "skeleton") if name not in metadata]
    if missing:
        raise ValueError(f"Expected metadata with kind and skeleton, got none for {', '.join(missing)}")
    # safetensors refuses tensors that share memory: clone
    stored = {name: _to_disk(name, tensor.detach().cpu()).contiguous().clone() for name, tensor in state.items()}
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(_with_sorted_metadata(save(stored, {**metadata, "format_version": FORMAT_VERSION})))
    partial.replace(path)


def _with_sorted_metadata(data: bytes) -> bytes:
    """Sort the entries of a safetensors header, which the library writes in another order each time."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + data[end:]


def _to_disk(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Halve the precision of a floating-point tensor of two or more axes."""
    import torch

    if not tensor.is_floating_point():
        return tensor
    if tensor.ndim < 2:
        return tensor.to(torch.float32)
    halved = tensor.to(torch.float16)
    if not torch.equal(halved.isfinite(), tensor.isfinite()):
        raise ValueError(f"Expected {name} to fit half precision, got magnitudes up to {tensor.abs().max():g}")
    return halved


def load_weights(path: str | Path, kind: str) -> dict[str, torch.Tensor]:
    """Read what :func:`save_weights` wrote, as float32 on the CPU.

    Args:
        path: the file.
        kind: what the file must say it is.

    Raises:
        WeightsError: if the file is missing, damaged, a Git LFS pointer, of another kind or of another format version.
    """
    read_metadata(path, kind)
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"Expected {kind} weights in {path}, got a damaged file: {error}") from None
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def read_metadata(path: str | Path, kind: str | None = None) -> dict[str, str]:
    """Read the header of a weights file.

    Args:
        path: the file.
        kind: what the file must say it is; None to accept any kind.

    Raises:
        WeightsError: as :func:`load_weights`.
    """
    wanted = f"{kind} weights" if kind else "Click-Pose weights"
    check_present(path, wanted)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"Expected {wanted} in {path}, got no whole safetensors file: {error}") from None
    if "kind" not in metadata:
        raise WeightsError(f"Expected {wanted} in {path}, got a safetensors file that does not say what it is")
    if kind is not None and metadata["kind"] != kind:
        raise WeightsError(f"Expected {wanted} in {path}, got weights of kind {metadata['kind']!r}")
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise WeightsError(f"Expected {wanted} of format version {FORMAT_VERSION} in {path}, got version {version}")
    return metadata


def skeleton_metadata(skeleton: Skeleton) -> dict[str, str]:
    """Return the header entries from which :func:`skeleton_of` rebuilds a network's skeleton."""
    described = {"skeleton": skeleton.name}
    if skeleton != SKELETONS.get(skeleton.name):
        described["skeleton_definition"] = skeleton_to_json(skeleton)
    return described


def skeleton_of(path: str | Path, kind: str) -> Skeleton:
    """Return the skeleton that a weights file was made for; files that name none are for COCO's.

    Raises:
        WeightsError: as :func:`read_metadata`, or if it names a skeleton that nobody knows.
    """
    metadata = read_metadata(path, kind)
    if "skeleton_definition" in metadata:
        return skeleton_from_dict(json.loads(metadata["skeleton_definition"]))
    name = metadata.get("skeleton", COCO.name)
    if name not in SKELETONS:
        raise WeightsError(f"Expected a known skeleton or a definition in {path}, got the name {name!r} alone")
    return SKELETONS[name]


def fingerprint(path: str | Path) -> str:
    """Return the first 12 hex digits of a file's SHA-256: names the weights in cache keys and model versions.

    Raises:
        WeightsError: if the file is missing or a Git LFS pointer.
    """
    return sha256(path)[:12]


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a weights file in hex.

    Raises:
        WeightsError: if the file is missing or a Git LFS pointer.
    """
    check_present(path, "weights")
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def verify_checksum(path: str | Path) -> None:
    """Compare a file with the line for its name in ``SHA256SUMS`` (the form of ``sha256sum``) beside it.

    Raises:
        WeightsError: if the list or the line is missing, or the file differs.
    """
    path = Path(path)
    listed = _read_checksums(path.with_name(CHECKSUMS))
    if path.name not in listed:
        raise WeightsError(f"Expected a checksum of {path.name} in {path.with_name(CHECKSUMS)}, got none")
    actual = sha256(path)
    if actual != listed[path.name]:
        raise WeightsError(f"Expected {path} to have SHA-256 {listed[path.name]}, got {actual}: damaged or changed")


def write_checksum(path: str | Path) -> None:
    """Put the file's line into ``SHA256SUMS`` beside it, replacing an older one; lines are sorted by name."""
    path = Path(path)
    listing = path.with_name(CHECKSUMS)
    listed = _read_checksums(listing) if listing.exists() else {}
    listed[path.name] = sha256(path)
    listing.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(listed.items())), encoding="utf-8")


def _read_checksums(listing: Path) -> dict[str, str]:
    """Return file name -> SHA-256."""
    check_present(listing, "checksums")
    lines = listing.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines if line.strip())}


def check_present(path: str | Path, wanted: str) -> None:
    """Refuse what is not a file or only points to one.

    Args:
        path: the file.
        wanted: what it should hold, for the message.

    Raises:
        WeightsError: if the file is missing, unreadable or a Git LFS pointer.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(len(_LFS_POINTER))
    except OSError as error:
        raise WeightsError(f"Expected {wanted} in {path}, got no readable file ({error.strerror})") from None
    if head == _LFS_POINTER:
        raise WeightsError(f"Expected {wanted} in {path}, got a Git LFS pointer: run `git lfs pull` to fetch the file")
