"""``clickpose predict --run``: large sets, in parts that are done exactly once; ``clickpose join`` gathers them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import clickpose
from clickpose.cli.integrations import fiftyone_photos
from clickpose.cli.photos import photo_paths
from clickpose.image_io import get_max_pixels
from clickpose.large_sets.addresses import is_address, list_photos
from clickpose.large_sets.joining import Join, Joined
from clickpose.large_sets.manifests import Listed, is_manifest, read_manifest
from clickpose.large_sets.rows import rows_of
from clickpose.large_sets.run_folder import Asked, RunFolder
from clickpose.large_sets.work import Share, Worker
from clickpose.outputs import check_outputs
from clickpose.predictor import PosePredictor, model_version
from clickpose.skeleton_io import load_skeleton
from clickpose.user_errors import complain, user_errors

FIFTYONE = "fiftyone:"


@dataclass(frozen=True)
class LargeSet:
    """What ``clickpose predict --run`` is to do; see its options."""

    run: Path
    sources: list[str]
    root: str | None
    column: str | None
    shard: str
    retry: bool
    threshold: float
    max_bytes: int

    def check(self, others: dict[str, object]) -> None:
        """Refuse what does not go together, before a network is loaded.

        Args:
            others: options of predict for single photos, by name.
        """
        given = [option for option, value in others.items() if value]
        if given:
            raise ValueError(f"Expected --run without {', '.join(given)}: clickpose join writes the results of a run")
        Share.parse(self.shard)
        check_outputs(folders={"--run": self.run})
        if not self.sources and not RunFolder.exists(self.run):
            raise ValueError(f"Expected photos for a new run in {self.run}, got none")

    def work(self, predictor: PosePredictor) -> int:
        """Do what is left; return the photos that failed."""
        version = model_version(predictor, clickpose.__version__)
        asked = Asked(version, self.threshold, get_max_pixels(), self.max_bytes, predictor.skeleton.name)
        described = [f"{name}={value}" for name, value in (("root", self.root), ("column", self.column)) if value]
        sources = [*self.sources, *described] if self.sources else []
        if not RunFolder.exists(self.run):
            RunFolder.start(self.run, asked, sources, self._listed())
        run = RunFolder(self.run)
        run.check(asked, sources)
        if run.doubles:
            typer.echo(f"{run.doubles} photos are named again, and done once")
        worker = Worker(
            run,
            lambda photos: rows_of(predictor, photos, self.threshold, self.max_bytes),
            Share.parse(self.shard),
            typer.echo,
        )
        if not self.retry:
            return worker.work()
        tried, failed = worker.retry()
        typer.echo(f"{tried} photos that had failed were done again, {failed} of them failed again")
        return failed

    def _listed(self) -> Iterator[Listed]:
        for source in self.sources:
            if source.startswith(FIFTYONE):
                yield from (Listed(path, path) for path in fiftyone_photos(source.removeprefix(FIFTYONE)))
            elif is_address(source):
                yield from (Listed(address, address) for address in list_photos(source))
            elif is_manifest(Path(source)):
                yield from read_manifest(Path(source), self.root, self.column)
            else:
                paths, notes = photo_paths([Path(source)])
                for note in notes:
                    typer.echo(note)
                yield from (Listed(path.as_posix(), str(path.absolute())) for path in paths)


def is_large_source(source: str) -> bool:
    """Tell a source that only a run can take: a list of photos, an address, a data set of FiftyOne."""
    return source.startswith(FIFTYONE) or is_address(source) or is_manifest(Path(source))


def join(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folder of a run, or the folders that its shards had on several machines."),
    ],
    json: Annotated[Path | None, typer.Option(help="COCO keypoint file to write.")] = None,
    results: Annotated[Path | None, typer.Option(help="COCO's list of results to write.")] = None,
    lines: Annotated[Path | None, typer.Option(help="JSON lines to write, one a photo.")] = None,
    errors: Annotated[Path | None, typer.Option(help="JSON lines to write, one for each photo that failed.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Join what is done, though parts are missing.")] = False,
) -> None:
    """Put the results of a large run together, and see that each photo is there exactly once.

    Examples:

        clickpose join runs/holiday --json poses.json

        clickpose join machine-1/run machine-2/run --lines poses.jsonl --errors failed.jsonl
    """
    with user_errors():
        outputs: dict[str, Path | None] = {
            "--json": json, "--results": results, "--lines": lines, "--errors": errors
        }  # fmt: skip
        check_outputs(outputs)
        joined = Join(runs, partial)
        counted = joined.count()
        if json is not None:
            joined.write_coco(json, load_skeleton(joined.runs[0].asked.skeleton))
        writers: Sequence[tuple[Path | None, Any]] = (
            (results, joined.write_results), (lines, joined.write_lines), (errors, joined.write_errors)
        )  # fmt: skip
        for path, write in writers:
            if path is not None:
                write(path)
    _say(counted)
    if counted.failed or counted.missing:
        raise typer.Exit(2)


def _say(counted: Joined) -> None:
    typer.echo(f"{counted.photos:,} photos, each once, with {counted.people:,} people")
    if counted.missing:
        complain(f"{counted.missing:,} photos are not done yet")
    if counted.failed:
        complain(f"{counted.failed:,} photos failed (clickpose predict --run … --retry does them again), such as")
        for error in counted.errors:
            complain(f"  {error}")
