"""Draw AP against clicks, one line for each way of correcting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clickpose.extras import require_extra

# Colours of Okabe and Ito (2008), which colour-blind readers tell apart; the refined curve gets the first.
_COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def check_plot_path(path: str | Path) -> None:
    """Refuse a picture that could not be drawn, before any work is done for it.

    Args:
        path: a file whose suffix chooses the form; or a folder, without a suffix.

    Raises:
        ValueError: if the extra ``plots`` is not installed, or matplotlib does not know the suffix.
    """
    require_extra("plots", "matplotlib")
    from matplotlib.backend_bases import FigureCanvasBase

    suffix, known = Path(path).suffix.lower(), FigureCanvasBase.get_supported_filetypes()
    if suffix and suffix[1:] not in known:
        raise ValueError(f"Expected a picture of a kind of {', '.join(known)}, got {path}")


def plot_curves(path: str | Path, curves: Mapping[str, Sequence[float]], title: str, most_clicks: int = 8) -> None:
    """Write a picture of the curves.

    Args:
        path: file to write; its suffix chooses the form (``.png``, ``.svg``, ``.pdf``).
        curves: AP in percent after 0, 1, 2, … clicks a person, by name.
        title: heading.
        most_clicks: where the horizontal axis ends.

    Raises:
        ValueError: if the extra ``plots`` is not installed, or matplotlib does not know the suffix.
    """
    require_extra("plots", "matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    ranked = sorted(curves.items(), key=lambda item: "refined" not in item[0])  # the networks' curves first
    for (name, curve), color in zip(ranked, _COLORS * len(curves), strict=False):
        shown = list(curve)[: most_clicks + 1]
        refined = "refined" in name
        axes.plot(
            range(len(shown)), shown, label=name, color=color, marker="o", markersize=4,
            linewidth=2.2 if refined else 1.4, linestyle="-" if refined else "--",
        )  # fmt: skip
    axes.set(xlabel="clicks a person", ylabel="AP (percent)", xlim=(-0.1, most_clicks + 0.1), ylim=(None, 100.5))
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)
