"""The ``clickpose`` command: predict and refine photos; training and Label Studio commands are mounted beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import typer

import clickpose
from clickpose.boxes import xywh_to_xyxy
from clickpose.data.coco_results import PhotoPoses, read_coco, write_coco
from clickpose.data.openpose import write_openpose
from clickpose.image_io import read_image
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton
from clickpose.structures import Pose, Poses

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2")
_LABEL_STUDIO_MISSING = 'This command needs the Label Studio integration: pip install "clickpose[labelstudio]"'

app = typer.Typer(
    name="clickpose",
    help="Human poses with calibrated confidence: correct one keypoint, the rest of the person follows.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

Model = Annotated[str, typer.Option(help="Name of the network: lite, or r50 (needs --checkpoint).")]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="Weights to load instead of the shipped ones; for r50 also a folder of clickpose export."),
]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1 …")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads. By default the libraries choose.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clickpose {clickpose.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command's name."""


@app.command()
def predict(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Photo with the skeletons drawn in; a folder where there are several photos.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="COCO keypoint file to write.")] = None,
    openpose: Annotated[
        Path | None, typer.Option(help="Folder for OpenPose JSON, one file a photo; confidences are predicted OKS.")
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="x,y,width,height of a person in pixels, instead of finding them. Repeat.")
    ] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Leave out people with a lower predicted OKS.")] = 0.0,
    model: Model = "lite",
    checkpoint: Checkpoint = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Find the people of photos and their keypoints.

    Examples:

        clickpose predict photo.jpg --out overlay.png

        clickpose predict holiday/ --out drawn/ --json poses.json --threshold 0.5

        clickpose predict photo.jpg --box 120,40,200,480 --json poses.json
    """
    with _user_errors():
        paths = _photo_paths(photos)
        boxes_xyxy = _parse_boxes(box)
        if boxes_xyxy is not None and len(paths) > 1:
            raise ValueError(f"Expected one photo with --box, got {len(paths)}")
        overlays = _overlay_paths(paths, out)
        predictor = clickpose.load(model, checkpoint=checkpoint, device=device, threads=threads)
    done, failures = [], 0
    for path in _progress(paths):
        try:
            done.append(_predict_photo(predictor, path, boxes_xyxy, threshold, overlays.get(path)))
        except (ValueError, OSError) as error:  # one bad photo does not stop the others
            failures += 1
            _complain(error)
    if json is not None:
        with _user_errors():
            json.parent.mkdir(parents=True, exist_ok=True)
            write_coco(json, done, predictor.skeleton)
    if openpose is not None:
        with _user_errors():
            write_openpose(openpose, done)
    if failures:
        raise typer.Exit(2)


@app.command()
def refine(
    photo: Annotated[Path, typer.Argument(help="The photo.", show_default=False)],
    poses: Annotated[Path, typer.Option(help="COCO keypoint file with the photo's people, as predict writes it.")],
    click: Annotated[list[str], typer.Option(help="joint=x,y: where the joint really is, in pixels. Repeat.")],
    person: Annotated[int, typer.Option(min=0, help="Which of the photo's people, counted from 0.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Photo with the skeletons drawn in.")] = None,
    json: Annotated[Path | None, typer.Option(help="COCO keypoint file to write; may be the one that is read.")] = None,
    model: Model = "lite",
    checkpoint: Checkpoint = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Put keypoints of one person right; the person's other keypoints and box follow.

    Clicked keypoints stay exactly where they were put, also in later refinements of the written file.

    Examples:

        clickpose refine photo.jpg --poses poses.json --click left_wrist=120,88 --out overlay.png

        clickpose refine photo.jpg --poses poses.json --person 2 --click nose=40,52 --click left_hip=61,190
        --json poses.json
    """
    with _user_errors():
        image = read_image(photo)
        predictor = clickpose.load(model, checkpoint=checkpoint, device=device, threads=threads)
        photos = read_coco(poses, predictor.skeleton)
        index = _find_photo(photos, photo, poses)
        _check_size(photo, image.shape[:2], photos[index].image_hw, poses)
        people = photos[index].poses
        if person >= len(people):
            raise ValueError(
                f"Expected --person to be below {len(people)}, the number of people of {photo}, got {person}"
            )
        clicks = _parse_clicks(click, people.skeleton)
        overlays = _overlay_paths([photo], out)
        predictor.set_image(image)
        before = people[person]
        after = predictor.refine(before, clicks)
        refined = [after if i == person else pose for i, pose in enumerate(people)]
        photos[index] = PhotoPoses(photos[index].file_name, image.shape[:2], Poses.stack(people.skeleton, refined))
        if json is not None:
            json.parent.mkdir(parents=True, exist_ok=True)
            write_coco(json, photos, people.skeleton)
        _save_overlay(overlays.get(photo), image, photos[index].poses)
    _report_refinement(photo, person, before, after, clicks)


