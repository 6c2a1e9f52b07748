"""``clickpose fiftyone review``: a dataset of photos with all of the package applied, in the app."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clickpose_fiftyone.database import check_server

DEMO_NAME = "clickpose-demo"
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
Say = Callable[[str], None]
_QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_DATABASE_VALIDATION": "false",  # complains of the version of the database that FiftyOne itself brings
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",  # this command tells what it does
}


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
    session = fo.launch_app(
        dataset, port=options.port, address=options.address, remote=not options.browser, auto=options.browser
    )
    say(f"The app is at http://{options.address}:{options.port}/datasets/{dataset.name} (Ctrl+C ends it).")
    with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it, and no error
        session.wait(-1)
    say("Closed; the dataset is kept.")


def prepare_dataset(options: ReviewOptions, say: Say):
    """Return the dataset of the options: made and predicted, or the one that is there already."""
    import fiftyone as fo

    from clickpose_fiftyone.backends import register_backends

    register_backends()
    source = options.coco or options.images
    name = options.name or (DEMO_NAME if source is None else f"clickpose-{source.resolve().name}")
    if fo.dataset_exists(name):
        say(f"Using the dataset “{name}” again; corrections are kept.")
        return fo.load_dataset(name)
    dataset = fo.Dataset(name, persistent=True)
    try:
        _fill(dataset, options, say)
    except BaseException:  # a dataset that was filled halfway must not be taken for a whole one
        dataset.delete()
        raise
    return dataset


def _fill(dataset, options: ReviewOptions, say: Say) -> None:
    """Add the photos and apply everything."""
    from clickpose_fiftyone.coco_exchange import import_coco
    from clickpose_fiftyone.predict import predict_poses

    if options.coco is not None:
        import_coco(dataset, options.coco / "annotations.json", options.coco / "images", "gt", limit=options.limit)
        prompts = "gt_boxes"
    else:
        _add_photos(dataset, options.images or demo_photos(), options.limit)
        prompts = None
    say(f"Finding the people of {len(dataset)} photos …")
    say(str(predict_poses(dataset, "pred", prompt_field=prompts, progress=_tell_every(say, 20))))
    apply_everything(dataset, say)


def apply_everything(dataset, say: Say) -> None:
    """Flag, colour and, where there are labels, evaluate, calibrate and look for label errors; save the views."""
    from clickpose_fiftyone.colours import color_by_confidence
    from clickpose_fiftyone.review import worst_persons, worst_samples
    from clickpose_fiftyone.visibility import flag_low_visibility

    say(str(flag_low_visibility(dataset, "pred")))
    if "gt" in dataset.get_field_schema():
        _use_labels(dataset, say)
    color_by_confidence(dataset, "pred")
    dataset.save_view("worst-photos-first", worst_samples(dataset, "pred"), overwrite=True)
    dataset.save_view("worst-people-first", worst_persons(dataset, "pred", 200), overwrite=True)


def _use_labels(dataset, say: Say) -> None:
    from clickpose_fiftyone.calibration import calibrate
    from clickpose_fiftyone.diagnosis import diagnose
    from clickpose_fiftyone.evaluation import evaluate_poses
    from clickpose_fiftyone.label_errors import find_label_errors

    say(str(calibrate(dataset, "pred", "gt")))
    results = evaluate_poses(dataset, "pred", "gt", "eval")
    say(f"AP {results.figures['AP']:.3f}, AR {results.figures['AR']:.3f}")
    say(str(diagnose(dataset, "pred", "gt")))
    say(str(find_label_errors(dataset, "pred", "gt")))


def demo_photos() -> Path:
    """Return the folder of the photos that ship with the Label Studio integration."""
    import clickpose_labelstudio

    return Path(next(iter(clickpose_labelstudio.__path__))) / "demo"


def _add_photos(dataset, folder: Path, limit: int | None) -> None:
    import fiftyone as fo

    paths = sorted(path for path in folder.expanduser().rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)[:limit]
    if not paths:
        raise ValueError(f"Expected photos in {folder}, got none")
    dataset.add_samples([fo.Sample(filepath=str(path.resolve())) for path in paths])


def _tell_every(say: Say, step: int):
    return lambda done, total: say(f"  {done} of {total}") if done % step == 0 else None
