"""Checkpoints of the end-to-end network: the official files by name, and our own safetensors.

The official code saves ``{model, optimizer, lr_scheduler, epoch, args[, ema_model]}``. Some of its 736 tensors are
others under a second name (the decoder carries the heads of the whole network); the copies are compared, one is kept.
The sizes of the network are read from the tensors themselves, so that a reduced or an adapted network loads as well.
"""

from __future__ import annotations

import argparse
import json
import logging
import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from clickpose.networks.backbone import BackboneConfig
from clickpose.networks.clickpose import ClickPose, ClickPoseConfig
from clickpose.networks.movenet_backbone import MoveNetBackboneConfig
from clickpose.skeleton import COCO, Skeleton
from clickpose.weights_io import (
    WeightsError,
    check_present,
    load_weights,
    read_metadata,
    save_weights,
    skeleton_metadata,
    skeleton_of,
)

logger = logging.getLogger(__name__)

KIND = "r50"
OFFICIAL_LICENCE_NOTICE = (
    "These are weights of the authors of Click-Pose (IDEA-Research). Their licence allows non-commercial research "
    "only, whatever the licence of this software; read it before use: https://github.com/IDEA-Research/Click-Pose"
)
_SHOWN_NAMES = 3  # in an error message
_MODEL_KEYS = ("ema_model", "ema", "model", "state_dict")  # the moving average, where a file has it, is the better one
_WRAPPERS = ("module.",)  # of distributed training and of moving averages

# Our name -> official name. The heads of the decoders, which have two names each, follow rules of their own.
_RENAMES = (
    (r"backbone\.", "backbone.0.body."),
    (r"input_projection\.", "input_proj."),
    (r"encoder\.level_embed", "transformer.level_embed"),
    (r"encoder\.(layers\.\d+)\.ffn\.", r"transformer.encoder.\1."),
    (r"encoder\.", "transformer.encoder."),
    (r"proposals\.project\.", "transformer.enc_output."),
    (r"proposals\.norm\.", "transformer.enc_output_norm."),
    (r"proposals\.class_head\.", "transformer.enc_out_class_embed."),
    (r"proposals\.box_head\.", "transformer.enc_out_bbox_embed."),
    (r"common\.norm\.", "transformer.decoder.norm."),
    (r"common\.reference_head\.", "transformer.decoder.ref_point_head."),
    (r"keypoint_decoder\.size_share\.", "transformer.decoder.hw."),
    (r"keypoint_decoder\.rank_content\.", "transformer.decoder.keypoint_embed."),
    (r"keypoint_decoder\.human_codebook\.", "label_enc."),
    (r"keypoint_decoder\.joint_codebook\.", "label_enc_pose."),
)
_HEADS = {"box_heads": "bbox_embed", "class_heads": "class_embed", "keypoint_heads": "pose_embed"}


def official_names(name: str, config: ClickPoseConfig) -> tuple[str, ...]:
    """Return all names that a tensor of ours has in an official checkpoint.

    Args:
        name: a name of :class:`ClickPose`'s state.
        config: its sizes; the official code counts the layers of both decoders through.

    Raises:
        ValueError: for another name.
    """
    numbered = re.fullmatch(r"(human|keypoint)_decoder\.(layers|\w+_heads)\.(\d+)\.(.+)", name)
    if numbered:
        decoder, part, number, rest = numbered.groups()
        count = int(number) + (config.human_layers if decoder == "keypoint" and part != "keypoint_heads" else 0)
        if part == "layers":
            return (f"transformer.decoder.layers.{count}.{rest.removeprefix('ffn.')}",)
        return _with_copy(f"{_HEADS[part]}.{count}.{rest}")
    single = re.fullmatch(r"keypoint_decoder\.(initial|size)_head\.(.+)", name)
    if single and single[1] == "initial":
        return _with_copy(f"pose_embed.{config.keypoint_layers}.{single[2]}")
    if single:
        numbers = range(config.keypoint_layers)
        return tuple(copy for number in numbers for copy in _with_copy(f"pose_hw_embed.{number}.{single[2]}"))
    for pattern, replacement in _RENAMES:
        if re.match(pattern, name):
            return (re.sub(pattern, replacement, name, count=1),)
    raise ValueError(f"Expected a tensor of the Click-Pose network, got {name!r}")


