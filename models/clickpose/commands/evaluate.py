"""``clickpose evaluate``: figures of simulated clicks over labelled data sets, as tables, JSON and curves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX, box_area
from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.clicks.interactive import (
    REASONS,
    ClickedPoses,
    Progress,
    evaluate_poses,
    evaluate_predictor,
    shared_joints,
)
from clickpose.clicks.result_poses import ResultPoses, read_result_poses
from clickpose.data.formats import read_dataset
from clickpose.data.photo_files import check_photos
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.first_pose.predictor import notes_of
from clickpose.metrics.clicks import CLICK_CAP, NOC_TARGETS
from clickpose.predictor import PosePredictor
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = (0, 1, 2, 3, 4, 6, 8)  # clicks that the tables show
BOXES = ("ground-truth", "detected")


@dataclass(frozen=True)
class EvaluationPlan:
    """What to evaluate.

    Attributes:
        sources: annotation files, or folders with ``annotations.json`` and ``images``.
        format_name: of the data sets; see :data:`~clickpose.data.formats.FORMATS`.
        images: folder of the photos; None to look beside the annotations.
        skeleton: joints of COCO-format data with other ones than COCO's.
        boxes: ``"ground-truth"`` or ``"detected"``: where a network's persons come from.
        results: COCO results files of other models by name: manual baselines.
        protocol: the annotator.
        limit: only that many photos of each data set.
    """

    sources: Sequence[Path]
    format_name: str = "coco"
    images: Path | None = None
    skeleton: Skeleton | None = None
    boxes: str = "ground-truth"
    results: Mapping[str, Path] = field(default_factory=dict)
    protocol: ClickProtocol = field(default_factory=ClickProtocol)
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.boxes not in BOXES:
            raise ValueError(f"Expected boxes to be one of {', '.join(BOXES)}, got {self.boxes!r}")

    @property
    def detects(self) -> bool:
        """Whether a network finds the people itself."""
        return self.boxes == "detected"


@dataclass(frozen=True)
class FigureTable:
    """Named rows of named figures."""

    title: str
    rows: dict[str, dict[str, float]]

    def render(self) -> Table:
        """Return a ``rich`` table, without the title (it would be broken at the table's width)."""
        from rich import box
        from rich.table import Table

        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("", no_wrap=True)
        for column in columns:
            table.add_column(column, justify="right", no_wrap=True)
        for name, row in self.rows.items():
            table.add_row(name, *(_cell(column, row.get(column)) for column in columns))
        return table


def _cell(column: str, value: float | None) -> str:
    if value is None or np.isnan(value):
        return ""
    digits = 0 if column in ("found", "missed") else 1 if column[0] in "CS" else 2
    return f"{value:.{digits}f}"


@dataclass(frozen=True)
class DatasetFigures:
    """The figures of one data set.

    Attributes:
        report: what was read, in one sentence.
        tables: by the key under which JSON has them.
        curves: AP in percent after 0, 1, 2, … clicks, by row name; what the plot shows.
        notes: what must be known to read the figures, and what was left out, a sentence each.
    """

    report: str
    tables: dict[str, FigureTable]
    curves: dict[str, list[float]]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict:
        """Return the figures as JSON has them: NaN becomes null."""

        def clean(row: Mapping[str, float]) -> dict:
            return {name: None if np.isnan(value) else value for name, value in row.items()}

        tables = {key: {name: clean(row) for name, row in table.rows.items()} for key, table in self.tables.items()}
        return {"data": self.report, "notes": self.notes, **tables, "curves": self.curves}


def run_evaluation(
    plan: EvaluationPlan, predictor: PosePredictor | None, json_path: Path | None = None, plot_path: Path | None = None
) -> None:
    """Evaluate, print the tables, and write JSON and plots.

    Args:
        plan: what to evaluate.
        predictor: the network, or None.
        json_path: file for the figures.
        plot_path: picture of the curves; a folder where there are several data sets.

    Raises:
        ValueError, FileNotFoundError: as :func:`evaluate_plan`; or if a plot is wanted without the extra ``plots``.
    """
    from rich.console import Console

    from clickpose.clicks.click_plot import check_plot_path, plot_curves

    if plot_path is not None:
        check_plot_path(plot_path)
    figures = evaluate_plan(plan, predictor, _progress_bar)
    console = Console()
    for entry in figures.values():
        for line in (entry.report, *entry.notes):
            console.print(line, highlight=False, soft_wrap=True)
        for table in (table for table in entry.tables.values() if any(table.rows.values())):
            console.print(table.title, style="bold", highlight=False, soft_wrap=True)
            console.print(table.render())
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps({name: entry.to_json() for name, entry in figures.items()}, indent=1))
    if plot_path is not None:
        for name, entry in figures.items():
            plot_curves(_plot_path(plot_path, name, len(figures)), entry.curves, name)


