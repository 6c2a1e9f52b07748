"""A figure of sticks for Table 6: the proportions of an adult, hinges in elbows and knees, no surface."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from calibration_study.rotations import rotation_matrices
from clickpose.skeleton import COCO


class _Bone(NamedTuple):
    """A turning point: its parent's number, where it is in the parent's frame (m: x left, y up, z forward), and the
    (spread, mean) of its random angles about x, y, z."""

    parent: int
    offset: tuple[float, float, float]
    angles: tuple[tuple[float, float], ...]


_FREE, _HINGE_ARM, _HINGE_LEG = ((0.5, 0.0),) * 3, ((0.5, -0.9), (0.0, 0.0), (0.0, 0.0)), ((0.4, 0.6), (0, 0), (0, 0))
_BONES = (
    _Bone(-1, (0, 0, 0), ((0.25, 0.0), (0.9, 0.0), (0.2, 0.0))),  # 0 pelvis, turned to the camera and away
    _Bone(0, (0, 0.10, 0), ((0.3, 0.1), (0.3, 0.0), (0.2, 0.0))),  # 1 spine
    _Bone(1, (0, 0.42, 0), ((0.3, 0.0), (0.4, 0.0), (0.2, 0.0))),  # 2 neck
    _Bone(1, (0.18, 0.36, 0), ((0.6, 0.0), (0.4, 0.0), (0.5, 0.4))),  # 3 left shoulder
    _Bone(1, (-0.18, 0.36, 0), ((0.6, 0.0), (0.4, 0.0), (0.5, -0.4))),  # 4 right shoulder
    _Bone(3, (0, -0.29, 0), _HINGE_ARM),  # 5 left elbow
    _Bone(4, (0, -0.29, 0), _HINGE_ARM),  # 6 right elbow
    _Bone(0, (0.10, -0.05, 0), ((0.5, -0.3), (0.2, 0.0), (0.2, 0.1))),  # 7 left hip
    _Bone(0, (-0.10, -0.05, 0), ((0.5, -0.3), (0.2, 0.0), (0.2, -0.1))),  # 8 right hip
    _Bone(7, (0, -0.42, 0), _HINGE_LEG),  # 9 left knee
    _Bone(8, (0, -0.42, 0), _HINGE_LEG),  # 10 right knee
)
# joint of COCO -> the bone it hangs on, and where in its frame
_JOINTS = {
    "nose": (2, (0, 0.16, 0.11)), "left_eye": (2, (0.03, 0.20, 0.09)), "right_eye": (2, (-0.03, 0.20, 0.09)),
    "left_ear": (2, (0.08, 0.17, 0)), "right_ear": (2, (-0.08, 0.17, 0)), "left_shoulder": (3, (0, 0, 0)),
    "right_shoulder": (4, (0, 0, 0)), "left_elbow": (5, (0, 0, 0)), "right_elbow": (6, (0, 0, 0)),
    "left_wrist": (5, (0, -0.25, 0)), "right_wrist": (6, (0, -0.25, 0)), "left_hip": (7, (0, 0, 0)),
    "right_hip": (8, (0, 0, 0)), "left_knee": (9, (0, 0, 0)), "right_knee": (10, (0, 0, 0)),
    "left_ankle": (9, (0, -0.41, 0)), "right_ankle": (10, (0, -0.41, 0)),
}  # fmt: skip


class StickBody:
    """See the module docstring. Parameters: an axis-angle rotation of each bone, a translation (m), log of the size."""

    name = "a figure of sticks"
    num_parameters = 3 * len(_BONES) + 4

    def joints(self, parameters: Tensor) -> Tensor:
        """Return (B, 17, 3) joints, m."""
        turns = rotation_matrices(parameters[:, : 3 * len(_BONES)].unflatten(1, (-1, 3)))
        rotations, places = [], []
        for number, bone in enumerate(_BONES):
            offset = parameters.new_tensor(bone.offset)
            if bone.parent < 0:
                rotations.append(turns[:, number])
                places.append(offset.expand(len(parameters), 3))
            else:
                rotations.append(rotations[bone.parent] @ turns[:, number])
                places.append(places[bone.parent] + rotations[bone.parent] @ offset)
        hung = (_JOINTS[name] for name in COCO.names)
        found = torch.stack([places[bone] + rotations[bone] @ parameters.new_tensor(at) for bone, at in hung], dim=1)
        translation, size = parameters[:, None, -4:-1], parameters[:, None, -1:].exp()
        return found * size + translation

    def random_poses(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw angles of every bone, and sizes that differ by a twelfth."""
        spread = torch.tensor([[s for s, _ in bone.angles] for bone in _BONES]).flatten()
        mean = torch.tensor([[m for _, m in bone.angles] for bone in _BONES]).flatten()
        angles = mean + spread * torch.randn(count, len(mean), generator=generator)
        where = torch.randn(count, 3, generator=generator) * 0.1
        return torch.cat([angles, where, torch.randn(count, 1, generator=generator) / 12], dim=1)
