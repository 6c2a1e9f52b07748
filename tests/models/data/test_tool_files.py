"""People to and from CVAT, Datumaro, SLEAP and DeepLabCut: names, order and visibility of joints survive."""

import copy
import json
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from clickpose.cli import app
from clickpose.data.cvat import cvat_labels, read_cvat, to_cvat
from clickpose.data.datumaro import from_datumaro, to_datumaro
from clickpose.data.skeleton_labels import labels_of_coco, labels_to_coco
from clickpose.data.tool_files import read_label_file, write_label_file
from clickpose.skeleton import COCO

# as CVAT 2 exports a task "CVAT for images 1.1": joints in an order of their own, one outside, one occluded
EXPORT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><id>7</id><labels>
    <label><name>square</name><color>#fa3253</color><type>skeleton</type><attributes></attributes>
      <svg>&lt;line x1="1" y1="1" x2="9" y2="1" data-type="edge" data-node-from="2" data-node-to="3"&gt;&lt;/line&gt;&lt;circle r="0.75" cx="1" cy="1" data-type="element node" data-element-id="1" data-node-id="2" data-label-name="top_left"&gt;&lt;/circle&gt;&lt;circle r="0.75" cx="9" cy="1" data-type="element node" data-element-id="2" data-node-id="3" data-label-name="top_right"&gt;&lt;/circle&gt;</svg>
    </label>
    <label><name>top_left</name><color>#000</color><type>points</type><attributes></attributes><parent>square</parent></label>
    <label><name>top_right</name><color>#000</color><type>points</type><attributes></attributes><parent>square</parent></label>
    <label><name>bottom</name><color>#000</color><type>points</type><attributes></attributes><parent>square</parent></label>
    <label><name>car</name><color>#000</color><type>rectangle</type><attributes></attributes></label>
  </labels></job></meta>
  <image id="0" name="a/1.jpg" width="640" height="480">
    <skeleton label="square" source="manual" z_order="0" group_id="3">
      <points label="bottom" source="manual" outside="1" occluded="0" points="5.00,9.00"></points>
      <points label="top_right" source="manual" outside="0" occluded="1" points="30.25,20.50"></points>
      <points label="top_left" source="manual" outside="0" occluded="0" points="10.00,21.00"></points>
      <attribute name="pose">standing</attribute>
    </skeleton>
    <box label="car" source="manual" occluded="0" xtl="1.00" ytl="2.00" xbr="3.00" ybr="4.00" z_order="0"></box>
    <box label="any" source="manual" occluded="0" xtl="5.00" ytl="6.00" xbr="45.00" ybr="36.00" z_order="0" group_id="3"></box>
  </image>
  <image id="1" name="b.jpg" width="32" height="24"></image>
