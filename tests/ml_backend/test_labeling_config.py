"""Labelling configurations: ours, strangers', and those that cannot serve."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickpose.skeleton import COCO
from clickpose_labelstudio.labeling_config import LabelingConfigError, build_labeling_config, parse_labeling_config
from clickpose_labelstudio.launch.bridge_script import SOURCES

STRANGE = """
<View><Header value="Look!"/>
  <View style="display:flex">
    <Choices name="scene" toName="pic" choice="single"><Choice value="occluded"/></Choices>
    <Choices name="state" toName="pic" perRegion="true" whenTagName="dots">
      <Choice value="Hidden" alias="h"/><Choice value="Visible"/></Choices>
    <View><KeyPointLabels name="dots" toName="pic">
      <Label value="LWrist"/><Label value="wrist right" alias="rw"/><Label value="tail"/>
    </KeyPointLabels></View>
  </View>
  <RectangleLabels name="things" toName="pic"><Label value="dog"/><Label value="Human"/></RectangleLabels>
  <Image name="other" value="$thumb"/><Image name="pic" value="$photo_url"/>
</View>
"""


def config_with(old: str, new: str) -> str:
    xml = build_labeling_config()
    assert old in xml
    return xml.replace(old, new)


def test_own_config_is_read_back():
    config = parse_labeling_config(build_labeling_config())
    assert (config.image_name, config.image_key) == ("image", "image")
    assert (config.box_name, config.person_label) == ("box", "person")
    assert config.keypoint_name == "keypoint"
    assert config.joint_by_label == {name: joint for joint, name in enumerate(COCO.names)}
    assert (config.visibility_name, config.visible_choice, config.occluded_choice) == (
        "visibility", "visible", "occluded",
    )  # fmt: skip


def test_own_config_keeps_boxes_from_asking_the_backend():
    root = ElementTree.fromstring(build_labeling_config())
    assert root.find("RectangleLabels").get("smart") == "false"
    assert root.find("KeyPointLabels").get("smart") == "true"


def test_own_colors_tell_the_side_of_the_body_as_the_bridge_does_and_nothing_else():
    root = ElementTree.fromstring(build_labeling_config())
    colors = {label.get("value"): label.get("background") for label in root.find("KeyPointLabels")}
    drawn = dict(re.findall(r'(left|right): "(#\w+)"', (SOURCES / "drawing" / "signs.js").read_text()))
    assert list(colors) == list(COCO.names) and set(drawn) == {"left", "right"}
    for name, color in colors.items():
        assert color == drawn.get(name.split("_")[0], "#a3acb9"), name
    red, green, blue = (int(colors["nose"][i : i + 2], 16) for i in (1, 3, 5))
    assert max(red, green, blue) - min(red, green, blue) < 30  # grey: a middle joint has no side


def test_names_labels_and_aliases_come_from_the_config():
    config = parse_labeling_config(STRANGE)
    assert (config.image_name, config.image_key) == ("pic", "photo_url")
    assert (config.box_name, config.person_label) == ("things", "Human")
    assert config.joint_by_label == {"LWrist": 9, "rw": 10}
    assert config.label_by_joint == {9: "LWrist", 10: "rw"}
    assert config.unmatched_labels == ("tail",)
    assert (config.visibility_name, config.visible_choice, config.occluded_choice) == ("state", "Visible", "h")


def test_choices_without_a_meaning_for_occluded_are_left_alone():
    xml = config_with('<Choice value="occluded" />', '<Choice value="blurred" />')
    config = parse_labeling_config(xml)
    assert (config.visibility_name, config.visible_choice, config.occluded_choice) == (None, None, None)


def test_choices_of_the_whole_task_are_not_visibility():
    assert parse_labeling_config(config_with('perRegion="true"', 'perRegion="false"')).visibility_name is None


def test_one_box_label_of_any_name_is_a_person():
    assert parse_labeling_config(config_with('value="person"', 'value="athlete"')).person_label == "athlete"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("", "is empty"),
        ("<View>", "is not XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>', "XML entities"),
        ("<View/>", "no KeyPointLabels"),
        (config_with("KeyPointLabels", "BrushLabels"), "no KeyPointLabels"),
        (config_with("RectangleLabels", "PolygonLabels"), "no RectangleLabels"),
        (config_with('value="$image"', 'value="/a.png"'), r"must take one image from the task data"),
        (config_with('value="$image"', 'valueList="$images"'), r"must take one image from the task data"),
        (config_with('<Image name="image"', '<Image name="photo"'), "no Image of that name"),
        (config_with(' name="keypoint"', ""), "has no name"),
    ],
)
def test_config_that_cannot_serve_says_why(xml, message):
    with pytest.raises(LabelingConfigError, match=message):
        parse_labeling_config(xml)


def test_config_without_joints_lists_its_labels():
    xml = """<View><Image name="i" value="$i"/><RectangleLabels name="b" toName="i"><Label value="person"/>
    </RectangleLabels><KeyPointLabels name="k" toName="i"><Label value="tail"/><Label value="fin"/></KeyPointLabels>
    </View>"""
    with pytest.raises(LabelingConfigError, match=r"names a joint: “tail”, “fin”\. The joints of the coco"):
        parse_labeling_config(xml)


def test_ambiguous_boxes_list_their_labels():
    with pytest.raises(LabelingConfigError, match="called person; its labels are: dog, cat"):
        parse_labeling_config(
            config_with('<Label value="person" background="#8a8f98" />', '<Label value="dog"/><Label value="cat"/>')
        )


def test_image_reference_is_read_from_the_task():
    config = parse_labeling_config(STRANGE)
    assert config.image_reference({"photo_url": "/data/upload/1/a.png"}) == "/data/upload/1/a.png"
    for data in ({}, {"photo_url": 3}, None, [], {"photo_url": ""}):
        with pytest.raises(LabelingConfigError, match=r"reads its image from \$photo_url"):
            config.image_reference(data)


@pytest.mark.slow
@given(st.one_of(st.text(), st.from_regex(r"<View>(<[A-Z][a-z]+ name='[a-z$]*' toName='[a-z]*'/>)*</View>")))
def test_any_text_is_read_or_refused(xml):
    try:
        parse_labeling_config(xml)
    except LabelingConfigError as error:
        assert str(error).endswith(".") or ":" in str(error)
