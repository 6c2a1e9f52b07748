"""Photos and points on the command line: which photos, where their overlays go, what boxes and clicks were given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clickpose.boxes import xywh_to_xyxy
from clickpose.skeleton import Skeleton
from clickpose.structures import Poses

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2")


def photo_paths(given: Sequence[Path]) -> list[Path]:
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


def overlay_paths(photos: Sequence[Path], out: Path | None) -> dict[Path, Path]:
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


def track_photos(paths: Sequence[Path]):
    """Show a progress bar on the terminal while many photos are worked on."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(paths, "Predicting", console=console, disable=len(paths) < 2 or not console.is_terminal)
