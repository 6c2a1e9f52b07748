"""The command line: ``clickpose serve`` and ``clickpose labelstudio …``; :mod:`clickpose.cli` mounts both.

Only the standard library, Typer and modules of that kind are imported here, so that ``clickpose --help`` stays quick.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickpose.data.json_file import read_json
from clickpose.data.notes import note
from clickpose.text_file import read_text
from clickpose.user_errors import user_errors
from clickpose_labelstudio.backup import commands as backup_commands
from clickpose_labelstudio.command_options import ApiKey, Url, connect, login
from clickpose_labelstudio.launch import command as launch_command
from clickpose_labelstudio.learning import commands as learning_commands
from clickpose_labelstudio.references import reference_to

if TYPE_CHECKING:
    from clickpose.skeleton import Skeleton
    from clickpose_labelstudio.label_studio_client import LabelStudioClient
    from clickpose_labelstudio.labeling_config import LabelingConfig

LOCAL_PREFIX = "/data/local-files/?d="

labelstudio = typer.Typer(
    help="Label Studio projects: start the annotation loop, bring labels in and out.", no_args_is_help=True
)
labelstudio.command()(launch_command.start)
labelstudio.command()(launch_command.setup)
labelstudio.command()(launch_command.bridge)
learning_commands.mount(labelstudio)
backup_commands.mount(labelstudio)


class Source(str, Enum):
    """Which labels of a task to export."""

    newest = "newest"
    all = "all"
    prediction = "prediction"


class Format(str, Enum):
    """What to export to."""

    coco = "coco"
    yolo = "yolo"


class Kind(str, Enum):
    """What imported persons become."""

    predictions = "predictions"
    annotations = "annotations"


Project = Annotated[int | None, typer.Option(help="Number of a project in a running Label Studio.")]
Config = Annotated[
    Path | None,
    typer.Option(help="Labelling configuration (XML). By default the project's, or the one that Click-Pose writes."),
]


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 9090,
    model: Annotated[str | None, typer.Option(help="Name of the network: lite, or r50 (needs --checkpoint).")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights to load instead of the shipped ones.")] = None,
    flip_test: Annotated[
        bool | None,
        typer.Option(
            "--flip-test/--no-flip-test",
            show_default="flip-test",
            help="lite: see each person mirrored as well; without it, quicker and less exact.",
        ),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:WHAT",
            help="lite: start from another network's poses, such as movenet:thunder.onnx; see the page on first poses.",
            show_default="lite's own",
        ),
    ] = None,
    label_studio_url: Annotated[str | None, typer.Option(help="Label Studio, as this machine reaches it.")] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Label Studio's key; better set LABEL_STUDIO_API_KEY in the environment.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Host that images may come from: host, host:port, *.example.org.")
    ] = None,
    local_root: Annotated[
        list[Path] | None, typer.Option(help="Folder behind Label Studio's local files, to read them directly.")
    ] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Folder of the disk cache.")] = None,
    train_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the journal, of training jobs and of versions; by default nothing is kept."),
    ] = None,
    train_after: Annotated[
        int | None,
        typer.Option(min=0, help="New persons after which a project is trained on by itself; 0: when it is asked for."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Requests answered at once.")] = 8,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Serve predictions and refinements to Label Studio.

    Connect it in Label Studio under Settings, Model, with "Interactive preannotations" switched on. Every setting is
    also an environment variable: CLICKPOSE_CACHE_DIR, CLICKPOSE_ALLOWED_HOSTS, CLICKPOSE_BASIC_AUTH_USER and
    CLICKPOSE_BASIC_AUTH_PASSWORD, CLICKPOSE_WEBHOOK_SECRET and so on.

    Examples:

        clickpose serve --label-studio-url http://localhost:8080

        clickpose serve --host 0.0.0.0 --allow-host images.example.org --local-root /data/photos
    """
    with user_errors("labelstudio"):
        from clickpose.build import check_named
        from clickpose_labelstudio.serve import configure_logging, run_server
        from clickpose_labelstudio.settings import ServiceSettings

        given: dict[str, Any] = {
            "model": model,
            "checkpoint": checkpoint,
            "flip_test": flip_test,
            "first": first,
            "label_studio_url": label_studio_url,
            "label_studio_api_key": api_key,
            "allowed_hosts": tuple(allow_host or ()) or None,
            "local_roots": tuple(local_root or ()) or None,
            "cache_dir": cache_dir,
            "train_dir": train_dir,
            "train_after": train_after,
        }
        settings = ServiceSettings.from_environment(os.environ)
        settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
        check_named(settings.model, settings.checkpoint, settings.first)
        configure_logging(log_level.upper())
        signal.signal(signal.SIGTERM, _exit)  # as waitress does on Ctrl-C: answer what is under way, then end
        run_server(settings, host, port, threads)


