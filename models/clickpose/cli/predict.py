"""``clickpose predict``: the people of photos, as overlays, COCO or OpenPose files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import typer

import clickpose
from clickpose.build import chosen_options
from clickpose.cli.large_set import LargeSet, is_large_source
from clickpose.cli.options import Checkpoint, Device, First, FlipTest, MaxPixels, Model, Threads
from clickpose.cli.photos import overlay_paths, parse_boxes, photo_paths, save_overlay, track_photos
from clickpose.data.coco_results import PhotoPoses, write_coco
from clickpose.data.openpose import openpose_paths, write_openpose
from clickpose.first_pose.predictor import notes_of
from clickpose.image_io import DEFAULT_MAX_PIXELS, read_image, set_max_pixels
from clickpose.large_sets.addresses import DEFAULT_MAX_BYTES, shown
from clickpose.named_image import NamedImage, named_image
from clickpose.outputs import check_outputs
from clickpose.photo_groups import SeenPhoto, everybody, in_groups, look, size_of
from clickpose.predictor import PosePredictor, model_version
from clickpose.structures import Poses
from clickpose.user_errors import complain, user_errors

Answer: TypeAlias = tuple[np.ndarray, Poses] | Exception
_FAILURES = (ValueError, OSError)  # of a photo


def predict(
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Photos, or folders of photos; their sub-folders are left out. With --run also lists (.txt, .jsonl, "
            ".csv, .tsv, a COCO .json), addresses that fsspec opens (s3://bucket/folder), and fiftyone:DATASET or "
            "fiftyone:DATASET/VIEW.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Photo with the skeletons drawn in; a folder where there are several photos.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="COCO keypoint file to write.")] = None,
    openpose: Annotated[
        Path | None, typer.Option(help="Folder for OpenPose JSON, one file a photo; confidences are predicted OKS.")
    ] = None,
    openpose_tolerance: Annotated[
        float | None,
        typer.Option(
            help="Give --openpose's confidences one tolerance for all joints, as body fitting wants: a share "
            "of the root of a person's area, such as 0.05."
        ),
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="x,y,width,height of a person in pixels, instead of finding them. Repeat.")
    ] = None,
    find_others: Annotated[
        bool, typer.Option("--find-others", help="With --box, find the people in none of the boxes as well.")
    ] = False,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Leave out people with a lower predicted OKS.")] = 0.0,
    run: Annotated[
        Path | None,
        typer.Option(
            help="For large sets: a folder in which the results of each part of the photos are kept. Start the same "
            "again after whatever stopped it, or beside it on other machines that see the folder."
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="With --run, do every n-th part alone: 2/5 is the second of five processes.")
    ] = "1/1",
    retry: Annotated[bool, typer.Option("--retry", help="With --run, do the photos again that have failed.")] = False,
    root: Annotated[
        str | None, typer.Option(help="With --run, the folder or address that names in lists start from.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="With --run, the photo's column in lists.")] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="With --run, refuse files of more bytes.")] = DEFAULT_MAX_BYTES,
    model: Model = "lite",
    checkpoint: Checkpoint = None,
    first: First = "",
    flip_test: FlipTest = True,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Find the people of photos and their keypoints.

    Examples:

        clickpose predict photo.jpg --out overlay.png

        clickpose predict holiday/ --out drawn/ --json poses.json --threshold 0.5

        clickpose predict photo.jpg --box 120,40,200,480 --json poses.json

        clickpose predict holiday/ --json poses.json --first movenet:thunder.onnx

        clickpose predict s3://bucket/photos --run runs/photos && clickpose join runs/photos --json poses.json
    """
    with user_errors():
        if openpose_tolerance is not None and openpose is None:
            raise ValueError("Expected --openpose for --openpose-tolerance, got none")
        if openpose_tolerance is not None and not 0 < openpose_tolerance < float("inf"):
            raise ValueError(f"Expected a positive --openpose-tolerance, got {openpose_tolerance:g}")
        set_max_pixels(max_pixels, "--max-pixels")
        options = chosen_options(model, flip_test, first)
        if run is not None:
            large = LargeSet(run, photos or [], root, column, shard, retry, threshold, max_bytes)
            large.check({"--out": out, "--json": json, "--openpose": openpose, "--box": box})
            predictor = clickpose.load(model, checkpoint=checkpoint, device=device, threads=threads, **options)
            if large.work(predictor):
                raise typer.Exit(2)
            return
        paths, notes = _photos_of(photos or [])
        boxes_xyxy = parse_boxes(box)
        if find_others and boxes_xyxy is None:
            raise ValueError("Expected --box for --find-others, got none: without boxes everybody is found")
        if boxes_xyxy is not None and len(paths) > 1:
            raise ValueError(f"Expected one photo with --box, got {len(paths)}")
        overlays = overlay_paths(paths, out)
        written = {"--json": json, **{f"--out ({photo})": overlay for photo, overlay in overlays.items()}}
        check_outputs(written, {"--openpose": openpose}, paths)
        if openpose is not None:
            openpose_paths(openpose, [path.as_posix() for path in paths])
        predictor = clickpose.load(model, checkpoint=checkpoint, device=device, threads=threads, **options)
    for note in notes:
        typer.echo(note)
    done, failures = [], 0
    answers = (
        _predict_everybody(predictor, paths)
        if boxes_xyxy is None
        else _predict_in(predictor, paths, boxes_xyxy, find_others)
    )
    for path, answer in track_photos(answers, len(paths)):
        try:
            if isinstance(answer, Exception):
                raise answer
            image, poses = answer
            poses = poses.select(poses.instance_scores >= threshold)
            save_overlay(overlays.get(path), image, poses)
            done.append(PhotoPoses(path.as_posix(), image.shape[:2], poses))
            _say_found(path, poses)
        except _FAILURES as error:  # one bad photo does not stop the others
            failures += 1
            complain(error)
    for what, count in notes_of(predictor).items():
        typer.echo(f"{count} {what}")
    if json is not None:
        with user_errors():
            write_coco(json, done, predictor.skeleton, model_version(predictor, clickpose.__version__))
    if openpose is not None:
        with user_errors():
            write_openpose(openpose, done, openpose_tolerance)
    if failures:
        raise typer.Exit(2)


