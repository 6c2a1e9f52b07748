"""Photos and points on the command line: which photos, where their overlays go, what boxes and clicks were given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from clickpose.boxes import xywh_to_xyxy
from clickpose.image_io import PHOTO_SUFFIXES, count_endings
from clickpose.outputs import check_outputs
from clickpose.skeleton import Skeleton
from clickpose.structures import Poses

Photo = TypeVar("Photo")


def photo_paths(given: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Replace folders by the photos in them, sorted by name.

    Returns:
        each photo once, and a line for each folder of which something is left out.

    Raises:
        ValueError: for a folder without photos.
    """
    paths: dict[Path, Path] = {}
    notes = []
    for path in given:
        found = [path]
        if path.is_dir():
            entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
            found = [entry for entry in entries if entry.suffix.lower() in PHOTO_SUFFIXES and not entry.is_dir()]
            left_out = _describe_left_out([entry for entry in entries if entry not in set(found)])
            if not found:
                known = ", ".join(PHOTO_SUFFIXES)
                raise ValueError(f"Expected photos ({known}) in {path}, got {left_out or 'none'}")
            if left_out:
                notes.append(f"{path}: left out {left_out}")
        for photo in found:
            paths.setdefault(photo.resolve(), photo)
    return list(paths.values()), notes


def _describe_left_out(entries: Sequence[Path]) -> str:
    """Say how many files with other endings and sub-folders there are; empty where there are none."""
    folders = sum(entry.is_dir() for entry in entries)
    files = len(entries) - folders
    parts = []
    if files:
        counted = count_endings(entry for entry in entries if not entry.is_dir())
        parts.append(f"{files} {'file' if files == 1 else 'files'} with other endings ({counted})")
    if folders:
        parts.append(f"{folders} {'sub-folder' if folders == 1 else 'sub-folders'}")
    return " and ".join(parts)


def overlay_paths(photos: Sequence[Path], out: Path | None) -> dict[Path, Path]:
    """Choose where each photo's overlay goes; makes the folder.

    Raises:
        ValueError: if two overlays would have one name, an overlay would replace a photo, or cannot be written.
    """
    if out is None:
        return {}
    if len(photos) == 1 and out.suffix and not out.is_dir():
        chosen = {photos[0]: out}
        check_picture_suffix("--out", out)
        check_outputs(files={"--out": out}, inputs=[])
    else:
        chosen = {photo: out / f"{photo.stem}.png" for photo in photos}
        check_outputs(folders={"--out": out})
    originals = {photo.resolve() for photo in photos}
    taken: dict[Path, Path] = {}
    for photo, overlay in chosen.items():
        if overlay.resolve() in originals:
            raise ValueError(f"Expected --out to leave the photos alone, got {out}, which would replace {overlay}")
        if overlay in taken:
            raise ValueError(f"Expected photos with different names, got {taken[overlay]} and {photo}")
        taken[overlay] = photo
    return chosen


def check_picture_suffix(option: str, path: Path) -> None:
    """Refuse a picture of a kind that cannot be written.

    Raises:
        ValueError: names the option and the kinds.
    """
    from PIL import Image

    kinds = [suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.SAVE]
    if path.suffix.lower() not in kinds:
        raise ValueError(f"Expected {option} with an ending such as .png or .jpg, got {path}")


def save_overlay(path: Path | None, image: np.ndarray, poses: Poses) -> None:
    if path is None:
        return
    from PIL import Image

    from clickpose.draw import draw_poses

    Image.fromarray(draw_poses(image, poses)).save(path)


def parse_boxes(texts: Sequence[str] | None) -> np.ndarray | None:
    """Read ``x,y,width,height`` of each person: (N, 4) xyxy px, or None."""
    if not texts:
        return None
    boxes = [_parse_numbers("--box", text, 4, "x,y,width,height") for text in texts]
    for text, (_, _, width, height) in zip(texts, boxes, strict=True):
        if not (width > 0 and height > 0):
            raise ValueError(f"Expected --box with a width and height above 0, got {text!r}")
    return xywh_to_xyxy(boxes)


def parse_clicks(texts: Sequence[str], skeleton: Skeleton) -> dict[str, tuple[float, ...]]:
    """Read ``joint=x,y``; the joint in any usual spelling."""
    clicks: dict[str, tuple[float, ...]] = {}
    for text in texts:
        name, _, position = text.partition("=")
        joint = skeleton.match(name)
        if joint is None:
            raise ValueError(f"Expected --click joint=x,y with a joint of {', '.join(skeleton.names)}, got {text!r}")
        if skeleton.names[joint] in clicks:
            raise ValueError(f"Expected --click once for a joint, got {skeleton.names[joint]} twice")
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


def track_photos(photos: Iterable[Photo], count: int) -> Iterable[Photo]:
    """Show a progress bar on the terminal while many photos, ``count``, are worked on."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(photos, "Predicting", count, console=console, disable=count < 2 or not console.is_terminal)
