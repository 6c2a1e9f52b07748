"""``clickpose evaluate``: click curves of the lite network over labelled folders, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from clickpose.build import load
from clickpose.click_evaluation import ClickProtocol, evaluate_clicks
from clickpose.data.coco import read_coco_persons


@dataclass(frozen=True)
class FigureTable:
    """Named rows of named figures."""

    title: str
    rows: dict[str, dict[str, float]]

    def render(self):
        """Return a ``rich`` table."""
        from rich.table import Table

        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        table = Table("", *columns, title=self.title)
        for name, row in self.rows.items():
            table.add_row(name, *(f"{row[column]:.2f}" if column in row else "" for column in columns))
        return table


def evaluate_from_options(
    folders: Sequence[Path], strategy: str, noise: float, checkpoint: Path | None, threads: int | None
) -> dict[str, FigureTable]:
    """Evaluate each folder.

    Raises:
        ValueError: for an unknown strategy or a folder without labelled persons.
        FileNotFoundError: for a folder without ``annotations.json``.
    """
    protocol = ClickProtocol(strategy, noise_sigmas=noise)
    predictor = load("lite", checkpoint=checkpoint, threads=threads or torch.get_num_threads())
    tables = {}
    for folder in folders:
        records = read_coco_persons(folder)
        if not records:
            raise ValueError(f"Expected labelled persons in {folder}, found none")
        result = evaluate_clicks(predictor.network, records, predictor.skeleton, protocol)
        rows = {"first pose + manual": result.manual.summary(), "refined": result.refined.summary()}
        if np.isfinite(correlation := result.score_correlation()):
            rows["refined"]["Pearson"] = correlation
        tables[folder.name] = FigureTable(f"{folder.name}: {len(records)} persons, {strategy} joint clicked", rows)
    return tables
