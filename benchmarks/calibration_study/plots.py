"""The study's pictures: reliability (Fig. g), occlusion (Fig. 3), aggregation (Fig. 4). Needs the extra ``plots``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.metrics.reliability import reliability_diagram

_COLORS = {"OKS": "#80868b", "original": "#c8641b", "CCNet": "#1c4f9c"}


def plot_reliability(path: Path, samples: Mapping[str, Mapping[str, CalibrationSample]]) -> None:
    """Draw mean OKS of joints against their confidence, a panel for each network, a curve for each of its samples."""
    figure, axes = _panels(len(samples))
    for axis, (network, curves) in zip(axes, samples.items(), strict=True):
        axis.plot([0, 1], [0, 1], color=_COLORS["OKS"], linestyle="--", linewidth=1, label="calibrated")
        for name, sample in curves.items():
            diagram = reliability_diagram(sample.scores[sample.labelled], sample.oks[sample.labelled])
            axis.fill_between(diagram.scores, diagram.low, diagram.high, color=_COLORS[name], alpha=0.2, linewidth=0)
            axis.plot(diagram.scores, diagram.outcomes, "o-", color=_COLORS[name], markersize=3,
                      label=f"{name}: ECE {diagram.ece:.3f}")  # fmt: skip
        axis.set(title=network, xlim=(0, 1), ylim=(0, 1), xlabel="confidence of a joint")
        axis.legend(loc="upper left", fontsize=8)
    axes[0].set_ylabel("mean OKS")
    _save(figure, path)


def plot_occlusion(path: Path, curves: Mapping[str, Mapping]) -> None:
    """Draw OKS and confidences of a wrist against the side of the patch that hides it, a panel for each network."""
    figure, axes = _panels(len(curves))
    for axis, (network, values) in zip(axes, curves.items(), strict=True):
        for name, color in _COLORS.items():
            mean, error = zip(*values[name], strict=True)
            correlation = f", r = {values['pearson'][name]:.2f}" if name in values["pearson"] else ""
            axis.errorbar(values["patches"], mean, error, color=color, marker="o", markersize=3, capsize=2,
                          linestyle="--" if name == "OKS" else "-", label=name + correlation)  # fmt: skip
        axis.set(title=network, ylim=(0, 1), xlabel="blurred patch on the wrist, px of 256")
        axis.legend(loc="upper right", fontsize=8)
    axes[0].set_ylabel(f"mean of {values['persons']} wrists")
    _save(figure, path)


def plot_aggregation(path: Path, table: Mapping[str, Mapping]) -> None:
    """Draw AP by the way in which joint scores are made into a person's, a panel for each network."""
    figure, axes = _panels(len(table), 3.6)
    for axis, (network, ways) in zip(axes, table.items(), strict=True):
        names = list(ways)
        intervals = [ways[name]["AP"].after for name in names]
        values = [100 * interval.value for interval in intervals]
        errors = [
            [max(100 * (i.value - i.low), 0) for i in intervals],
            [max(100 * (i.high - i.value), 0) for i in intervals],
        ]
        axis.errorbar(values, range(len(names)), xerr=errors, fmt="o", color=_COLORS["CCNet"], capsize=2)
        axis.set(title=network, xlabel="AP", ylim=(len(names) - 0.5, -0.5))
        axis.set_yticks(range(len(names)), names if axis is axes[0] else [""] * len(names))
    _save(figure, path)


def _panels(count: int, width: float = 3.2) -> tuple[Figure, list]:
    figure = Figure(figsize=(width * count, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, count, squeeze=False)[0].tolist()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e8eaed")
        axis.set_axisbelow(True)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
