"""Which joints a FiftyOne field has: its keypoint skeleton as ours, and back."""

from __future__ import annotations

import fiftyone as fo

from clickpose.data.coco_categories import JointOrder
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS
from clickpose_fiftyone.fiftyone_internals import dataset_of


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
    return match_skeleton(known.labels, field)


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
