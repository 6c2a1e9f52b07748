"""Whole photos as training samples: what is shown of them, and where the labels go."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from clickpose.data.photos import PhotoDataset, PhotoScales, collate_photos
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.skeleton import COCO

WIDTH, HEIGHT, STORED_HW = 160, 120, (80, 80)  # of the annotations; the file is stored squeezed


def person(number: int, path, center, spread: float, crowd: bool = False) -> PersonRecord:
    rng = np.random.default_rng(number)
    keypoints = np.asarray(center) + rng.uniform(-spread, spread, (17, 2))
    box = np.concatenate([np.asarray(center) - spread, np.asarray(center) + spread])
    visibility = np.zeros(17, int) if crowd else np.full(17, 2)
    return PersonRecord(
        annotation_id=number,
        image_path=path,
        image_hw=(HEIGHT, WIDTH),
        keypoints=keypoints,
        visibility=visibility,
        box_xyxy=box,
        area=spread**2,
        visibility_known=True,
        image_id=0,
        crowd=crowd,
        stored_hw=STORED_HW,
    )


@pytest.fixture
def data(tmp_path):
    """A photo with a bright spot at the nose of the first person, two people and a crowd; one without people."""
    path = tmp_path / "0.png"
    people = [person(1, path, (40, 60), 25.0), person(2, path, (120, 50), 12.0)]
    people[0].keypoints[0] = (30.0, 45.0)
    pixels = np.zeros((80, 80, 3), np.uint8)
    x, y = people[0].keypoints[0] * [80 / WIDTH, 80 / HEIGHT]
    pixels[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
    Image.fromarray(pixels).save(path)
    images = [ImageRecord(0, path, (HEIGHT, WIDTH), STORED_HW), ImageRecord(1, tmp_path / "1.png", (50, 50))]
    crowd = person(3, path, (140, 90), 10.0, crowd=True)
    return PoseDataset(name="two", skeleton=COCO, images=images, persons=people, ignored=[crowd], skipped=Counter())


def spot(image: torch.Tensor) -> torch.Tensor:
    """Return x, y of the centre of the bright pixels, 0..1 of the photo."""
    bright = image[0, 0] > 127
    rows, columns = bright.nonzero().float().mean(0) + 0.5
    return torch.stack([columns / image.shape[3], rows / image.shape[2]])


def test_a_plain_photo_is_stretched_back_and_keeps_everybody(data):
    dataset = PhotoDataset(data, PhotoScales.plain(60, 200))
    assert len(dataset) == 1  # a photo without people teaches nothing
    sample = dataset[0]
    assert sample.image.shape == (1, 3, 60, 80) and not sample.padding_mask.any()
    np.testing.assert_allclose(sample.boxes_norm[0, 0], [40 / 160, 60 / 120, 50 / 160, 50 / 120], atol=1e-6)
    np.testing.assert_allclose(sample.keypoints_norm[0, 0, 0], [30 / 160, 45 / 120], atol=1e-6)
    np.testing.assert_allclose(spot(sample.image), sample.keypoints_norm[0, 0, 0], atol=0.02)
    np.testing.assert_allclose(sample.area_norm[0], [625 / 19200, 144 / 19200], rtol=1e-5)
    np.testing.assert_allclose(sample.aspect[0], [(4 / 3) ** 0.5, (3 / 4) ** 0.5], rtol=1e-6)
    np.testing.assert_allclose(sample.ignored_norm[0], [[140 / 160, 90 / 120, 20 / 160, 20 / 120]], atol=1e-6)
    assert sample.present.tolist() == [[True, True]] and sample.labelled.all()


def test_a_mirrored_photo_exchanges_left_and_right(data):
    plain = PhotoDataset(data, PhotoScales.plain(60, 200))[0]
    mirrored = PhotoDataset(data, PhotoScales((60,), 200, flip_probability=1.0, cut_probability=0.0))[0]
    assert torch.equal(mirrored.image, plain.image.flip(3))
    np.testing.assert_allclose(mirrored.keypoints_norm[0, :, COCO.index("left_wrist"), 0],
                               1 - plain.keypoints_norm[0, :, COCO.index("right_wrist"), 0], atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(mirrored.boxes_norm[..., 0], 1 - plain.boxes_norm[..., 0], atol=1e-6)
    np.testing.assert_allclose(mirrored.boxes_norm[..., 1:], plain.boxes_norm[..., 1:], atol=1e-6)
    np.testing.assert_allclose(mirrored.ignored_norm[..., 0], 1 - plain.ignored_norm[..., 0], atol=1e-6)


def test_cuts_move_pixels_and_labels_together_and_lose_what_is_outside(data):
    scales = PhotoScales((60, 90), 300, 0.5, 1.0, cut_short_sides=(100, 150), cut_sides=(50, 90))
    dataset = PhotoDataset(data, scales)
    shapes, people, followed = set(), set(), 0
    for step in range(40):
        sample = dataset[(0, step)]
        shapes.add(sample.image.shape[2:])
        people.add(sample.present.shape[1])
        points = sample.keypoints_norm[sample.labelled]
        assert ((points >= 0) & (points <= 1)).all()
        low, high = (sample.boxes_norm[..., :2] + sign * sample.boxes_norm[..., 2:] / 2 for sign in (-1, 1))
        assert (low > -1e-6).all() and (high < 1 + 1e-6).all()
        noses = sample.keypoints_norm[sample.labelled[..., 0]][:, 0]
        whole = ((noses > 0.1) & (noses < 0.9)).all(-1)
        if (sample.image[0, 0] > 127).sum() > 20 and whole.any():
            followed += bool((noses[whole] - spot(sample.image)).norm(dim=-1).min() < 0.05)
    assert len(shapes) > 5 and people == {1, 2} and followed > 5


def test_of_whom_a_cut_shows_a_part_the_area_shrinks_and_who_shows_no_joint_is_ignored(data):
    data.persons[1].visibility[1:] = 0  # only the nose is labelled
    scales = PhotoScales((60, 90), 300, 0.5, 1.0, cut_short_sides=(100, 150), cut_sides=(50, 90))
    dataset, ignored, gone = PhotoDataset(dataclasses.replace(data, ignored=[]), scales), 0, 0
    for step in range(80):
        sample = dataset[(0, step)]
        sides = sample.boxes_norm[..., 2:]
        assert (sides > 0).all() and sample.labelled.any(-1).all()
        torch.testing.assert_close(sample.area_norm, sides.prod(-1) / 4, rtol=1e-4, atol=1e-6)  # a quarter of the box
        assert (sample.ignored_norm[..., 2:] > 0).all()
        ignored += sample.ignored_norm.shape[1]
        gone += sample.present.shape[1] + sample.ignored_norm.shape[1] < 2
    assert gone > 5 and ignored > 5


def test_photos_of_a_step_and_of_like_shape_have_one_size(data, tmp_path):
    records = [data.images[0]]
    for number, size in enumerate([(160, 120), (120, 160), (240, 160)], 2):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
        records.append(ImageRecord(number, tmp_path / f"{number}.png", size[::-1]))
    everybody = [dataclasses.replace(p, image_id=r.image_id) for r in records for p in data.persons]
    dataset = PhotoDataset(dataclasses.replace(data, images=records, persons=everybody), PhotoScales.around(100))
    like, other, tall, wide = dataset.shape_groups()
    assert like == other and len({like, tall, wide}) == 3
    sizes = [dataset[(0, step)].image.shape for step in range(12)]
    assert sizes == [dataset[(1, step)].image.shape for step in range(12)]
    assert len(set(sizes)) > 5
    flips = [torch.equal(dataset[(0, s)].keypoints_norm, dataset[(1, s)].keypoints_norm) for s in range(12)]
    assert not all(flips)  # mirror and place of the cut are each photo's own


def test_the_same_step_is_the_same_sample_and_another_is_not(data):
    dataset = PhotoDataset(data, PhotoScales.around(64), seed=3)
    first, again, other = dataset[(0, 5)], dataset[(0, 5)], dataset[(0, 6)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first.seed != other.seed
    assert PhotoDataset(data, PhotoScales.around(64), seed=4)[(0, 5)].seed != first.seed


def test_batches_are_padded_without_changing_what_is_there(data):
    one = PhotoDataset(data, PhotoScales.plain(60, 200))[0]
    cut = one._replace(
        image=one.image[..., :50, :40], padding_mask=one.padding_mask[:, :50, :40],
        boxes_norm=one.boxes_norm[:, :1], keypoints_norm=one.keypoints_norm[:, :1], labelled=one.labelled[:, :1],
        area_norm=one.area_norm[:, :1], present=one.present[:, :1], ignored_norm=one.ignored_norm[:, :0],
    )  # fmt: skip
    batch = collate_photos([one, cut])
    assert batch.image.shape == (2, 3, 60, 80) and batch.boxes_norm.shape == (2, 2, 4)
    assert batch.padding_mask.sum((1, 2)).tolist() == [0, 60 * 80 - 50 * 40]
    assert torch.equal(batch.image[1:, :, :50, :40], cut.image) and not batch.padding_mask[1, :50, :40].any()
    assert batch.present.tolist() == [[True, True], [True, False]]
    assert (batch.ignored_norm[1] == 0).all() and torch.equal(batch.ignored_norm[0], one.ignored_norm[0])
    alone = collate_photos([cut])
    assert alone.ignored_norm.shape == (1, 1, 4) and alone.present.tolist() == [[True]]
