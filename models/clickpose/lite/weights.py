"""Lite weights files: the network and the skeleton that it was made for."""

from __future__ import annotations

from pathlib import Path

from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig
from clickpose.skeleton import Skeleton
from clickpose.weights_io import WeightsError, load_weights, read_metadata, skeleton_metadata, skeleton_of


def describe_skeleton(skeleton: Skeleton, added: tuple[int, ...] = ()) -> dict[str, str]:
    """Return the header entries from which :func:`load_lite` rebuilds skeleton and network."""
    described = skeleton_metadata(skeleton)
    if added:
        described["added_joints"] = ",".join(map(str, added))
    return described


def lite_config(skeleton: Skeleton, added: tuple[int, ...] = ()) -> LiteConfig:
    """Return the configuration of the lite network for a skeleton."""
    return LiteConfig(decoder=DecoderConfig(len(skeleton), skeleton.flip_pairs, added=added))


def load_lite(path: str | Path) -> tuple[LiteNetwork, Skeleton]:
    """Load a lite network.

    Args:
        path: a ``.safetensors`` file that ``clickpose train`` or ``clickpose adapt`` wrote.

    Raises:
        WeightsError: if the file is missing, damaged, or not of this network.
    """
    skeleton = read_skeleton(path)
    network = LiteNetwork(read_config(path))
    state = load_weights(path, kind="lite")
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if wanted != found:
        name = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
        raise WeightsError(
            f"Expected the lite network's tensors in {path}, got another network's: "
            f"{name} should be {wanted.get(name, 'absent')} and is {found.get(name, 'absent')}"
        )
    network.load_state_dict(state)
    return network, skeleton


def read_config(path: str | Path) -> LiteConfig:
    """Return the configuration of the network in a lite weights file.

    Raises:
        WeightsError: as :func:`read_skeleton`.
    """
    listed = read_metadata(path, kind="lite").get("added_joints", "")
    return lite_config(read_skeleton(path), tuple(int(joint) for joint in listed.split(",") if joint))


def read_skeleton(path: str | Path) -> Skeleton:
    """Return the skeleton of a lite weights file.

    Raises:
        WeightsError: if the file is missing, damaged or of another kind, or names a skeleton that nobody knows.
    """
    return skeleton_of(path, kind="lite")
