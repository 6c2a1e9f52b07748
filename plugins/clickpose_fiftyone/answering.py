"""Which joints and which network answer the clicks on a field, known without opening its dataset.

FiftyOne reads a dataset anew for each event of a panel, which takes longer than the network. Who opens a person asks
for it, and clicks on that person then need not.
"""

from __future__ import annotations

from collections import OrderedDict

from clickpose.predictor import PosePredictor
from clickpose.skeleton import Skeleton
from clickpose_fiftyone.clicked_poses import refining_predictor
from clickpose_fiftyone.skeletons import skeleton_of

Answering = tuple[Skeleton, PosePredictor]
_KEPT = 32
_KNOWN: OrderedDict[tuple[str, str], Answering] = OrderedDict()


def look_up_answering(dataset, field: str) -> Answering:
    """Return the joints of a field and the network to refine it with, as its dataset has them now, and keep them.

    Raises:
        ValueError: as :func:`skeleton_of` and :func:`refining_predictor`.
    """
    _KNOWN[dataset.name, field] = found = skeleton_of(dataset, field), refining_predictor(dataset, field)
    _KNOWN.move_to_end((dataset.name, field))
    while len(_KNOWN) > _KEPT:
        _KNOWN.popitem(last=False)
    return found


def known_answering(dataset_name: str, field: str) -> Answering | None:
    """Return what was looked up last; None where nothing was."""
    return _KNOWN.get((dataset_name, field))
