"""The figures of :mod:`.statistics` as a page and as a plot (SVG): no script, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from clickpose_labelstudio.learning.journal import Entry
from clickpose_labelstudio.learning.statistics import Figures, figures_of, grouped, reliability

if TYPE_CHECKING:
    from rich.table import Table

TITLES = {
    "persons": "persons", "clicks_a_person": "clicks a person", "seconds_a_person": "seconds a person",
    "unseen_share": "joints nobody touched", "accepted_share": "joints looked at and left",
    "predicted_oks": "predicted OKS", "true_oks": "OKS against what was submitted",
    "calibration_error": "calibration error", "checked_predicted_oks": "predicted OKS, touched joints",
    "checked_true_oks": "OKS, touched joints",
}  # fmt: skip
SHARES = ("unseen_share", "accepted_share")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: .5rem 0 2rem; width: 100% } caption { text-align: left; font-weight: 600 }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #ddd } th { font-weight: 500; color: #555 }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 16rem }
svg { max-width: 100%; height: auto }
.note { color: #555; max-width: 50rem }
"""
NOTE = (
    "A click is a joint that was placed or moved; joints that followed one are none. Seconds are Label Studio's lead "
    "times. Where nobody has touched a joint, its prediction counts as right, so look at the touched ones for how far "
    "the scores can be trusted: these were the doubtful ones, and their OKS is the lowest there is."
)


def stats_page(entries: Sequence[Entry], project: int | None, projects: Sequence[int]) -> str:
    """Return the page of a project, or of all."""
    title = "all projects" if project is None else f"project {project}"
    links = " · ".join(['<a href="?">all</a>', *(f'<a href="?project={number}">{number}</a>' for number in projects)])
    query = "" if project is None else f"?project={project}"
    tables = [
        _table("All", {"": figures_of(entries)}),
        _table("By version of the network", grouped(entries, "version")),
        _table("By annotator (Label Studio's number)", grouped(entries, "annotator")),
        _table("By day", grouped(entries, "day")),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Click-Pose: {escape(title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style><h1>Click-Pose, {escape(title)}</h1>"
        f"<p>Projects: {links} · <a href='stats.csv{query}'>CSV</a></p>"
        f"{plot(entries)}<p class=note>{escape(NOTE)}</p>{''.join(tables)}</html>"
    )


def terminal_table(by: str, rows: Mapping[str, Figures]) -> Table:
    """Return figures as a table for a terminal."""
    from rich.table import Table

    table = Table(by if by != "all" else "", *TITLES.values())
    for name, row in rows.items():
        table.add_row(name, *(_shown(column, getattr(row, column)) for column in TITLES))
    return table


def _table(caption: str, rows: Mapping[str, Figures]) -> str:
    head = "".join(f"<th>{escape(title)}" for title in TITLES.values())
    body = "".join(
        f"<tr><td>{escape(name)}" + "".join(f"<td>{_shown(column, getattr(row, column))}" for column in TITLES)
        for name, row in rows.items()
    )
    return f"<table><caption>{escape(caption)}</caption><tr><th>{head}{body}</table>"


def _shown(column: str, value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "–"
    return f"{100 * value:.0f} %" if column in SHARES else f"{value:.3f}" if value < 1 else f"{value:.2f}"


WIDTH, HEIGHT, MARGIN = 380, 240, 40


def plot(entries: Sequence[Entry]) -> str:
    """Return clicks and seconds a person by day, and predicted against true OKS, as one SVG."""
    days = grouped(entries, "day")
    clicks = [(day, each.clicks_a_person) for day, each in days.items() if not math.isnan(each.clicks_a_person)]
    seconds = [(day, each.seconds_a_person) for day, each in days.items() if not math.isnan(each.seconds_a_person)]
    parts = [_lines("clicks a person", clicks, "#0b62a4", 0), _lines("seconds a person", seconds, "#b45f06", WIDTH)]
    parts.append(_reliability(reliability(entries), 2 * WIDTH))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {3 * WIDTH} {HEIGHT}" width="{3 * WIDTH}" '
        f'height="{HEIGHT}" font-family="sans-serif" font-size="13">{"".join(parts)}</svg>'
    )


def _lines(title: str, points: Sequence[tuple[str, float]], color: str, left: int) -> str:
    """Draw values by day, from 0 up."""
    top = max((value for _, value in points), default=1.0) or 1.0
    step = (WIDTH - 2 * MARGIN) / max(len(points) - 1, 1)
    places = [(left + MARGIN + i * step, _height(value / top)) for i, (_, value) in enumerate(points)]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"><title>{escape(day)}: {value:.2f}</title></circle>'
        for (x, y), (day, value) in zip(places, points, strict=True)
    )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    ends = [points[0][0], points[-1][0]] if len(points) > 1 else [day for day, _ in points]
    labels = "".join(
        f'<text x="{x:.0f}" y="{HEIGHT - 14}" text-anchor="{anchor}">{escape(day)}</text>'
        for day, x, anchor in zip(ends, (left + MARGIN, left + WIDTH - MARGIN), ("start", "end"), strict=False)
    )
    return (
        f"{_axes(title, left, f'{top:.1f}')}{labels}"
        f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>{dots}'
    )


def _reliability(bins: Sequence[tuple[float, float, int]], left: int) -> str:
    """Draw predicted OKS along, true OKS up; on the diagonal scores say what they mean."""
    across = WIDTH - 2 * MARGIN
    dots = "".join(
        f'<circle cx="{left + MARGIN + predicted * across:.1f}" cy="{_height(true):.1f}" '
        f'r="{2 + min(6.0, math.log10(count + 1) * 2):.1f}" fill="#2e7d32"><title>{count} joints: predicted '
        f"{predicted:.2f}, true {true:.2f}</title></circle>"
        for predicted, true, count in bins
    )
    diagonal = (
        f'<line x1="{left + MARGIN}" y1="{_height(0):.0f}" x2="{left + WIDTH - MARGIN}" y2="{_height(1):.0f}" '
        'stroke="#999" stroke-dasharray="4"/>'
    )
    return _axes("predicted OKS (across), true OKS (up)", left, "1") + diagonal + dots


def _axes(title: str, left: int, top: str) -> str:
    return (
        f'<text x="{left + MARGIN}" y="20" fill="#222">{escape(title)}</text>'
        f'<line x1="{left + MARGIN}" y1="{_height(0):.0f}" x2="{left + WIDTH - MARGIN}" y2="{_height(0):.0f}" '
        f'stroke="#bbb"/>{_beside(left, 1, top)}{_beside(left, 0, "0")}'
    )


def _beside(left: int, share: float, text: str) -> str:
    """Write what a height stands for."""
    return f'<text x="{left + MARGIN - 6}" y="{_height(share) + 5:.0f}" text-anchor="end" fill="#555">{text}</text>'


def _height(share: float) -> float:
    return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
