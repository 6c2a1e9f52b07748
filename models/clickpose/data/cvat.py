"""People to and from CVAT's XML, "CVAT for images 1.1", the one form that keeps its skeletons whole.

A joint keeps its name, so its place in the skeleton never matters (CVAT's own COCO export has mixed up the order), and
its visibility: ``outside`` is 0, ``occluded`` is 1, else 2. A skeleton has no box in CVAT; the person's own travels as
a rectangle of a label of its own in the same group, and ids as the attribute ``coco_id``.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml  # builds; what others wrote is parsed by defusedxml

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from clickpose.data.notes import Notes, note
from clickpose.data.skeleton_labels import COCO_ID, SCORE, LabelledPerson, LabelledPhoto, SkeletonLabel

BOX_SUFFIX = " box"  # of the label of a person's rectangle
MAX_BYTES = 2**31  # of the XML, also when it comes out of an archive
_ATTRIBUTES = (COCO_ID, SCORE)
_OTHER_SHAPES = ("polygon", "polyline", "points", "ellipse", "cuboid", "mask", "tag")


def read_cvat(path: str | Path, notes: Notes | None = None) -> tuple[list[LabelledPhoto], list[SkeletonLabel]]:
    """Read an export of a CVAT task or project.

    Args:
        path: ``annotations.xml``, or the ``.zip`` that CVAT gives.
        notes: shapes that are no skeletons, and rectangles that are nobody's, are counted here.

    Returns:
        the photos, and the skeletons of the labels.

    Raises:
        ValueError: if it is no such XML, is a video's ("CVAT for video"), or a joint cannot be read.
    """
    notes = {} if notes is None else notes
    root = _root_of(Path(path))
    labels = _labels(root)
    if root.find("track") is not None:
        raise ValueError(f"Expected “CVAT for images 1.1” in {path}, got the tracks of “CVAT for video”; export the "
                         "task as CVAT for images, which holds every frame")  # fmt: skip
    known = {label.name: label for label in labels}
    photos = [_photo(image, known, str(path), notes) for image in root.findall("image")]
    return photos, labels


def _root_of(path: Path) -> Xml.Element:
    if not path.is_file():
        raise FileNotFoundError(f"Expected CVAT's annotations at {path}, found no such file")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                named = (info for info in archive.infolist() if Path(info.filename).name == "annotations.xml")
                inside = next(named, None)
                if inside is None or inside.file_size > MAX_BYTES:
                    raise ValueError(f"Expected annotations.xml of at most {MAX_BYTES} bytes in {path}, got none")
                with archive.open(inside) as file:
                    root = parse(file, forbid_dtd=True).getroot()
        else:
            root = parse(path, forbid_dtd=True).getroot()
    except (Xml.ParseError, DefusedXmlException, zipfile.BadZipFile) as error:
        raise ValueError(f"Expected CVAT's XML in {path}, got something else: {error}") from None
    if root is None or root.tag != "annotations":
        found = "nothing" if root is None else f"<{root.tag}>"
        raise ValueError(f"Expected CVAT's XML with <annotations> in {path}, got {found}")
    return root


def _labels(root: Xml.Element) -> list[SkeletonLabel]:
    """Return the skeletons: joints are the labels that name them as their parent, bones stand in their SVG."""
    skeletons: dict[str, list[str]] = {}
    drawings: dict[str, str] = {}
    for label in root.iterfind("meta//label"):
        name, parent = label.findtext("name", ""), label.findtext("parent")
        if parent:
            skeletons.setdefault(parent, []).append(name)
        elif label.findtext("type") == "skeleton":
            skeletons.setdefault(name, [])
            drawings[name] = label.findtext("svg") or ""
    return [SkeletonLabel(name, tuple(joints), _bones(drawings.get(name, ""), joints))
            for name, joints in skeletons.items()]  # fmt: skip


def _bones(svg: str, joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Read bones from the lines of a skeleton's drawing; none where it cannot be read."""
    try:
        drawing = parse(io.StringIO(f"<svg>{svg}</svg>"), forbid_dtd=True).getroot()
    except (Xml.ParseError, DefusedXmlException):
        return ()
    if drawing is None:
        return ()
    places = {node.get("data-node-id"): joints.index(node.get("data-label-name", ""))
              for node in drawing.iter("circle") if node.get("data-label-name") in joints}  # fmt: skip
    ends = ((line.get("data-node-from"), line.get("data-node-to")) for line in drawing.iter("line"))
    return tuple((places[a], places[b]) for a, b in ends if a in places and b in places)


