"""Label Studio labelling configurations: read any that can serve poses, and write the one that we create projects with.

The names of the controls, the label of a person and the spelling of the joints all come from the configuration. They go
into every region that is read or written, so nothing else in this package knows a control by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from xml.etree import ElementTree

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from clickpose.data.coco_categories import PERSON_NAMES
from clickpose.skeleton import COCO, Skeleton
from clickpose_labelstudio.joint_words import meant_joints, say_unknown

MAX_CHARACTERS = 200_000  # a hundred times a usual one; configurations are remembered and come with every request
MAX_GUESSED = 100  # labels that name no joint and are looked at for what they may have meant
# Labels and points say the side of the body, and by colour nothing else (see static/bridge/drawing/signs.js).
LEFT_COLOR, RIGHT_COLOR, MIDDLE_COLOR = "#2e9bff", "#ffa600", "#a3acb9"
_VISIBLE_WORDS = frozenset({"visible", "not occluded", "v2", "2"})
_OCCLUDED_WORDS = frozenset({"occluded", "hidden", "invisible", "not visible", "obscured", "covered", "v1", "1"})


class LabelingConfigError(ValueError):
    """A labelling configuration cannot serve poses; the message says what is missing."""


@dataclass(frozen=True)
class LabelingConfig:
    """The parts of a labelling configuration that poses are read from and written to.

    Attributes:
        skeleton: the joints that labels were matched with.
        image_name: name of the Image tag.
        image_key: key of the task data that holds the image (``"image"`` for ``value="$image"``).
        box_name: name of the RectangleLabels control.
        person_label: its label for a person.
        keypoint_name: name of the KeyPointLabels control.
        joint_by_label: label text -> joint index, for every label that names a joint; maybe not all K joints.
        visibility_name: name of the per-region Choices of visibility, or None.
        visible_choice: its text for a visible keypoint, or None.
        occluded_choice: its text for an occluded keypoint, or None.
        unmatched_labels: keypoint labels that name no joint of the skeleton; their regions are left alone.
    """

    skeleton: Skeleton
    image_name: str
    image_key: str
    box_name: str
    person_label: str
    keypoint_name: str
    joint_by_label: Mapping[str, int] = field(hash=False)
    visibility_name: str | None = None
    visible_choice: str | None = None
    occluded_choice: str | None = None
    unmatched_labels: tuple[str, ...] = ()

    def say_unmatched(self, labels: Collection[str] = ()) -> str | None:
        """Say which labels name no joint though they look as if they should, in one sentence; None for none.

        A label such as ``ball`` is nobody's mistake, so it is said only where it is among the given ``labels``.
        """
        said = [label for label in self.unmatched_labels if label in labels or label in self._mistaken_labels]
        if not said:
            return None
        return (
            f"These keypoint labels name no joint, and their regions are left alone: "
            f"{say_unknown(said, self.skeleton)}. Rename them in the labelling configuration."
        )

    @cached_property
    def _mistaken_labels(self) -> frozenset[str]:
        """Unmatched labels that may have meant a joint."""
        return frozenset(label for label in self.unmatched_labels[:MAX_GUESSED] if meant_joints(label, self.skeleton))

    @property
    def label_by_joint(self) -> dict[int, str]:
        """Joint index -> the text that labels it (the first one, where two labels name one joint)."""
        labels: dict[int, str] = {}
        for label, joint in self.joint_by_label.items():
            labels.setdefault(joint, label)
        return labels

    def image_reference(self, task_data: object) -> str:
        """Return what the data of a task gives as its image.

        Raises:
            LabelingConfigError: if the data has no text under :attr:`image_key`.
        """
        reference = task_data.get(self.image_key) if isinstance(task_data, Mapping) else None
        if not isinstance(reference, str) or not reference:
            raise LabelingConfigError(
                f"The labelling configuration reads its image from ${self.image_key}, but the task has no such text."
            )
        return reference


def parse_labeling_config(xml: str, skeleton: Skeleton = COCO) -> LabelingConfig:
    """Read a labelling configuration.

    Args:
        xml: the configuration as Label Studio keeps it; tags in any order and nesting.
        skeleton: the joints to match the keypoint labels with, in any usual spelling.

    A configuration of more than 200 000 characters is refused unread.

    Raises:
        LabelingConfigError: if it cannot serve poses.
    """
    root = _parse_xml(xml)
    keypoints, joint_by_label = _find_keypoints(_tags(root, "KeyPointLabels"), skeleton)
    image_name = keypoints.get("toName", "")
    image_key = _find_image_key(root, keypoints)
    box, person_label = _find_box(_tags(root, "RectangleLabels"), image_name)
    choices, visible, occluded = _find_visibility(_tags(root, "Choices"), keypoints)
    return LabelingConfig(
        skeleton=skeleton,
        image_name=image_name,
        image_key=image_key,
        box_name=_name(box),
        person_label=person_label,
        keypoint_name=_name(keypoints),
        joint_by_label=joint_by_label,
        visibility_name=None if choices is None else _name(choices),
        visible_choice=visible,
        occluded_choice=occluded,
        unmatched_labels=tuple(label for label in _texts(keypoints, "Label") if label not in joint_by_label),
    )


def build_labeling_config(skeleton: Skeleton = COCO) -> str:
    """Write the labelling configuration that new projects get.

    Left joints are blue, right ones amber, those of neither side grey. Points have thin rims and boxes no filling, so
    that faces in a crowd stay visible. The boxes are not smart, so that Label Studio asks the backend for keypoints
    only.

    Args:
        skeleton: the joints to label.

    Returns:
        XML that :func:`parse_labeling_config` reads.
    """
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image", zoom="true", zoomControl="true")
    box = ElementTree.SubElement(
        view, "RectangleLabels", name="box", toName="image", smart="false", strokeWidth="2", fillOpacity="0"
    )
    ElementTree.SubElement(box, "Label", value="person", background="#8a8f98")
    keypoints = ElementTree.SubElement(
        view, "KeyPointLabels", name="keypoint", toName="image", smart="true", strokeWidth="1"
    )
    colors = {joint: LEFT_COLOR for joint, _ in skeleton.flip_pairs} | {j: RIGHT_COLOR for _, j in skeleton.flip_pairs}
    for joint, name in enumerate(skeleton.names):
        ElementTree.SubElement(keypoints, "Label", value=name, background=colors.get(joint, MIDDLE_COLOR))
    choices = ElementTree.SubElement(
        view, "Choices", name="visibility", toName="image",
        perRegion="true", whenTagName="keypoint", choice="single-radio",
    )  # fmt: skip
    for text in ("visible", "occluded"):
        ElementTree.SubElement(choices, "Choice", value=text)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode")


def _parse_xml(xml: str) -> ElementTree.Element:
    if not isinstance(xml, str) or not xml.strip():
        raise LabelingConfigError("The labelling configuration is empty: the project has not been set up yet.")
    if len(xml) > MAX_CHARACTERS:
        raise LabelingConfigError(
            f"The labelling configuration is too long: expected at most {MAX_CHARACTERS} characters, got {len(xml)}."
        )
    try:
        return defusedxml.ElementTree.fromstring(xml)
    except DefusedXmlException as error:
        raise LabelingConfigError(f"The labelling configuration must not declare XML entities: {error}") from None
    except (ElementTree.ParseError, ValueError) as error:
        raise LabelingConfigError(f"The labelling configuration is not XML: {error}") from None


def _tags(root: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    """Return the elements of a tag below ``root``; Label Studio does not heed the case of tags."""
    return [element for element in root.iter() if isinstance(element.tag, str) and element.tag.lower() == tag.lower()]


def _name(element: ElementTree.Element) -> str:
    name = element.get("name", "")
    if not name:
        raise LabelingConfigError(f"A {element.tag} of the labelling configuration has no name.")
    return name


def _texts(control: ElementTree.Element, tag: str) -> dict[str, str]:
    """Return, for the labels or choices of a control, the text written into results -> the text shown.

    An alias is written into results in place of the value.
    """
    values = ((element.get("value", ""), element.get("alias")) for element in _tags(control, tag))
    return {alias or value: value for value, alias in values if alias or value}


def _find_keypoints(
    controls: list[ElementTree.Element], skeleton: Skeleton
) -> tuple[ElementTree.Element, dict[str, int]]:
    """Choose the KeyPointLabels control that names most joints, and match its labels."""
    if not controls:
        raise LabelingConfigError(
            "The labelling configuration has no KeyPointLabels control: poses need one for joints."
        )
    matched = []
    for control in controls:
        joints = {}
        for written, shown in _texts(control, "Label").items():
            found = (skeleton.match(text) for text in (written, shown))
            joint = next((joint for joint in found if joint is not None), None)
            if joint is not None:
                joints[written] = joint
        matched.append((control, joints))
    control, joints = max(matched, key=lambda pair: len(pair[1]))
    if not joints:
        labels = [label for control in controls for label in _texts(control, "Label")][:MAX_GUESSED]
        raise LabelingConfigError(
            f"No label of KeyPointLabels names a joint: {say_unknown(labels, skeleton) or 'there is none'}. "
            f"The joints of the {skeleton.name} skeleton are {', '.join(skeleton.names)}."
        )
    return control, joints


def _find_image_key(root: ElementTree.Element, keypoints: ElementTree.Element) -> str:
    """Return the data key of the image that the keypoints are drawn on."""
    target = keypoints.get("toName", "")
    image = next((image for image in _tags(root, "Image") if target and image.get("name") == target), None)
    if image is None:
        raise LabelingConfigError(
            f"The KeyPointLabels control {_name(keypoints)!r} is for {target!r}, but there is no Image of that name."
        )
    value = image.get("value", "")
    if not value.startswith("$") or len(value) == 1:
        raise LabelingConfigError(
            f'The Image {target!r} must take one image from the task data, such as value="$image"; got {value!r}.'
        )
    return value[1:]


def _find_box(controls: list[ElementTree.Element], image_name: str) -> tuple[ElementTree.Element, str]:
    """Choose the RectangleLabels control, and its label, that stand for a person."""
    fitting = [(control, _texts(control, "Label")) for control in controls if control.get("toName") == image_name]
    fitting = [(control, labels) for control, labels in fitting if labels]
    if not fitting:
        raise LabelingConfigError(
            f"The labelling configuration has no RectangleLabels control with a label for the image {image_name!r}: "
            "poses need one for the boxes of persons."
        )
    for control, labels in fitting:
        for written, shown in labels.items():
            if {written.strip().lower(), shown.strip().lower()} & PERSON_NAMES:
                return control, written
    if len(fitting) > 1 or len(fitting[0][1]) > 1:
        found = [label for _, labels in fitting for label in labels]
        raise LabelingConfigError(f"No RectangleLabels label is called person; its labels are: {', '.join(found)}.")
    control, labels = fitting[0]
    return control, next(iter(labels))


def _find_visibility(
    controls: list[ElementTree.Element], keypoints: ElementTree.Element
) -> tuple[ElementTree.Element | None, str | None, str | None]:
    """Return the per-region Choices of visibility with its texts for visible and occluded, or Nones."""
    for control in controls:
        when = control.get("whenTagName")
        per_region = control.get("perRegion", "").lower() == "true"
        for_keypoints = when is None or keypoints.get("name") in [name.strip() for name in when.split(",")]
        if not per_region or not for_keypoints or control.get("toName") != keypoints.get("toName"):
            continue
        texts = _texts(control, "Choice")
        visible = _first_meaning(texts, _VISIBLE_WORDS)
        occluded = _first_meaning(texts, _OCCLUDED_WORDS)
        if occluded is not None:
            return control, visible, occluded
    return None, None, None


def _first_meaning(texts: Mapping[str, str], words: frozenset[str]) -> str | None:
    """Return the first written text that is one of ``words``, as written or as shown."""
    for written, shown in texts.items():
        if {" ".join(text.lower().replace("_", " ").split()) for text in (written, shown)} & words:
            return written
    return None
