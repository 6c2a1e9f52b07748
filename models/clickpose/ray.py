"""Poses in Ray Data: a class for ``map_batches``, which loads the network once for each of its actors.

::

    import ray
    from clickpose.ray import PosePredictor

    photos = ray.data.from_items([{"photo": address} for address in addresses])
    found = photos.map_batches(PosePredictor, batch_size=16, concurrency=2, num_cpus=1)
    found.write_json("poses")

Answers are those of ``clickpose predict``. Ray itself is imported by whoever calls it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clickpose.build import load
from clickpose.large_sets.addresses import DEFAULT_MAX_BYTES
from clickpose.large_sets.manifests import Listed
from clickpose.large_sets.rows import rows_of

if TYPE_CHECKING:
    import ray.data

Batch = dict[str, np.ndarray]


class PosePredictor:
    """Poses the people of a batch of photos.

    Args:
        column: of the photos' paths, or addresses that fsspec opens.
        threshold: people with a lower predicted OKS are left out.
        max_bytes: larger files are refused.
        options: of :func:`clickpose.load`, such as ``checkpoint``, ``device``, ``first``; one thread each, unless
            ``threads`` says otherwise: Ray starts as many actors as there are cores to use.
    """

    def __init__(
        self, column: str = "photo", threshold: float = 0.0, max_bytes: int = DEFAULT_MAX_BYTES, **options: Any
    ):
        self._column, self._threshold, self._max_bytes = column, threshold, max_bytes
        self._predictor = load(**{"threads": 1, **options})

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with four more columns.

        ``height`` and ``width`` in pixels (0 for a photo that failed), ``people``, JSON text of a list of COCO's fields
        and ours of each person, and ``error``, a sentence, empty where all is well.
        """
        photos = [Listed(str(address), str(address)) for address in batch[self._column]]
        rows = rows_of(self._predictor, photos, self._threshold, self._max_bytes)
        return batch | {
            "height": np.array([row.get("height", 0) for row in rows], np.int64),
            "width": np.array([row.get("width", 0) for row in rows], np.int64),
            "people": np.array([json.dumps(row.get("people", [])) for row in rows], object),
            "error": np.array([row.get("error", "") for row in rows], object),
        }


def predict_photos(
    addresses: Sequence[str], *, workers: int = 1, batch_size: int = 16, **options: Any
) -> ray.data.Dataset:
    """Return a data set of Ray with the poses of some photos; it is computed when it is read or written.

    Args:
        addresses: paths, or addresses that fsspec opens.
        workers: actors, each with a network and a core.
        batch_size: photos that an actor gets together.
        options: of :class:`PosePredictor`.
    """
    import ray.data

    photos = ray.data.from_items([{"photo": str(address)} for address in addresses])
    return photos.map_batches(
        PosePredictor, batch_size=batch_size, concurrency=workers, num_cpus=1, fn_constructor_kwargs=options
    )
