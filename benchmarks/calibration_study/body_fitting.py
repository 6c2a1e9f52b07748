"""Table 6: does weighting keypoints by calibrated confidence make a better 3D body?

Bodies are posed at random and projected; each gets the keypoint errors, and the confidences, that a pose network has on
a real person, so that errors are known, uneven, and as large as confidences make them out to be or not. A body is then
fitted as SMPLify does (Bogo et al., ECCV 2016: Geman-McClure's robust distance of the projections, a prior on the
pose), starting from the truth moved by as much as image-based regressors are off.

:class:`StickBody` is an articulated figure of our own, with the proportions of an adult and hinges in elbows and knees:
no surface, only the 17 joints that the error is measured on. A body with a surface takes its place by
:class:`Body`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from clickpose.checks import as_array
from clickpose.metrics.bootstrap import Interval, bootstrap
from clickpose.skeleton import COCO

FOCAL, DISTANCE = 1000.0, 4.0  # px and m of the camera
_START_SPREAD = 0.25  # radians, by which a regressor is off; the prior around the start has the same spread
_ROBUST = 0.25  # of sqrt(area): from this error on a joint counts ever less


class Body(Protocol):
    """A body that can be posed."""

    num_parameters: int

    def joints(self, parameters: Tensor) -> Tensor:
        """Return (B, 17, 3) COCO joints, m, of (B, P) parameters; 0 is the rest pose, angles are radians."""

    def random_poses(self, count: int, generator: torch.Generator) -> Tensor:
        """Return (count, P) parameters of plausible poses."""


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


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Return (..., 3, 3) rotations by (..., 3) axis-angle vectors (Rodrigues' formula)."""
    angle = (vectors.square().sum(dim=-1) + 1e-12).sqrt()
    x, y, z = (vectors / angle[..., None]).unbind(dim=-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    sin, cos = angle.sin()[..., None, None], angle.cos()[..., None, None]
    return torch.eye(3, dtype=vectors.dtype) + sin * cross + (1 - cos) * (cross @ cross)


def project(joints: Tensor) -> Tensor:
    """Return (B, K, 2) px, y down, of (B, K, 3) joints in front of the camera."""
    depth = DISTANCE - joints[..., 2:]
    return torch.cat([joints[..., :1], -joints[..., 1:2]], dim=-1) / depth * FOCAL


def fit_bodies(
    body: Body, start: Tensor, keypoints: Tensor, weights: Tensor, extent: Tensor, steps: int = 150
) -> Tensor:
    """Fit bodies to keypoints.

    Args:
        body: the model.
        start: (B, P) where a regressor put it; the prior pulls there.
        keypoints: (B, 17, 2) px.
        weights: (B, 17) 0 or more; what counts is the relation among the joints of a person.
        extent: (B,) px, sqrt(area) of the person.
        steps: of Adam.

    Returns:
        (B, P).
    """
    weights = weights / weights.mean(dim=1, keepdim=True).clamp(min=1e-6)
    parameters = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([parameters], lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        squared = ((project(body.joints(parameters)) - keypoints) / extent[:, None, None]).square().sum(dim=-1)
        robust = squared / (1 + squared / _ROBUST**2) / 0.05**2  # joints are usually right within 5 % of the person
        prior = ((parameters - start) / _START_SPREAD).square().sum(dim=1)
        loss = ((weights * robust).sum(dim=1) + prior).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return parameters.detach()


def aligned_errors(found: Tensor, truth: Tensor) -> np.ndarray:
    """Return (B,) mean joint errors, mm, after the best similarity transform (PA-MPJPE), of (B, K, 3) in m."""
    a, b = found - found.mean(dim=1, keepdim=True), truth - truth.mean(dim=1, keepdim=True)
    u, values, vt = torch.linalg.svd(a.transpose(1, 2) @ b)
    sign = torch.ones_like(values)
    sign[:, -1] = torch.det(u @ vt).sign()
    rotation = (u * sign[:, None]) @ vt
    scale = (values * sign).sum(dim=1) / a.square().sum(dim=(1, 2))
    moved = scale[:, None, None] * (a @ rotation)
    return 1000 * (moved - b).norm(dim=-1).mean(dim=1).double().numpy()


def table6(
    errors: np.ndarray, weightings: Mapping[str, np.ndarray], body: Body | None = None, steps: int = 150, seed: int = 0
) -> dict[str, Interval]:
    """Return PA-MPJPE, mm, by weighting, and each one's change against the first.

    Args:
        errors: (M, 17, 2) displacements of a pose network's keypoints on M real persons, in units of sqrt(area).
        weightings: name -> (M, 17) weights 0 or more; 0 where the error is not known.
        body: what is posed and fitted; a :class:`StickBody` by default.
        steps: of each fit.
        seed: of the poses.

    Raises:
        ValueError: for shapes that do not fit, or no person.
    """
    errors = as_array("errors", errors, ("M", len(COCO), 2))
    if not len(errors):
        raise ValueError("Expected errors of at least one person, got none")
    weightings = {name: as_array(name, values, errors.shape[:2]) for name, values in weightings.items()}
    body, generator = body or StickBody(), torch.Generator().manual_seed(seed)
    truth = body.random_poses(len(errors), generator)
    start = truth + _START_SPREAD * torch.randn(truth.shape, generator=generator)
    with torch.no_grad():
        joints = body.joints(truth)
        places = project(joints)
        extent = (places.amax(dim=1) - places.amin(dim=1)).prod(dim=1).mul(0.53).sqrt()  # area as in the data
        keypoints = places + torch.from_numpy(errors).float() * extent[:, None, None]
        found = {"start, not fitted": aligned_errors(body.joints(start), joints)}
    for name, weights in tqdm(weightings.items(), desc="fitting bodies", unit="weighting"):
        fitted = fit_bodies(body, start, keypoints, torch.from_numpy(weights).float(), extent, steps)
        with torch.no_grad():
            found[name] = aligned_errors(body.joints(fitted), joints)
    first = next(iter(weightings))

    def means(drawn: np.ndarray) -> dict[str, float]:
        values = {name: float(v[drawn].mean()) for name, v in found.items()}
        return values | {f"{name} - {first}": values[name] - values[first] for name in weightings if name != first}

    return bootstrap(means, np.arange(len(errors)))
