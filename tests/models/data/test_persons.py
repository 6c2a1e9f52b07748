"""Crops of persons for training: photos as their labels see them, and what may be learned from them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clickpose.data.persons import Augmentation, PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.skeleton import COCO

QUARTER_TURN = 6  # EXIF: to be turned clockwise by a quarter


def write_photo(path: Path, orientation: int | None) -> Path:
    """A photo, stored 60 wide and 40 high, red in its left half."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30, 0] = 255
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def test_a_turned_photo_is_cropped_where_its_labels_are(tmp_path):
    path = write_photo(tmp_path / "photo.png", QUARTER_TURN)
    box = np.array([0.0, 0.0, 40.0, 30.0])  # the red half of the upright photo, 40 wide and 60 high
    record = PersonRecord(
        annotation_id=1,
        image_path=path,
        image_hw=(60, 40),
        keypoints=np.full((17, 2), 20.0),
        visibility=np.full(17, 2),
        box_xyxy=box,
        area=600.0,
        visibility_known=True,
    )
    image = PersonDataset([record], COCO, 32)[0].image
    assert (image[0, 12:20, 12:20] == 255).all()


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("box_known", [False, True])
def test_boxes_are_learned_whether_or_not_visibility_is_known(tmp_path, box_known, rotated):
    path = write_photo(tmp_path / "photo.png", None)
    box = np.array([5.0, 5.0, 55.0, 35.0])
    record = PersonRecord(
        annotation_id=1,
        image_path=path,
        image_hw=(40, 60),
        keypoints=np.full((17, 2), 20.0),
        visibility=np.full(17, 2),
        box_xyxy=box,
        area=600.0,
        visibility_known=False,
        box_known=box_known,
    )
    change = Augmentation(rotation_probability=float(rotated))
    labels = PersonDataset([record], COCO, 32, change)[0].labels
    assert labels.box_known.item() == (box_known and not rotated)
    assert not labels.visibility_known.item()
