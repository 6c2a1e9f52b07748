"""Table 6: does weighting keypoints by calibrated confidence make a better 3D body?

Bodies are posed at random and projected; each gets the keypoint errors, and the confidences, that a pose network has on
a real person, so that errors are known, uneven, and as large as confidences make them out to be or not. A body is then
fitted as SMPLify does (Bogo et al., ECCV 2016: Geman-McClure's robust distance of the projections, a prior on the
pose), starting from the truth moved by as much as image-based regressors are off. Bodies are
:class:`~calibration_study.anny_body.AnnyBody`, or :class:`~calibration_study.stick_body.StickBody` where that is not
installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from clickpose.boxes import BODY_SHARE_OF_BOX
from clickpose.checks import as_array
from clickpose.metrics.bootstrap import Interval, bootstrap
from clickpose.skeleton import COCO

FOCAL, DISTANCE = 1000.0, 4.0  # px and m of the camera
_START_SPREAD = 0.25  # radians, by which a regressor is off; the prior around the start has the same spread
TOLERANCE = 0.05  # of sqrt(area): joints are usually right within it
_ROBUST = 0.25  # of sqrt(area): from this error on a joint counts ever less


class Body(Protocol):
    """A body that can be posed."""

    name: str
    num_parameters: int

    def joints(self, parameters: Tensor) -> Tensor:
        """Return (B, 17, 3) COCO joints, m, of (B, P) parameters; 0 is the rest pose, angles are radians."""

    def random_poses(self, count: int, generator: torch.Generator) -> Tensor:
        """Return (count, P) parameters of plausible poses."""


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
        robust = squared / (1 + squared / _ROBUST**2) / TOLERANCE**2
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
    errors: np.ndarray, weightings: Mapping[str, np.ndarray], body: Body, steps: int = 150, seed: int = 0
) -> dict[str, Interval]:
    """Return PA-MPJPE, mm, by weighting, and each one's change against the first.

    Args:
        errors: (M, 17, 2) displacements of a pose network's keypoints on M real persons, in units of sqrt(area).
        weightings: name -> (M, 17) weights 0 or more; 0 where the error is not known.
        body: what is posed and fitted.
        steps: of each fit.
        seed: of the poses.

    Raises:
        ValueError: for shapes that do not fit, or no person.
    """
    errors = as_array("errors", errors, ("M", len(COCO), 2))
    if not len(errors):
        raise ValueError("Expected errors of at least one person, got none")
    weightings = {name: as_array(name, values, errors.shape[:2]) for name, values in weightings.items()}
    generator = torch.Generator().manual_seed(seed)
    truth = body.random_poses(len(errors), generator)
    start = truth + _START_SPREAD * torch.randn(truth.shape, generator=generator)
    with torch.no_grad():
        joints = body.joints(truth)
        places = project(joints)
        box_area = (places.amax(dim=1) - places.amin(dim=1)).prod(dim=1)
        extent = (BODY_SHARE_OF_BOX * box_area).sqrt()  # of the area, as in the data
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
