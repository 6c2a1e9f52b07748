"""Versions as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from clickpose_labelstudio.learning.verdict import AP, CLICKS
from clickpose_labelstudio.learning.versions import BASE, Version, VersionError, Versions


def version_table(versions: Versions) -> Table:
    """Return a row for each version, the base first."""
    table = Table("version", "made", "persons", "clicks to .90", "AP", "", title=f"project {versions.project}")
    try:
        live = versions.live().number
    except VersionError:
        live = None
    for version in versions.all():
        state = "live" if version.number == live else "" if _passed(version) else "did not pass"
        table.add_row(*_row(version), state)
    return table


def comparison_table(version: Version) -> Table:
    """Return the figures of a version, a row for each kind of photos and figure."""
    table = Table("photos", "figure", "before", "after", "change", "95 %", title=f"version {version.number}")
    for photos, figures in version.facts["verdict"]["figures"].items():
        for name, found in figures.items():
            change, low, high = found["change"]
            table.add_row(
                photos, name, f"{found['before'][0]:.3f}", f"{found['after'][0]:.3f}", f"{change:+.3f}",
                f"{low:+.3f} to {high:+.3f}",
            )  # fmt: skip
    return table


def _row(version: Version) -> Sequence[str]:
    if version.number == BASE:
        return "0", "", "", "", ""
    facts = version.facts
    own = facts["verdict"]["figures"].get("held out", {})
    shown = [f"{own[n]['before'][0]:.2f} -> {own[n]['after'][0]:.2f}" if n in own else "" for n in (CLICKS, AP)]
    return str(version.number), version.made, f"{facts['persons']} + {facts['held_out']} held out", *shown


def _passed(version: Version) -> bool:
    return version.number == BASE or bool(version.facts["verdict"]["passed"])
