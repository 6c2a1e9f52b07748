"""Plots of confidence before and after calibration, as SVG text: reliability, sparsification, precision, histograms.

Matplotlib (extra ``plots``) draws them without a display and without its global state.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from clickpose.metrics.average_precision import OKS_THRESHOLDS, RECALLS
from clickpose.metrics.calibration_figures import CalibrationSample
from clickpose.metrics.ranked_precision import ranked_precision
from clickpose.metrics.reliability import reliability_diagram
from clickpose.metrics.sparsification import sparsification

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Told apart by colour-blind eyes and in grey.
BEFORE, AFTER, TRUTH = "#c8641b", "#1c4f9c", "#9aa0a6"
_STYLE: dict[RcKeyType, Any] = {
    "font.family": "sans-serif", "font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#5f6368", "axes.labelcolor": "#3c4043",
    "xtick.color": "#5f6368", "ytick.color": "#5f6368", "axes.grid": True, "grid.color": "#e8eaed",
    "axes.axisbelow": True, "legend.frameon": False, "svg.hashsalt": "clickpose",
}  # fmt: skip
_THRESHOLDS_SHOWN = (0.5, 0.75, 0.9)
_HISTOGRAM_BINS = np.linspace(0, 1, 21)
_HISTOGRAM_COLUMNS = 6
_CURVE_POINTS = 400  # more are not seen, and make the file large


def reliability_plot(before: CalibrationSample, after: CalibrationSample) -> str:
    """Draw mean OKS against mean confidence by bins of equal count, with bands, over a histogram of the confidences."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panels(2, 2, (9.6, 4.9), height_ratios=(4, 1))
        for column, level in enumerate(("persons", "joints")):
            upper, lower = axes[0][column], axes[1][column]
            upper.plot([0, 1], [0, 1], color=TRUTH, linewidth=1, linestyle="--", label="calibrated")
            for sample, color, name in _both(before, after):
                scores, oks = _of_level(sample, level)
                diagram = reliability_diagram(scores, oks, groups=_groups_of(sample, level))
                upper.fill_between(diagram.scores, diagram.low, diagram.high, color=color, alpha=0.18, linewidth=0)
                upper.plot(
                    diagram.scores, diagram.outcomes, "o-", color=color, markersize=3.5, linewidth=1.4,
                    label=f"{name}: ECE {diagram.ece:.3f}",
                )  # fmt: skip
                lower.hist(scores, _HISTOGRAM_BINS.tolist(), color=color, histtype="step", linewidth=1.3)
            upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="mean OKS", title=level.capitalize(), aspect="auto")
            upper.tick_params(labelbottom=False)
            upper.legend(loc="upper left")
            lower.set(xlim=(0, 1), xlabel="confidence", ylabel=level)
        return _svg(figure)