def load_network(
    name: str,
    checkpoint: Path | None,
    device: str,
    threads: int | None,
    skeleton: str | None = None,
    flip_test: bool = True,
    first: str = "",
) -> PosePredictor | None:
    """Load the network to evaluate.

    Args:
        name: as for :func:`clickpose.build.load`, or ``"none"``.
        checkpoint, device, threads: as there.
        skeleton: name or file of the joints of an official r50 checkpoint; None for COCO's. Our weights know theirs.
        flip_test: whether lite sees each person mirrored as well.
        first: another network whose poses are clicked on and which lite corrects; empty for none.

    Raises:
        ValueError: for an unknown name, weights that cannot be read, a skeleton with another network than r50, or a
            flip test left out of another one than lite.
    """
    from clickpose.build import chosen_options, load

    options = chosen_options(name, flip_test, first)
    if name == "none":
        return None
    if name == "r50":  # AP takes poses of every score; leaving out the doubtful ones is for showing
        options = {"min_score": 0.0, "skeleton": load_skeleton(skeleton) if skeleton else None}
    elif skeleton is not None:
        raise ValueError(f"Expected a model skeleton with the network r50 alone, got one with {name!r}")
    return load(name, checkpoint, device, threads, **options)


def parse_results(texts: Sequence[str]) -> dict[str, Path]:
    """Read ``name=FILE`` options.

    Raises:
        ValueError: for another form, or a name given twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path) or name in found:
            raise ValueError(f"Expected --results name=FILE with different names, got {text!r}")
        found[name] = Path(path)
    return found


def _progress_bar(images: Sequence[ImageRecord]) -> Iterable[ImageRecord]:
    from tqdm import tqdm

    return tqdm(images, desc="clicking", unit="photo", leave=False, disable=None)


def is_one_plot(path: Path, count: int) -> bool:
    """Tell whether a path for plots of so many data sets is a picture's; else it is a folder's."""
    return count == 1 and bool(path.suffix)


def _plot_path(given: Path, name: str, count: int) -> Path:
    path = given if is_one_plot(given, count) else given / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def evaluate_plan(
    plan: EvaluationPlan, predictor: PosePredictor | None, progress: Progress = iter
) -> dict[str, DatasetFigures]:
    """Evaluate each data set.

    Args:
        plan: what to evaluate.
        predictor: the network; None to evaluate results files alone.
        progress: wraps the list of photos, such as ``tqdm.tqdm``.

    Returns:
        figures by name of the data set.

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: for an unknown format, a broken file, nothing to evaluate, or a data set without labelled persons.
    """
    if predictor is None and not plan.results:
        raise ValueError("Expected a network or a results file to evaluate, got neither")
    prepared = [_prepare(plan, source, predictor) for source in plan.sources]
    figures: dict[str, DatasetFigures] = {}
    for data in prepared:
        rows = _rows(plan, data, predictor, progress)
        found = figures_of(data.dataset, rows, plan.protocol, _notes(plan, data, rows, predictor))
        figures[_unused_name(data.dataset.name, figures)] = found
    return figures


@dataclass(frozen=True)
class _Prepared:
    """A data set that can be evaluated: it, its results files by name, and what was left out of each."""

    dataset: PoseDataset
    results: dict[str, ResultPoses]


def _prepare(plan: EvaluationPlan, source: Path, predictor: PosePredictor | None) -> _Prepared:
    """Read all that belongs to a data set, and refuse what cannot be evaluated before anything is."""
    dataset = read_dataset(source, plan.format_name, plan.images, plan.skeleton)
    if plan.limit is not None:
        dataset = dataset.first_images(plan.limit)
    if not dataset.persons:
        raise ValueError(f"Expected labelled persons in {source}, found none ({dataset.report()})")
    results = {name: read_result_poses(path, dataset, plan.limit is None) for name, path in plan.results.items()}
    compared = dataset
    if predictor is not None:
        compared, _ = shared_joints(dataset, predictor.skeleton)
        looked_at: Sequence[ImageRecord | PersonRecord] = dataset.images if plan.detects else dataset.persons
        stretched = check_photos(looked_at)
        dataset = replace(dataset, skipped=Counter(dataset.skipped) + stretched)
    plan.protocol.clickable(compared.skeleton)
    return _Prepared(dataset, results)


def _unused_name(name: str, used: Mapping[str, DatasetFigures]) -> str:
    """Number a name that another data set has as well, such as ``val`` in two folders."""
    names = [name, *(f"{name}-{number}" for number in range(2, len(used) + 2))]
    return next(other for other in names if other not in used)


def _rows(
    plan: EvaluationPlan, data: _Prepared, predictor: PosePredictor | None, progress: Progress
) -> dict[str, ClickedPoses]:
    """Simulate the clicks of every row of the tables."""
    rows = {
        f"{name} + manual": evaluate_poses(data.dataset, found.poses, plan.protocol, found.category_ids)
        for name, found in data.results.items()
    }
    if predictor is not None:
        found = evaluate_predictor(predictor, data.dataset, plan.protocol, plan.detects, progress)
        first, _, _ = predictor.name.partition("+")  # by hand, it is the first poses that are corrected
        rows |= {f"{first} + manual": found["manual"], f"{predictor.name} refined": found["refined"]}
    return rows


def _notes(
    plan: EvaluationPlan, data: _Prepared, rows: Mapping[str, ClickedPoses], predictor: PosePredictor | None
) -> list[str]:
    """Say where the figures differ from COCO's protocol, and what was left out."""
    notes = []
    areas = np.array([person.area for person in data.dataset.persons])
    boxes = box_area(np.stack([person.box_xyxy for person in data.dataset.persons]))
    if np.allclose(areas, BODY_SHARE_OF_BOX * boxes, rtol=0.005, atol=0):
        notes.append(
            f"areas are {BODY_SHARE_OF_BOX} of the boxes, not COCO's: compare figures with others of such data only"
        )
    if predictor is not None and not plan.detects:
        notes.append(
            f"{predictor.name} was given the boxes of the people: nobody is missed and nobody false; COCO's AP with "
            "the network's own detector: --boxes detected"
        )
    notes += [f"{count} {what}" for what, count in notes_of(predictor).items()]
    for name, found in data.results.items():
        notes += [f"{name}: {count} {what}" for what, count in found.notes.items()]
    for name, row in rows.items():
        if (nobodys := row.persons < 0).any():
            peopled = set(row.image_ids_with_people)
            alone = sum(of and id_ not in peopled for id_, of in zip(row.image_ids, nobodys.tolist(), strict=True))
            notes.append(f"{name}: {nobodys.sum()} poses of nobody labelled, {alone} in photos without people")
        notes += _unreached(name, row)
    return notes


