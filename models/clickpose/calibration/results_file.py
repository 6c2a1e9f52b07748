"""A results file as a calibrator sees it: confidences out, ground truth beside them, calibrated confidences in.

A results file is COCO's list, or a dataset of predictions such as ``clickpose predict --json`` writes. What stands in
it is decided in :mod:`clickpose.data.coco_records` and :mod:`clickpose.data.confidences`: whose results count, in which
order their joints stand, and where the confidences are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from clickpose.calibration.aggregation import visibility_weighted
from clickpose.checks import described
from clickpose.data.coco_categories import PersonCategories, person_categories
from clickpose.data.coco_extents import box_of_joints
from clickpose.data.coco_fields import check_image_id
from clickpose.data.coco_records import FLAGS, CocoPerson, coco_images, joints_there, read_predictions, read_results
from clickpose.data.confidences import joint_confidences, person_confidences
from clickpose.data.json_file import read_json, write_json
from clickpose.data.notes import Notes, note
from clickpose.data.photo_names import match_photos
from clickpose.metrics.average_precision import match_predictions
from clickpose.metrics.keypoint_sets import predictions_from_coco, truth_from_coco
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import Skeleton

MATCH_FROM = 0.1  # OKS; COCO's .5 would hide the poor predictions, and fit calibrators that do not know them
_OF_JOINTS = ("keypoints", "keypoint_scores", "visibility_scores", "fixed")  # what stands in the joints' order


@dataclass(frozen=True, eq=False, kw_only=True)
class ResultsFile:
    """The people of a results file, and what they stood in.

    Attributes:
        source: the file.
        content: the parsed JSON, as it came.
        people: N results; crowds and other categories are left out.
        rows: the N results as COCO's list has them, joints in the skeleton's order.
        skeleton: their joints.
        notes: what was left out -> how often.
    """

    source: Path
    content: list | dict
    people: list[CocoPerson]
    rows: list[dict]
    skeleton: Skeleton
    notes: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, path: str | Path, skeleton: Skeleton, categories: PersonCategories | None = None) -> ResultsFile:
        """Read a file.

        Args:
            path: the file.
            skeleton: the joints.
            categories: of a list, which results are people's; by default all. A dataset says so itself.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is neither of the two, its joints are others, or a result lacks a field; names the file,
                the entry and the field.
        """
        content, source, notes = read_json(path, "keypoint results"), str(path), Counter[str]()
        if isinstance(content, list):
            people = read_results(content, skeleton, source, categories=categories, notes=notes)
        elif isinstance(content, dict) and isinstance(content.get("annotations"), list):
            people = read_predictions(content, skeleton, source, notes=notes)
        else:
            found = f"{described(content)} without annotations" if isinstance(content, dict) else described(content)
            raise ValueError(
                f"Expected a list of keypoint results, or a dataset with annotations, in {path}, got {found}"
            )
        kept = [person for person in people if not person.crowd]
        if len(kept) < len(people):
            note(notes, "crowds left out", len(people) - len(kept))
        rows = [_in_order(person.entry, person.order.places) for person in kept]
        return cls(source=Path(path), content=content, people=kept, rows=rows, skeleton=skeleton, notes=notes)

    @cached_property
    def scores(self) -> ResultScores:
        """What the results say of the joints; what is clipped is counted in ``notes``.

        Raises:
            ValueError: for confidences on another scale than 0..1; names the place and the field.
        """
        return _scores_of(self.people, self.skeleton, self.notes)

    def image_ids(self, names: Mapping[Hashable, str | None]) -> dict[Hashable, Hashable | None]:
        """Return which annotated photo each photo of the results is: by its id in a list, by file name in a dataset.

        Args:
            names: the annotated photos, id -> file name.

        Returns:
            image id of the results -> of the annotated photo, None where there is none.

        Raises:
            ValueError: if the name of a photo does not say which one it is.
        """
        used = dict.fromkeys(person.image_id for person in self.people)
        if isinstance(self.content, dict):
            images = {image.image_id: image.file_name for image in coco_images(self.content, str(self.source))}
            own = {id_: name for id_ in used if (name := images[id_])}
            if own:  # else a file without names, whose ids must serve
                return {**dict.fromkeys(used), **match_photos(own, {id_: name for id_, name in names.items() if name})}
        return {id_: id_ if id_ in names else None for id_ in used}

    def aligned(self, names: Mapping[Hashable, str | None]) -> list[dict]:
        """Return the rows with the image ids of the annotated photos; see :meth:`image_ids`.

        Raises:
            ValueError: also if a result is of no annotated photo.
        """
        found = self.image_ids(names)
        for person in self.people:
            if found[person.image_id] is None and isinstance(self.content, dict):
                raise ValueError(
                    f"Expected an annotated photo of the name of image {person.image_id!r} of {self.source}, which "
                    f"{person.where.removesuffix(f' of {self.source}')} is on, got none"
                )
            if found[person.image_id] is None:
                check_image_id(person.image_id, names, person.where)
        return [{**row, "image_id": found[row["image_id"]]} for row in self.rows]

    def write(self, path: Path, rows: Sequence[dict]) -> None:
        """Write changed rows in the form and the order of joints that they came in; all else as it came."""
        entries = list(self.content if isinstance(self.content, list) else self.content["annotations"])
        for person, row in zip(self.people, rows, strict=True):
            entries[person.place] = _in_order(row, person.order.joints)
        write_json(path, entries if isinstance(self.content, list) else {**self.content, "annotations": entries})


def _in_order(row: Mapping, places: Sequence[int | None]) -> dict:
    """Return a copy of a result whose joints stand in another order: those at ``places``."""
    changed = dict(row)
    if list(places) == list(range(len(places))):
        return changed
    whole = [place for place in places if place is not None]
    if len(whole) < len(places):
        raise ValueError(f"Expected all {len(places)} joints of the skeleton and no other, got {len(whole)} of them")
    for name in _OF_JOINTS:
        if changed.get(name) is not None:
            values, size = changed[name], 3 if name == "keypoints" else 1
            changed[name] = [value for place in whole for value in values[size * place : size * (place + 1)]]
    return changed


@dataclass(frozen=True, eq=False, kw_only=True)
class ResultScores:
    """What a results file says of N persons.

    Attributes:
        keypoints: (N, K, 2) px; NaN where a joint is not there.
        scores: (N, K) confidences of the joints, 0..1; 0 where one is not there.
        instance_scores: (N,) of the persons, 0..1.
        visibility_scores: (N, K) in 0..1; None where the file has none.
        area: (N,) px²: the result's ``area``, else its box's, else the extent of its joints.
        image_ids: (N,) object array.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    instance_scores: np.ndarray
    visibility_scores: np.ndarray | None
    area: np.ndarray
    image_ids: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class MatchedTruth:
    """The annotated person of each of N results.

    Attributes:
        matched: (N,) bool; the others found nobody, or were more than COCO counts in their image.
        ignored: (N,) bool: stand for a crowd or a person to ignore, or are of another category, and say nothing.
        oks: (N, K) OKS term of each joint; 0 where not matched or not labelled.
        visibility: (N, K) int, the annotation's; 0 where not matched.
        instance_oks: (N,) OKS with the matched person; 0 without one.
        truth: (N, K, 2) px, the annotation's keypoints; 0 where not matched.
    """

    matched: np.ndarray
    ignored: np.ndarray
    oks: np.ndarray
    visibility: np.ndarray
    instance_oks: np.ndarray
    truth: np.ndarray


