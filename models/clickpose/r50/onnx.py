"""The end-to-end network in ONNX Runtime: encoding an image and refining one person, each a graph for every size.

Only these two are exported, the costly one and the frequent one; the decoding of everybody and of drawn boxes stays
with torch. A folder that :func:`export_network` wrote holds the checkpoint too and is loaded like one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import Tensor, nn

from clickpose.networks.backbone import fold_batch_norm
from clickpose.networks.clickpose import ClickPose
from clickpose.networks.deformable_attention import Memory
from clickpose.networks.keypoint_decoder import PersonReading
from clickpose.networks.onnx_tracing import trace_onnx
from clickpose.onnx_session import open_session
from clickpose.weights_io import WeightsError

ENCODE_FILE, CLICK_FILE = "encode.onnx", "click.onnx"
CHECKPOINT_SUFFIXES = (".pth", ".safetensors")
_CLICK_INPUTS = ("tokens", "level_hw", "start_keypoints_norm", "start_boxes_norm", "fixed")
_READING = PersonReading._fields


class _EncodeGraph(nn.Module):
    """images -> tokens, level_hw."""

    def __init__(self, network: ClickPose):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.network.encode(images)
        sizes = torch.stack([torch.stack([torch.as_tensor(length) for length in hw]) for hw in memory.level_hw])
        return memory.tokens, sizes


class _ClickGraph(nn.Module):
    """tokens, level_hw, keypoints, boxes, fixed -> the fields of a reading."""

    def __init__(self, network: ClickPose):
        super().__init__()
        self.network = network

    def forward(
        self, tokens: Tensor, level_hw: Tensor, keypoints_norm: Tensor, boxes_norm: Tensor, fixed: Tensor
    ) -> tuple[Tensor, ...]:
        return tuple(self.network.refine(Memory(tokens, level_hw), keypoints_norm, boxes_norm, fixed))


def export_network(network: ClickPose, checkpoint: str | Path, folder: str | Path) -> Path:
    """Write both graphs and a copy of the checkpoint into a folder.

    Args:
        network: as loaded from the checkpoint; its frozen normalisations are folded, in place.
        checkpoint: the file that it was loaded from.
        folder: made if it is missing.

    Returns:
        The folder, which can be given wherever a checkpoint is asked for.

    Raises:
        ValueError: if the folder holds another checkpoint.
    """
    checkpoint, folder = Path(checkpoint), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    others = [path.name for path in _checkpoints(folder) if path.name != checkpoint.name]
    if others:
        raise ValueError(f"Expected a folder without another checkpoint, got {folder} with {', '.join(others)}")
    fold_batch_norm(network.backbone)
    config = network.config
    images = torch.zeros(1, 3, 128, 192)
    with torch.no_grad():
        memory = network.eval().encode(images)
    click = (
        memory.tokens, torch.tensor(memory.level_hw), torch.full((1, 1, config.num_keypoints, 2), 0.5),
        torch.full((1, 1, 4), 0.5), torch.zeros(1, 1, config.num_keypoints, dtype=torch.bool),
    )  # fmt: skip
    _export(
        _EncodeGraph(network), (images,), folder / ENCODE_FILE, ["images"], ["tokens", "level_hw"],
        {"images": {2: "height", 3: "width"}, "tokens": {1: "count"}},
    )  # fmt: skip
    _export(
        _ClickGraph(network), click, folder / CLICK_FILE,
        list(_CLICK_INPUTS), list(_READING), {"tokens": {1: "count"}},
    )  # fmt: skip
    if checkpoint.resolve() != (folder / checkpoint.name).resolve():
        shutil.copyfile(checkpoint, folder / checkpoint.name)
    return folder


def _export(graph: nn.Module, inputs: tuple, path: Path, names: list[str], outputs: list[str], axes: dict) -> None:
    """Write a graph, at once."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(trace_onnx(graph, inputs, inputs=names, outputs=outputs, free_axes=axes))
    partial.replace(path)


def checkpoint_in(folder: str | Path) -> Path:
    """Return the checkpoint that an exported folder holds.

    Raises:
        WeightsError: if there is none, or more than one.
    """
    found = _checkpoints(Path(folder))
    if len(found) != 1:
        raise WeightsError(f"Expected one checkpoint in the exported folder {folder}, got {len(found)}")
    return found[0]


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in CHECKPOINT_SUFFIXES)


class OnnxEngine:
    """Runs the two graphs of an exported folder on the CPU.

    Args:
        folder: what :func:`export_network` wrote.
        threads: threads of ONNX Runtime; None for one a physical core.

    Raises:
        WeightsError: if a graph is missing or is none.
    """

    def __init__(self, folder: str | Path, threads: int | None = None):
        self._encode = open_session(Path(folder) / ENCODE_FILE, "an exported network", threads)
        self._click = open_session(Path(folder) / CLICK_FILE, "an exported network", threads)

    def encode(self, images: Tensor) -> Memory:
        """Encode a normalised (1, 3, H, W) image; see :meth:`ClickPose.encode`."""
        tokens, level_hw = self._encode.run(None, {"images": images.contiguous().cpu().numpy()})
        return Memory(torch.from_numpy(tokens), tuple((int(height), int(width)) for height, width in level_hw))

    def refine(self, memory: Memory, keypoints_norm: Tensor, boxes_norm: Tensor, fixed: Tensor) -> PersonReading:
        """Refine one person; see :meth:`ClickPose.refine`."""
        tensors = (memory.tokens.float(), torch.tensor(memory.level_hw), keypoints_norm, boxes_norm, fixed)
        arrays = (value.contiguous().cpu().numpy() for value in tensors)
        outputs = self._click.run(None, dict(zip(_CLICK_INPUTS, arrays, strict=True)))
        return PersonReading(*(torch.from_numpy(output) for output in outputs))
