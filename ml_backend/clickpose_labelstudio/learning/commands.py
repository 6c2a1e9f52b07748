"""``clickpose labelstudio sync`` and what else looks into the folder of what is learned.

Only the standard library, Typer and modules of that kind are imported here, so that ``clickpose --help`` stays quick.
"""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clickpose.user_errors import user_errors
from clickpose_labelstudio.command_options import OWN_DATA_FOLDER, ApiKey, Url, connect, login

if TYPE_CHECKING:
    from rich.table import Table

    from clickpose.skeleton import Skeleton

Folder = Annotated[
    Path,
    typer.Option(
        "--train-dir", envvar="CLICKPOSE_TRAIN_DIR", help="Folder of journal, jobs and versions, as of clickpose serve."
    ),
]
Project = Annotated[int, typer.Option("--project", min=1, help="Number of a project in Label Studio.")]
OWN_FOLDER = OWN_DATA_FOLDER / "learning"

versions_app = typer.Typer(help="Versions of a project's network: list, compare, use, roll back.", no_args_is_help=True)


def mount(labelstudio: typer.Typer) -> None:
    """Add the commands."""
    labelstudio.command()(sync)
    labelstudio.command()(learn)
    labelstudio.command()(trainer)
    labelstudio.command()(stats)
    labelstudio.command("next")(next_tasks)
    labelstudio.add_typer(versions_app, name="versions")


def sync(
    project: Annotated[
        int | None, typer.Option(min=1, help="Number of a project. By default all that the journal knows.")
    ] = None,
    folder: Folder = OWN_FOLDER,
    url: Url = None,
    api_key: ApiKey = "",
) -> None:
    """Compare the journal with Label Studio: add what it was not told, note what is gone, see to the webhook.

    Examples:

        clickpose labelstudio sync --project 1

        clickpose labelstudio sync --train-dir jobs/
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.learning.journal import Journal
        from clickpose_labelstudio.learning.learner import skeleton_named
        from clickpose_labelstudio.learning.sync import sync_project
        from clickpose_labelstudio.settings import ServiceSettings
        from clickpose_labelstudio.webhooks import ensure_webhooks_of

        settings = ServiceSettings.from_environment(os.environ)
        journal = Journal(folder, skeleton_named(settings))
        projects = journal.projects() if project is None else [project]
        if not projects:
            raise ValueError(f"Expected --project, since the journal in {folder} knows of none yet")
        with connect(url, api_key) as client:
            for number in projects:
                report = sync_project(journal, client, number)
                typer.echo(report.sentence())
                if ensure_webhooks_of(client, number, settings.webhook_secret):
                    typer.echo(f"project {number}: its webhook was set up or mended")
        journal.close()


def learn(
    project: Project,
    out: Annotated[
        Path | None, typer.Option(help="Working folder; a stopped job goes on from it. By default a new one.")
    ] = None,
    folder: Folder = OWN_FOLDER,
    start: Annotated[
        Path | None, typer.Option("--init", help="Lite weights to go on from; by default the shipped ones.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            envvar="CLICKPOSE_REPLAY_DIR",
            help="Labelled ordinary photos (COCO form): a version that is worse there does not go live.",
        ),
    ] = None,
    trunk_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the trunk.")] = None,
    decoder_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the decoder.")] = None,
    keep: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of the weights before in those that come out.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    url: Url = None,
    api_key: ApiKey = "",
) -> None:
    """Make a version of what a project has labelled; it goes live where it is no worse on people who were held out.

    This is what a job beside the service does.

    Examples:

        clickpose labelstudio learn --project 1 --train-dir jobs/
    """
    with user_errors("labelstudio"):
        from clickpose.lite.predictor import DEFAULT_FILE
        from clickpose_labelstudio.learning.training import LearningJob, learn
        from clickpose_labelstudio.learning.versions import Versions
        from clickpose_labelstudio.settings import ServiceSettings

        url, api_key = login(url, api_key)
        settings = ServiceSettings.from_environment(os.environ)
        settings = replace(settings, label_studio_url=url, label_studio_api_key=api_key)
        versions = Versions(folder, project)
        job = LearningJob(
            project=project, out=out or _working_folder(folder / f"project-{project}"), start=start or DEFAULT_FILE,
            replay=replay, trunk_steps=trunk_steps, decoder_steps=decoder_steps, keep=keep, threads=threads,
        )  # fmt: skip
        learn(job, settings, versions)


def trainer(
    folder: Folder = OWN_FOLDER,
    train_after: Annotated[
        int | None,
        typer.Option(min=0, envvar="CLICKPOSE_TRAIN_AFTER", help="New persons after which a project is trained on."),
    ] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Train for services that do not (CLICKPOSE_TRAIN_HERE=no), on the same machine and folder, until it is stopped.

    Everything else is set as for clickpose serve, by the environment. A job that is stopped with it goes on at the next
    start.

    Examples:

        clickpose labelstudio trainer --train-dir learning/ --train-after 50
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.learning.learner import Learner
        from clickpose_labelstudio.serve import configure_logging
        from clickpose_labelstudio.settings import ServiceSettings

        settings = ServiceSettings.from_environment(os.environ)
        after = settings.train_after if train_after is None else train_after
        settings = replace(settings, train_dir=folder, train_here=True, train_after=after)
        configure_logging(log_level.upper())
        signal.signal(signal.SIGTERM, _leave)
        learner = Learner(folder, settings)
        learner.jobs.check()
        try:
            learner.run()
        except KeyboardInterrupt:
            typer.echo("The trainer has ended; what it was at goes on at the next start.")


def _leave(*_: object) -> None:
    raise SystemExit(0)


@versions_app.command("list")
def list_versions(project: Project, folder: Folder = OWN_FOLDER) -> None:
    """List the versions of a project: what they were trained on, what they are worth, which one is live.

    Examples:

        clickpose labelstudio versions list --project 1
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.learning.version_tables import version_table
        from clickpose_labelstudio.learning.versions import Versions

        _print(version_table(Versions(folder, project)))


