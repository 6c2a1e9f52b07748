"""Which joints a FiftyOne field has: its keypoint skeleton as ours, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import fiftyone as fo

from clickpose.data.coco_categories import JointOrder
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS, skeleton_from_dict, skeleton_to_dict
from clickpose_fiftyone.dataset_info import keep, kept_of
from clickpose_fiftyone.field_names import SKELETONS_INFO
from clickpose_fiftyone.fiftyone_internals import dataset_of

OWN = "own"  # name of a skeleton that only the dataset knows
ASSUMED_SIGMA = 0.05  # of a joint of which no sigma is known: between an ear's and an elbow's


def set_skeleton(samples, field: str, skeleton: Skeleton = COCO) -> None:
    """Write the joints and bones of a field, so that the app draws bones.

    Args:
        samples: a dataset or view.
        field: name of the Keypoints field.
        skeleton: the joints.
    """
    dataset = dataset_of(samples)
    edges = [list(edge) for edge in skeleton.edges]
    dataset.skeletons[field] = fo.KeypointSkeleton(labels=list(skeleton.names), edges=edges)
    dataset.save()
    keep(dataset, SKELETONS_INFO, field, None if skeleton in SKELETONS.values() else skeleton_to_dict(skeleton))


def skeleton_of(samples, field: str) -> Skeleton:
    """Return the skeleton of a field.

    Raises:
        ValueError: if the dataset names no skeleton for the field, or one that the package does not know.
    """
    dataset = dataset_of(samples)
    known = dataset.skeletons.get(field) or dataset.default_skeleton
    if known is None or not known.labels:
        raise ValueError(
            f'Expected the dataset to name the joints of field "{field}"; say which they are with '
            f'clickpose_fiftyone.set_skeleton(dataset, "{field}")'
        )
    kept = kept_of(dataset, SKELETONS_INFO, field)
    if kept is not None and list(kept["joints"]) == list(known.labels):
        return skeleton_from_dict(kept)
    if known_skeleton(known.labels) is None:
        return own_skeleton(known.labels, known.edges or ())
    return match_skeleton(known.labels, field)


def own_skeleton(labels: Sequence[str], edges: Sequence[Sequence[int]] = ()) -> Skeleton:
    """Return a skeleton of joints that no known skeleton has, as a dataset names them.

    Sides are told by the names. A joint that is named as one of COCO's has its sigma, others :data:`ASSUMED_SIGMA`: the
    OKS of such joints is a convention, which :func:`joints_without_sigma` tells apart. Sigmas of your own go in by
    :func:`set_skeleton` with a skeleton that :func:`clickpose.skeleton_io.load_skeleton` read.

    Raises:
        ValueError: for joints of the same name.
    """
    names = list(map(str, labels))
    if len(set(names)) < len(names):
        raise ValueError(f"Expected joints with different names, got {', '.join(names)}")
    known = {name: COCO.match(name) for name in names}
    joints = {name: ASSUMED_SIGMA if joint is None else COCO.sigmas[joint] for name, joint in known.items()}
    pairs = [[names[a], names[b]] for chain in edges for a, b in pairwise(chain)]
    return skeleton_from_dict({"name": OWN, "joints": joints, "edges": pairs})


def joints_without_sigma(skeleton: Skeleton) -> int:
    """Return how many joints of an own skeleton have a sigma that is only assumed."""
    return sum(COCO.match(name) is None for name in skeleton.names) if skeleton.name == OWN else 0


def match_skeleton(labels, field: str) -> Skeleton:
    """Return the known skeleton with these joints, in this order, in any usual spelling.

    Raises:
        ValueError: if there is none.
    """
    skeleton = known_skeleton(labels)
    if skeleton is None:
        raise ValueError(
            f'Expected field "{field}" to have the joints of a known skeleton ({", ".join(SKELETONS)}), '
            f"got {len(labels)} others: {', '.join(map(str, labels[:6]))}…"
        )
    if JointOrder.of_names(labels, skeleton) != JointOrder.same(skeleton):
        raise ValueError(
            f'Expected the joints of field "{field}" in the order of {skeleton.name} '
            f"({', '.join(skeleton.names[:3])}, …), got {', '.join(map(str, labels[:3]))}, …; from COCO files they are "
            "imported in that order"
        )
    return skeleton


def known_skeleton(names) -> Skeleton | None:
    """Return the known skeleton with joints of these names, rather in this order than in another; None without one."""
    orders = [(skeleton, JointOrder.of_names(names, skeleton)) for skeleton in SKELETONS.values()]
    same = (skeleton for skeleton, order in orders if order == JointOrder.same(skeleton))
    return next(same, next((skeleton for skeleton, order in orders if order.complete), None))
