"""The categories of an exported COCO file: those of the files that were imported, one for people who are new."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from clickpose.data.coco_categories import PERSON_CATEGORY, JointOrder, person_categories, person_category
from clickpose.data.notes import Notes, note
from clickpose.skeleton import Skeleton
from clickpose_labelstudio.carried import Carried


@dataclass(eq=False)
class FileCategories:
    """The categories of an imported file: id there -> id in the export, and that of people with all joints, or None."""

    ids: Mapping[Hashable, Hashable]
    whole: Hashable = None

    def known(self, category_id: Hashable) -> Hashable:
        """Return the id that a category of the file has in the export."""
        return self.ids.get(category_id, category_id)


class ExportCategories:
    """Gathers the categories.

    Files whose categories are the same share them; of two that give one id to different categories, the second gets new
    ids. Joints that an annotator has placed and the file's category does not name are added at its end.

    Args:
        skeleton: the joints.
        carried: what came along with the tasks.
        notes: what had to be changed is counted here.
    """

    def __init__(self, skeleton: Skeleton, carried: Iterable[Carried], notes: Notes):
        self._skeleton = skeleton
        self._notes = notes
        self._entries: list[dict] = []
        self._orders: dict[Hashable, JointOrder] = {}
        self._files: dict[str, FileCategories] = {}
        self._rest: dict = {}
        self._own: Hashable = None
        for photo in carried:
            self._add_file(photo)

    def _add_file(self, photo: Carried) -> None:
        for key, value in photo.rest.items():
            if key != "categories" and self._rest.setdefault(key, value) != value:
                note(self._notes, f"photos of a file with another {key!r} than the first one's, which is exported")
        text = _file_text(photo)
        if text in self._files:
            return
        people = person_categories(photo.as_coco(), self._skeleton, partial=True)
        ids = {entry["id"]: self._add(entry) for entry in photo.rest.get("categories") or []}
        for id_, order in people.orders.items():
            self._orders.setdefault(ids[id_], order)
        whole = [ids[id_] for id_, order in people.orders.items() if order.complete]
        self._files[text] = FileCategories(ids, whole[0] if whole else None)

    def _add(self, entry: Mapping) -> Hashable:
        """Add a category; return its id, a new one if that is another category's."""
        if any(known == entry for known in self._entries):
            return entry["id"]
        id_ = entry["id"]
        if any(known["id"] == id_ for known in self._entries):
            id_ = self._free_id()
            note(self._notes, f"categories with the id of another file's, now {id_!r}")
        self._entries.append({**entry, "id": id_})
        return id_

    def _free_id(self) -> int:
        used = {entry["id"] for entry in self._entries}
        return next(number for number in range(PERSON_CATEGORY, len(used) + 2) if number not in used)

    def of(self, carried: Carried | None) -> FileCategories:
        """Return the categories of the file that a task is from; none for one from no file."""
        return FileCategories({}) if carried is None else self._files[_file_text(carried)]

    def for_new_people(self, carried: Carried | None) -> Hashable:
        """Return the category for people who are new: a whole one of the file, else of any, else one of our own."""
        known = [file.whole for file in (self.of(carried), *self._files.values()) if file.whole is not None]
        if known:
            return known[0]
        if self._own is None:
            self._own = self._add(person_category(self._skeleton, self._free_id()))
            self._orders[self._own] = JointOrder.same(self._skeleton)
        return self._own

    def order(self, category_id: Hashable) -> JointOrder:
        """Return where the joints of an exported category stand."""
        return self._orders.get(category_id, JointOrder.same(self._skeleton))

    def name(self, category_id: Hashable, joints: Iterable[int] = ()) -> None:
        """Make sure that a category names joints, these among them."""
        order = self.order(category_id)
        more = tuple(joint for joint in dict.fromkeys(joints) if joint not in order.joints)
        entry = next((entry for entry in self._entries if entry["id"] == category_id), None)
        named = person_category(self._skeleton)
        if entry is None:  # of a file without categories
            return
        if not entry.get("keypoints"):
            entry |= {"keypoints": named["keypoints"], "skeleton": named["skeleton"]}
        elif more:
            entry["keypoints"] = [*entry["keypoints"], *(self._skeleton.names[joint] for joint in more)]
            self._orders[category_id] = JointOrder((*order.joints, *more), order.count)
            note(self._notes, f"joints added to category {category_id!r}, which did not name them", len(more))

    def rest(self) -> dict:
        """Return what else the exported file has."""
        return dict(self._rest)

    def finish(self, annotations: Sequence[dict]) -> list[dict]:
        """Return the categories, and bring the annotations of those that have got more joints to their length."""
        for annotation in annotations:
            order = self._orders.get(annotation.get("category_id"))
            triples = annotation.get("keypoints")
            if order is None or not isinstance(triples, list) or not triples:
                continue
            missing = len(order.joints) - len(triples) // 3
            if missing > 0:
                annotation["keypoints"] = [*triples, *[0] * (3 * missing)]
                for key in ("keypoint_scores", "visibility_scores", "fixed"):
                    if isinstance(annotation.get(key), list):
                        annotation[key] = [*annotation[key], *[0] * (len(order.joints) - len(annotation[key]))]
        if not self._entries:
            self.for_new_people(None)
        return self._entries


def _file_text(carried: Carried) -> str:
    return json.dumps(carried.rest.get("categories"), sort_keys=True)
