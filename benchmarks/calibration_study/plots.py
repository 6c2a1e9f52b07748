"""The study's pictures, of the figures as JSON has them: reliability (Fig. g), occlusion (Fig. 3),
aggregation (Fig. 4). Needs the extra ``plots``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_COLORS = {"OKS": "#80868b", "original": "#c8641b", "CCNet": "#1c4f9c", "CCNet with patches": "#188038"}


def plot_all(folder: Path, networks: Mapping[str, dict]) -> list[Path]:
    """Draw every picture into a folder; returns the files.

    Args:
        folder: made if absent.
        networks: what was measured of each network, by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"reliability": _reliability(networks), "aggregation": _gains(networks)}
    hidden = {name: figures for name, figures in networks.items() if "figure3" in figures}
    if hidden:
        drawn["occlusion"] = _occlusion(hidden)
    paths = [folder / f"{name}.png" for name in drawn]
    for path, figure in zip(paths, drawn.values(), strict=True):
        figure.savefig(path, dpi=110)
    return paths


def _reliability(networks: Mapping[str, dict]) -> Figure:
    """Mean OKS of joints against their confidence, a panel for each network."""
    figure, axes = _panels(len(networks))
    for axis, (network, figures) in zip(axes, networks.items(), strict=True):
        axis.plot([0, 1], [0, 1], color=_COLORS["OKS"], linestyle="--", linewidth=1)
        for name, curve in figures["reliability"].items():
            x, color = curve["scores"], _COLORS[name]
            axis.fill_between(x, curve["low"], curve["high"], color=color, alpha=0.2, linewidth=0)
            label = f"{name}, ECE {100 * curve['ece']:.1f} %"
            axis.plot(x, curve["outcomes"], "o-", color=color, markersize=3, label=label)
        axis.set(title=network, xlim=(0, 1), ylim=(0, 1), xlabel="confidence of a joint")
        axis.legend(loc="lower right", fontsize=8, frameon=False)
    axes[0].set_ylabel("mean OKS")
    return figure


def _occlusion(networks: Mapping[str, dict]) -> Figure:
    """OKS and confidences of a wrist against the side of the patch that hides it, a panel for each network."""
    figure, axes = _panels(len(networks))
    for axis, (network, figures) in zip(axes, networks.items(), strict=True):
        values = figures["figure3"]
        for name, color in _COLORS.items():
            mean, error = zip(*values[name], strict=True)
            axis.errorbar(values["patches"], mean, error, color=color, marker="o", markersize=3, capsize=2,
                          linestyle="--" if name == "OKS" else "-", label=name)  # fmt: skip
        axis.set(title=network, ylim=(0, 0.8), xlabel="side of the patch, px of 256")
    axes[0].set_ylabel(f"mean of {values['persons']} wrists")
    axes[0].legend(loc="lower left", fontsize=8, frameon=False)
    return figure


def _gains(networks: Mapping[str, dict]) -> Figure:
    """AP gained over the plain mean by each other way from joints to a person, with the paired intervals."""
    figure, (axis,) = _panels(1, 7.5)
    ways = list(next(iter(networks.values()))["figure4"])
    markers, step = ("o", "s", "^", "D"), 0.14
    for number, (network, figures) in enumerate(networks.items()):
        changes = [[100 * x for x in figures["figure4"][way]["AP"]["change"]] for way in ways]
        errors = [[value - low for value, low, _ in changes], [high - value for value, _, high in changes]]
        places = [place + step * (number - (len(networks) - 1) / 2) for place in range(len(ways))]
        axis.errorbar([value for value, _, _ in changes], places, xerr=errors, fmt=markers[number], capsize=2,
                      markersize=5, label=network)  # fmt: skip
    axis.axvline(0, color=_COLORS["OKS"], linestyle="--", linewidth=1)
    axis.set(xlabel="AP points gained over the mean of all joints", ylim=(len(ways) - 0.5, -0.5))
    axis.set_yticks(range(len(ways)), ways)
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _panels(count: int, width: float = 3.2) -> tuple[Figure, list]:
    figure = Figure(figsize=(width * count, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, count, squeeze=False, sharey=True)[0].tolist()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e8eaed")
        axis.set_axisbelow(True)
    return figure, axes
