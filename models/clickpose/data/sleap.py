"""People to and from SLEAP (``.slp``), and from DeepLabCut (``.csv``, ``.h5``), by sleap-io (the extra ``sleap``).

SLEAP knows no hidden joints: a joint is there or not, so visibility 1 comes back as 2. That is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clickpose.data.notes import Notes, note
from clickpose.data.skeleton_labels import LabelledPerson, LabelledPhoto, SkeletonLabel


def _sleap_io() -> Any:
    """Import sleap-io.

    Raises:
        ValueError: if it is not installed; says how to.
    """
    try:
        import sleap_io
    except ImportError:
        raise ValueError("Expected sleap-io for files of SLEAP and DeepLabCut; "
                         "install it: pip install 'clickpose[sleap]'") from None  # fmt: skip
    return sleap_io


def read_sleap(path: str | Path, notes: Notes | None = None) -> tuple[list[LabelledPhoto], list[SkeletonLabel]]:
    """Read a ``.slp`` of SLEAP, or a ``CollectedData_….csv``/``.h5`` of DeepLabCut.

    Photos are called as the file calls them; a frame of a video ``video.mp4`` is ``video/000012.png``, counted from 0.

    Args:
        path: the file.
        notes: frames of videos are counted here, which are no photos yet.

    Returns:
        the photos that have people, and the skeletons.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if sleap-io cannot read it.
    """
    path, notes = Path(path), {} if notes is None else notes
    if not path.is_file():
        raise FileNotFoundError(f"Expected labels of SLEAP or DeepLabCut at {path}, found no such file")
    sio = _sleap_io()
    try:
        if path.suffix.lower() == ".slp":
            labels = sio.load_slp(path.as_posix(), open_videos=False)
        else:
            labels = sio.load_dlc(path.as_posix())
            _check_photos(labels, path)
    except MissingPhotos:
        raise
    except Exception as error:  # whatever h5py, pandas or sleap-io say of a broken file
        raise ValueError(f"Expected labels of SLEAP or DeepLabCut in {path}, got something else: {error}") from None
    known = {id(skeleton): _label(skeleton, place) for place, skeleton in enumerate(labels.skeletons)}
    photos = [_photo(frame, known, notes) for frame in labels.labeled_frames]
    return photos, list(known.values())


class MissingPhotos(ValueError):
    """DeepLabCut's labels are read with their photos beside them, and some are not there."""


def _check_photos(labels: Any, path: Path) -> None:
    """Refuse labels whose photos are not all there: sleap-io would give them to the wrong photos, or drop them."""
    rows = len(labels.labeled_frames)
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig") as file:
            heads = ("scorer", "individuals", "bodyparts", "coords")
            rows = sum(1 for line in file if line.strip() and line.split(",")[0] not in heads)
    found = sum(len(video.filename) for video in labels.videos)
    if not rows or found < rows:
        raise MissingPhotos(f"Expected the {rows} labelled photos of {path} beside it, as DeepLabCut keeps them in "
                            f"labeled-data/, found {found}")  # fmt: skip


def _label(skeleton: Any, place: int) -> SkeletonLabel:
    joints = tuple(skeleton.node_names)
    return SkeletonLabel(
        "person" if place == 0 else f"person {place + 1}", joints, tuple(map(tuple, skeleton.edge_inds))
    )


def _photo(frame: Any, labels: dict[int, SkeletonLabel], notes: Notes) -> LabelledPhoto:
    files, index = frame.video.filename, frame.frame_idx
    if isinstance(files, (list, tuple)):
        name = str(files[index]).replace("\\", "/")
        _, project, below = name.rpartition("labeled-data/")  # DeepLabCut's project folder is anywhere
        name = project + below if project else name
    else:
        name = f"{Path(str(files)).stem}/{index:06d}.png"
        note(notes, "frames of videos, to be cut out as photos of these names")
    shape = frame.video.backend_metadata.get("shape") if frame.video.backend_metadata else None
    image_hw = (int(shape[1]), int(shape[2])) if shape is not None and len(shape) == 4 else None
    return LabelledPhoto(
        name, image_hw, tuple(_person(person, labels[id(person.skeleton)]) for person in frame.instances)
    )


def _person(instance: Any, label: SkeletonLabel) -> LabelledPerson:
    keypoints = np.asarray(instance.numpy(), dtype=np.float64)
    there = np.isfinite(keypoints[:, 0]) & np.isfinite(keypoints[:, 1])
    return LabelledPerson(
        label=label,
        keypoints=np.where(there[:, None], keypoints, np.nan),
        visibility=np.where(there, 2, 0),
        score=float(instance.score) if hasattr(instance, "score") else None,
    )


def write_sleap(path: str | Path, photos: Sequence[LabelledPhoto], notes: Notes | None = None) -> None:
    """Write photos as a ``.slp``, whose one video is the list of the photos.

    Args:
        path: file to write.
        photos: photos in order; their names become the paths, relative to wherever SLEAP is told to look.
        notes: hidden joints, boxes and attributes, which SLEAP does not hold, are counted here.
    """
    sio, notes = _sleap_io(), {} if notes is None else notes
    skeletons = {person.label.name: person.label for photo in photos for person in photo.persons}
    made = {name: _skeleton(sio, label) for name, label in skeletons.items()}
    video = sio.Video.from_filename([photo.name for photo in photos])
    frames = []
    for index, photo in enumerate(photos):
        instances = [_instance(sio, person, made[person.label.name], notes) for person in photo.persons]
        frames.append(sio.LabeledFrame(video=video, frame_idx=index, instances=instances))
    sio.Labels(labeled_frames=frames, videos=[video], skeletons=list(made.values())).save(str(path), embed=False)


def _skeleton(sio: Any, label: SkeletonLabel) -> Any:
    edges = [(label.joints[a], label.joints[b]) for a, b in label.edges]
    return sio.Skeleton(nodes=list(label.joints), edges=edges, name=label.name)


def _instance(sio: Any, person: LabelledPerson, skeleton: Any, notes: Notes) -> Any:
    note(notes, "hidden joints, written as visible: SLEAP knows none", int((person.visibility == 1).sum()))
    note(notes, "boxes, which SLEAP's people do not have, left out", int(person.box_xywh is not None))
    keypoints = np.where(person.visibility[:, None] > 0, person.keypoints, np.nan)
    if person.score is None:
        return sio.Instance.from_numpy(keypoints, skeleton=skeleton)
    return sio.PredictedInstance.from_numpy(keypoints, skeleton=skeleton, score=person.score)