def result_scores(results: Sequence[dict], skeleton: Skeleton, notes: Notes | None = None) -> ResultScores:
    """Read the confidences of results.

    Args:
        results: COCO's list, joints in the skeleton's order.
        skeleton: the joints.
        notes: confidences that were clipped are counted here.

    Raises:
        ValueError: if a result lacks a field, has another number of joints, or a confidence on another scale than 0..1;
            names its place and the field.
    """
    return _scores_of(read_results(results, skeleton), skeleton, notes)


def _scores_of(people: Sequence[CocoPerson], skeleton: Skeleton, notes: Notes | None) -> ResultScores:
    shape = len(people), len(skeleton)
    image_ids = np.empty(len(people), dtype=object)
    image_ids[:] = [person.image_id for person in people]
    return ResultScores(
        keypoints=np.reshape([person.keypoints for person in people], (*shape, 2)),
        scores=joint_confidences(people, skeleton, notes),
        instance_scores=person_confidences(people, notes),
        visibility_scores=_visibility_scores(people),
        area=np.array([_area(person) for person in people], dtype=np.float64),
        image_ids=image_ids,
    )


def instance_scores(
    keypoint_scores: np.ndarray, visibility_scores: np.ndarray | None, raw_scores: np.ndarray
) -> np.ndarray:
    """Return the persons' scores (N,), the joints' weighted by visibility (Eq. 7).

    Where no visibility was predicted, a joint's raw confidence stands in for it: heatmap and regression networks are
    less sure of joints that cannot be seen. That ranks better than a mean over joints above a threshold (Eq. 5), which
    jumps where a joint passes it, and gives 0 to a person of whom none does.

    Args:
        keypoint_scores: (N, K) calibrated, 0..1.
        visibility_scores: (N, K) in 0..1, or None.
        raw_scores: (N, K) before calibration, 0..1.
    """
    return visibility_weighted(keypoint_scores, raw_scores if visibility_scores is None else visibility_scores)