def _with_copy(name: str) -> tuple[str, str]:
    return name, f"transformer.decoder.{name}"


def to_official(state: Mapping[str, Tensor], config: ClickPoseConfig) -> dict[str, Tensor]:
    """Return the state of a :class:`ClickPose` under the official names, copies included."""
    return {official: tensor for name, tensor in state.items() for official in official_names(name, config)}


def load_network(path: str | Path, skeleton: Skeleton | None = None) -> ClickPose:
    """Load an official checkpoint, or what :func:`save_network` wrote.

    Args:
        path: ``.pth`` of the official code (plain, EMA or DDP form), or ``.safetensors``.
        skeleton: the joints that the caller expects; None for those of :func:`read_skeleton`.

    Raises:
        WeightsError: if the file is missing, truncated, of another network or for another number of keypoints; the
            message says what differs.
    """
    path = Path(path)
    skeleton = skeleton or read_skeleton(path)
    if path.suffix == ".safetensors":
        metadata = read_metadata(path, KIND)
        config = _config_from_json(path, metadata.get("config", ""))
        state = load_weights(path, KIND)
        _check_keypoints(path, config, skeleton)
        network = ClickPose(config)
        _check_names(path, {name: value.shape for name, value in network.state_dict().items()}, state)
    else:
        official, args = _read_official(path)
        config = _config_from_state(path, official, args)
        _check_keypoints(path, config, skeleton)
        network = ClickPose(config)
        state = _from_official(path, official, network)
        _show_notice()
    network.load_state_dict(state)
    return network.eval()


def save_network(path: str | Path, network: ClickPose, skeleton: Skeleton) -> None:
    """Write a network as safetensors, matrices in half precision; see :func:`clickpose.weights_io.save_weights`."""
    metadata = {"kind": KIND, "config": json.dumps(asdict(network.config))} | skeleton_metadata(skeleton)
    save_weights(path, network.state_dict(), metadata)


def read_skeleton(path: str | Path) -> Skeleton:
    """Return the joints of weights: those that our own files say, and COCO's for official checkpoints, which say none.

    Raises:
        WeightsError: if our own file is missing or damaged, or names a skeleton that nobody knows.
    """
    return skeleton_of(path, KIND) if Path(path).suffix == ".safetensors" else COCO


@cache
def _show_notice() -> None:
    """Show the official licence once a process; without a logging set-up it goes to the terminal."""
    logger.warning(OFFICIAL_LICENCE_NOTICE)


