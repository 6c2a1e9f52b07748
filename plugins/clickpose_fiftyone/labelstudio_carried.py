"""What the data of Label Studio's tasks carry of the COCO file that a field was read from.

It is what ``clickpose labelstudio import`` puts there: ``clickpose labelstudio export`` gives the file back, with ids,
areas, crowds, segmentations, other categories and order, but for what a human has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from clickpose.data.notes import Notes
from clickpose_fiftyone.coco_kept import Kept, kept_document
from clickpose_fiftyone.coco_reading import image_of
from clickpose_fiftyone.coco_writing import written_field
from clickpose_labelstudio.carried import KEY, Carried, CarriedEntry, pack, rest_of, without_provenance


def carried_data(samples, field: str, regions: Sequence[str], notes: Notes) -> list[dict]:
    """Return what goes into the data of each photo's task; nothing for a field that was read from no file.

    Args:
        samples: S photos.
        field: Keypoints field.
        regions: of the N persons.
        notes: what is too long to go along is counted here.
    """
    known = kept_document(samples, field)
    if known is None or not known.flags:  # third numbers that are confidences are none of an annotation
        return [{}] * len(samples)
    written = written_field(samples, field)
    rest, people = rest_of({**written.document.rest}, notes), list(written.categories.orders)
    photos = [
        Carried(without_provenance(image.entry), int(image.place), rest, people) if isfinite(image.place) else None
        for image in written.images
    ]
    for row, kept, region in zip(written.rows.tolist(), written.people, regions, strict=True):
        _carry(photos[row], kept, region)
    of_image = {image.entry["id"]: photo for image, photo in zip(written.images, photos, strict=True)}
    for kept in written.others:
        _carry(of_image.get(image_of(kept.entry)), kept, None)
    return [{} if photo is None else {"coco_image_id": photo.image["id"], KEY: pack(photo, notes)} for photo in photos]


def _carry(photo: Carried | None, kept: Kept, region: str | None) -> None:
    if photo is not None and isfinite(kept.place):
        photo.annotations.append(CarriedEntry(int(kept.place), without_provenance(kept.entry), region))