def _exit(*_: object) -> None:
    raise SystemExit(0)


@labelstudio.command("export")
def export_coco(
    source: Annotated[
        Path | None, typer.Argument(help='Label Studio\'s JSON export ("JSON", not "JSON-MIN").', exists=True)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; a folder for yolo. By default coco.json or yolo/.")
    ] = None,
    format: Annotated[Format, typer.Option(help="COCO keypoints, or label files of YOLO-pose.")] = Format.coco,
    project: Project = None,
    url: Url = None,
    api_key: ApiKey = "",
    config: Config = None,
    labels: Annotated[Source, typer.Option(help="The newest annotation of a task, all, or the prediction.")] = (
        Source.newest
    ),
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Write nothing where something should be looked at again; exit with status 1."),
    ] = False,
) -> None:
    """Write annotations as COCO keypoints (several persons, v 0/1/2, all digits) or YOLO-pose label files.

    What an annotator may have forgotten or mistaken is said on standard error with the tasks: joints that are nobody's
    or there twice, persons without a box, left and right exchanged, older annotations and drafts that are left out.

    Examples:

        clickpose labelstudio export project-1.json --out coco.json

        clickpose labelstudio export --project 1 --out coco.json

        clickpose labelstudio export project-1.json --format yolo --out my_people/
    """
    with user_errors("labelstudio"):
        from clickpose.outputs import check_outputs
        from clickpose_labelstudio.coco_exchange import tasks_to_coco
        from clickpose_labelstudio.export_checks import Findings

        if (source is None) == (project is None):
            raise ValueError("Expected either a JSON export or --project, got both or neither")
        out = out or Path("coco.json" if format is Format.coco else "yolo")
        is_file = format is Format.coco
        check_outputs({"--out": out} if is_file else {}, {} if is_file else {"--out": out}, [source] if source else [])
        tasks: object = []
        project_xml = None
        if source is not None:
            tasks = read_json(source, "a Label Studio export")
        elif project is not None:
            tasks, project_xml = _fetch_project(url, api_key, project)
        parsed = _parse_config(config, project_xml)
        notes: Counter[str] = Counter()
        findings = Findings()
        coco = tasks_to_coco(tasks, parsed, source=labels.value, file=str(source or ""), notes=notes, findings=findings)
        for line in findings.lines():
            typer.echo(f"Look again: {line}", err=True)
        if findings and strict:
            typer.echo(f"{out} was not written (--strict)", err=True)
            raise typer.Exit(1)
        _write_labels(coco, format, out, parsed.skeleton, notes)
        persons = sum(1 for annotation in coco["annotations"] if "label_studio" in annotation)
        typer.echo(f"{persons} persons on {len(coco['images'])} images -> {out}")
        _print_notes(notes)


def _write_labels(coco: dict, format: Format, out: Path, skeleton: Skeleton, notes: Counter[str]) -> None:
    """Write a COCO dataset in a format."""
    if format is Format.coco:
        others = sum(1 for annotation in coco["annotations"] if "label_studio" not in annotation)
        if others:
            notes["crowds and others that were imported and not drawn, back as they were"] = others
        _write_json(out, coco)
    else:
        from clickpose.data.yolo import write_yolo

        write_yolo(out, coco, skeleton, notes)


def _print_notes(notes: Mapping[str, int]) -> None:
    """Say in a line each what was left out, moved or guessed."""
    for what, count in sorted(notes.items()):
        typer.echo(f"{count} {what}")


