"""Every data set's own format: golden values from a handful of real annotations, and small files made here."""

import json

import numpy as np
import pytest
from PIL import Image

from clickpose.data.formats import FORMATS, read_dataset
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS

FIXTURES = {
    "coco": "coco/test_coco.json",
    "humanart": "humanart/test_humanart.json",
    "humanart21": "humanart/test_humanart.json",
    "ochuman": "ochuman/test_ochuman.json",
    "crowdpose": "crowdpose/test_crowdpose.json",
    "mpii": "mpii/test_mpii.json",
    "wholebody": "coco/test_coco_wholebody.json",
    "aic": "aic/test_aic.json",
    "halpe": "halpe/test_halpe.json",
}


@pytest.fixture
def fixture(shared_folder):
    def read(format_name):
        path = shared_folder / "fixtures" / "datasets" / FIXTURES[format_name]
        if not path.is_file():
            pytest.skip(f"{path} is absent")
        return read_dataset(path, format_name)

    return read


@pytest.mark.parametrize(
    ("format_name", "images", "persons", "ignored", "joints", "labelled", "area"),
    [
        ("coco", 4, 12, 2, 17, 17, 27789.11055),
        ("humanart", 3, 4, 0, 17, 13, 288736.90076053096),
        ("humanart21", 3, 4, 0, 21, 15, 288736.90076053096),
        ("ochuman", 3, 5, 0, 17, 17, 356725),
        ("crowdpose", 2, 4, 1, 14, 7, 0.53 * 273.15 * 352.42),
        ("mpii", 5, 5, 0, 16, 16, 0.53 * (1.2 * (1167 - 798)) * (1.2 * (711 - 80.0306))),
        ("wholebody", 4, 12, 2, 133, 17 + 6 + 68 + 21, 27789.11055),
        ("aic", 3, 9, 0, 14, 10, 0.53 * 213 * 544),
        ("halpe", 4, 12, 2, 136, None, 27789.11055),
    ],
)
def test_golden_values(fixture, format_name, images, persons, ignored, joints, labelled, area):
    dataset = fixture(format_name)
    assert (len(dataset.images), len(dataset.persons), len(dataset.ignored)) == (images, persons, ignored)
    first = dataset.persons[0]
    assert first.keypoints.shape == (joints, 2) == (len(dataset.skeleton), 2)
    assert first.area == pytest.approx(area)
    if labelled is not None:
        assert first.labelled.sum() == labelled
    if format_name != "halpe":  # its photos are COCO's, in another folder
        for image in dataset.images:
            with Image.open(image.path) as photo:
                assert (photo.height, photo.width) == image.image_hw
    # boxes are corners, not sizes, in the same frame as the joints; a few labels of AI Challenger stray from them
    inside = [
        ((p.keypoints >= p.box_xyxy[:2] - 9) & (p.keypoints <= p.box_xyxy[2:] + 9))[p.labelled] for p in dataset.persons
    ]
    assert np.concatenate(inside).mean() > 0.95


@pytest.mark.parametrize(
    ("format_name", "joint", "position", "visibility"),
    [
        ("coco", "left_wrist", (449, 165), 2),
        ("humanart21", "left_finger", (711.6695, 1391.3213), 2),
        ("ochuman", "left_elbow", (577, 287), 1),
        ("crowdpose", "neck", (220, 89), 1),
        ("mpii", "left_wrist", (1141, 477), 2),  # 0-based
        ("mpii", "head_top", (961.2409, 79.0306), 2),
        ("aic", "head_top", (395, 74), 2),
        ("halpe", "head", (370, 52), 2),
        ("halpe", "left_big_toe", (431, 378), 2),
    ],
)
def test_joints_have_their_places(fixture, format_name, joint, position, visibility):
    dataset = fixture(format_name)
    index = dataset.skeleton.index(joint)
    np.testing.assert_allclose(dataset.persons[0].keypoints[index], position)
    assert dataset.persons[0].visibility[index] == visibility


def test_whole_body_parts_come_from_their_own_fields(fixture, shared_folder):
    raw = json.loads((shared_folder / "fixtures" / "datasets" / FIXTURES["wholebody"]).read_text())["annotations"]
    dataset = fixture("wholebody")
    fields = {"feet": "foot_kpts", "face": "face_kpts", "left_hand": "lefthand_kpts", "right_hand": "righthand_kpts"}
    by_id = {annotation["id"]: annotation for annotation in raw}
    for person in dataset.persons:
        for part, name in fields.items():
            numbers = np.reshape(by_id[person.annotation_id][name], (-1, 3))
            labelled = numbers[:, 2] > 0
            chosen = list(dataset.skeleton.parts[part])
            np.testing.assert_array_equal(person.labelled[chosen], labelled)
            np.testing.assert_allclose(person.keypoints[chosen][labelled], numbers[labelled, :2])


