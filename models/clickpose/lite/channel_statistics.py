"""Bring the trunk's channels on new photos to where they were on those that it was trained on: no label needed.

Photos of another kind (infrared, drawn, foggy) shift what each convolution of the trunk gives on average and how much
that varies, and everything behind it was trained for other values. As batch normalisation is adapted by its statistics
alone (Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016), every channel is scaled and
shifted so that mean and spread on the new photos are those on the old ones. The trunk has its normalisation folded into
the convolutions; so have these scales and shifts, and the network costs what it cost before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from clickpose.lite.known_photos import belongs_to, measure_and_keep
from clickpose.networks.movenet import MoveNetThunder, scale_pixels
from clickpose.weights_io import load_weights, save_weights

KIND = "channel-statistics"
_HEADS = ("center", "heatmap", "regression", "offset")  # what they say depends on the pose more than on the look
_SMALLEST_SPREAD = 1e-4  # of a channel that gives the same everywhere; it is only shifted


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """What the convolutions of a trunk give on some photos.

    Attributes:
        means, spreads: name of the convolution -> (C,) mean and standard deviation of its channels.
    """

    means: dict[str, Tensor]
    spreads: dict[str, Tensor]

    def save(self, path: Path, fingerprint: str, data: str) -> None:
        """Write them; they hold no photo and nobody's pose.

        Args:
            path: ``.safetensors`` file.
            fingerprint: of the weights that they were measured with.
            data: what they were measured on, in words.
        """
        state = {f"{name}.mean": value for name, value in self.means.items()}
        state |= {f"{name}.spread": value for name, value in self.spreads.items()}
        save_weights(path, state, {"kind": KIND, "skeleton": "coco", "weights": fingerprint, "data": data})

    @classmethod
    def load(cls, path: Path) -> ChannelStatistics:
        """Read what :meth:`save` wrote.

        Raises:
            WeightsError: if the file is missing, damaged or of another kind.
        """
        state = load_weights(path, KIND)
        means = {name.removesuffix(".mean"): value for name, value in state.items() if name.endswith(".mean")}
        return cls(means, {name: state[f"{name}.spread"] for name in means})


def source_statistics(weights: Path) -> ChannelStatistics | None:
    """Return the statistics that were shipped with weights, or lie beside them; None where there are none of these.

    Args:
        weights: lite weights; ``lite.channels.safetensors`` lies beside ``lite.safetensors``.

    Raises:
        WeightsError: if the file beside them is damaged.
    """
    path = statistics_file(weights)
    return ChannelStatistics.load(path) if belongs_to(path, KIND, weights) else None


def statistics_file(weights: Path) -> Path:
    """Return where the channel statistics of a weights file lie."""
    return weights.with_name(f"{weights.stem}.channels.safetensors")


def matched_layers(trunk: MoveNetThunder) -> dict[str, nn.Conv2d]:
    """Return the convolutions whose channels are matched, by name, in the order that they run in."""
    return {
        name: module
        for name, module in trunk.named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is not None and name.split(".")[0] not in _HEADS
    }


def measure(trunk: MoveNetThunder, crops: Iterable[Tensor]) -> ChannelStatistics:
    """Return the statistics of a trunk over batches of crops.

    Args:
        trunk: as it is.
        crops: (B, 3, S, S) uint8 each.

    Raises:
        ValueError: without a batch.
    """
    sums: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in matched_layers(trunk)}

    def look(name: str, output: Tensor) -> None:
        sums[name].append(_moments(output))

    _run(trunk, crops, look)
    return _averaged(sums)


def match_channels(
    trunk: MoveNetThunder, crops: Iterable[Tensor], source: ChannelStatistics, strength: float = 1.0
) -> None:
    """Fold into a trunk's weights what brings its channels on new photos to the statistics of ``source``.

    Layers are matched in the order that they run in, each on what the matched ones before it give.

    Args:
        trunk: changed in place.
        crops: (B, 3, S, S) uint8 each, of people in the new photos.
        source: of this trunk on photos that it knows.
        strength: 1 for all of the way, 0 for none.

    Raises:
        ValueError: without a batch, or if the statistics are another trunk's.
    """
    layers = matched_layers(trunk)
    if layers.keys() != source.means.keys():
        raise ValueError("Expected channel statistics of this trunk, got those of another one")
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}

    def match(name: str, output: Tensor) -> Tensor:
        mean, spread = _moments(output)
        seen[name].append((mean, spread))
        scale, shift = _change(mean, spread, source, name, strength)
        return output * scale[:, None, None] + shift[:, None, None]

    _run(trunk, crops, match)
    found = _averaged(seen)
    with torch.no_grad():
        for name, layer in layers.items():
            scale, shift = _change(found.means[name], found.spreads[name], source, name, strength)
            assert layer.bias is not None, "matched layers have one"
            layer.weight.mul_(scale[:, None, None, None])
            layer.bias.mul_(scale).add_(shift)


def _moments(output: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (C,) of a (B, C, H, W) output."""
    values = output.float()
    return values.mean((0, 2, 3)), values.std((0, 2, 3), unbiased=False)


def _averaged(seen: dict[str, list[tuple[Tensor, Tensor]]]) -> ChannelStatistics:
    if not all(seen.values()):
        raise ValueError("Expected at least one batch of crops, got none")
    means = {name: torch.stack([mean for mean, _ in parts]).mean(0) for name, parts in seen.items()}
    spreads = {
        name: torch.stack([spread for _, spread in parts]).square().mean(0).sqrt() for name, parts in seen.items()
    }
    return ChannelStatistics(means, spreads)


def _change(
    mean: Tensor, spread: Tensor, source: ChannelStatistics, name: str, strength: float
) -> tuple[Tensor, Tensor]:
    """Return the scale and shift (C,) that a channel needs."""
    varied = spread > _SMALLEST_SPREAD
    full = torch.where(varied, source.spreads[name] / spread.clamp(min=_SMALLEST_SPREAD), 1.0)
    scale = 1 + strength * (full - 1)
    wanted = mean + strength * (source.means[name] - mean)
    return scale, wanted - mean * scale


@torch.inference_mode()
def _run(trunk: MoveNetThunder, crops: Iterable[Tensor], look: Callable[[str, Tensor], Tensor | None]) -> None:
    trunk.eval()
    with _watching(trunk, look):
        for images in crops:
            trunk(scale_pixels(images.contiguous(memory_format=torch.channels_last)))


@contextmanager
def _watching(trunk: MoveNetThunder, look: Callable[[str, Tensor], Tensor | None]) -> Iterator[None]:
    """Show each matched layer's output to ``look``, whose answer, where it gives one, takes its place."""
    handles = [
        layer.register_forward_hook(lambda module, inputs, output, name=name: look(name, output))
        for name, layer in matched_layers(trunk).items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def main() -> None:
    """Measure the shipped weights on labelled photos that they know, and put the statistics beside them.

    python -m clickpose.lite.channel_statistics --data ../shared/data/coco_train
    """
    measure_and_keep(main.__doc__, 480, measure, statistics_file)


if __name__ == "__main__":
    main()
