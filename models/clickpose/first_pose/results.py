"""First poses from a file: what a network has found elsewhere, looked up by the photo's name.

``results:poses.json`` reads a COCO dataset of poses (as ``clickpose predict --json`` and most tools write), whose
images have names, or COCO's list of results. A list has ids alone: ``images=annotations.json`` tells their names, else
an id is the number that the photo's name ends with, as in COCO (``000000012345.jpg``).
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path, PurePosixPath

import numpy as np

from clickpose.calibration.results_file import ResultsFile
from clickpose.data.coco_records import coco_images
from clickpose.data.coco_results import poses_of_results
from clickpose.data.json_file import read_json
from clickpose.data.photo_names import match_photos
from clickpose.first_pose.network import FirstPoseError, FirstPoses, PosesOfPhotos
from clickpose.named_image import name_of
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import load_skeleton
from clickpose.structures import Poses
from clickpose.weights_io import fingerprint


class ResultsPoses(PosesOfPhotos):
    """The people of a file.

    Args:
        path: the file.
        skeleton: its joints.
        images: COCO file that tells the names of a list's images; None to find them by the number in their name.

    Raises:
        FirstPoseError: if a file cannot be read as poses.
    """

    def __init__(self, path: Path, skeleton: Skeleton, images: Path | None = None):
        super().__init__()
        self.name, self.skeleton = path.stem, skeleton
        self.fingerprint = fingerprint(path)
        try:
            file = ResultsFile.read(path, skeleton)
            self._poses = poses_of_results(file.people, skeleton)
            self._names = _names_of(file, images)
        except (ValueError, OSError) as error:
            raise FirstPoseError(f"Cannot use the first poses of {path}: {error}") from None
        self._by_file: dict[str, dict[Hashable, str]] = {}
        for id_, name in self._names.items():
            self._by_file.setdefault(_last_part(name), {})[id_] = name

    def look(self, image: np.ndarray) -> FirstPoses | None:
        """See :meth:`PosesOfPhotos.look`; None for a photo that the file does not have.

        Raises:
            FirstPoseError: for an image of which no name is known, or a name that several photos of the file have.
        """
        name = name_of(image)
        if not name:
            raise FirstPoseError(
                f"Expected the name of the photo, which {self.name} is asked for by, got an image without: "
                "set_image(image, file_name=...)"
            )
        photo = self._photo_of(name)
        if photo is None:
            return None
        poses = self._poses.get(photo) or Poses.stack(self.skeleton, [])
        return FirstPoses(
            skeleton=self.skeleton,
            keypoints=poses.keypoints,
            scores=poses.keypoint_scores,
            boxes_xyxy=poses.boxes_xyxy,
            instance_scores=poses.instance_scores,
        )

    def _photo_of(self, name: str) -> Hashable | None:
        if self._names:
            try:
                return match_photos({0: name}, self._by_file.get(_last_part(name), {}))[0]
            except ValueError as error:
                raise FirstPoseError(f"{error} (first poses of {self.name})") from None
        number = re.search(r"(\d+)$", PurePosixPath(_last_part(name)).stem)
        return int(number[1]) if number and int(number[1]) in self._poses else None


def _names_of(file: ResultsFile, images: Path | None) -> dict[Hashable, str]:
    """Return the names of photos by image id; none where only the numbers in them tell."""
    if images is not None:
        document = read_json(images, "a COCO file with images")
        if not isinstance(document, dict):
            raise ValueError(f"Expected a COCO dataset with images in {images}, got a list")
    elif isinstance(file.content, dict):
        document = file.content
    else:
        return {}
    found = {image.image_id: image.file_name for image in coco_images(document, str(images or file.source))}
    return {id_: name for id_, name in found.items() if name}


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def load(
    what: str, *, device: str, threads: int | None, skeleton: str = "coco", images: str | None = None
) -> ResultsPoses:  # fmt: skip
    """Open a file; see the module docstring. ``skeleton`` names its joints, or a skeleton file."""
    return ResultsPoses(Path(what), load_skeleton(skeleton), None if images is None else Path(images))
