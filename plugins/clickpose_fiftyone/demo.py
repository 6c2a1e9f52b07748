"""``clickpose fiftyone review``: a dataset of photos with all of the package applied, in the app."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from urllib.parse import quote

from clickpose_fiftyone.database import check_server
from clickpose_fiftyone.field_names import COCO_EXTRA, GT, PRED, SOURCE_INFO, boxes_field_of
from clickpose_fiftyone.queued_runs import QUEUE_VARIABLE, running_queue

DEMO_NAME = "clickpose-demo"
Say = Callable[[str], None]
_QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_DATABASE_VALIDATION": "false",  # complains of the version of the database that FiftyOne itself brings
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",  # this command tells what it does
    QUEUE_VARIABLE: "true",  # what is queued is run here
}
REVIEW_WORKSPACE, WORST_PHOTOS, WORST_PEOPLE = "review", "worst-photos-first", "worst-people-first"
_PANEL = "review_panel"


@dataclass(frozen=True)
class ReviewOptions:
    """What ``clickpose fiftyone review`` was told; see the command."""

    images: Path | None = None
    coco: Path | None = None
    name: str | None = None
    data_dir: Path = Path(".clickpose/fiftyone")
    port: int = 5151
    address: str = "127.0.0.1"
    limit: int | None = None
    browser: bool = True
    first: str | None = None


def run_review(options: ReviewOptions, say: Say) -> None:
    """Prepare the dataset, open the app and wait until it is closed.

    Raises:
        ValueError: if there are no photos.
        RuntimeError: if there is no database.
    """
    if "FIFTYONE_DATABASE_URI" not in os.environ:
        check_server()
    plugins = options.data_dir.resolve() / "plugins"
    os.environ.setdefault("FIFTYONE_PLUGINS_DIR", str(plugins))
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    say("Starting FiftyOne …")
    import fiftyone as fo

    from clickpose_fiftyone.install import install_plugin

    install_plugin(fo.config.plugins_dir)
    dataset = prepare_dataset(options, say)
    keep_start(dataset)
    view = dataset.load_saved_view(WORST_PHOTOS) if dataset.has_saved_view(WORST_PHOTOS) else None
    session = fo.launch_app(
        dataset,
        view=view,
        spaces=dataset.load_workspace(REVIEW_WORKSPACE),
        port=options.port,
        address=options.address,
        remote=not options.browser,
        auto=options.browser,
    )
    say(f"The app is at {start_address(dataset, options)} (Ctrl+C ends it).")
    with contextlib.suppress(KeyboardInterrupt), running_queue():  # the usual way to end it, and no error
        session.wait(-1)
    say("Closed; the dataset is kept.")


def start_address(dataset, options: ReviewOptions) -> str:
    """Return where a browser sees the photos worst first, the review queue beside them."""
    start = f"http://{options.address}:{options.port}/datasets/{quote(dataset.name)}?workspace={REVIEW_WORKSPACE}"
    return f"{start}&view={WORST_PHOTOS}" if dataset.has_saved_view(WORST_PHOTOS) else start


def prepare_dataset(options: ReviewOptions, say: Say):
    """Return the dataset of the options: made and predicted, or the one that is there already."""
    import fiftyone as fo

    from clickpose_fiftyone.backends import register_backends

    register_backends()
    source = options.coco or options.images
    name = options.name or _dataset_name(source)
    if fo.dataset_exists(name):
        say(f"Using the dataset “{name}” again; corrections are kept.")
        dataset = fo.load_dataset(name)
        if options.coco is None and dataset.info.get(SOURCE_INFO) == _source_key(source):
            _add_new_photos(dataset, options, say)
        return dataset
    dataset = fo.Dataset(name, persistent=True)
    dataset.info[SOURCE_INFO] = _source_key(source)
    dataset.save()
    try:
        _fill(dataset, options, say)
    except BaseException:  # a dataset that was filled halfway must not be taken for a whole one
        dataset.delete()
        raise
    return dataset


def _source_key(source: Path | None) -> str:
    return "" if source is None else str(source.expanduser().resolve())


def _dataset_name(source: Path | None) -> str:
    """Return the name of a folder's dataset; other folders of the same name get a number."""
    import fiftyone as fo

    base = DEMO_NAME if source is None else f"clickpose-{source.expanduser().resolve().name}"
    names, key = chain([base], (f"{base}-{number}" for number in count(2))), _source_key(source)
    return next(
        name for name in names if not fo.dataset_exists(name) or fo.load_dataset(name).info.get(SOURCE_INFO, key) == key
    )


def _add_new_photos(dataset, options: ReviewOptions, say: Say) -> None:
    """Add and predict what has come into the folder since the dataset was made."""
    import fiftyone as fo

    from clickpose_fiftyone.checks import plural
    from clickpose_fiftyone.predict import predict_poses

    known = set(dataset.values("filepath"))
    new = [path for path in _photos_of(options, say) if path not in known]
    if not new:
        return
    say(f"Finding the people of {plural(len(new), 'new photo')} …")
    ids = dataset.add_samples([fo.Sample(filepath=path) for path in new], progress=False)
    try:
        say(str(predict_poses(dataset.select(ids), PRED, first=options.first, progress=_tell_every(say, 20))))
    except ValueError as error:  # none of them can be read
        say(str(error))
    apply_everything(dataset, say)