def test_mpii_head_sizes_are_six_tenths_of_a_diagonal_between_whole_pixels(fixture):
    for person in fixture("mpii").persons:
        squared_diagonal = (person.head_size / 0.6) ** 2
        assert squared_diagonal == pytest.approx(round(squared_diagonal), abs=0.05)
    assert fixture("mpii").persons[0].head_size == pytest.approx(0.6 * 38653**0.5, rel=1e-5)


def test_crowdpose_images_are_grouped_by_their_crowd_index(fixture):
    assert dict(fixture("crowdpose").groups) == {"easy": [], "medium": [106848, 103319], "hard": []}


def write_coco(folder, names, count, annotation=None, image=None):
    (folder / "images").mkdir(exist_ok=True)
    person = {"id": 3, "image_id": 1, "bbox": [10, 20, 30, 40], "keypoints": [15.0, 30.0, 2] * count}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 80} | (image or {})],
        "annotations": [person | (annotation or {})],
        "categories": [{"id": 1, "name": "person", "keypoints": list(names)}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("index", "level"), [(0.0, "easy"), (0.19, "easy"), (0.2, "medium"), (0.79, "medium"), (0.8, "hard"), (1.0, "hard")]
)
def test_crowdpose_levels_and_areas_on_a_small_file(tmp_path, index, level):
    names = SKELETONS["crowdpose"].names
    folder = write_coco(
        tmp_path, ["top_head" if name == "head" else name for name in names], 14, image={"crowdIndex": index}
    )
    dataset = read_dataset(folder, "crowdpose")
    assert {name for name, ids in dataset.groups.items() if ids} == {level}
    assert dataset.persons[0].area == pytest.approx(0.53 * 30 * 40)


@pytest.mark.parametrize(("index", "found"), [("0.3 %", "got '0.3 %"), (float("nan"), "got nan"), ([1], "got a list")])
def test_a_crowd_index_is_a_number(tmp_path, index, found):
    names = ["top_head" if name == "head" else name for name in SKELETONS["crowdpose"].names]
    with pytest.raises(ValueError, match=f"Expected .*crowdIndex.*{found}"):
        read_dataset(write_coco(tmp_path, names, 14, image={"crowdIndex": index}), "crowdpose")


@pytest.mark.parametrize(
    ("format_name", "changes", "sentence"),
    [
        ("wholebody", {"foot_kpts": 5}, "Expected 18 numbers of foot_kpts in annotation 3 of .*, got 5"),
        ("wholebody", {"foot_kpts": ["a"] * 18}, "18 numbers of foot_kpts in annotation 3 of .*, got 'a' among them"),
        (
            "wholebody",
            {"keypoints": {"nose": 1}},
            "51 numbers of keypoints in annotation 3 of .*, got an object",
        ),
        (
            "halpe",
            {"keypoints": ["a"] * 408},
            r"408 numbers of keypoints \(halpe\) in annotation 3 of .*, got 'a'",
        ),
        ("halpe", {"keypoints": 5}, r"408 numbers of keypoints \(halpe\) in annotation 3 of .*, got 5"),
        ("humanart", {"keypoints": "x"}, r"51 numbers of keypoints \(coco\) in annotation 3 of .*, got 'x'"),
        ("aic", {"bbox": [1, 2]}, r"Expected 4 numbers of bbox \(.*\) in annotation 3 of .*, got 2"),
        ("crowdpose", {"bbox": "wide"}, r"Expected 4 numbers of bbox \(.*\) in annotation 3 of .*, got 'wide'"),
        ("crowdpose", {"bbox": None}, "Expected an area of 0 px² or more in annotation 3 of .*, got none"),
    ],
)
def test_what_other_formats_keep_elsewhere_is_named_as_well(tmp_path, format_name, changes, sentence):
    known = {"humanart": "coco", "wholebody": "coco", "halpe": "coco"}
    names = SKELETONS[known.get(format_name, format_name)].names
    folder = write_coco(tmp_path, names, 136 if format_name == "halpe" else len(names), {"area": 5.0} | changes)
    with pytest.raises(ValueError, match=sentence):
        read_dataset(folder, format_name)


def test_the_scores_of_halpes_hands_are_visibilities_whatever_says_that_it_is_no_crowd(tmp_path):
    keypoints = [15.0, 30.0, 0.75] * 136
    names = SKELETONS["halpe"].names
    (person,) = read_dataset(
        write_coco(tmp_path, names, 136, {"area": 5.0, "keypoints": keypoints, "iscrowd": "0"}), "halpe"
    ).persons
    assert (person.visibility == 2).all()


