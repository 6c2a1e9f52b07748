"""Plotly figures of the panels, as plain data: (traces, layout). Nothing is computed here."""

from __future__ import annotations

import numpy as np

from clickpose.draw import score_color
from clickpose_fiftyone.calibration_report import BINS, MOST_POINTS, CalibrationReport
from clickpose_fiftyone.comparison import FieldComparison
from clickpose_fiftyone.diagnosis import ERRORS, Diagnosis

BEFORE, AFTER, FAINT = "#8f93a3", "#ff6d05", "#6b6f7d"
_GRID = "rgba(140,140,160,0.18)"
Figure = tuple[list[dict], dict]


def layout(title: str, x: str, y: str, height: int = 300, **more) -> dict:
    """Return the common layout: transparent, in the app's colours, a title of one line."""
    axis = {"gridcolor": _GRID, "zeroline": False, "linecolor": _GRID, "automargin": True}
    return {
        "title": {
            "text": title, "font": {"size": 14}, "x": 0.01, "xanchor": "left", "y": 1,
            "yanchor": "top", "pad": {"t": 8},
        },
        "height": height,
        "margin": {"l": 48, "r": 16, "t": 60, "b": 44},  # the title, below it the legend
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12},  # its colour is the theme's, light or dark: the app adds it
        "showlegend": True,  # which the app leaves out unless it is told
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        "xaxis": {**axis, "title": {"text": x}},
        "yaxis": {**axis, "title": {"text": y}},
        "hovermode": "closest",
        **more,
    }  # fmt: skip


def reliability_figure(report: CalibrationReport) -> Figure:
    """Mean OKS of joints by score: bars after calibration, a line before, the diagonal is perfect."""
    before, after = report.reliability
    figure = layout(
        f"Reliability of joints: calibration error {before.ece:.3f} → {after.ece:.3f}", "predicted OKS", "measured OKS"
    )
    figure["xaxis"]["range"] = figure["yaxis"]["range"] = [0, 1.02]
    centers = (np.floor(np.minimum(after.scores, 0.999) * BINS) + 0.5) / BINS
    bars = {
        "type": "bar", "name": "after", "x": _list(centers), "y": _list(after.outcomes),
        "width": [0.92 / BINS] * len(centers),
        "marker": {"color": [_rgb(score) for score in centers], "line": {"width": 0}},
        "customdata": after.counts.tolist(),
        "hovertemplate": "predicted %{x:.2f}<br>measured %{y:.3f}<br>%{customdata} joints<extra></extra>",
        "error_y": {"type": "data", "symmetric": False, "array": _list(after.high - after.outcomes),
                    "arrayminus": _list(after.outcomes - after.low), "color": FAINT, "thickness": 1},
    }  # fmt: skip
    return [bars, _line("before", before.scores, before.outcomes, BEFORE, "lines+markers"), _diagonal()], figure


def sparsification_figure(report: CalibrationReport) -> Figure:
    """The error that is left when the least certain joints are removed."""
    before, after = report.sparsification
    figure = layout(
        f"Sparsification: AUSE {100 * before.ause:.2f} → {100 * after.ause:.2f} (×100)", "share of joints removed",
        "mean error left (1 − OKS)",
    )  # fmt: skip
    return [
        _line("before", before.removed, before.errors, BEFORE),
        _line("after", after.removed, after.errors, AFTER),
        _line("best possible", after.removed, after.oracle, FAINT, dash="dot"),
    ], figure


def precision_figure(report: CalibrationReport) -> Figure:
    """Precision and recall of people at OKS .5, ranked by raw and by calibrated scores."""
    before, after = report.precision
    figure = layout(f"People at OKS .50: AP {np.nanmean(before):.3f} → {np.nanmean(after):.3f}", "recall", "precision")
    figure["yaxis"]["range"] = [0, 1.03]
    return [
        _line("before", report.recalls, before, BEFORE),
        _line("after", report.recalls, after, AFTER),
    ], figure


def joint_figure(report: CalibrationReport) -> Figure:
    """Mean predicted and measured OKS of each joint."""
    names = [name.replace("_", " ") for name in report.joints]
    figure = layout("Predicted and measured OKS by joint", "", "mean OKS", barmode="group")
    figure["xaxis"]["tickangle"] = -40
    figure["yaxis"]["range"] = [0, 1.02]
    widths = [0.36] * len(names)
    return [
        {"type": "bar", "name": "predicted", "x": names, "y": _list(report.joint_predicted), "width": widths,
         "offset": [-0.38] * len(names), "marker": {"color": AFTER}},
        {"type": "bar", "name": "measured", "x": names, "y": _list(report.joint_measured), "width": widths,
         "offset": [0.02] * len(names), "marker": {"color": BEFORE}},
    ], figure  # fmt: skip