def _photo(image: Xml.Element, labels: Mapping[str, SkeletonLabel], source: str, notes: Notes) -> LabelledPhoto:
    name = image.get("name") or ""
    where = f"{name or 'an image without a name'} of {source}"
    if not name:
        raise ValueError(f"Expected every image of {source} to have a name, got one without")
    boxes = {box.get("group_id"): box for box in image.findall("box") if box.get("group_id")}
    persons, used = [], set()
    for skeleton in image.findall("skeleton"):
        label = labels.get(skeleton.get("label", ""))
        if label is None:
            joints = tuple(dict.fromkeys(joint.get("label", "") for joint in skeleton.findall("points")))
            label = SkeletonLabel(skeleton.get("label", ""), joints)
        box = boxes.get(skeleton.get("group_id"))
        used.add(id(box))
        persons.append(_person(skeleton, label, box, where))
    for box in image.findall("box"):
        if id(box) not in used:
            note(notes, "rectangles that belong to no skeleton, left out")
    for shape in _OTHER_SHAPES:
        note(notes, f"shapes of the kind {shape}, left out", len(image.findall(shape)))
    height, width = image.get("height", ""), image.get("width", "")
    image_hw = (int(height), int(width)) if height.isdecimal() and width.isdecimal() else None
    return LabelledPhoto(name, image_hw, tuple(persons))


def _person(skeleton: Xml.Element, label: SkeletonLabel, box: Xml.Element | None, where: str) -> LabelledPerson:
    keypoints, visibility = np.full((len(label.joints), 2), np.nan), np.zeros(len(label.joints), int)
    for joint in skeleton.findall("points"):
        name = joint.get("label", "")
        if name not in label.joints:
            raise ValueError(f"Expected a joint of “{label.name}” ({', '.join(label.joints)}) in {where}, got “{name}”")
        if joint.get("outside") == "1":
            continue
        place = label.joints.index(name)
        keypoints[place] = _numbers(joint, ("points",), 2, where)
        visibility[place] = 1 if joint.get("occluded") == "1" else 2
    box_xywh = None
    if box is not None:
        left, top, right, bottom = _numbers(box, ("xtl", "ytl", "xbr", "ybr"), 4, where)
        box_xywh = np.array([left, top, right - left, bottom - top])
    attributes = {item.get("name", ""): item.text or "" for item in skeleton.findall("attribute")}
    attributes = {name: value for name, value in attributes.items() if value or name not in _ATTRIBUTES}
    score = attributes.pop(SCORE, None)
    return LabelledPerson(label=label, keypoints=keypoints, visibility=visibility, box_xywh=box_xywh,
                          score=_score(score, where), attributes=attributes)  # fmt: skip


def _score(text: str | None, where: str) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise ValueError(f"Expected a number as the score of a skeleton in {where}, got {text!r}") from None


def _numbers(element: Xml.Element, names: Sequence[str], count: int, where: str) -> np.ndarray:
    text = ",".join(element.get(name, "") for name in names)
    try:
        numbers = np.array([float(number) for number in text.split(",")])
    except ValueError:
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"Expected {count} numbers of <{element.tag}> in {where}, got {text!r}")
    return numbers


