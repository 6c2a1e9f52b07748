"""First poses of one's own: a function that takes a photo and boxes, and returns joints.

``module:function`` or ``file.py:function``, or the function itself in Python. It is called as
``function(image, boxes_xyxy)`` with an (H, W, 3) uint8 RGB image, whose ``file_name`` is the photo's where it is known,
and (N, 4) boxes in px, or None to find everybody. It returns a :class:`~clickpose.first_pose.network.FirstPoses`, or a
mapping with ``keypoints`` (N, K, 2) px, NaN where there is none, and ``scores`` (N, K), and, where it has them,
``visibility_scores`` (N, K), ``boxes_xyxy`` (N, 4), ``instance_scores`` (N,) and ``skeleton`` (a name, a file, or a
:class:`~clickpose.skeleton.Skeleton`; COCO's joints without). A function that must be shown the people returns None
where it gets no boxes. Rows with boxes of their own are matched with the boxes that were asked for.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from clickpose.boxes import match_boxes
from clickpose.first_pose.network import SAME_PERSON_IOU, FirstPoseError, FirstPoseNetwork, FirstPoses
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import load_skeleton

_PARTS = ("keypoints", "scores", "visibility_scores", "boxes_xyxy", "instance_scores")


class OwnFunction(FirstPoseNetwork):
    """A user's function as a network.

    Args:
        function: see the module docstring. Where it has the attributes ``skeleton``, ``name`` or ``fingerprint``, they
            count; else COCO's joints, its own name, and a hash of the file that it stands in.
    """

    def __init__(self, function: Callable[[np.ndarray, np.ndarray | None], Any]):
        self._function = function
        self.name = str(getattr(function, "name", None) or getattr(function, "__name__", "own"))
        self.fingerprint = str(getattr(function, "fingerprint", None) or _hash_of_source(function))
        self.skeleton = _skeleton_of(getattr(function, "skeleton", COCO))

    def find(self, image: np.ndarray) -> FirstPoses | None:
        """See :meth:`FirstPoseNetwork.find`."""
        answer = self._function(image, None)
        return None if answer is None else self._read(answer)

    def pose(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> FirstPoses:
        """See :meth:`FirstPoseNetwork.pose`.

        Raises:
            FirstPoseError: if the function returns neither a row for each box nor boxes.
        """
        answer = self._function(image, boxes_xyxy)
        poses = FirstPoses.nobody(self.skeleton, len(boxes_xyxy)) if answer is None else self._read(answer)
        if poses.boxes_xyxy is not None and len(poses):
            return poses.take(match_boxes(boxes_xyxy, np.nan_to_num(poses.boxes_xyxy), SAME_PERSON_IOU))
        return poses

    def _read(self, answer: Any) -> FirstPoses:
        if isinstance(answer, FirstPoses):
            poses = answer
        elif isinstance(answer, Mapping):
            skeleton = _skeleton_of(answer.get("skeleton", self.skeleton))
            given = {name: answer[name] for name in _PARTS if answer.get(name) is not None}
            if missing := [name for name in ("keypoints", "scores") if name not in given]:
                raise FirstPoseError(f"Expected {self.name} to return {' and '.join(missing)}, got none")
            poses = FirstPoses(skeleton=skeleton, **given)
        else:
            raise FirstPoseError(f"Expected {self.name} to return a mapping, got {type(answer).__name__}")
        if poses.skeleton.names != self.skeleton.names:
            raise FirstPoseError(
                f"Expected {self.name} to return the joints of {self.skeleton.name}, got those of "
                f"{poses.skeleton.name}: say so beforehand, {self.name}.skeleton = ..."
            )
        return poses


def load(what: str, *, device: str, threads: int | None) -> OwnFunction:
    """Import ``module:function`` or ``file.py:function``; modules of the working folder are found, too.

    Raises:
        FirstPoseError: if there is none.
    """
    module, _, name = what.rpartition(":")
    try:
        found = _module_of(module)
        function = getattr(found, name)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise FirstPoseError(f"Expected a function {name} in {module}, got none: {error}") from None
    if not callable(function):
        raise FirstPoseError(f"Expected a function {name} in {module}, got {type(function).__name__}")
    return OwnFunction(function)


def _module_of(name: str) -> ModuleType:
    if not name.endswith(".py"):
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None or not Path(name).is_file():
        raise ImportError(f"no such file: {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _skeleton_of(said: Any) -> Skeleton:
    return said if isinstance(said, Skeleton) else load_skeleton(said)


def _hash_of_source(function: Callable) -> str:
    try:
        source = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # an object that can be called
        source = inspect.getsourcefile(type(function))
    content = Path(source).read_bytes() if source is not None and Path(source).is_file() else repr(function).encode()
    return hashlib.sha256(content).hexdigest()[:12]