def _photos_of(given: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the photos of files and folders of this machine; see :func:`photo_paths`."""
    if not given:
        raise ValueError("Expected photos, or folders of photos, got none")
    for source in given:
        if is_large_source(source):
            raise ValueError(f"Expected --run, a folder for the results, with {shown(source)}")
    return photo_paths([Path(source) for source in given])


def _predict_everybody(predictor: PosePredictor, paths: Sequence[Path]) -> Iterator[tuple[Path, Answer]]:
    """Yield each photo with its pixels and the poses of everybody in it, or why there are none."""

    def pose(photos: Sequence[SeenPhoto]) -> list[tuple[np.ndarray, Poses]]:
        return [(photo.image, poses) for photo, poses in zip(photos, everybody(predictor, photos), strict=True)]

    return in_groups(lambda path: look(predictor, _read(path)), paths, size_of, pose, _FAILURES)


def _predict_in(
    predictor: PosePredictor, paths: Sequence[Path], boxes_xyxy: np.ndarray, find_others: bool
) -> Iterator[tuple[Path, Answer]]:
    """Yield each photo with its pixels and the poses of the people in given boxes, and maybe of others."""
    for path in paths:
        try:
            image = _read(path)
            predictor.set_image(image)
            yield path, (image, predictor.predict(boxes_xyxy, find_others=find_others))
        except _FAILURES as error:
            yield path, error


def _read(path: Path) -> NamedImage:
    return named_image(read_image(path), path.as_posix())


def _say_found(path: Path, poses: Poses) -> None:
    scores = ", ".join(f"{score:.2f}" for score in poses.instance_scores)
    count = f"{len(poses)} {'person' if len(poses) == 1 else 'people'}"
    typer.echo(f"{path}: {count}" + (f", predicted OKS {scores}" if scores else ""))
