"""The body model of Table 6: Anny (Brégier et al., 2025; Apache-2.0), a skinned mesh of people of any build.

Only the 17 COCO joints are needed here. They are linear in the vertices, and vertices in what each bone carries, so
that mesh, skinning weights and joint regressor are summed up into a few numbers for each joint and bone: fitting is as
fast as with a stick figure, and exact. Shapes of adults become a mean and principal components, as in SMPL.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from calibration_study.rotations import rotation_matrices
from clickpose.skeleton import COCO

NUM_SHAPES = 5
_SAMPLES, _BATCH = 200, 20
_ADULT = (0.55, 0.9)  # of Anny's age, 0 a newborn, 1 the oldest


class _Turn(NamedTuple):
    """A bone that is posed: (spread, mean) of its random angles about x (left), y (up), z (forward), from Anny's rest
    pose: upright, arms half raised, palms down."""

    bone: str
    angles: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


_TURNS = (
    _Turn("root", ((0.25, 0.0), (0.9, 0.0), (0.2, 0.0))),
    _Turn("spine03", ((0.3, 0.1), (0.3, 0.0), (0.2, 0.0))),
    _Turn("neck01", ((0.3, 0.0), (0.4, 0.0), (0.2, 0.0))),
    _Turn("upperarm01.L", ((0.6, 0.0), (0.4, 0.0), (0.5, -0.3))),
    _Turn("upperarm01.R", ((0.6, 0.0), (0.4, 0.0), (0.5, 0.3))),
    # elbows bend about an axis across the half-raised arm
    _Turn("lowerarm01.L", ((0.4, -0.5), (0.35, -0.4), (0.1, 0.0))),
    _Turn("lowerarm01.R", ((0.4, -0.5), (0.35, 0.4), (0.1, 0.0))),
    _Turn("upperleg01.L", ((0.5, -0.3), (0.2, 0.0), (0.2, 0.1))),
    _Turn("upperleg01.R", ((0.5, -0.3), (0.2, 0.0), (0.2, -0.1))),
    _Turn("lowerleg01.L", ((0.4, 0.6), (0.0, 0.0), (0.0, 0.0))),
    _Turn("lowerleg01.R", ((0.4, 0.6), (0.0, 0.0), (0.0, 0.0))),
)


class Skin(NamedTuple):
    """What P posed bones carry of K joints; the first row of the shapes is the mean, the others what a standard
    deviation of each principal component adds.

    Attributes:
        parents: of the bones, before their children; -1 for the root.
        heads: (1 + S, P, 3) m, where the bones turn.
        carried: (1 + S, K, P, 3) m, positions times weights, summed over the vertices.
        weights: (K, P) sums of the weights, 1 over the bones.
    """

    parents: tuple[int, ...]
    heads: Tensor
    carried: Tensor
    weights: Tensor


class AnnyBody:
    """Parameters: an axis-angle rotation of each posed bone, a translation (m), and shapes in standard deviations.

    Args:
        skin: of :func:`load_skin`.
    """

    name = "Anny"

    def __init__(self, skin: Skin):
        self.skin = skin
        self.num_parameters = 3 * len(skin.parents) + 3 + len(skin.heads) - 1

    def joints(self, parameters: Tensor) -> Tensor:
        """Return (B, 17, 3) joints, m: linear blend skinning, x left, y up, z forward."""
        bones = len(self.skin.parents)
        angles, translation, shape = parameters.tensor_split([3 * bones, 3 * bones + 3], dim=1)
        turns = rotation_matrices(angles.unflatten(1, (bones, 3)))
        heads = self._shaped(self.skin.heads, shape)
        rotations, places = [], []
        for number, parent in enumerate(self.skin.parents):
            if parent < 0:
                rotations.append(turns[:, number])
                places.append(heads[:, number])
            else:
                rotations.append(rotations[parent] @ turns[:, number])
                reach = (heads[:, number] - heads[:, parent])[..., None]
                places.append(places[parent] + (rotations[parent] @ reach)[..., 0])
        carried = self._shaped(self.skin.carried, shape) - self.skin.weights[..., None] * heads[:, None]
        turned = torch.einsum("bpij,bkpj->bki", torch.stack(rotations, dim=1), carried)
        moved = torch.einsum("kp,bpi->bki", self.skin.weights, torch.stack(places, dim=1))
        return turned + moved + translation[:, None]

    def random_poses(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw angles of every posed bone, a place, and shapes."""
        spread, mean = torch.tensor([turn.angles for turn in _TURNS]).flatten(0, 1).unbind(dim=1)
        angles = mean + spread * torch.randn(count, len(mean), generator=generator)
        where = torch.randn(count, 3, generator=generator) * 0.1
        return torch.cat([angles, where, torch.randn(count, len(self.skin.heads) - 1, generator=generator)], dim=1)

    @staticmethod
    def _shaped(values: Tensor, shape: Tensor) -> Tensor:
        return values[0] + torch.tensordot(shape, values[1:], dims=1)


