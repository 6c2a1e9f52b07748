"""The study's figures, as JSON has them, made into Markdown tables; a page of docs gets them between its marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from calibration_study.networks import NAMES
from calibration_study.occlusion import HEADS
from calibration_study.tables import TABLE_4

_TABLE_1 = ("original", "constant", "mean area", "predicted area", "ground-truth area", "OKS as score")
_TABLE_2 = ("AP", "AR", "AP_medium", "AP_large")
_TABLE_5 = (
    "Pearson, persons", "Pearson, joints", "AUSE, persons", "AUSE, joints", "ECE, persons", "ECE, joints",
    "Brier, joints",
)  # fmt: skip
_FIGURE_4 = ("AP", "Pearson, persons", "ECE, persons")
_SUPPLEMENT_G = ("AP", "Pearson, persons", "AUSE, persons", "AUSE, joints", "ECE, joints", "Brier, joints")
_TIMES_100 = ("AP", "AR", "AUSE", "ECE")


class Table(NamedTuple):
    """``key`` marks the table's place in a page; the first of ``rows`` is the header."""

    key: str
    title: str
    rows: list[list[str]]

    def markdown(self) -> str:
        """Return the table without its title."""
        lines = [f"| {' | '.join(row)} |" for row in self.rows]
        lines.insert(1, "|" + "---|" * len(self.rows[0]))
        return "\n".join(lines)


def all_tables(networks: Mapping[str, dict], wholebody: Mapping[str, dict] | None) -> list[Table]:
    """Return every table that there are figures for.

    Args:
        networks: what was measured of each network, by name.
        wholebody: Table 3; None if it was left out.
    """
    found = {name: networks[name] for name in NAMES if name in networks}
    tables = [_networks_table(found), _table_1(found)] if found else []
    if found:
        tables.append(_changes("table2", "Table 2: + CCNet", found, _TABLE_2))
    if wholebody is not None:
        tables.append(_table_3(wholebody))
    if found:
        tables += [
            _changes("table4", "Table 4: AUSE-PCK of joints, original → CCNet", found, TABLE_4, "original → after"),
            _changes("table5", "Table 5: original → CCNet", found, _TABLE_5),
            _table_6(found),
            _changes("figure4", "Fig. 4: from CCNet's joints to a person, against the plain mean", found, _FIGURE_4),
            _changes("supplement_g", "Supplement, Table g: CCNet's loss, original → calibrated", found, _SUPPLEMENT_G),
        ]
    hidden = {name: figures for name, figures in found.items() if "figure3" in figures}
    return [*tables, _figure_3(hidden)] if hidden else tables


def write_into(page: Path, tables: Sequence[Table]) -> None:
    """Put each table between ``<!-- KEY -->`` and ``<!-- end KEY -->`` of a Markdown page.

    Raises:
        ValueError: if the page lacks a table's marks.
    """
    text = page.read_text(encoding="utf-8")
    for table in tables:
        begin, end = f"<!-- {table.key} -->", f"<!-- end {table.key} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"Expected {begin} and {end} in {page}, got a page without them")
        text = f"{before}{begin}\n{table.markdown()}\n{end}{after}"
    page.write_text(text, encoding="utf-8")


def interval_text(interval: Sequence[float], scale: float = 1.0) -> str:
    """Write (value, low, high) with one digit."""
    value, low, high = (scale * x for x in interval)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def change_text(name: str, figure: Mapping[str, Sequence[float]]) -> str:
    """Write before -> after and the change with its interval."""
    scale, digits = (100.0, 2) if name.startswith(_TIMES_100) else (1.0, 3)
    value, low, high = (f"{scale * x:+.{digits}f}" for x in figure["change"])
    before, after = (f"{scale * figure[part][0]:.{digits}f}" for part in ("before", "after"))
    return f"{before} → {after} ({value} [{low}, {high}])"


def _changes(key: str, title: str, networks: Mapping[str, dict], names: Sequence[str], corner: str = "") -> Table:
    """Return a table with a column for each figure, and a row for each network, or for each way of each network."""
    rows = [[corner, *(f"{name} (%)" if name.startswith(_TIMES_100) else name for name in names)]]
    for network, figures in networks.items():
        table = figures[key]
        ways = {network: table} if names[0] in table else {f"{network}: {way}": cells for way, cells in table.items()}
        rows += [[way, *(change_text(name, cells[name]) for name in names)] for way, cells in ways.items()]
    return Table(key, title, rows)


def _networks_table(networks: Mapping[str, dict]) -> Table:
    rows = [["network", "weights", "persons that CCNet was fitted on", "persons measured"]]
    rows += [[name, v["weights"], str(v["fitted on"]), str(v["measured on"])] for name, v in networks.items()]
    return Table("networks", "What was measured", rows)


def _table_1(networks: Mapping[str, dict]) -> Table:
    rows = [["AP (%), change against original", *_TABLE_1]]
    for network, figures in networks.items():
        for way, cells in figures["table1"].items():
            label = f"{network}, {way}" if way else network
            rows.append([label, *(_table_1_cell(column, cells.get(column)) for column in _TABLE_1)])
    return Table("table1", "Table 1: what persons are ranked by", rows)


def _table_1_cell(column: str, figure: Mapping[str, Sequence[float]] | None) -> str:
    if figure is None:
        return "–"
    if column == "original":
        return interval_text(figure["after"], 100)
    value, low, high = (f"{100 * x:+.1f}" for x in figure["change"])
    return f"{100 * figure['after'][0]:.1f} ({value} [{low}, {high}])"


def _table_3(table: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    rows = [["ranked by", *next(iter(table.values()))]]
    rows += [[name, *(interval_text(cell, 100) for cell in cells.values())] for name, cells in table.items()]
    return Table("table3", "Table 3: COCO-WholeBody, simulated predictions, AP (%) by part", rows)


def _table_6(networks: Mapping[str, dict]) -> Table:
    bodies = sorted({figures["table6"]["body"] for figures in networks.values()})
    columns = list(next(iter(networks.values()))["table6"]["error"])
    rows = [["PA-MPJPE, mm", *columns]]
    rows += [
        [name, *(interval_text(figures["table6"]["error"][c]) for c in columns)] for name, figures in networks.items()
    ]
    title = f"Table 6: 3D bodies ({', '.join(bodies)}) fitted to keypoints, by the weight of the joints"
    return Table("table6", title, rows)


def _figure_3(networks: Mapping[str, dict]) -> Table:
    curves = ("OKS", "original", *HEADS)
    patches = next(iter(networks.values()))["figure3"]["patches"]
    rows = [["mean by patch, px", "", *map(str, patches), "r with OKS"]]
    for network, figures in networks.items():
        values = figures["figure3"]
        for curve in curves:
            correlation = values["pearson"].get(curve)
            means = (f"{mean:.2f}" for mean, _ in values[curve])
            rows.append([network, curve, *means, "" if correlation is None else f"{correlation:.2f}"])
    return Table("figure3", "Fig. 3: a blurred patch hides a wrist", rows)