@versions_app.command()
def compare(
    project: Project,
    number: Annotated[int, typer.Argument(min=1, help="Number of a version.")],
    folder: Folder = OWN_FOLDER,
) -> None:
    """Show all figures of a version against the one that was live when it was made, with their intervals, and why.

    Examples:

        clickpose labelstudio versions compare 3 --project 1
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.learning.version_tables import comparison_table
        from clickpose_labelstudio.learning.versions import Versions

        version = Versions(folder, project).get(number)
        _print(comparison_table(version))
        for reason in version.facts["verdict"]["reasons"]:
            typer.echo(reason)


Renew = Annotated[
    bool, typer.Option("--renew", help="Let the tasks that nobody has begun get predictions of that version, too.")
]


@versions_app.command()
def use(
    project: Project,
    number: Annotated[int, typer.Argument(min=0, help="Number of a version; 0 for what the service began with.")],
    renew: Renew = False,
    folder: Folder = OWN_FOLDER,
    url: Url = None,
    api_key: ApiKey = "",
) -> None:
    """Let a version be served from now on, by all workers, whatever its figures say.

    Examples:

        clickpose labelstudio versions use 2 --project 1
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.learning.versions import Versions

        Versions(folder, project).use(number, "chosen by hand", _served_joints())
        typer.echo(f"project {project} is served by version {number}")
        if renew:
            _renew(project, number, url, api_key)


