"""Data sets by the name of their format, for commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from clickpose.data.aic import read_aic
from clickpose.data.coco import read_coco_dataset
from clickpose.data.crowdpose import read_crowdpose
from clickpose.data.halpe import read_halpe
from clickpose.data.humanart import read_humanart
from clickpose.data.mpii import read_mpii
from clickpose.data.ochuman import read_ochuman
from clickpose.data.records import PoseDataset
from clickpose.data.wholebody import read_wholebody
from clickpose.skeleton import Skeleton

FORMATS: Mapping[str, Callable[[Path, Path], PoseDataset]] = {
    "coco": read_coco_dataset,
    "humanart": read_humanart,
    "humanart21": partial(read_humanart, joints=21),
    "ochuman": read_ochuman,
    "crowdpose": read_crowdpose,
    "mpii": read_mpii,
    "wholebody": read_wholebody,
    "aic": read_aic,
    "halpe": read_halpe,
}


def read_dataset(
    source: str | Path,
    format_name: str = "coco",
    images: str | Path | None = None,
    skeleton: Skeleton | None = None,
) -> PoseDataset:
    """Read a data set.

    Args:
        source: an annotation file, or a folder with ``annotations.json`` and ``images``.
        format_name: one of :data:`FORMATS`.
        images: folder of the photos; by default ``images`` beside the annotation file, else the file's own folder.
        skeleton: joints of a COCO-format file with other ones than COCO's. The other formats have their own, which must
            be these.

    Raises:
        FileNotFoundError: if the annotation file is missing.
        ValueError: for an unknown format, a broken file, or a format of other joints.
    """
    if format_name not in FORMATS:
        raise ValueError(f"Expected a format of {', '.join(FORMATS)}, got {format_name!r}")
    source = Path(source)
    # what exists is what it is, whatever its suffix; what does not was meant as a file by its suffix
    whole = source.is_file() or (source.suffix.lower() == ".json" and not source.is_dir())
    path = source if whole else source / "annotations.json"
    if not whole and not path.exists():
        raise FileNotFoundError(f"Expected an annotation file or a folder with annotations.json at {source}, "
                                f"found {'no annotations.json in it' if source.is_dir() else 'neither'}")  # fmt: skip
    if images is None:
        beside = path.parent / "images"
        images = beside if beside.is_dir() else path.parent
    if skeleton is not None and format_name == "coco":
        return read_coco_dataset(path, images, skeleton)
    dataset = FORMATS[format_name](path, Path(images))
    if skeleton is not None and skeleton.names != dataset.skeleton.names:
        wanted, found = ", ".join(skeleton.names), ", ".join(dataset.skeleton.names)
        raise ValueError(f"Expected a format with the joints {wanted}, got {format_name} with {found}")
    return dataset