def _fill(dataset, options: ReviewOptions, say: Say) -> None:
    """Add the photos and apply everything."""
    import fiftyone as fo

    from clickpose_fiftyone.coco_exchange import import_coco
    from clickpose_fiftyone.predict import predict_poses

    if options.coco is not None:
        folder = options.coco.expanduser()
        say(str(import_coco(dataset, folder / "annotations.json", folder / "images", GT, limit=options.limit)))
        prompts = boxes_field_of(GT)
        samples = dataset.filter_labels(prompts, ~fo.ViewField(COCO_EXTRA).exists(), only_matches=False)  # people's
    else:
        paths = _photos_of(options, say)
        dataset.add_samples([fo.Sample(filepath=path) for path in paths])
        samples, prompts = dataset, None
    say(f"Finding the people of {len(dataset)} photos …")
    say(str(predict_poses(samples, PRED, prompt_field=prompts, first=options.first, progress=_tell_every(say, 20))))
    apply_everything(dataset, say)


def apply_everything(dataset, say: Say) -> None:
    """Flag, colour and, where there are labels, evaluate, calibrate and look for label errors; save the views."""
    from clickpose_fiftyone.colours import color_by_confidence
    from clickpose_fiftyone.visibility import flag_low_visibility

    say(str(flag_low_visibility(dataset, PRED)))
    if GT in dataset.get_field_schema():
        _use_labels(dataset, say)
    color_by_confidence(dataset, PRED)
    keep_start(dataset)


def keep_start(dataset) -> None:
    """Keep with the dataset what the app shows first: the worst photos, the review queue with its legend beside them.

    What a user has saved under these names stays.
    """
    import fiftyone as fo

    from clickpose_fiftyone.review import worst_persons, worst_samples

    with contextlib.suppress(ValueError):  # nothing is predicted in it
        if not dataset.has_saved_view(WORST_PHOTOS):
            dataset.save_view(WORST_PHOTOS, worst_samples(dataset, PRED))
        if not dataset.has_saved_view(WORST_PEOPLE):
            dataset.save_view(WORST_PEOPLE, worst_persons(dataset, PRED, 200))
    if not dataset.has_workspace(REVIEW_WORKSPACE):
        panels = fo.Panel(type="Samples", pinned=True), fo.Panel(type=_PANEL)
        # without an active one the app draws no panel at all
        spaces = [fo.Space(children=[panel], active_child=panel.component_id) for panel in panels]
        both = fo.Space(children=spaces, orientation="horizontal", sizes=[0.5, 0.5])
        dataset.save_workspace(REVIEW_WORKSPACE, both, description="Photos and the review queue")


def _use_labels(dataset, say: Say) -> None:
    from clickpose_fiftyone.calibration import calibrate
    from clickpose_fiftyone.diagnosis import diagnose
    from clickpose_fiftyone.evaluation import evaluate_poses
    from clickpose_fiftyone.label_errors import find_label_errors

    def evaluate() -> str:
        figures = evaluate_poses(dataset, PRED, GT, "eval").figures
        return f"AP {figures['AP']:.3f}, AR {figures['AR']:.3f}"

    for step in (lambda: calibrate(dataset, PRED, GT), evaluate, lambda: diagnose(dataset, PRED, GT),
                 lambda: find_label_errors(dataset, PRED, GT)):  # fmt: skip
        try:
            say(str(step()))
        except ValueError as error:  # such as too few labels for one of them, which need not stop the others
            say(str(error))


def demo_photos() -> Path:
    """Return the folder of the photos that ship with the Label Studio integration."""
    import clickpose_labelstudio

    return Path(next(iter(clickpose_labelstudio.__path__))) / "demo"


def _photos_of(options: ReviewOptions, say: Say) -> list[str]:
    """Return the photos of the options, or the demo's, whose other files are nobody's concern."""
    if options.images is None:
        return _photos(demo_photos(), options.limit, lambda text: None)
    return _photos(options.images, options.limit, say)


def _photos(folder: Path, limit: int | None, say: Say) -> list[str]:
    """Return the photos of a folder and its sub-folders, sorted; says how many other files there are.

    Raises:
        ValueError: if there is none.
    """
    from clickpose.image_io import PHOTO_SUFFIXES, count_endings
    from clickpose_fiftyone.checks import listed
    from clickpose_labelstudio.launch.photo_check import ONLY_ELSEWHERE

    files = sorted(path for path in folder.expanduser().rglob("*") if path.is_file())
    paths = dict.fromkeys(str(path.resolve()) for path in files if path.suffix.lower() in PHOTO_SUFFIXES)
    left_out = count_endings(path for path in files if path.suffix.lower() not in PHOTO_SUFFIXES)
    if not paths:
        raise ValueError(f"Expected photos ({', '.join(PHOTO_SUFFIXES)}) in {folder}, got {left_out or 'none'}")
    if left_out:
        say(f"Left out files with other endings: {left_out}.")
    chosen = list(paths)[:limit]
    if hidden := [Path(path).name for path in chosen if Path(path).suffix.lower() in ONLY_ELSEWHERE]:
        say(f"Browsers do not show {listed(hidden)}: the grid leaves them grey; the queue and Pose refine show them.")
    return chosen


def _tell_every(say: Say, step: int):
    return lambda done, total: say(f"  {done} of {total}") if done % step == 0 else None