def _unreached(name: str, row: ClickedPoses) -> list[str]:
    """Say how many images hit the cap of NoC, and why."""
    cap = min(CLICK_CAP, row.clicks)
    reasons = row.unreached_images(NOC_TARGETS[-1], cap) if cap else Counter()
    if not reasons:
        return []
    why = ", ".join(f"{reasons[reason]} with {reason}" for reason in REASONS if reasons[reason])
    return [
        f"{name}: {reasons.total()} of {len(row.image_ids_with_people)} images never reach AP {NOC_TARGETS[-1]:g} and "
        f"count as {cap} clicks: {why}"
    ]


def figures_of(
    dataset: PoseDataset, rows: Mapping[str, ClickedPoses], protocol: ClickProtocol, notes: Sequence[str] = ()
) -> DatasetFigures:
    """Compute the tables of a data set.

    Args:
        dataset: as it was read.
        rows: the clicked poses by row name.
        protocol: the annotator.
        notes: what must be known to read them.
    """
    columns = [n for n in COLUMNS if n <= protocol.clicks]
    how = f"{protocol.strategy.replace('_', ' ')} joint clicked, {protocol.loop} loop" + (
        f", noise {protocol.noise_sigmas:g}" if protocol.noise_sigmas else ""
    )
    curves = {name: [row.average_precision(n) for n in range(row.clicks + 1)] for name, row in rows.items()}
    cap = min(CLICK_CAP, protocol.clicks)
    tables = {
        "average_precision": FigureTable(
            "Cn: COCO's AP (percent), pycocotools' figure for the poses after n clicks a person\n"
            f"NoC: clicks a person, at most {cap}, until an image's AP ({how})",
            {name: _image_figures(row, curves[name], columns) for name, row in rows.items()},
        ),
        "persons": FigureTable(
            "Sn: share of the found persons (percent) with OKS over .5:.05:.95 after n clicks\n"
            f"NoC: clicks, at most {cap}, until a person's OKS",
            {name: _person_figures(row, columns) for name, row in rows.items()},
        ),
        "people": FigureTable(
            "found and missed persons; correlation of their scores with OKS before any click",
            {name: _people_figures(row) for name, row in rows.items()},
        ),
    }
    tables |= _special_tables(dataset, rows, columns)
    shared = next(iter(rows.values())).dataset.skeleton
    note = "" if len(shared) == len(dataset.skeleton) else f"; compared {len(shared)} joints: {', '.join(shared.names)}"
    return DatasetFigures(dataset.report() + note, tables, curves, list(notes))