def to_cvat(photos: Sequence[LabelledPhoto]) -> str:
    """Return photos as "CVAT for images 1.1", to be uploaded to a task with these photos (*Upload annotations*).

    The task needs labels of the same names; :func:`cvat_labels` makes them.

    Args:
        photos: photos in order; CVAT finds them by name.
    """
    labels = list({person.label.name: person.label for photo in photos for person in photo.persons}.values())
    root = Xml.Element("annotations")
    Xml.SubElement(root, "version").text = "1.1"
    task = Xml.SubElement(Xml.SubElement(root, "meta"), "task")
    Xml.SubElement(task, "size").text = str(len(photos))
    Xml.SubElement(task, "mode").text = "annotation"
    holder = Xml.SubElement(task, "labels")
    for label in labels:
        _add_label(holder, label)
    group = 0
    for frame, photo in enumerate(photos):
        image = Xml.SubElement(root, "image", {"id": str(frame), "name": photo.name})
        if photo.image_hw is not None:
            image.set("width", str(photo.image_hw[1]))
            image.set("height", str(photo.image_hw[0]))
        for person in photo.persons:
            group += 1
            _add_person(image, person, group)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def cvat_labels(labels: Iterable[SkeletonLabel]) -> list[dict]:
    """Return what CVAT's label editor takes under *Raw*, so that a new task knows the skeletons and their boxes."""
    made: list[dict] = []
    for label in labels:
        joints = [{"name": joint, "type": "points", "attributes": []} for joint in label.joints]
        attributes = [{"name": name, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
                      for name in _ATTRIBUTES]  # fmt: skip
        made.append({"name": label.name, "type": "skeleton", "attributes": attributes, "sublabels": joints,
                     "svg": _drawing(label)})  # fmt: skip
        made.append({"name": label.name + BOX_SUFFIX, "type": "rectangle", "attributes": []})
    return made


def _add_label(holder: Xml.Element, label: SkeletonLabel) -> None:
    skeleton = Xml.SubElement(holder, "label")
    Xml.SubElement(skeleton, "name").text = label.name
    Xml.SubElement(skeleton, "type").text = "skeleton"
    attributes = Xml.SubElement(skeleton, "attributes")
    for name in _ATTRIBUTES:
        attribute = Xml.SubElement(attributes, "attribute")
        told = {"name": name, "mutable": "False", "input_type": "text", "default_value": "", "values": ""}
        for tag, text in told.items():
            Xml.SubElement(attribute, tag).text = text
    Xml.SubElement(skeleton, "svg").text = _drawing(label)
    for joint in label.joints:
        point = Xml.SubElement(holder, "label")
        Xml.SubElement(point, "name").text = joint
        Xml.SubElement(point, "type").text = "points"
        Xml.SubElement(point, "attributes")
        Xml.SubElement(point, "parent").text = label.name
    box = Xml.SubElement(holder, "label")
    Xml.SubElement(box, "name").text = label.name + BOX_SUFFIX
    Xml.SubElement(box, "type").text = "rectangle"
    Xml.SubElement(box, "attributes")


def _drawing(label: SkeletonLabel) -> str:
    """Return the SVG by which CVAT knows the bones: joints on a circle, numbered from 1."""
    angles = 2 * np.pi * np.arange(len(label.joints)) / max(len(label.joints), 1)
    places = 50 + 40 * np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    drawing = Xml.Element("svg")
    for a, b in label.edges:
        line = {"x1": places[a, 0], "y1": places[a, 1], "x2": places[b, 0], "y2": places[b, 1]}
        Xml.SubElement(drawing, "line", {name: f"{number:.2f}" for name, number in line.items()}
                       | {"data-type": "edge", "data-node-from": str(a + 1), "data-node-to": str(b + 1)})  # fmt: skip
    for place, joint in enumerate(label.joints):
        x, y = places[place]
        node = {"r": "0.75", "cx": f"{x:.2f}", "cy": f"{y:.2f}", "data-type": "element node"}
        names = {"data-element-id": str(place + 1), "data-node-id": str(place + 1), "data-label-name": joint}
        Xml.SubElement(drawing, "circle", node | names)
    return "".join(Xml.tostring(child, encoding="unicode") for child in drawing)


def _add_person(image: Xml.Element, person: LabelledPerson, group: int) -> None:
    source = "manual" if person.score is None else "auto"
    common = {"source": source, "z_order": "0", "group_id": str(group)}
    skeleton = Xml.SubElement(image, "skeleton", {"label": person.label.name} | common)
    middle = np.nanmean(person.keypoints, axis=0) if (person.visibility > 0).any() else _middle(person)
    for joint, (x, y), visible in zip(person.label.joints, person.keypoints, person.visibility, strict=True):
        x, y = (x, y) if visible else middle  # a joint outside needs a place in CVAT, which nobody reads
        Xml.SubElement(skeleton, "points", {
            "label": joint, "source": source, "outside": str(int(not visible)), "occluded": str(int(visible == 1)),
            "points": f"{_digits(x)},{_digits(y)}",
        })  # fmt: skip
    held = {name: person.attributes[name] for name in (COCO_ID,) if name in person.attributes}
    for name, value in (held | ({} if person.score is None else {SCORE: person.score})).items():
        Xml.SubElement(skeleton, "attribute", {"name": name}).text = str(value)
    if person.box_xywh is not None:
        left, top, width, height = person.box_xywh
        corners = {"xtl": left, "ytl": top, "xbr": left + width, "ybr": top + height}
        Xml.SubElement(image, "box", {"label": person.label.name + BOX_SUFFIX, "occluded": "0"} | common
                       | {name: _digits(number) for name, number in corners.items()})  # fmt: skip


def _middle(person: LabelledPerson) -> np.ndarray:
    return np.zeros(2) if person.box_xywh is None else person.box_xywh[:2] + person.box_xywh[2:] / 2


def _digits(number: float) -> str:
    return f"{number:.4f}".rstrip("0").rstrip(".")
