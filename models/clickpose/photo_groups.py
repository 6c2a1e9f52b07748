"""Several photos through a network together: people of different photos fill its batches, answers stay what they are.

A photo more or less in a group changes no person's answer beyond the last digits of 32-bit sums (a hundred-thousandth
of the person's size). A photo that fails spoils nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from clickpose.ahead import ahead
from clickpose.postprocess import suppress_duplicate_poses
from clickpose.predictor import Detected, PosePredictor
from clickpose.structures import Poses

Item = TypeVar("Item")
Seen = TypeVar("Seen")
Result = TypeVar("Result")

MOST_PHOTOS = 8
MOST_PEOPLE = 8  # as many as lite takes together
MOST_PIXELS = 24_000_000  # of the photos that are held together, for as long as no single one has more


@dataclass(frozen=True, eq=False)
class SeenPhoto:
    """A photo in which people have been searched for.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        detected: what :meth:`PosePredictor.detect` has found.
    """

    image: np.ndarray
    detected: Detected

    @property
    def boxes_xyxy(self) -> np.ndarray | None:
        """(N, 4) px of the people; None from a network that finds them later."""
        return None if self.detected is None else self.detected[0]


def size_of(photo: SeenPhoto) -> tuple[int, int]:
    """Return the people to encode, the whole photo being one where they are found later, and the pixels."""
    people = 1 if photo.boxes_xyxy is None else len(photo.boxes_xyxy)
    return people, photo.image.shape[0] * photo.image.shape[1]


def look(predictor: PosePredictor, image: np.ndarray) -> SeenPhoto:
    """Search a photo for people."""
    return SeenPhoto(image, predictor.detect(image))


def in_groups(
    see: Callable[[Item], Seen],
    items: Iterable[Item],
    size_of: Callable[[Seen], tuple[int, int]],
    work: Callable[[Sequence[Seen]], Sequence[Result]],
    failures: tuple[type[Exception], ...],
) -> Iterator[tuple[Item, Result | Exception]]:
    """Work on items in groups that suit a network, each seen in a thread while others are worked on.

    Args:
        see: reads and searches a photo.
        items: any.
        size_of: the people and the pixels of what was seen.
        work: returns a result for each of a group.
        failures: what an item may raise in either half, and then has in place of a result; all else is raised.

    Yields:
        each item, in order, with its result.
    """
    for group in _groups(see, items, size_of):
        seen = [future.result() for _, future in group if future.exception() is None]
        results = iter(_each_its_own(work, seen, failures))
        for item, future in group:
            try:
                future.result()
            except failures as error:
                yield item, error
            else:
                yield item, next(results)


def _groups(
    see: Callable[[Item], Seen], items: Iterable[Item], size_of: Callable[[Seen], tuple[int, int]]
) -> Iterator[list[tuple[Item, Future[Seen]]]]:
    group: list[tuple[Item, Future[Seen]]] = []
    people = pixels = 0
    for item, seen in ahead(see, items, MOST_PHOTOS, MOST_PIXELS, lambda done: size_of(done)[1]):
        more = (0, 0) if seen.exception() else size_of(seen.result())
        if group and (people + more[0] > MOST_PEOPLE or pixels + more[1] > MOST_PIXELS or len(group) == MOST_PHOTOS):
            yield group
            group, people, pixels = [], 0, 0
        group.append((item, seen))
        people, pixels = people + more[0], pixels + more[1]
    if group:
        yield group


def everybody(predictor: PosePredictor, photos: Sequence[SeenPhoto]) -> list[Poses]:
    """Pose all people of each photo, as :meth:`PosePredictor.predict` does of one."""
    regions = predictor.encode_photos([(photo.image, photo.boxes_xyxy) for photo in photos])
    found = predictor.decode_photos(
        [(encoded, photo.boxes_xyxy) for encoded, photo in zip(regions, photos, strict=True)]
    )
    return [poses.select(suppress_duplicate_poses(poses)) for poses in found]


def _each_its_own(
    work: Callable[[Sequence[Seen]], Sequence[Result]], seen: Sequence[Seen], failures: tuple[type[Exception], ...]
) -> list[Result | Exception]:
    """Work on all together; where that fails on each alone, so that a failure is nobody else's."""
    if not seen:
        return []
    try:
        return list(work(seen))
    except failures as error:
        if len(seen) == 1:
            return [error]
        return [result for each in seen for result in _each_its_own(work, [each], failures)]