def score_figure(counts: np.ndarray, threshold: float | None = None) -> Figure:
    """People by predicted OKS, with the auto-accept threshold."""
    centers = (np.arange(len(counts)) + 0.5) / len(counts)
    figure = layout("People by predicted OKS", "predicted OKS", "people", height=256, showlegend=False)
    figure["xaxis"]["range"] = [0, 1.0]
    if threshold is not None:
        line = {"type": "line", "x0": threshold, "x1": threshold, "y0": 0, "y1": 1, "yref": "paper"}
        figure["shapes"] = [{**line, "line": {"color": BEFORE, "width": 2, "dash": "dash"}}]
        figure["annotations"] = [
            {
                "x": threshold,
                "y": 1,
                "yref": "paper",
                "text": "accepted →",
                "showarrow": False,
                "xanchor": "left",
                "yanchor": "bottom",
            }
        ]
    bars = {
        "type": "bar", "x": _list(centers), "y": counts.tolist(), "width": [0.94 / len(counts)] * len(counts),
        "marker": {"color": [_rgb(center) for center in centers]},
        "hovertemplate": "%{y} people around %{x:.2f}<extra></extra>",
    }  # fmt: skip
    return [bars], figure


def diagnosis_figure(diagnosis: Diagnosis) -> Figure:
    """Shares of errors by joint; the column of good joints has a scale of its own, so that errors stand out."""
    names = [name.replace("_", " ") for name in diagnosis.joints]
    shares = 100 * diagnosis.shares
    colors = shares.copy()
    colors[:, 0] = 0  # good: shown as number only
    text = [[f"{share:.0f}%" for share in row] for row in shares]
    height = 90 + 24 * len(names)
    figure = layout(f"Errors of {diagnosis.persons} people, share of each joint's labels", "", "", height=height)
    figure["yaxis"]["autorange"] = "reversed"
    figure["xaxis"]["side"] = "top"
    figure["margin"]["t"] = 70
    for axis in ("xaxis", "yaxis"):
        figure[axis]["showgrid"] = False
    cells = {
        "type": "heatmap", "x": list(ERRORS), "y": names, "z": colors.tolist(), "text": text, "texttemplate": "%{text}",
        "customdata": diagnosis.counts.tolist(), "zmin": 0, "zmax": max(float(colors.max()), 1.0), "xgap": 2, "ygap": 2,
        "colorscale": [[0, "#23252e"], [0.35, "#7a2c5c"], [0.7, "#d9534f"], [1, "#fbad3c"]], "showscale": False,
        "hovertemplate": "%{y}: %{x}, %{customdata} joints<extra></extra>",
    }  # fmt: skip
    return [cells], figure


def _line(name: str, x, y, color: str, mode: str = "lines", dash: str = "solid") -> dict:
    x, y = np.asarray(x), np.asarray(y)
    step = max(1, len(x) // MOST_POINTS)
    line = {"color": color, "width": 2, "dash": dash}
    return {"type": "scatter", "mode": mode, "name": name, "x": _list(x[::step]), "y": _list(y[::step]), "line": line}


def _diagonal() -> dict:
    line = {"color": FAINT, "width": 1, "dash": "dot"}
    return {"type": "scatter", "mode": "lines", "name": "perfect", "x": [0, 1], "y": [0, 1], "line": line,
            "hoverinfo": "skip"}  # fmt: skip


def _rgb(score: float) -> str:
    return "rgb({},{},{})".format(*score_color(score))


def _list(values: np.ndarray) -> list:
    """Return numbers for JSON, None for NaN."""
    return [float(value) if np.isfinite(value) else None for value in np.asarray(values, np.float64)]


def agreement_figure(found: FieldComparison) -> Figure:
    """Mean OKS of each joint of two fields with each other."""
    names = [name.replace("_", " ") for name in found.joints]
    figure = layout(f"Agreement of {found.field} and {found.other} by joint", "", "mean OKS", showlegend=False)
    figure["xaxis"]["tickangle"] = -40
    figure["yaxis"]["range"] = [0, 1.02]
    means = found.by_joint
    bars = {
        "type": "bar", "x": names, "y": _list(means), "width": [0.8] * len(names),
        "marker": {"color": [_rgb(mean) for mean in np.nan_to_num(means)]},
        "hovertemplate": "%{x}: OKS %{y:.3f}<extra></extra>",
    }  # fmt: skip
    return [bars], figure
