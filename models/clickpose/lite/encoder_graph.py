"""Trunk and neck of the lite network through ONNX Runtime, which takes half of torch's time on a CPU.

The graph is made from the weights at first use, in a second or two, and kept in the user's cache folder. What follows
trunk and neck, decoding the heads and finding the heatmaps' peaks, is the network's own code. On a GPU, in training,
and where no graph can be made, torch runs all of it: :func:`encoder_of` decides.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from clickpose.kept_files import KeptFiles, cache_folder
from clickpose.lite.mirrored_views import FlipTestLite, OwnPerson, PairedPerson, both_views
from clickpose.lite.two_kinds import TwoKindsLite, by_kind
from clickpose.networks.lite import LiteNetwork
from clickpose.networks.lite_decoder import EncodedPerson
from clickpose.networks.movenet import decode_heads, scale_pixels
from clickpose.networks.onnx_tracing import trace_onnx
from clickpose.onnx_session import open_session

if TYPE_CHECKING:
    import onnxruntime

logger = logging.getLogger(__name__)

Encoder: TypeAlias = Callable[[Tensor, Tensor], OwnPerson]
"""Takes (B, 3, S, S) uint8 RGB crops and (B, 4) prompt boxes in 0..1 of them; returns what the network decodes."""

LANES = 2  # runs side by side, of a crop each: two views are there of every person, and two runs on half of the threads
# each are done sooner than one run of two crops on all of them
_IMAGE = "image"
_HEADS = ("center_logits", "heatmap_logits", "regression", "offset")
_MAPS = ("map4", "map8", "map16", "map32")


class _Heads(NamedTuple):
    center_logits: Tensor
    heatmap_logits: Tensor
    regression: Tensor
    offset: Tensor


class _TrunkAndNeck(nn.Module):
    """(N, 3, S, S) uint8 RGB -> the four heads, the neck's four maps."""

    def __init__(self, network: LiteNetwork):
        super().__init__()
        self.trunk, self.neck = network.trunk, network.neck

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        trunk = self.trunk(scale_pixels(image))
        return (*(getattr(trunk, name) for name in _HEADS), *self.neck(trunk))


def encoder_of(network: LiteNetwork | FlipTestLite, fingerprint: str, device: str, threads: int) -> Encoder:
    """Return what encodes crops for a network that is used, not trained: ONNX Runtime on a CPU, torch elsewhere.

    Args:
        network: in evaluation mode, on the device.
        fingerprint: of its weights.
        device: where it computes.
        threads: of ONNX Runtime.
    """
    if torch.device(device).type != "cpu":
        return torch_encoder(network)
    plain = network.network if isinstance(network, FlipTestLite) else network
    if not isinstance(plain, TwoKindsLite):
        return OnnxEncoder(network, fingerprint, threads)
    own, known = (
        OnnxEncoder(network.of(kind) if isinstance(network, FlipTestLite) else kind, mark, threads)
        for kind, mark in ((plain.own, fingerprint), (plain.known, plain.known_mark))
    )
    return lambda image, prompt_norm: by_kind(plain.is_own(image), own, known, image, prompt_norm)


def torch_encoder(network: LiteNetwork | FlipTestLite) -> Encoder:
    """Return the network's own way."""
    return lambda image, prompt_norm: network.encode(image, prompt_norm).person


class OnnxEncoder:
    """Encodes as the network does, trunk and neck through ONNX Runtime; opened at the first call, also after a fork.

    Args:
        network: in evaluation mode, on the CPU.
        fingerprint: of its weights, under which the graph is kept.
        threads: of ONNX Runtime, in all lanes.
        kept: where; by default in the user's cache folder.
    """

    def __init__(
        self, network: LiteNetwork | FlipTestLite, fingerprint: str, threads: int, kept: KeptFiles | None = None
    ):
        self._network = network
        self._plain = network.network if isinstance(network, FlipTestLite) else network
        self._fingerprint, self._threads, self._kept = fingerprint, threads, kept
        self._opening = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._impossible = False

    def __call__(self, image: Tensor, prompt_norm: Tensor) -> OwnPerson:
        """Encode; see :data:`Encoder`."""
        session = self._open()
        if session is None:
            return torch_encoder(self._network)(image, prompt_norm)
        if not isinstance(self._network, FlipTestLite):
            return self._encode(session, image, prompt_norm)
        return PairedPerson.of_views(self._encode(session, *both_views(image, prompt_norm)))

    def _encode(self, session: onnxruntime.InferenceSession, image: Tensor, prompt_norm: Tensor) -> EncodedPerson:
        crops = np.ascontiguousarray(image.numpy())
        beside = map if self._pool is None or len(crops) == 1 else self._pool.map
        runs = beside(lambda row: session.run(None, {_IMAGE: crops[row : row + 1]}), range(len(crops)))
        outputs = [torch.from_numpy(np.concatenate(parts)) for parts in zip(*runs, strict=True)]
        heads, maps = _Heads(*outputs[: len(_HEADS)]), tuple(outputs[len(_HEADS) :])
        return self._plain.assemble(maps, heads.heatmap_logits, decode_heads(heads), prompt_norm)

    def _open(self) -> onnxruntime.InferenceSession | None:
        """Return the session; None where there can be none."""
        with self._opening:  # several threads of a service may come first
            if self._session is None and not self._impossible:
                try:
                    lanes = min(LANES, self._threads)
                    self._session = open_session(self._graph(), "the encoder of lite", self._threads // lanes)
                    self._pool = ThreadPoolExecutor(lanes, "encode") if lanes > 1 else None
                except Exception:  # PyTorch's exporter changes from release to release
                    self._impossible = True
                    logger.warning("This network's encoder cannot be had apart: torch runs it", exc_info=True)
            return self._session

    def _graph(self) -> bytes:
        """Return the graph, kept or made now."""
        kept = self._kept or KeptFiles(cache_folder(os.environ) / "encoders", ".graph")
        name = f"lite-{self._fingerprint}-{_code_mark()}"
        graph = kept.read(name)
        if graph is None:
            graph = export_encoder(self._plain)
            kept.keep(name, graph)
        return graph


@cache
def _code_mark() -> str:
    """Return what tells graphs of this code and this PyTorch from those of others."""
    digest = hashlib.sha256(torch.__version__.encode())
    for part in (LiteNetwork, decode_heads, trace_onnx, export_encoder):
        digest.update(Path(inspect.getfile(part)).read_bytes())
    return digest.hexdigest()[:12]


def export_encoder(network: LiteNetwork) -> bytes:
    """Return trunk and neck as an ONNX file, for any number of crops.

    Args:
        network: on the CPU; is left as it is.
    """
    side = network.config.input_side
    return trace_onnx(
        _TrunkAndNeck(network).eval(), (torch.zeros(2, 3, side, side, dtype=torch.uint8),),
        inputs=(_IMAGE,), outputs=(*_HEADS, *_MAPS),
        free_axes={name: {0: "crops"} for name in (_IMAGE, *_HEADS, *_MAPS)},
    )  # fmt: skip
