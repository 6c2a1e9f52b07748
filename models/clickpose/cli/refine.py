"""``clickpose refine``: keypoints of one person put right in a COCO file; the others follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import clickpose
from clickpose.build import chosen_options
from clickpose.cli.options import Checkpoint, Device, FlipTest, MaxPixels, Model, Threads
from clickpose.cli.photos import overlay_paths, parse_clicks, save_overlay
from clickpose.data.coco_results import PhotoPoses, read_pose_file
from clickpose.data.json_file import write_json
from clickpose.data.notes import Notes, note, told
from clickpose.data.photo_names import match_photos
from clickpose.image_io import DEFAULT_MAX_PIXELS, read_image, set_max_pixels
from clickpose.outputs import check_outputs
from clickpose.structures import Pose, Poses
from clickpose.user_errors import user_errors


def refine(
    photo: Annotated[Path, typer.Argument(help="The photo.", show_default=False)],
    poses: Annotated[Path, typer.Option(help="COCO keypoint file with the photo's people, as predict writes it.")],
    click: Annotated[list[str], typer.Option(help="joint=x,y: where the joint really is, in pixels. Repeat.")],
    person: Annotated[int, typer.Option(min=0, help="Which of the photo's people, counted from 0.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Photo with the skeletons drawn in.")] = None,
    json: Annotated[Path | None, typer.Option(help="COCO keypoint file to write; may be the one that is read.")] = None,
    model: Model = "lite",
    checkpoint: Checkpoint = None,
    flip_test: FlipTest = True,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Put keypoints of one person right; the person's other keypoints and box follow.

    Clicked keypoints stay exactly where they were put, also in later refinements of the written file. Everybody and
    everything else of the file is written as it was read.

    Examples:

        clickpose refine photo.jpg --poses poses.json --click left_wrist=120,88 --out overlay.png

        clickpose refine photo.jpg --poses poses.json --person 2 --click nose=40,52 --click left_hip=61,190
        --json poses.json
    """
    with user_errors():
        set_max_pixels(max_pixels, "--max-pixels")
        check_outputs({"--json": json}, inputs=[photo])
        image = read_image(photo)
        options = chosen_options(model, flip_test)
        predictor = clickpose.load(model, checkpoint=checkpoint, device=device, threads=threads, **options)
        file = read_pose_file(poses, predictor.skeleton)
        notes = Counter(file.notes)
        index = _find_photo(file.photos, photo, poses, notes)
        people = file.photos[index].poses
        if person >= len(people):
            raise ValueError(
                f"Expected --person to be below {len(people)}, the number of people of {photo}, got {person}"
            )
        _check_size(photo, image.shape[:2], file.photos[index].image_hw, poses)
        clicks = parse_clicks(click, people.skeleton)
        overlays = overlay_paths([photo], out)
        predictor.set_image(image)
        before = people[person]
        after = predictor.refine(before, clicks)
        refined = [after if i == person else pose for i, pose in enumerate(people)]
        if json is not None:
            write_json(json, file.with_pose(index, person, after))
        save_overlay(overlays.get(photo), image, Poses.stack(people.skeleton, refined))
    _report_left_out(notes, poses)
    _report_clicks_outside(photo, image.shape[:2], clicks)
    _report_refinement(photo, person, before, after, clicks)


def _report_left_out(notes: Notes, source: Path) -> None:
    if notes:
        typer.echo(f"{source}: {told(notes)}", err=True)


def _report_clicks_outside(photo: Path, image_hw: tuple[int, int], clicks: Mapping[str, Sequence[float]]) -> None:
    """Say which clicks lie outside the photo: COCO has such joints, but a digit too much is likelier."""
    height, width = image_hw
    if outside := [name for name, (x, y) in clicks.items() if not (0 <= x <= width and 0 <= y <= height)]:
        typer.echo(f"{photo}: {', '.join(outside)} placed outside the photo of {width} x {height} pixels", err=True)


def _report_refinement(photo: Path, person: int, before: Pose, after: Pose, clicks: dict) -> None:
    moved = np.nan_to_num(np.linalg.norm(after.keypoints - before.keypoints, axis=1), nan=np.inf) >= 0.5
    others = int(moved.sum()) - sum(moved[after.skeleton.index(name)] for name in clicks)
    typer.echo(
        f"{photo}: person {person}, {', '.join(clicks)} placed, {others} other keypoints moved, "
        f"predicted OKS {before.instance_score:.2f} -> {after.instance_score:.2f}"
    )


def _find_photo(photos: Sequence[PhotoPoses], photo: Path, source: Path, notes: Notes) -> int:
    """Return the index of a photo in a COCO file: the one whose path ends alike in the most parts, else the only one.

    Raises:
        ValueError: if it is not there, or the file's names do not tell which it is.
    """
    try:
        found = match_photos({0: photo.absolute().as_posix()}, {i: each.file_name for i, each in enumerate(photos)})[0]
    except ValueError as error:
        raise ValueError(f"Cannot tell which photo of {source} is meant: {error}") from None
    if isinstance(found, int):
        return found
    if len(photos) == 1:
        note(notes, f"photo of another name, {photos[0].file_name}, taken for {photo}")
        return 0
    raise ValueError(f"Expected {source} to hold the people of {photo.name}, got {len(photos)} photos and not that one")


def _check_size(photo: Path, image_hw: tuple[int, int], written_hw: tuple[int, int] | None, source: Path) -> None:
    """Refuse a photo that has been scaled or turned since its poses were written: all positions would be wrong."""
    if written_hw is not None and image_hw != tuple(written_hw):
        (height, width), (then_height, then_width) = image_hw, written_hw
        raise ValueError(
            f"Expected {photo} to be {then_width} x {then_height} pixels, as {source} says, got {width} x {height}"
        )