@app.command()
def train(
    data: Annotated[
        list[str] | None,
        typer.Option(help="COCO-format folder (annotations.json, images/), with :weight if not 1. Repeat."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--init",
            help="Weights to go on from. lite: MoveNet Thunder (.onnx) or lite weights, by default the shipped ones; "
            "r50: a Click-Pose checkpoint, by default a fresh network.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Working folder; a stopped run goes on from it. By default runs/<model>.")
    ] = None,
    trunk_steps: Annotated[
        int | None,
        typer.Option(min=1, help="lite: steps of the trunk, 32 persons each. By default those of make train-lite."),
    ] = None,
    decoder_steps: Annotated[int | None, typer.Option(min=1, help="lite: steps of the decoder, likewise.")] = None,
    preset: Annotated[
        str, typer.Option(help="r50: paper (needs a GPU), or small: the same modules for two CPU cores.")
    ] = "paper",
    steps: Annotated[int | None, typer.Option(min=1, help="r50: steps. By default the preset's epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="r50: photos a step, all processes together.")] = None,
    format_name: Annotated[str, typer.Option("--format", help="r50: format of the data, as for evaluate.")] = "coco",
    skeleton: Annotated[
        str | None, typer.Option(help="r50: name or YAML file of the joints, where they are not COCO's.")
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option(help="r50: ResNet-50 weights (.pth, torchvision's names) for a fresh network.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    model: Model = "lite",
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train lite, or the paper's end-to-end network; also across processes under torchrun.

    Examples:

        clickpose train --data my_people/ --out runs/mine

        clickpose train --data coco_train:2 --data lspet:0.75 --init movenet-thunder-heads.onnx

        clickpose predict photo.jpg --checkpoint runs/mine/lite.safetensors --out overlay.png

        clickpose train --model r50 --data train2017.json --backbone resnet50.pth --device cuda

        clickpose train --model r50 --preset small --data my_people/
    """
    with _user_errors():
        from clickpose.train_command import LiteOptions, R50Options, train_from_options

        options = {
            "lite": LiteOptions(trunk_steps, decoder_steps),
            "r50": R50Options(preset, steps, batch_size, format_name, skeleton, backbone),
        }
        if model not in options:
            raise ValueError(f"Expected --model to be one of {', '.join(options)}, got {model!r}")
        out = out or Path("runs") / model
        weights = train_from_options(data or [], start, out, options[model], seed, device, threads)
    typer.echo(f"wrote {weights}")


@app.command()
def adapt(
    skeleton: Annotated[str, typer.Option(help="YAML file of the joints wanted, or a known name such as crowdpose.")],
    data: Annotated[
        Path | None, typer.Option(help="COCO-format folder (annotations.json, images/) with these joints.")
    ] = None,
    images: Annotated[int | None, typer.Option(min=0, help="Train on so many of its photos; 0: not at all.")] = None,
    start: Annotated[Path | None, typer.Option("--init", help="Lite weights to adapt; by default the shipped.")] = None,
    out: Annotated[Path, typer.Option(help="Working folder; a stopped run goes on from it.")] = Path("runs/adapted"),
    trunk_steps: Annotated[int, typer.Option(min=1, help="Steps of the trunk, 32 persons each.")] = 150,
    decoder_steps: Annotated[int, typer.Option(min=1, help="Steps of the decoder, 32 persons each.")] = 500,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Adapt the lite network to other joints.

    Joints that it knows are predicted as before; new ones start from their neighbours along the skeleton's edges, and
    learn from the photos.

    Examples:

        clickpose adapt --skeleton golf.yaml --data swings/ --images 100 --out runs/golf

        clickpose adapt --skeleton crowdpose --images 0

        clickpose predict photo.jpg --checkpoint runs/golf/lite.safetensors --out overlay.png
    """
    with _user_errors():
        from clickpose.adapt_command import adapt_from_options

        weights = adapt_from_options(
            skeleton, data, images, start, out, trunk_steps, decoder_steps, seed, device, threads
        )
    typer.echo(f"wrote {weights}")


@app.command()
def evaluate(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders with annotations.json and images/, or annotation files.", show_default=False),
    ],
    format_name: Annotated[
        str,
        typer.Option("--format", help="coco, humanart, humanart21, ochuman, crowdpose, mpii, wholebody, aic or halpe."),
    ] = "coco",
    images: Annotated[Path | None, typer.Option(help="Folder of the photos. By default beside the file.")] = None,
    skeleton: Annotated[str | None, typer.Option(help="Skeleton file of COCO-format data with other joints.")] = None,
    boxes: Annotated[str, typer.Option(help="Where the persons come from: ground-truth or detected.")] = "ground-truth",
    results: Annotated[
        list[str] | None, typer.Option(help="name=FILE: COCO results of another model, corrected by hand. Repeat.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="Clicked joint: worst, lowest_score, random or farthest.")] = "worst",
    loop: Annotated[str, typer.Option(help="progressive: refine after every click; once: after all.")] = "progressive",
    clicks: Annotated[int, typer.Option(min=0, help="Most clicks a person.")] = 17,
    joints: Annotated[str | None, typer.Option(help="Click these joints only: left_wrist,right_wrist,…")] = None,
    noise: Annotated[float, typer.Option(min=0, help="Click noise an axis, in 2 sigma times sqrt(area).")] = 0.0,
    first: Annotated[int | None, typer.Option(min=1, help="Only that many photos.")] = None,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of AP against clicks to write; a folder for several.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the network; none to evaluate --results alone.")] = "lite",
    model_skeleton: Annotated[
        str | None, typer.Option(help="Joints of an r50 checkpoint if not COCO's: crowdpose, humanart21 … or a file.")
    ] = None,
    checkpoint: Checkpoint = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Measure how the poses of labelled people improve with simulated clicks.

    "C2" is COCO's AP (percent) after two clicks a person, "NoC90" the mean number of clicks until an image's AP, or a
    person's OKS, is .90. People whom the detector misses are counted apart and get no click.

    Examples:

        clickpose evaluate my_people/

        clickpose evaluate val/ --boxes detected --strategy lowest_score --json figures.json --plot curves.png

        clickpose evaluate mpii_val.json --format mpii --images mpii/images

        clickpose evaluate val/ --model none --results vitpose=vitpose_results.json

        clickpose evaluate crowdpose_test.json --format crowdpose --images images/ --boxes detected
        --model r50 --checkpoint clickpose_crowdpose.pth --model-skeleton crowdpose
    """
    with _user_errors():
        from clickpose.click_protocol import ClickProtocol
        from clickpose.evaluate_command import EvaluationPlan, load_network, parse_results, run_evaluation

        protocol = ClickProtocol(
            strategy, clicks, noise, loop=loop, joints=tuple(joints.split(",")) if joints else None
        )
        other = load_skeleton(skeleton) if skeleton else None
        plan = EvaluationPlan(sources, format_name, images, other, boxes, parse_results(results or []), protocol, first)
        network = load_network(model, checkpoint, device, threads, model_skeleton)
        run_evaluation(plan, network, json, plot)


@app.command()
def calibrate(
    results: Annotated[
        Path | None, typer.Option(help="COCO keypoint results, or what predict --json writes, of any model.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="COCO keypoints of the same photos, to fit on or to measure with.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model that made the results.")] = "",
    apply: Annotated[Path | None, typer.Option(help="Fitted calibrator to apply to --results.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Labelled folder (annotations.json, images/) to run --model on. Repeat.")
    ] = None,
    model: Model = "lite",
    checkpoint: Checkpoint = None,
    method: Annotated[
        str, typer.Option(help="auto, ccnet (lite only), isotonic, platt, temperature or closed_form.")
    ] = "auto",
    per_joint: Annotated[bool, typer.Option("--per-joint", help="Fit a curve for each joint.")] = False,
    skeleton: Annotated[str, typer.Option(help="Skeleton of the results: a name, or a YAML file.")] = "coco",
    clicks: Annotated[int, typer.Option(min=0, help="Simulated clicks a person, for lite.")] = 3,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps lite's features between runs.")] = None,
    out: Annotated[Path | None, typer.Option(help="Calibrator to write: .json, or .safetensors for ccnet.")] = None,
    calibrated: Annotated[Path | None, typer.Option(help="Results file with calibrated confidences to write.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML report to write.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos, for the report's examples.")] = None,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Turn confidences into predicted OKS, and say how good they are before and after.

    Figures of a fit are of people whose photo was not fitted on. Positions never change.

    Examples:

        clickpose calibrate --results val.json --annotations gt.json --name hrnet --out hrnet.calibration.json

        clickpose calibrate --apply hrnet.calibration.json --results test.json --name hrnet --calibrated out.json

        clickpose calibrate --data my_people/ --checkpoint runs/mine/lite.safetensors
        --out runs/mine/lite.calibration --report report.html
    """
    with _user_errors():
        from clickpose.calibrate_command import CalibrateRequest, calibrate_from_options
        from clickpose.calibrate_outcome import CalibrateOptions

        request = CalibrateRequest(
            results, annotations, name, apply, tuple(data or ()), model, checkpoint, skeleton, clicks, cache, device,
            threads,
        )  # fmt: skip
        options = CalibrateOptions(method, per_joint, out, calibrated, report, images)
        outcome = calibrate_from_options(request, options, _progress)
    from rich.console import Console

    if outcome.before is not None:
        Console().print(outcome.render())
    for line in (*outcome.notes, *(f"wrote {path}" for path in outcome.written)):
        typer.echo(line)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Option(help="r50 weights: an official .pth or our .safetensors file.")],
    out: Annotated[Path, typer.Option(help="Folder to write: two graphs and a copy of the checkpoint.")],
) -> None:
    """Export the end-to-end network to ONNX; the folder then serves as --checkpoint.

    Examples:

        clickpose export --checkpoint checkpoint.pth --out exported/

        clickpose serve --model r50 --checkpoint exported/
    """
    with _user_errors():
        from clickpose.export_command import export_from_options

        difference = export_from_options(checkpoint, out)
    typer.echo(f"wrote {out}: the graphs agree with torch to {difference:.1e}")


def _mount_label_studio() -> None:
    """Add ``serve`` and ``labelstudio``; where the integration is missing, commands that say so."""
    try:
        from clickpose_labelstudio import commands
    except ImportError:
        anything = {"allow_extra_args": True, "ignore_unknown_options": True}
        for name in ("serve", "labelstudio"):
            app.command(name, context_settings=anything, help=_LABEL_STUDIO_MISSING)(_label_studio_is_missing)
    else:
        app.command("serve")(commands.serve)
        app.add_typer(commands.labelstudio, name="labelstudio")


def _mount_fiftyone() -> None:
    """Add ``fiftyone``, where its package is installed; its commands say what else is missing."""
    try:
        from clickpose_fiftyone import commands
    except ImportError:
        return
    app.add_typer(commands.fiftyone, name="fiftyone")


def _label_studio_is_missing(context: typer.Context) -> None:
    _fail(_LABEL_STUDIO_MISSING)


def _predict_photo(predictor, path: Path, boxes_xyxy, threshold: float, overlay: Path | None) -> PhotoPoses:
    """Predict, draw and report one photo."""
    image = read_image(path)
    predictor.set_image(image)
    poses = predictor.predict(boxes_xyxy)
    poses = poses.select(poses.instance_scores >= threshold)
    _save_overlay(overlay, image, poses)
    scores = ", ".join(f"{score:.2f}" for score in poses.instance_scores)
    count = f"{len(poses)} {'person' if len(poses) == 1 else 'people'}"
    typer.echo(f"{path}: {count}" + (f", predicted OKS {scores}" if scores else ""))
    return PhotoPoses(path.as_posix(), image.shape[:2], poses)


def _report_refinement(photo: Path, person: int, before: Pose, after: Pose, clicks: dict) -> None:
    moved = np.nan_to_num(np.linalg.norm(after.keypoints - before.keypoints, axis=1), nan=np.inf) >= 0.5
    others = int(moved.sum()) - sum(moved[after.skeleton.index(name)] for name in clicks)
    typer.echo(
        f"{photo}: person {person}, {', '.join(clicks)} placed, {others} other keypoints moved, "
        f"predicted OKS {before.instance_score:.2f} -> {after.instance_score:.2f}"
    )


def _photo_paths(given: Sequence[Path]) -> list[Path]:
    """Replace folders by the photos in them, sorted by name."""
    paths: list[Path] = []
    for path in given:
        if not path.is_dir():
            paths.append(path)
            continue
        found = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in PHOTO_SUFFIXES)
        if not found:
            raise ValueError(f"Expected photos ({', '.join(PHOTO_SUFFIXES)}) in {path}, got none")
        paths += found
    return list(dict.fromkeys(paths))


def _overlay_paths(photos: Sequence[Path], out: Path | None) -> dict[Path, Path]:
    """Choose where each photo's overlay goes; makes the folder.

    Raises:
        ValueError: if two overlays would have one name, or an overlay would replace a photo.
    """
    if out is None:
        return {}
    if len(photos) == 1 and out.suffix and not out.is_dir():
        chosen = {photos[0]: out}
        out.parent.mkdir(parents=True, exist_ok=True)
    else:
        chosen = {photo: out / f"{photo.stem}.png" for photo in photos}
        out.mkdir(parents=True, exist_ok=True)
    originals = {photo.resolve() for photo in photos}
    taken: dict[Path, Path] = {}
    for photo, overlay in chosen.items():
        if overlay.resolve() in originals:
            raise ValueError(f"Expected --out to leave the photos alone, got {out}, which would replace {overlay}")
        if overlay in taken:
            raise ValueError(f"Expected photos with different names, got {taken[overlay]} and {photo}")
        taken[overlay] = photo
    return chosen


def _save_overlay(path: Path | None, image: np.ndarray, poses: Poses) -> None:
    if path is None:
        return
    from PIL import Image

    from clickpose.draw import draw_poses

    Image.fromarray(draw_poses(image, poses)).save(path)


def _parse_boxes(texts: Sequence[str] | None) -> np.ndarray | None:
    """Read ``x,y,width,height`` of each person: (N, 4) xyxy px, or None."""
    if not texts:
        return None
    boxes = [_parse_numbers("--box", text, 4, "x,y,width,height") for text in texts]
    for text, (_, _, width, height) in zip(texts, boxes, strict=True):
        if not (width > 0 and height > 0):
            raise ValueError(f"Expected --box with a width and height above 0, got {text!r}")
    return xywh_to_xyxy(boxes)


def _parse_clicks(texts: Sequence[str], skeleton: Skeleton) -> dict[str, tuple[float, ...]]:
    """Read ``joint=x,y``; the joint in any usual spelling."""
    clicks = {}
    for text in texts:
        name, _, position = text.partition("=")
        joint = skeleton.match(name)
        if joint is None:
            raise ValueError(f"Expected --click joint=x,y with a joint of {', '.join(skeleton.names)}, got {text!r}")
        clicks[skeleton.names[joint]] = _parse_numbers("--click", position, 2, "joint=x,y", text)
    return clicks


def _parse_numbers(option: str, text: str, count: int, form: str, given: str | None = None) -> tuple[float, ...]:
    """Read ``count`` finite numbers separated by commas."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"Expected {option} {form} in pixels, got {given or text!r}")
    return numbers


def _find_photo(photos: Sequence[PhotoPoses], photo: Path, source: Path) -> int:
    """Return the index of a photo in a COCO file: by path, else by file name, else the only one."""
    for same in (lambda name: Path(name) == photo, lambda name: Path(name).name == photo.name):
        found = [i for i, entry in enumerate(photos) if same(entry.file_name)]
        if len(found) == 1:
            return found[0]
    if len(photos) == 1:
        return 0
    raise ValueError(f"Expected {source} to hold the people of {photo.name}, got {len(photos)} photos and not that one")


def _check_size(photo: Path, image_hw: tuple[int, int], written_hw: tuple[int, int], source: Path) -> None:
    """Refuse a photo that has been scaled or turned since its poses were written: all positions would be wrong."""
    if image_hw != tuple(written_hw):
        (height, width), (then_height, then_width) = image_hw, written_hw
        raise ValueError(
            f"Expected {photo} to be {then_width} x {then_height} pixels, as {source} says, got {width} x {height}"
        )


def _progress(paths: Sequence[Path]):
    """Show a progress bar on the terminal while many photos are worked on."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(paths, "Predicting", console=console, disable=len(paths) < 2 or not console.is_terminal)


@contextmanager
def _user_errors() -> Iterator[None]:
    """Turn the errors that a user can cause into one red sentence and exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        _fail(error)


def _complain(error: Exception | str) -> None:
    typer.secho(str(error), fg=typer.colors.RED, err=True)


def _fail(error: Exception | str) -> NoReturn:
    _complain(error)
    raise typer.Exit(2)


_mount_label_studio()
_mount_fiftyone()


def main() -> None:
    """Run the command line."""
    app()