def test_a_broken_part_of_a_whole_body_is_named(tmp_path):
    folder = write_coco(tmp_path, COCO.names, 17, {"area": 5.0, "foot_kpts": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"Expected 18 numbers of foot_kpts in annotation 3 of .*annotations"):
        read_dataset(folder, "wholebody")


@pytest.mark.parametrize("nested", [True, False])
def test_human_art_photos_are_found_inside_or_outside_their_prefix(tmp_path, nested):
    names = SKELETONS["humanart21"].names
    (tmp_path / "images" / ("HumanArt/images" if nested else ".")).mkdir(parents=True)
    image = {"file_name": "HumanArt/images/oil/a.jpg"}
    folder = write_coco(tmp_path, names, 17, {"keypoints_21": [16.0, 31.0, 2] * 21, "area": 5.0}, image)
    expected = tmp_path / "images" / ("HumanArt/images/oil/a.jpg" if nested else "oil/a.jpg")
    for format_name, x in (("humanart", 15.0), ("humanart21", 16.0)):
        (person,) = read_dataset(folder, format_name).persons
        assert person.image_path == expected and person.keypoints[0, 0] == x


@pytest.mark.parametrize(
    ("format_name", "count"), [("coco", 17), ("ochuman", 17), ("crowdpose", 14), ("aic", 14), ("humanart21", 21)]
)
def test_other_joints_are_refused(tmp_path, format_name, count):
    skeleton = {"coco": "coco", "ochuman": "coco"}.get(format_name, format_name)
    folder = write_coco(tmp_path, (*SKELETONS[skeleton].names[1:], "tail"), count)
    with pytest.raises(ValueError, match=r"Expected the joints .* in .*annotations.json"):
        read_dataset(folder, format_name)


@pytest.fixture
def mpii(tmp_path):
    def write(**changes):
        Image.new("RGB", (200, 100)).save(tmp_path / "a.jpg")
        joints = [[11.0 + i, 21.0 + 2 * i] for i in range(16)]
        entry = {"image": "a.jpg", "joints": joints, "joints_vis": [1] * 16, "scale": 1.0, "center": [1, 1]} | changes
        path = tmp_path / "mpii.json"
        path.write_text(json.dumps([{key: value for key, value in entry.items() if value is not None}]))
        return read_dataset(path, "mpii", tmp_path)

    return write


def test_an_mpii_person_gets_box_area_and_head_size(mpii):
    dataset = mpii()
    (person,) = dataset.persons
    np.testing.assert_allclose(person.box_xyxy, [10 - 1.5, 20 - 3, 25 + 1.5, 50 + 3])
    assert person.area == pytest.approx(0.53 * 18 * 36) and person.image_hw == (100, 200)
    assert person.head_size == pytest.approx(0.75 * 5**0.5)
    assert mpii(joints_vis=[1] * 9 + [0] * 7).persons[0].head_size is None
    assert mpii(joints_vis=[0] * 16).report().endswith("(1 persons without a labelled joint)")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"joints": [[1.0, 2.0]] * 15},
            "16 positions of joints in the person at place 0 of .*mpii.json, got 15",
        ),
        ({"joints": [[1.0]] * 16}, "Expected 2 numbers of a position of joints in the person at place 0 of .*, got 1"),
        ({"joints_vis": None}, "Expected 16 numbers of joints_vis in the person at place 0 of .*mpii.json, got none"),
        ({"joints": [[float("nan"), 2.0]] * 16}, "finite joints in the person at place 0 of .*mpii.json"),
        ({"image": None}, "Expected the name of an image in the person at place 0 of .*mpii.json, got none"),
    ],
)
def test_broken_mpii_entries_are_named(mpii, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        mpii(**changes)


def test_a_file_that_is_no_photo_is_named(mpii, tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"Cannot read .*b\.jpg: Expected an image .* a file that is none of these"):
        mpii(image="b.jpg")


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_missing_file_is_named(tmp_path, format_name):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_dataset(tmp_path / "nowhere", format_name)


def test_a_format_has_the_joints_that_are_asked_for_or_is_refused(tmp_path):
    folder = write_coco(tmp_path, SKELETONS["crowdpose"].names, 14)
    assert read_dataset(folder, "crowdpose", skeleton=SKELETONS["crowdpose"]).skeleton == SKELETONS["crowdpose"]
    with pytest.raises(ValueError, match=r"Expected a format with the joints nose, .*, got crowdpose with left_should"):
        read_dataset(folder, "crowdpose", skeleton=COCO)


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="Expected a format of coco, humanart, humanart21"):
        read_dataset(tmp_path, "posetrack")


@pytest.mark.parametrize("name", ["gt.json", "GT.JSON", "gt", "gt.json.bak", "annotations.txt"])
def test_a_file_is_a_file_whatever_its_suffix(tmp_path, name):
    folder = write_coco(tmp_path, COCO.names, 17, {"area": 5.0})
    (folder / "annotations.json").rename(folder / name)
    assert len(read_dataset(folder / name).persons) == 1


def test_what_is_neither_file_nor_data_set_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected an annotation file or a folder .* at .*gt, found neither"):
        read_dataset(tmp_path / "gt")
    with pytest.raises(FileNotFoundError, match=f"at {tmp_path}, found no annotations.json in it"):
        read_dataset(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"Expected COCO keypoints at .*gt\.JSON, found no such file"):
        read_dataset(tmp_path / "gt.JSON")