def load_skin(cache: Path) -> Skin:
    """Read Anny from its package; needs no network.

    Args:
        cache: folder for what Anny prepares at its first load, which takes a minute or more.

    Raises:
        ImportError: if Anny is not installed (the extra ``bodies``).
    """
    import anny
    from anny.paths import set_anny_cache_path

    set_anny_cache_path(cache)
    model = anny.Anny(skinning_method="lbs")
    regressor = anny.KeypointsRegressor.coco(model, list(COCO.names)).regression_weights.float()  # (K, V)
    posed = [model.bone_labels.index(turn.bone) for turn in _TURNS]
    nearest = _nearest_posed(model.bone_parents, posed)
    weights = torch.zeros(regressor.shape[1], len(posed))
    weights.scatter_add_(1, torch.tensor(nearest)[model.vertex_bone_indices], model.vertex_bone_weights.float())
    shares = regressor[:, None] * weights.T  # (K, P, V)
    heads, carried = _adults(model, posed, shares)
    parents = tuple(nearest[model.bone_parents[bone]] if model.bone_parents[bone] >= 0 else -1 for bone in posed)
    return Skin(parents, *_principal_components(heads, carried), shares.sum(dim=2))


def _nearest_posed(parents: list[int], posed: list[int]) -> list[int]:
    """Return, for each bone, the number of the posed bone that it moves with: itself or its nearest posed ancestor."""
    nearest: list[int] = []
    for bone, parent in enumerate(parents):
        nearest.append(posed.index(bone) if bone in posed else nearest[parent])
    return nearest


@torch.inference_mode()
def _adults(model, posed: list[int], shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return heads (N, P, 3) and carried positions (N, K, P, 3) of random adults, each with its root at 0."""
    generator = torch.Generator().manual_seed(0)
    labels = list(model.phenotype_labels)
    phenotypes = torch.rand(_SAMPLES, len(labels), generator=generator)
    low, high = _ADULT
    phenotypes[:, labels.index("age")] *= high - low
    phenotypes[:, labels.index("age")] += low
    heads, carried = [], []
    for some in phenotypes.split(_BATCH):
        rest = model(phenotype_kwargs=some.to(model.dtype))
        joints = _to_camera_axes(rest["rest_bone_heads"].float())
        vertices = _to_camera_axes(rest["rest_vertices"].float())
        root = joints[:, :1]
        heads.append((joints - root)[:, posed])
        carried.append(torch.einsum("kpv,bvi->bkpi", shares, vertices - root))
    return torch.cat(heads), torch.cat(carried)


def _to_camera_axes(points: Tensor) -> Tensor:
    """Turn Anny's x left, y back, z up into x left, y up, z forward."""
    return torch.stack([points[..., 0], points[..., 2], -points[..., 1]], dim=-1)


def _principal_components(heads: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and components, in standard deviations, of shapes: (1 + S, P, 3) and (1 + S, K, P, 3)."""
    rows = torch.cat([heads.flatten(1), carried.flatten(1)], dim=1)
    mean = rows.mean(dim=0)
    _, values, components = torch.linalg.svd(rows - mean, full_matrices=False)
    scaled = components[:NUM_SHAPES] * values[:NUM_SHAPES, None] / len(rows) ** 0.5
    basis = torch.cat([mean[None], scaled])
    first, second = basis.split([heads[0].numel(), carried[0].numel()], dim=1)
    return first.unflatten(1, heads.shape[1:]), second.unflatten(1, carried.shape[1:])