@labelstudio.command("import")
def import_coco(
    coco: Annotated[Path, typer.Argument(help="COCO keypoint file, or a file of keypoint results.", exists=True)],
    images: Annotated[
        Path | None, typer.Option(help="COCO file with the images that the results belong to.", exists=True)
    ] = None,
    images_prefix: Annotated[
        str | None,
        typer.Option(
            help="What to put before the names of photos that the project does not have: s3://bucket/, https://…, "
            f"{LOCAL_PREFIX}<folder>/.",
            show_default=f"{LOCAL_PREFIX}, with --out",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Label Studio tasks to write.")] = None,
    project: Project = None,
    url: Url = None,
    api_key: ApiKey = "",
    config: Config = None,
    kind: Annotated[Kind, typer.Option(help="Predictions to check, or finished annotations.")] = Kind.predictions,
    model_version: Annotated[str, typer.Option(help="Name for the predictions.")] = "coco",
) -> None:
    """Bring COCO keypoints or a network's results into a Label Studio project, or write them as tasks.

    Photos that the project has already, by their names, get the people of the file; the others become new tasks.

    Examples:

        clickpose labelstudio import coco.json --project 1

        clickpose labelstudio import results.json --images coco.json --project 1 --url http://localhost:8080

        clickpose labelstudio import coco.json --images-prefix s3://bucket/photos/ --out tasks.json
    """
    with user_errors("labelstudio"):
        from clickpose.outputs import check_outputs

        if (out is None) == (project is None):
            raise ValueError("Expected either --out or --project, got both or neither")
        check_outputs({"--out": out}, inputs=[path for path in (coco, images) if path is not None])
        project_xml = None
        if project is not None:
            with connect(url, api_key) as client:
                project_xml = client.label_config(project)
        parsed = _parse_config(config, project_xml)
        prefix = LOCAL_PREFIX if images_prefix is None else images_prefix
        options = {"reference": partial(reference_to, prefix), "model_version": model_version}
        notes: Counter[str] = Counter()
        tasks = _make_tasks(coco, images, parsed, kind, notes, options)
        if out is not None:
            _write_json(out, tasks)
            said = f"{len(tasks)} tasks -> {out}"
        elif project is not None:
            with connect(url, api_key) as client:
                said = _add_to_project(client, project, tasks, kind, parsed, images_prefix is not None, notes)
        typer.echo(said)
        _print_notes(notes)


@labelstudio.command("config")
def print_config(
    skeleton: Annotated[str, typer.Option(help="Name or YAML file of the joints.")] = "coco",
) -> None:
    """Print a labelling configuration that fits, for the settings of a project.

    Examples:

        clickpose labelstudio config

        clickpose labelstudio config --skeleton golf.yaml
    """
    with user_errors("labelstudio"):
        from clickpose.skeleton_io import load_skeleton
        from clickpose_labelstudio.labeling_config import build_labeling_config

        typer.echo(build_labeling_config(load_skeleton(skeleton)))


@labelstudio.command("train")
def train_project(
    project: Annotated[int, typer.Option(min=1, help="Number of a project in a running Label Studio.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Working folder; a stopped run goes on from it. By default runs/project-<number>."),
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--init", help="Lite weights to go on from; by default the shipped ones.")
    ] = None,
    trunk_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the trunk, 32 persons each: 60.")] = None,
    decoder_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the decoder, likewise: 100.")] = None,
    keep: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the weights before in those that come out, by default 0.5."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    url: Url = None,
    api_key: ApiKey = "",
) -> None:
    """Train lite further on what a project has labelled: labels, photos and training in one command.

    Where photos may come from is set as for clickpose serve, by environment variables such as CLICKPOSE_ALLOWED_HOSTS.

    Examples:

        clickpose labelstudio train --project 1

        clickpose serve --checkpoint runs/project-1/lite.safetensors
    """
    with user_errors("labelstudio"):
        from clickpose.lite.predictor import DEFAULT_FILE
        from clickpose_labelstudio.project_training import ProjectTraining, train_on_project
        from clickpose_labelstudio.settings import ServiceSettings

        url, api_key = login(url, api_key)
        settings = ServiceSettings.from_environment(os.environ)
        settings = replace(settings, label_studio_url=url, label_studio_api_key=api_key)
        out = out or Path("runs") / f"project-{project}"
        steps = {"trunk_steps": trunk_steps, "decoder_steps": decoder_steps}
        plan = ProjectTraining(project, out, start or DEFAULT_FILE, **steps, keep=keep, threads=threads)
        typer.echo(f"wrote {train_on_project(plan, settings)}")


def _make_tasks(
    coco: Path, images: Path | None, config: LabelingConfig, kind: Kind, notes: Counter[str], options: dict
) -> list[dict]:
    """Make tasks of a COCO file (an object) or of results (a list), which need the images of another file."""
    from clickpose.data.coco_fields import entries_of
    from clickpose_labelstudio.coco_exchange import coco_results_to_tasks, coco_to_tasks

    labels: Any = read_json(coco, "COCO keypoints or results")  # whoever converts it says what is wrong with it
    if not isinstance(labels, list):
        if images is not None:
            raise ValueError(f"Expected --images with a list of results only, but {coco} has images of its own")
        return coco_to_tasks(labels, config, kind=kind.value, file=str(coco), notes=notes, **options)
    _check_results(labels, coco)
    if images is None:
        raise ValueError("Expected --images, a COCO file with the images that the results belong to")
    if kind is Kind.annotations:
        raise ValueError("Expected --kind predictions for a network's results, got annotations")
    described = read_json(images, "COCO images")
    entries = entries_of(described, "images", str(images))
    categories = entries_of(described, "categories", str(images), optional=True)
    return coco_results_to_tasks(
        labels, entries, config, categories=categories, file=str(coco), images_file=str(images), notes=notes, **options
    )


def _check_results(labels: list, file: Path) -> None:
    """Say what a list is that holds no results."""
    first = labels[0] if labels else None
    if isinstance(first, dict) and isinstance(first.get("data"), dict):
        raise ValueError(f"Expected COCO keypoints or results in {file}, got tasks of Label Studio; export reads those")
    if labels and not (isinstance(first, dict) and "image_id" in first and "keypoints" in first):
        got = f"an object with {', '.join(map(repr, list(first)[:4]))}" if isinstance(first, dict) else f"{first!r:.40}"
        raise ValueError(f"Expected COCO keypoints or results in {file}, got a list that begins with {got}")


def _parse_config(path: Path | None, project_xml: str | None) -> LabelingConfig:
    from clickpose.skeleton import COCO
    from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config

    xml = read_text(path) if path is not None else project_xml or build_labeling_config()
    return parse_labeling_config(xml, COCO)


def _fetch_project(url: str | None, api_key: str, project: int) -> tuple[list[dict], str]:
    """Return all tasks of a live project and its labelling configuration."""
    with connect(url, api_key) as client:
        label_config = client.label_config(project)
        return list(client.tasks(project)), label_config


def _add_to_project(
    client: LabelStudioClient,
    project: int,
    tasks: list[dict],
    kind: Kind,
    config: LabelingConfig,
    prefixed: bool,
    notes: Counter[str],
) -> str:
    """Add tasks to a project; return what to say of it."""
    from clickpose_labelstudio.project_import import carry_out, plan_import

    def progress(steps: Sequence) -> Iterator:
        with typer.progressbar(steps, label="Importing") as shown:
            yield from shown

    from clickpose_labelstudio.webhooks import ensure_webhooks_of

    plan = plan_import(client, project, tasks, kind.value, config.image_key, prefixed)
    carry_out(client, plan, notes, progress)
    if ensure_webhooks_of(client, project, os.environ.get("CLICKPOSE_WEBHOOK_SECRET", "")):
        note(notes, "webhook of the backend, set up or mended")
    return plan.told() + _how_to_see(client, project, kind, tasks)


def _how_to_see(client: LabelStudioClient, project: int, kind: Kind, tasks: list[dict]) -> str:
    """Say what to do where a project starts from other predictions than those that were imported."""
    shown = (client.project(project) or {}).get("model_version")
    versions = {entry.get("model_version") for task in tasks for entry in task.get("predictions", ())}
    if kind is not Kind.predictions or not shown or versions <= {shown}:
        return ""
    wanted = ", ".join(sorted(map(str, versions)))
    return f"\nIts tasks start from the predictions of {shown}; Settings, Annotation has {wanted}, to start from these"


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