def _image_figures(row: ClickedPoses, curve: list[float], columns: list[int]) -> dict[str, float]:
    noc = row.image_clicks(NOC_TARGETS, min(CLICK_CAP, row.clicks))
    return {f"C{n}": curve[n] for n in columns} | {f"NoC{round(100 * t)}": value for t, value in noc.items()}


def _person_figures(row: ClickedPoses, columns: list[int]) -> dict[str, float]:
    curve, cap = row.person_curve(), min(CLICK_CAP, row.clicks)
    if not len(curve.oks):
        return {}
    noc = {f"NoC{round(100 * t)}": curve.number_of_clicks(t, cap) for t in NOC_TARGETS}
    return {f"S{n}": curve.share_of_persons(n) for n in columns} | noc


def _people_figures(row: ClickedPoses) -> dict[str, float]:
    """Count who was found, and correlate the scores with the true OKS before any click."""
    figures = {"found": float(len(row.dataset.persons) - row.missed), "missed": float(row.missed)}
    first, scores = row.person_curve().oks[:, 0], row.scores[0][row.persons >= 0]
    if len(first) > 1 and first.std() and scores.std():
        figures["Pearson"] = float(np.corrcoef(scores, first)[0, 1])
    return figures


def _special_tables(dataset: PoseDataset, rows: Mapping[str, ClickedPoses], columns: list[int]) -> dict:
    """Return what single data sets are measured by: PCKh (MPII), parts (WholeBody), crowding (CrowdPose)."""
    tables = {}
    if any(person.head_size for person in dataset.persons):
        pckh = {name: {f"C{n}": row.pckh(n) for n in columns} for name, row in rows.items()}
        tables["pckh"] = FigureTable("PCKh@.5 after n clicks a person (percent)", pckh)
    if dataset.skeleton.name == "wholebody":
        parts = {name: {n: row.part_precision(n) for n in columns} for name, row in rows.items()}
        by_part = {
            f"{name}, {part}": {f"C{n}": after[n][part] for n in columns}
            for name, after in parts.items()
            for part in after[0]
        }
        tables["parts"] = FigureTable("AP by part after n clicks a person (percent)", by_part)
    if dataset.groups:
        groups = {
            f"{name}, {group}": {f"C{n}": row.average_precision(n, ids) for n in columns}
            for name, row in rows.items()
            for group, ids in dataset.groups.items()
            if ids
        }
        tables["groups"] = FigureTable("AP by group of images after n clicks a person (percent)", groups)
    return tables
