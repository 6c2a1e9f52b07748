"""What Label Studio cannot hold of a COCO file goes along in the data of its tasks, and comes back on export.

The data of an imported task have, under :data:`KEY`, a JSON text with the photo's entry, all its annotations as they
were (crowds and other things that cannot be drawn among them), the categories and whatever else the file has. It is a
text rather than an object so that no database changes a digit, and its slashes are escaped so that Label Studio, which
replaces addresses of storages wherever it finds them, leaves it alone. Its length is bounded: what a photo has too much
of is left out, the longest fields first, and counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clickpose.data.coco_fields import entries_of, unique_ids
from clickpose.data.notes import Notes, note

KEY = "coco"
MAX_CHARACTERS = 400_000  # of a photo; it is loaded with the task's page, and with a list of thirty tasks
_MAX_REST = 20_000  # of what stands once in a file and goes along with each photo
_KEPT = frozenset(
    ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "num_keypoints", "keypoints", "score",
     "keypoint_scores", "file_name", "width", "height")
)  # fmt: skip


@dataclass
class CarriedEntry:
    """An annotation of a file: its entry, its place in the list, and the region that it was drawn as, or None."""

    place: int
    entry: dict
    region: str | None = None


@dataclass
class Carried:
    """What goes along with a photo.

    Attributes:
        image: its entry.
        place: of the entry in the list of images.
        rest: what the file has beside images and annotations: ``categories``, ``info`` and so on.
        people: ids of the categories that are people's; none where the file has no categories.
        annotations: of the photo, in the order of the file.
    """

    image: dict
    place: int
    rest: dict
    people: list = field(default_factory=list)
    annotations: list[CarriedEntry] = field(default_factory=list)

    def drawn(self) -> list[CarriedEntry]:
        """Return the annotations that were drawn."""
        return [entry for entry in self.annotations if entry.region is not None]

    def as_coco(self) -> dict:
        """Return what was drawn as a COCO file of one photo with the categories of people."""
        categories = [entry for entry in self.rest.get("categories") or [] if entry["id"] in self.people]
        return {"images": [self.image], "annotations": [e.entry for e in self.drawn()], "categories": categories}


def rest_of(document: Mapping, notes: Notes) -> dict:
    """Return what a file has beside its images and annotations, but nothing too long to go along with each photo."""
    rest = {key: value for key, value in document.items() if key not in ("images", "annotations")}
    for key in sorted(rest, key=lambda key: len(_text(rest[key])), reverse=True):
        if key != "categories" and len(_text(rest)) > _MAX_REST:
            note(notes, f"field {key!r} of the file too long to go along, left out")
            del rest[key]
    return rest


def pack(carried: Carried, notes: Notes) -> str:
    """Return the text for the data of a task; what is too long is left out and counted in ``notes``."""
    annotations = [[entry.place, entry.region, dict(entry.entry)] for entry in carried.annotations]
    content = {
        "image": dict(carried.image), "place": carried.place, "rest": carried.rest, "people": carried.people,
        "annotations": annotations,
    }  # fmt: skip
    _shorten(content, notes)
    return _text(content).replace("/", "\\/")


def _shorten(content: dict, notes: Notes) -> None:
    """Leave out the longest fields until the content is no longer than it may be."""
    over = len(_text(content)) - MAX_CHARACTERS
    if over <= 0:
        return
    entries = [content["image"], *(entry for _, _, entry in content["annotations"])]
    fields = [(len(_text(entry[key])), key, entry) for entry in entries for key in entry if key not in _KEPT]
    for length, key, entry in sorted(fields, key=lambda found: found[0], reverse=True):
        if over <= 0:
            return
        del entry[key]
        over -= length
        note(notes, f"{key!r} too long to go along, left out")
    if over > 0:
        used = {str(entry.get("category_id")) for entry in entries}
        content["rest"] = {"categories": [c for c in content["rest"].get("categories", []) if str(c.get("id")) in used]}
        note(notes, f"photos with {len(entries) - 1} annotations, too many to go along in full")


def unpack(data: Mapping) -> Carried | None:
    """Return what came along in the data of a task; None where nothing did.

    Raises:
        ValueError: if the text is none of :func:`pack`'s, such as one that was edited.
    """
    text = data.get(KEY)
    if not isinstance(text, str) or not text:
        return None
    try:
        content = json.loads(text, parse_constant=lambda _: None)  # JSON has no NaN; a position that is null is none
        carried = Carried(dict(content["image"]), int(content["place"]), dict(content["rest"]), list(content["people"]))
        entries_of({"categories": None, **carried.rest}, "categories", optional=True)
        for place, region, entry in content["annotations"]:
            ids = (region, entry.get("id"), entry.get("category_id"))
            if not all(id_ is None or isinstance(id_, str | int) for id_ in ids) or isinstance(region, int):
                raise TypeError
            carried.annotations.append(CarriedEntry(int(place), dict(entry), region))
        unique_ids(carried.rest.get("categories") or [], "categories")
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise ValueError(f"Expected the text that an import has put under {KEY!r} into the task's data") from None
    return carried


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def without_provenance(entry: Mapping) -> dict:
    """Return an entry without what an earlier export has added about Label Studio."""
    return {key: value for key, value in entry.items() if key != "label_studio"}


def only_one_file(places: Sequence[int | None]) -> bool:
    """Tell whether the places of photos or annotations can be those of one file: none is there twice."""
    known = [place for place in places if place is not None]
    return len(set(known)) == len(known)
