"""What a dataset keeps of the COCO files that its fields were read from, so that they can be written again.

- ``coco_extra`` of a person, or of a box of another category: place and entry of its annotation.
- ``coco_image`` of a photo: by field, place and record of its image.
- the dataset's info: by field, the rest of the document, and annotations that no label stands for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import fiftyone as fo

from clickpose_fiftyone.dataset_info import keep, kept_of
from clickpose_fiftyone.declaring import declare
from clickpose_fiftyone.field_names import AREA, CATEGORY_ID, COCO_EXTRA, COCO_ID, COCO_IMAGE, COCO_INFO, ISCROWD

_BY_FIELD = "by_field"


class Kept(NamedTuple):
    """An entry of a file's list and its place there."""

    place: int
    entry: dict


@dataclass(frozen=True, kw_only=True)
class KeptDocument:
    """A file without its images and people.

    Attributes:
        rest: all of it but images and annotations.
        others: annotations that no label stands for.
        is_list: it was a list of results.
        flags: the third numbers of its joints are visibilities 0, 1, 2; else they are confidences.
    """

    rest: Mapping
    others: Sequence[Kept] = ()
    is_list: bool = False
    flags: bool = True


def keep_document(dataset, field: str, document: KeptDocument) -> None:
    """Keep the rest of the file that a field was read from."""
    kept = {"rest": document.rest, "others": document.others, "is_list": document.is_list, "flags": document.flags}
    keep(dataset, COCO_INFO, field, json.dumps({"document": kept}))


def kept_document(samples, field: str) -> KeptDocument | None:
    """Return the rest of the file that a field was read from; None for a field that was not."""
    stored = kept_of(samples, COCO_INFO, field)
    if not stored:
        return None
    content = json.loads(stored)
    if "document" not in content:  # as version 0.1 kept it
        return KeptDocument(rest=content)
    kept = content["document"]
    others = [Kept(*entry) for entry in kept["others"]]
    return KeptDocument(rest=kept["rest"], others=others, is_list=kept["is_list"], flags=kept["flags"])


def keep_images(view, field: str, images: Sequence[Kept]) -> None:
    """Keep the records of a view's photos for a field; those of other fields stay."""
    declare(view, {COCO_IMAGE: (fo.StringField, None)})
    stored = view.values(COCO_IMAGE) if view.get_field(COCO_IMAGE) is not None else [None] * len(images)
    view.set_values(
        COCO_IMAGE,
        [
            json.dumps({_BY_FIELD: {**_by_field(text), field: image}})
            for text, image in zip(stored, images, strict=True)
        ],
    )


def kept_images(samples, field: str) -> list[Kept | None]:
    """Return the records of a view's photos in the file that a field was read from; None for photos without one.

    A field that was read from no file takes those of any other field of the photo, so that both name photos alike.
    """
    if samples.get_field(COCO_IMAGE) is None:
        return [None] * len(samples)
    photos = [_by_field(text) for text in samples.values(COCO_IMAGE)]
    own = any(field in by_field for by_field in photos)
    chosen = [by_field.get(field) if own else next(iter(by_field.values()), None) for by_field in photos]
    return [None if kept is None else Kept(*kept) for kept in chosen]


def fields_with_images(samples) -> list[str]:
    """Return the fields that photos have records of, the first ones first."""
    if samples.get_field(COCO_IMAGE) is None:
        return []
    return list(dict.fromkeys(name for text in samples.values(COCO_IMAGE) for name in _by_field(text)))


def _by_field(text: str | None) -> dict[str, list]:
    content = json.loads(text) if text else {}
    if content and _BY_FIELD not in content:  # as version 0.1 kept it, for all fields together
        return {"": [0, content]}
    return content.get(_BY_FIELD, {})


def keep_entry(place: int, entry: Mapping) -> str:
    """Return what a label keeps of its annotation."""
    return json.dumps({"place": place, "entry": entry})


def kept_entry(own: Mapping) -> Kept | None:
    """Return what a label keeps of its annotation; None for a label that was not read from a file.

    Args:
        own: the label's attributes by name; beside what is kept those that version 0.1 kept apart, id, category, flag
            and area.
    """
    content = json.loads(own[COCO_EXTRA]) if own[COCO_EXTRA] else None
    if content is None:
        return None
    if set(content) == {"place", "entry"}:
        return Kept(content["place"], content["entry"])
    apart = {"id": own[COCO_ID], "category_id": own[CATEGORY_ID], "iscrowd": own[ISCROWD], "area": own[AREA]}
    return Kept(-1, {**content, **{name: value for name, value in apart.items() if value is not None}})