def _read_official(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Return the tensors under their official names and the training arguments (possibly none)."""
    check_present(path, "Click-Pose weights")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"Expected Click-Pose weights in {path}, got a truncated file or no checkpoint of tensors: {reason}"
        ) from None
    if not isinstance(content, dict):
        raise WeightsError(f"Expected a checkpoint with a model in {path}, got {type(content).__name__}")
    args = content.get("args")
    state = next((content[key] for key in _MODEL_KEYS if isinstance(content.get(key), dict)), content)
    tensors = {_unwrapped(name): value for name, value in state.items() if isinstance(value, Tensor)}
    return tensors, dict(vars(args)) if isinstance(args, argparse.Namespace) else dict(args or {})


def _unwrapped(name: str) -> str:
    while name.startswith(_WRAPPERS):
        name = name.removeprefix(next(wrapper for wrapper in _WRAPPERS if name.startswith(wrapper)))
    return name


def _config_from_json(path: Path, text: str) -> ClickPoseConfig:
    try:
        fields = json.loads(text)
        backbone = fields.pop("backbone")
        if not backbone:  # MoveNet has one size
            return ClickPoseConfig(**fields, backbone=MoveNetBackboneConfig())
        backbone["blocks"] = tuple(backbone["blocks"])
        return ClickPoseConfig(**fields, backbone=BackboneConfig(**backbone))
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"Expected the sizes of the network in {path}, got none that fit: {error!r}") from None


def _config_from_state(path: Path, state: Mapping[str, Tensor], args: Mapping) -> ClickPoseConfig:
    """Read the sizes of the network from an official state; ``args`` gives those that no tensor shows."""
    defaults = ClickPoseConfig()

    def count(pattern: str) -> int:
        numbers = [int(match[1]) for name in state if (match := re.match(pattern, name))]
        return 1 + max(numbers, default=-1)

    def blocks(stage: int) -> int:
        return count(rf"backbone\.0\.body\.layer{stage}\.(\d+)\.")

    try:
        levels, dim = state["transformer.level_embed"].shape
        keypoints = len(state["label_enc_pose.weight"]) - 1
        keypoint_layers = count(r"pose_embed\.(\d+)\.") - 1
        heads = int(args.get("nheads", defaults.heads))
        weights = len(state["transformer.encoder.layers.0.self_attn.attention_weights.bias"])
        return ClickPoseConfig(
            num_keypoints=keypoints,
            dim=dim,
            heads=heads,
            levels=levels,
            points=weights // (heads * levels),
            ffn_dim=len(state["transformer.encoder.layers.0.linear1.bias"]),
            encoder_layers=count(r"transformer\.encoder\.layers\.(\d+)\."),
            human_layers=count(r"transformer\.decoder\.layers\.(\d+)\.") - keypoint_layers,
            keypoint_layers=keypoint_layers,
            queries=int(args.get("num_queries", defaults.queries)),
            persons=len(state["transformer.decoder.keypoint_embed.weight"]) // max(keypoints, 1),
            classes=len(state["class_embed.0.bias"]),
            human_codes=len(state["label_enc.weight"]),
            backbone=BackboneConfig(
                (blocks(1), blocks(2), blocks(3), blocks(4)),
                len(state["backbone.0.body.conv1.weight"]),
            ),
        )
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"Expected a Click-Pose network in {path}, got {len(state)} tensors of another one: it lacks {error}"
        ) from None


def _check_keypoints(path: Path, config: ClickPoseConfig, skeleton: Skeleton) -> None:
    if config.num_keypoints != len(skeleton):
        raise WeightsError(
            f"Expected weights for the {len(skeleton)} keypoints of skeleton {skeleton.name!r}, "
            f"got {config.num_keypoints} keypoints in {path}"
        )


def _from_official(path: Path, official: Mapping[str, Tensor], network: ClickPose) -> dict[str, Tensor]:
    """Rename an official state; every tensor must be there in its shape, no other, and copies must agree."""
    ours = network.state_dict()
    names = {name: official_names(name, network.config) for name in ours}
    wanted = {copy: ours[name].shape for name, copies in names.items() for copy in copies}
    _check_names(path, wanted, official)
    for first, *copies in names.values():
        for copy in copies:
            if not torch.equal(official[first], official[copy]):
                raise WeightsError(f"Expected {first} and {copy} to be one tensor in {path}, got two different ones")
    return {name: official[first].to(ours[name].dtype) for name, (first, *_) in names.items()}


def _check_names(path: Path, wanted: Mapping[str, torch.Size], found: Mapping[str, Tensor]) -> None:
    """Compare names and shapes, and say what differs."""
    missing, foreign = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    shapes = [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(shape)}"
        for name, shape in wanted.items()
        if name in found and found[name].shape != shape
    ]
    kinds = (("missing", missing), ("not of this network", foreign), ("of another shape", shapes))
    differences = [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds if names]
    if differences:
        raise WeightsError(f"Expected {len(wanted)} tensors of Click-Pose in {path}, got {'; '.join(differences)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES]) + (" …" if len(names) > _SHOWN_NAMES else "")