</annotations>
"""  # noqa: E501


@pytest.fixture
def document():
    """Two people of three joints, with all that COCO knows and tools do not."""
    joints = ["nose", "left_wrist", "right_wrist"]
    people = [
        {"id": 11, "image_id": 5, "category_id": 1, "iscrowd": 0, "area": 321.123456, "num_keypoints": 2,
         "keypoints": [10.123456, 20.5, 2, 0, 0, 0, 30.1, 40.987654, 1], "bbox": [5.5, 6.25, 50.123456, 60.0],
         "segmentation": [[1, 2, 3, 4, 5, 6]]},
        {"id": 4, "image_id": 9, "category_id": 1, "iscrowd": 0, "area": 50.0, "num_keypoints": 3,
         "keypoints": [1, 2, 2, 3, 4, 2, 5, 6, 2], "bbox": [0, 0, 10, 5]},
    ]  # fmt: skip
    return {
        "info": {"year": 2026},
        "images": [{"id": 9, "file_name": "b.jpg", "width": 64, "height": 48, "license": 3},
                   {"id": 5, "file_name": "a/1.jpg", "width": 640, "height": 480}],
        "categories": [{"id": 1, "name": "person", "keypoints": joints, "skeleton": [[1, 2], [1, 3]]}],
        "annotations": people,
    }  # fmt: skip


def test_an_export_of_cvat_is_read_by_the_names_of_its_joints(tmp_path):
    path = tmp_path / "annotations.xml"
    path.write_text(EXPORT)
    notes = {}
    coco = read_label_file(path, notes=notes)
    (person,) = coco["annotations"]
    assert coco["categories"][0]["keypoints"] == ["top_left", "top_right", "bottom"]
    assert coco["categories"][0]["skeleton"] == [[1, 2]]
    assert person["keypoints"] == [10.0, 21.0, 2, 30.25, 20.5, 1, 0, 0, 0] and person["num_keypoints"] == 2
    assert person["bbox"] == [5, 6, 40, 30] and person["area"] == 1200
    assert person["attributes"] == {"pose": "standing"}
    assert [image["file_name"] for image in coco["images"]] == ["a/1.jpg", "b.jpg"]
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (640, 480)
    assert {what: count for what, count in notes.items() if count} == {
        "rectangles that belong to no skeleton, left out": 1
    }


def test_the_archive_that_cvat_gives_is_the_same(tmp_path):
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("annotations.xml", EXPORT)
    (tmp_path / "annotations.xml").write_text(EXPORT)
    assert read_label_file(tmp_path / "task.zip") == read_label_file(tmp_path / "annotations.xml")


@pytest.mark.parametrize("tool", ["cvat", "datumaro"])
def test_what_went_into_a_tool_comes_back_as_it_was(tmp_path, document, tool):
    written = write_label_file(tmp_path / ("x.xml" if tool == "cvat" else "x.json"), document, tool)[0]
    back = read_label_file(written, like=document)
    assert back == document
    alone = read_label_file(written)  # without the original: joints to CVAT's digits, ids
    assert [person["id"] for person in alone["annotations"]] == [4, 11]
    by_id = {person["id"]: person for person in alone["annotations"]}
    assert by_id[11]["keypoints"] == pytest.approx(document["annotations"][0]["keypoints"], abs=1e-4)
    assert by_id[11]["keypoints"][2::3] == [2, 0, 1]


def test_only_what_was_changed_in_the_tool_changes(tmp_path, document):
    path = write_label_file(tmp_path / "x.xml", document, "cvat")[0]
    text = path.read_text()
    assert 'points="30.1,40.9877"' in text
    path.write_text(
        text.replace('points="30.1,40.9877"', 'points="33.00,44.00"').replace('occluded="1"', 'occluded="0"')
    )
    back = read_label_file(path, like=document)
    wanted = copy.deepcopy(document)
    wanted["annotations"][0]["keypoints"][6:] = [33.0, 44.0, 2]
    assert back == wanted


def test_two_digits_are_what_cvat_keeps_and_change_nothing(tmp_path, document):
    path = write_label_file(tmp_path / "x.xml", document, "cvat")[0]
    path.write_text(path.read_text().replace("10.1235", "10.12").replace("40.9877", "40.99"))
    assert read_label_file(path, like=document) == document


def test_people_added_and_deleted_in_the_tool_are_new_and_gone(tmp_path, document):
    photos = labels_of_coco(document, COCO)
    (first,), (second,) = photos[1].persons, photos[0].persons
    fresh = type(first)(label=first.label, keypoints=first.keypoints + 1, visibility=first.visibility)
    changed = [
        type(photos[0])(photos[0].name, photos[0].image_hw, (second, fresh)),
        type(photos[1])(photos[1].name, None),
    ]
    notes = {}
    back = labels_to_coco(changed, like=document, notes=notes)
    assert [(person["id"], person["image_id"]) for person in back["annotations"]] == [(4, 9), (12, 9)]
    assert back["images"] == document["images"]
    assert notes["people who are new"] == 1


def test_results_keep_their_scores_and_say_which_joints_are_hidden(tmp_path, document):
    person = document["annotations"][1]
    person |= {"score": 0.75, "keypoints": [1, 2, 0.9, 3, 4, 0.2, 0, 0, 0], "visibility_scores": [0.9, 0.3, 0.1]}
    photos = labels_of_coco(document, COCO)
    assert photos[0].persons[0].visibility.tolist() == [2, 1, 0] and photos[0].persons[0].score == 0.75
    xml = to_cvat(photos)
    (tmp_path / "x.xml").write_text(xml)
    again, _ = read_cvat(tmp_path / "x.xml")
    assert again[0].persons[0].score == 0.75 and again[1].persons[0].score is None
    assert from_datumaro(json.loads(json.dumps(to_datumaro(photos))))[0][0].persons[0].score == 0.75


def test_datumaro_has_joints_in_the_order_that_it_names(document):
    content = to_datumaro(labels_of_coco(document, COCO))
    labels = [entry["name"] for entry in content["categories"]["label"]["labels"]]
    assert labels == ["person", "nose", "left_wrist", "right_wrist", "person box"]
    assert content["categories"]["points"]["items"] == [
        {"label_id": 0, "labels": ["nose", "left_wrist", "right_wrist"], "joints": [[1, 2], [1, 3]]}
    ]
    skeleton, box = content["items"][1]["annotations"]
    assert skeleton["points"] == [10.123456, 20.5, 2, 0, 0, 0, 30.1, 40.987654, 1]
    assert len(skeleton["points_attributes"]) == 3 and skeleton["group"] == box["group"] == 2
    assert box["bbox"] == [5.5, 6.25, 50.123456, 60.0] and content["items"][1]["image"]["size"] == [480, 640]


def test_cvat_is_told_the_skeleton_and_a_label_for_the_box(document):
    label = labels_of_coco(document, COCO)[0].persons[0].label
    skeleton, box = cvat_labels([label])
    assert [joint["name"] for joint in skeleton["sublabels"]] == ["nose", "left_wrist", "right_wrist"]
    assert 'data-node-from="1" data-node-to="3"' in skeleton["svg"] and box["type"] == "rectangle"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html></html>", "Expected CVAT's XML with <annotations> in .*, got <html>"),
        ("{}", "Expected CVAT's XML in .*, got something else"),
        (
            '<!DOCTYPE x [<!ENTITY a "b">]><annotations>&a;</annotations>',
            "Expected CVAT's XML in .*, got something else",
        ),
        ("<annotations><track id='0' label='p'/></annotations>", "got the tracks of “CVAT for video”"),
        (EXPORT.replace('label="bottom"', 'label="botom"'), "Expected a joint of “square” .*, got “botom”"),
        (EXPORT.replace("30.25,20.50", "30.25"), "Expected 2 numbers of <points> in a/1.jpg of .*, got '30.25'"),
        (EXPORT.replace("30.25,20.50", "nan,1"), "Expected 2 numbers of <points>"),
    ],
)
def test_other_xml_is_refused_with_a_sentence(tmp_path, text, message):
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_label_file(tmp_path / "annotations.xml")


def test_the_command_says_what_it_left_out(tmp_path, document):
    document["annotations"].append({**document["annotations"][1], "id": 99, "iscrowd": 1})
    (tmp_path / "coco.json").write_text(json.dumps(document))
    run = CliRunner().invoke(
        app, ["convert", str(tmp_path / "coco.json"), "--to", "cvat", "--out", str(tmp_path / "x.xml")]
    )
    assert run.exit_code == 0, run.output
    assert "1 crowds, which tools do not know, left out" in run.output and (tmp_path / "x.labels.json").exists()
    back = [
        "convert",
        str(tmp_path / "x.xml"),
        "--to",
        "coco",
        "--out",
        str(tmp_path / "y.json"),
        "--like",
        str(tmp_path / "coco.json"),
    ]
    assert CliRunner().invoke(app, back).exit_code == 0
    assert json.loads((tmp_path / "y.json").read_text()) == document  # the crowd, too


def test_sleap_takes_joints_and_scores_and_says_what_it_cannot(tmp_path, document):
    pytest.importorskip("sleap_io")
    notes = {}
    path = write_label_file(tmp_path / "x.slp", document, "sleap", notes=notes)[0]
    assert notes["hidden joints, written as visible: SLEAP knows none"] == 1
    back = read_label_file(path)
    assert back["categories"][0]["keypoints"] == ["nose", "left_wrist", "right_wrist"]
    assert [image["file_name"] for image in back["images"]] == ["b.jpg", "a/1.jpg"]
    assert back["annotations"][1]["keypoints"] == [10.123456, 20.5, 2, 0, 0, 0, 30.1, 40.987654, 2]


def test_deeplabcut_is_read_beside_its_photos_only(tmp_path):
    pytest.importorskip("sleap_io")
    from PIL import Image

    folder = tmp_path / "labeled-data" / "v"
    folder.mkdir(parents=True)
    csv = folder / "CollectedData_me.csv"
    csv.write_text(
        "scorer,,,me,me,me,me\nbodyparts,,,nose,nose,tail,tail\ncoords,,,x,y,x,y\n"
        "labeled-data,v,img000.png,10.5,20,,\nlabeled-data,v,img007.png,1,2,3,4\n"
    )
    Image.new("RGB", (8, 8)).save(folder / "img007.png")
    with pytest.raises(ValueError, match=r"Expected the 2 labelled photos of .* beside it, .*, found 1"):
        read_label_file(csv)
    Image.new("RGB", (8, 8)).save(folder / "img000.png")
    coco = read_label_file(csv)
    assert [image["file_name"] for image in coco["images"]] == [
        "labeled-data/v/img000.png",
        "labeled-data/v/img007.png",
    ]
    assert coco["annotations"][0]["keypoints"] == [10.5, 20, 2, 0, 0, 0]
    assert np.array(coco["annotations"][1]["keypoints"]).tolist() == [1, 2, 2, 3, 4, 2]
