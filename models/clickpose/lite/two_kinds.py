"""One network for two kinds of photos: those it knew before, and a team's own that it was trained on.

Training on photos of another look costs some of what was known. Here nothing is lost: the trunk and neck before the
training stay beside the new ones, each crop goes through those of its kind (:mod:`clickpose.lite.looks`), and one
decoder, which the training left as it was, works on what either gives. So a click costs what it cost before, and a
region that was encoded by the one is refined as one by the other.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clickpose.lite.looks import KindRule, describe_looks
from clickpose.lite.weights import load_lite
from clickpose.networks.lite import EncoderOutput, LiteNetwork
from clickpose.weights_io import WeightsError, fingerprint, load_weights, read_metadata, save_weights

KIND = "lite-known-kind"
_DECODER = "decoder."


class TwoKindsLite(LiteNetwork):
    """A lite network that was trained for a kind of photos, with the trunk and neck for all others.

    Args:
        own: trained for the kind.
        known: from before, with the same decoder.
        rule: which crop is of the kind.
        known_mark: what identifies the weights of ``known``.
    """

    def __init__(self, own: LiteNetwork, known: LiteNetwork, rule: KindRule, known_mark: str):
        super().__init__(own.config)
        self.own, self.known = own, known
        self.trunk, self.neck, self.decoder = own.trunk, own.neck, own.decoder
        known.decoder = own.decoder
        self.rule, self.known_mark = rule, known_mark

    def is_own(self, image: Tensor) -> Tensor:
        """Tell for (B, 3, S, S) uint8 crops which are of the kind, (B,) bool; alike for a crop and its mirror image."""
        return self.rule.is_new(describe_looks(self.known.trunk, image))

    def encode(self, image: Tensor, prompt_norm: Tensor) -> EncoderOutput:
        """See :meth:`LiteNetwork.encode`; each crop goes through the trunk of its kind."""
        return by_kind(self.is_own(image), self.own.encode, self.known.encode, image, prompt_norm)


def by_kind(is_own: Tensor, own: Any, known: Any, *rows: Tensor) -> Any:
    """Call ``own`` with some of the rows and ``known`` with the others, and put the answers in the rows' order.

    Args:
        is_own: (B,) bool.
        own, known: take the tensors of their rows and return a tensor, or nested tuples of tensors, each with as many
            rows for every row that goes in.
        rows: (B, …) each.
    """
    if is_own.all():
        return own(*rows)
    if not is_own.any():
        return known(*rows)
    return _woven(is_own, own(*(row[is_own] for row in rows)), known(*(row[~is_own] for row in rows)))


def _woven(is_own: Tensor, own: Any, known: Any) -> Any:
    if isinstance(own, Tensor):
        each = len(own) // int(is_own.sum())
        mask = is_own.repeat_interleave(each)
        both = own.new_empty((len(mask), *own.shape[1:]))
        both[mask], both[~mask] = own, known
        return both
    parts = [_woven(is_own, *pair) for pair in zip(own, known, strict=True)]
    return type(own)(*parts) if hasattr(own, "_fields") else tuple(parts)


def known_kind_file(weights: Path) -> Path:
    """Return where the trunk and neck for other photos lie: ``lite.known.safetensors`` beside ``lite.safetensors``."""
    return weights.with_name(f"{weights.stem}.known.safetensors")


def save_known_kind(weights: Path, before: Path, rule: KindRule) -> Path:
    """Put what lies before a training beside its weights.

    Args:
        weights: that came out; written already.
        before: that the training began with, or that the service knew all other photos by.
        rule: which crop is of the kind that was trained on.
    """
    network, skeleton = load_lite(before)
    state = {name: value for name, value in network.state_dict().items() if not name.startswith(_DECODER)}
    state |= {"rule.weights": rule.weights.float(), "rule.threshold": torch.tensor([rule.threshold])}
    marks = {"weights": fingerprint(weights), "before": fingerprint(before)}
    out = known_kind_file(weights)
    save_weights(out, state, {"kind": KIND, "skeleton": skeleton.name, **marks})
    return out


def with_known_kind(weights: Path, network: LiteNetwork) -> LiteNetwork:
    """Return a network with the trunk and neck for other photos where they lie beside its weights, else itself.

    Args:
        weights: the file that the network was loaded from.
        network: with its weights.

    Raises:
        WeightsError: if the file beside them is damaged or belongs to other weights.
    """
    path = known_kind_file(weights)
    if not path.exists():
        return network
    marks, state = read_metadata(path, KIND), load_weights(path, KIND)
    if marks.get("weights") != fingerprint(weights):
        raise WeightsError(f"Expected {path} to belong to {weights}, got that of other weights")
    rule = KindRule(state.pop("rule.weights"), float(state.pop("rule.threshold")))
    known = LiteNetwork(network.config)
    decoder = {name: value for name, value in network.state_dict().items() if name.startswith(_DECODER)}
    try:
        known.load_state_dict(state | decoder)
    except RuntimeError as error:
        raise WeightsError(f"Expected trunk and neck of {weights} in {path}, got others: {error}") from None
    return TwoKindsLite(network, known, rule, str(marks.get("before")))


def copy_weights(source: Path, out: Path) -> None:
    """Copy a weights file with what lies beside it for other photos; ``out`` is there as a whole or not at all."""
    beside = known_kind_file(source)
    for path, place in ([(beside, known_kind_file(out))] if beside.exists() else []) + [(source, out)]:
        partial = place.with_name(f"{place.name}.partial")
        shutil.copyfile(path, partial)
        partial.replace(place)


def mark_of(weights: Path) -> str:
    """Return what identifies a network by its file, and the one beside it where there is one."""
    path = known_kind_file(weights)
    return f"{fingerprint(weights)}-{fingerprint(path)}" if path.exists() else fingerprint(weights)