@versions_app.command()
def rollback(
    project: Project, renew: Renew = False, folder: Folder = OWN_FOLDER, url: Url = None, api_key: ApiKey = ""
) -> None:
    """Serve what was served before the version that is live now.

    Examples:

        clickpose labelstudio versions rollback --project 1 --renew
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.learning.versions import Versions

        version = Versions(folder, project).roll_back(_served_joints())
        typer.echo(f"project {project} is served by version {version.number}")
        if renew:
            _renew(project, version.number, url, api_key)


def _served_joints() -> Skeleton:
    """Return the joints of the network that the service is started with, by the same settings."""
    from clickpose_labelstudio.learning.learner import skeleton_named
    from clickpose_labelstudio.settings import ServiceSettings

    return skeleton_named(ServiceSettings.from_environment(os.environ))


def _renew(project: int, number: int, url: str | None, api_key: str) -> None:
    from clickpose_labelstudio.learning.renewal import renew_predictions

    with connect(url, api_key) as client:
        count = renew_predictions(client, project, number, typer.echo)
    typer.echo(f"{count} tasks that nobody had begun got new predictions")


def stats(
    project: Annotated[int | None, typer.Option(min=1, help="Number of a project. By default all.")] = None,
    by: Annotated[str | None, typer.Option(help="all, annotator, day or version. By default all and version.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Table to write, of all groupings.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture to write (.svg): clicks, seconds, calibration.")] = None,
    folder: Folder = OWN_FOLDER,
) -> None:
    """Show how the labelling goes: clicks and seconds a person, what nobody touched, how right the scores were.

    Examples:

        clickpose labelstudio stats --project 1 --by annotator

        clickpose labelstudio stats --csv stats.csv --plot stats.svg
    """
    with user_errors("labelstudio"):
        from clickpose.outputs import check_outputs
        from clickpose_labelstudio.learning.journal import Journal
        from clickpose_labelstudio.learning.learner import skeleton_named
        from clickpose_labelstudio.learning.statistics import as_csv, grouped
        from clickpose_labelstudio.learning.stats_page import plot as plot_of
        from clickpose_labelstudio.learning.stats_page import terminal_table
        from clickpose_labelstudio.settings import ServiceSettings

        check_outputs({"--csv": csv, "--plot": plot})
        journal = Journal(folder, skeleton_named(ServiceSettings.from_environment(os.environ)))
        journal.apply_pending()
        entries = journal.entries(project)
        for grouping in ("all", "version") if by is None else (by,):
            _print(terminal_table(grouping, grouped(entries, grouping)))
        unreadable = sum(entry.problem is not None for entry in entries)
        if unreadable:
            typer.echo(f"{unreadable} annotations could not be read and are left out; sync reads them again")
        for path, text in ((csv, as_csv), (plot, plot_of)):
            if path is not None:
                path.write_text(text(entries), encoding="utf-8")
                typer.echo(f"wrote {path}")
        journal.close()


def next_tasks(
    project: Project,
    count: Annotated[int, typer.Option(min=1, help="How many tasks to rank.")] = 100,
    apply: Annotated[
        bool, typer.Option("--apply", help='Set the order in Label Studio: a tab "Next", and a number in the data.')
    ] = False,
    folder: Folder = OWN_FOLDER,
    url: Url = None,
    api_key: ApiKey = "",
) -> None:
    """Rank the tasks that nobody has labelled by the clicks that a minute on them is expected to save on the others.

    Examples:

        clickpose labelstudio next --project 1 --count 20

        clickpose labelstudio next --project 1 --apply
    """
    with user_errors("labelstudio"):
        from clickpose_labelstudio.learning.next_order import rank_project, set_order
        from clickpose_labelstudio.settings import ServiceSettings

        with connect(url, api_key) as client:
            ranking = rank_project(client, project, folder, ServiceSettings.from_environment(os.environ), count)
            for place, task in enumerate(ranking.tasks[:20], 1):
                typer.echo(
                    f"{place:3}. task {task.task}: {task.saved_clicks:.1f} clicks in {task.minutes:.1f} min "
                    f"({task.saved_a_minute:.1f} a minute), {task.persons} persons"
                )
            typer.echo(ranking.sentence())
            if apply:
                typer.echo(set_order(client, project, ranking))


def _working_folder(folder: Path) -> Path:
    """Return the folder of the last job by hand if it was stopped, else of a new one."""
    numbers = itertools.count(1)
    return next(place for n in numbers if not ((place := folder / f"by-hand-{n}") / "lite.safetensors").exists())


def _print(table: Table) -> None:
    from rich.console import Console

    Console().print(table)