def with_scores(results: Sequence[dict], keypoint_scores: np.ndarray, scores: np.ndarray) -> list[dict]:
    """Return copies of results with other confidences; positions and order stay.

    Args:
        results: of N persons.
        keypoint_scores: (N, K), written to ``keypoint_scores`` and, where they stood there, to ``keypoints``' thirds.
        scores: (N,) of the persons.
    """
    if not results:
        return []
    triples = np.array([result["keypoints"] for result in results], np.float64).reshape(*keypoint_scores.shape, 3)
    there = joints_there(triples)
    third_are_scores = not np.isin(np.where(there, triples[..., 2], 0), FLAGS).all()
    changed = []
    written = np.where(there, keypoint_scores, 0.0).tolist()
    for result, placed, joints, score in zip(results, there.tolist(), written, scores.tolist(), strict=True):
        numbers = list(result["keypoints"])
        if third_are_scores:
            thirds = zip(placed, numbers[2::3], joints, strict=True)
            numbers[2::3] = [new if is_there else old for is_there, old, new in thirds]
        changed.append({**result, "keypoints": numbers, "keypoint_scores": joints, "score": score})
    return changed


def match_to_truth(
    annotations: dict,
    results: Sequence[dict],
    skeleton: Skeleton,
    min_oks: float = MATCH_FROM,
    source: str = "",
    notes: Notes | None = None,
) -> MatchedTruth:
    """Find each result's annotated person as COCO does; see
    :func:`~clickpose.metrics.average_precision.match_predictions`.

    Args:
        annotations: a COCO keypoint dataset (parsed JSON); not changed. Its joints are matched by name.
        results: of its images, joints in the skeleton's order; one that is not there has an OKS term of 0.
        skeleton: the joints, whose sigmas count.
        min_oks: what counts as found, above 0 to 1.
        source: the annotations' file, for messages.
        notes: what is left out of the annotations is counted here, and photos whose people all count as missed.

    Raises:
        ValueError: if a result names an image that the dataset lacks, a result or an annotation lacks a field or has
            another number of joints, or ``min_oks`` is out of range.
    """
    persons = truth_from_coco(annotations, skeleton, source, notes)
    found = predictions_from_coco(annotations, results, skeleton, notes=notes)
    if notes is not None:
        bare = set(persons.image_ids[~persons.ignored]) - {result["image_id"] for result in results}
        if bare:
            note(notes, "photos whose people have no results and count as missed in COCO's figures", len(bare))
    categories = person_categories(annotations, skeleton, source).of_results
    of_people = [categories.find(result, f"the result at place {i}") is not None for i, result in enumerate(results)]
    owner = np.full(len(results), -1)
    owner[of_people] = match_predictions(persons, found, skeleton.sigma_array, min_oks)
    ignored = ~np.array(of_people, dtype=bool)
    if len(persons):
        ignored |= (owner >= 0) & persons.ignored[owner]
    matched = (owner >= 0) & ~ignored
    own = owner[matched]
    shape = len(results), len(skeleton)
    truth, visibility, terms = np.zeros((*shape, 2)), np.zeros(shape, int), np.zeros(shape)
    truth[matched], visibility[matched] = persons.keypoints[own], persons.visibility[own].astype(int)
    placed = np.reshape([person.keypoints for person in read_results(results, skeleton)], (*shape, 2))
    terms[matched] = keypoint_oks(placed[matched], truth[matched], persons.areas[own], skeleton.sigma_array)
    labelled = visibility > 0
    terms = np.where(labelled, terms, 0.0)
    return MatchedTruth(
        matched=matched,
        ignored=ignored,
        oks=terms,
        visibility=visibility,
        instance_oks=visibility_weighted(terms, labelled),
        truth=truth,
    )


def _visibility_scores(people: Sequence[CocoPerson]) -> np.ndarray | None:
    """Return (N, K) in 0..1 of results that all have them; None where none has."""
    having = [person.visibility_scores is not None for person in people]
    if not any(having):
        return None
    if not all(having):
        raise ValueError(f"Expected visibility_scores in all results or in none, got them in {sum(having)} of "
                         f"{len(people)}; {people[having.index(False)].where} has none")  # fmt: skip
    rows = np.stack([person.visibility_scores for person in people if person.visibility_scores is not None])
    if (wrong := ~((rows >= 0) & (rows <= 1)).all(axis=1)).any():
        raise ValueError(f"Expected visibility_scores within 0..1 in {people[int(wrong.argmax())].where}")
    return rows


def _area(person: CocoPerson) -> float:
    if person.area is not None:
        return person.area
    box = box_of_joints(person.keypoints, margin=0.0) if person.box_xywh is None else person.box_xywh
    return 0.0 if box is None else float(box[2] * box[3])