def sparsification_plot(before: CalibrationSample, after: CalibrationSample) -> str:
    """Draw the error that is left when the least confident are removed, beside the best order there could be."""
    panels: list[tuple[str, str, str, str | None]]
    panels = [(level.capitalize(), "mean 1 - OKS", level, None) for level in ("persons", "joints")]
    panels += [(f"Joints, {name}", "share of wrong joints", "joints", name) for name in before.correct]
    with mpl.rc_context(_STYLE):
        rows = -(-len(panels) // 2)
        figure, axes = _panels(rows, 2, (9.6, 3.3 * rows))
        for axis in _flat(axes)[len(panels) :]:
            axis.set_axis_off()
        for axis, (title, label, level, criterion) in zip(_flat(axes), panels, strict=False):
            for sample, color, name in _both(before, after):
                scores, quality = _of_level(sample, level, criterion)
                curve = sparsification(scores, 1 - quality)
                shown = _thin(len(curve.removed))
                axis.plot(
                    curve.removed[shown], curve.errors[shown], color=color, label=f"{name}: AUSE {curve.ause:.4f}"
                )
            axis.plot(curve.removed[shown], curve.oracle[shown], color=TRUTH, linestyle="--", label="best order")
            axis.set(xlim=(0, 1), ylim=(0, None), xlabel="removed, least confident first", ylabel=label, title=title)
            axis.xaxis.set_major_formatter(PercentFormatter(1))
            axis.legend(loc="best")
        return _svg(figure)


def precision_plot(before: CalibrationSample, after: CalibrationSample) -> str:
    """Draw precision against recall at three OKS thresholds; each prediction counts for its own person."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panels(1, len(_THRESHOLDS_SHOWN), (3.6 * len(_THRESHOLDS_SHOWN), 3.2))
        for axis, threshold in zip(axes[0], _THRESHOLDS_SHOWN, strict=True):
            row = int(np.argmin(np.abs(OKS_THRESHOLDS - threshold)))
            for sample, color, name in _both(before, after):
                scores, oks = _of_level(sample, "persons")
                _draw_precision(axis, ranked_precision(scores, oks).precision[row], color, "-", name)
            _draw_precision(axis, ranked_precision(oks, oks).precision[row], TRUTH, "--", "OKS as score")
            axis.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="recall", title=f"OKS ≥ {threshold:.2f}")
            axis.legend(loc="lower left")
        axes[0][0].set_ylabel("precision")
        return _svg(figure)


def score_histograms(before: CalibrationSample, after: CalibrationSample, groups: Mapping[str, Sequence[int]]) -> str:
    """Draw how confidences are spread, before and after, over how OKS is, by joint or part.

    Args:
        before, after: the samples.
        groups: joint indices by name; one histogram each.
    """
    rows = -(-len(groups) // _HISTOGRAM_COLUMNS)
    columns = min(len(groups), _HISTOGRAM_COLUMNS)
    with mpl.rc_context(_STYLE | {"font.size": 8, "axes.titlesize": 8.5, "axes.grid": False}):
        figure, axes = _panels(rows, columns, (1.75 * columns, 1.35 * rows + 0.45))
        for axis in _flat(axes)[len(groups) :]:
            axis.set_axis_off()
        for (name, joints), axis in zip(groups.items(), _flat(axes), strict=False):
            _draw_histogram(axis, before, after, list(joints))
            axis.set(xlim=(0, 1), ylim=(0, None), yticks=(), title=name.replace("_", " "))
            axis.set_xticks((0, 0.5, 1), ("0", ".5", "1"))
            axis.spines["left"].set_visible(False)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
        return _svg(figure)


def _both(before: CalibrationSample, after: CalibrationSample) -> tuple[tuple[CalibrationSample, str, str], ...]:
    return ((before, BEFORE, "before"), (after, AFTER, "after"))


def _of_level(sample: CalibrationSample, level: str, criterion: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return confidence and quality (OKS, or 1 for correct) of the persons or joints that are labelled."""
    if level == "persons":
        return sample.instance_scores[sample.measured], sample.instance_oks[sample.measured]
    quality = sample.oks if criterion is None else sample.correct[criterion]
    return sample.scores[sample.labelled], quality[sample.labelled]


def _groups_of(sample: CalibrationSample, level: str) -> np.ndarray:
    """Return whose each of :func:`_of_level` is: a photo's where photos are known, else a person's."""
    owner = np.arange(len(sample)) if sample.image_ids is None else sample.image_ids
    if level == "persons":
        return owner[sample.measured]
    return np.broadcast_to(owner[:, None], sample.labelled.shape)[sample.labelled]


def _panels(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=options or None).tolist()


def _flat(axes: list[list[Axes]]) -> list[Axes]:
    return [axis for row in axes for axis in row]


def _thin(count: int) -> np.ndarray:
    """Return indices of at most about ``_CURVE_POINTS`` of ``count`` points, first and last among them."""
    return np.unique(np.linspace(0, max(count - 1, 0), _CURVE_POINTS).astype(int))[:count]


def _draw_precision(axis: Axes, precision: np.ndarray, color: str, line: str, name: str) -> None:
    """Draw one curve as far as there is a precision."""
    reached = precision > 0
    label = f"{name}: AP {precision.mean():.3f}"
    axis.plot(RECALLS[reached], precision[reached], color=color, linestyle=line, label=label)


def _draw_histogram(axis: Axes, before: CalibrationSample, after: CalibrationSample, joints: list[int]) -> None:
    labelled = before.labelled[:, joints]

    def shares(values: np.ndarray) -> np.ndarray:
        return np.histogram(values[:, joints][labelled], _HISTOGRAM_BINS)[0] / max(labelled.sum(), 1)

    axis.stairs(shares(before.oks), _HISTOGRAM_BINS, fill=True, color=TRUTH, alpha=0.55, label="OKS")
    for sample, color, name in _both(before, after):
        axis.stairs(
            shares(sample.scores),
            _HISTOGRAM_BINS,
            color=color,
            linewidth=1.2,
            label=f"confidence {name}",
            baseline=None,
        )


def _svg(figure: Figure) -> str:
    """Return the figure as an SVG document that is the same for the same data."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
