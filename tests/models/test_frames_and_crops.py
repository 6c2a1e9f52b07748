"""Frames and crops: coordinates and pixels must agree."""

import numpy as np
import pytest
from PIL import Image

from clickpose.data.crops import apply_affine, frame_matrix, warp_crop, warp_pixels
from clickpose.frames import CropFrame


def test_square_around_a_box_by_hand():
    frame = CropFrame.around_box([10, 20, 30, 100], input_side=256)
    assert (frame.center_x, frame.center_y, frame.side) == (20, 60, 100)
    np.testing.assert_allclose(frame.to_norm([[20, 60], [-30, 10], [70, 110]]), [[0.5, 0.5], [0, 0], [1, 1]])
    np.testing.assert_allclose(frame.from_norm(frame.to_norm([[3.25, 7.5]])), [[3.25, 7.5]])
    assert frame.scale == 2.56


@pytest.mark.parametrize("box", [[0, 0, 0, 10], [5, 5, 4, 9], [0, 0, np.nan, 10]])
def test_a_box_without_area_is_refused(box):
    with pytest.raises(ValueError, match="Expected a box"):
        CropFrame.around_box(box, 256)


@pytest.mark.parametrize("rotation", [0.0, 0.4])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("stored_hw", [(300, 400), (150, 100)])
def test_a_bright_spot_lands_where_the_matrix_says(rotation, flip, stored_hw):
    original_hw, spot = (300, 400), np.array([250.0, 120.0])
    image = np.zeros((*stored_hw, 3), np.uint8)
    column, row = spot * [stored_hw[1] / original_hw[1], stored_hw[0] / original_hw[0]]
    image[int(row) - 3 : int(row) + 4, int(column) - 3 : int(column) + 4] = 255
    matrix = frame_matrix(CropFrame(220.0, 140.0, 200.0, 128), rotation, flip)
    crop = warp_crop(Image.fromarray(image), matrix, 128, original_hw).astype(float)[..., 0]
    ys, xs = np.mgrid[:128, :128] + 0.5
    seen = np.array([(crop * xs).sum(), (crop * ys).sum()]) / crop.sum() / 128
    # the spot's centre is half a stored pixel beyond the truncated index
    np.testing.assert_allclose(seen, apply_affine(matrix, spot), atol=0.012)


@pytest.mark.parametrize("image_hw", [(1003, 1507), (2006, 4521)])
@pytest.mark.parametrize("factor", [2, 3, 7])
def test_a_large_photo_whose_sides_the_shrinking_does_not_divide_is_not_shifted(factor, image_hw):
    """Taking the ratio of the rounded sizes would shift this crop by 0.3 to 0.8 of its pixels."""
    stored_hw = (1003, 1507)  # leaves 1 and 1, 1 and 1, 2 and 2 pixels over
    spot_stored, side = np.array([1390.0, 890.0]), 64
    ys, xs = np.mgrid[: stored_hw[0], : stored_hw[1]] + 0.5
    bump = np.exp(-((xs - spot_stored[0]) ** 2 + (ys - spot_stored[1]) ** 2) / (2 * (4 * factor) ** 2))
    photo = Image.fromarray(np.repeat((250 * bump).round().astype(np.uint8)[..., None], 3, axis=2))
    stretch = np.array([image_hw[1] / stored_hw[1], image_hw[0] / stored_hw[0]])
    spot = spot_stored * stretch
    frame = CropFrame(spot[0], spot[1], side * min(stretch) * factor / 0.74, side)
    crop = warp_crop(photo, frame_matrix(frame), side, image_hw).astype(float)[..., 0]
    rows, columns = np.mgrid[:side, :side] + 0.5
    seen = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    np.testing.assert_allclose(seen, frame.to_norm(spot) * side, atol=0.05)


def test_a_double_flip_is_the_identity():
    frame = CropFrame(10.0, 20.0, 50.0, 64)
    plain, mirrored = frame_matrix(frame), frame_matrix(frame, flip=True)
    points = np.random.default_rng(0).uniform(0, 50, (5, 2))
    np.testing.assert_allclose(apply_affine(mirrored, points)[:, 0], 1 - apply_affine(plain, points)[:, 0])
    np.testing.assert_allclose(apply_affine(mirrored, points)[:, 1], apply_affine(plain, points)[:, 1])


def test_strong_shrinking_averages_instead_of_aliasing():
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = warp_crop(Image.fromarray(stripes), frame_matrix(CropFrame(512.0, 512.0, 1024.0, 64)), 64)
    assert abs(crop[8:-8, 8:-8].astype(float) - 127.5).max() < 20


def test_a_crop_that_looks_at_its_part_of_the_photo_only_is_the_same():
    """Large and small people, in the middle, at each edge and partly outside, turned and mirrored."""
    rng = np.random.default_rng(0)
    for number in range(60):
        height, width = (int(length) for length in rng.integers(90, 900, 2))
        photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        center, side = rng.uniform(-0.05, 1.05, 2) * [width, height], float(rng.uniform(20, 1.5 * max(height, width)))
        frame = CropFrame(*center.tolist(), side, 64)
        matrix = frame_matrix(frame, rotation=float(rng.uniform(-1, 1)) * (number % 2), flip=number % 3 == 0)
        expected = warp_crop(Image.fromarray(photo), matrix, 64)
        np.testing.assert_array_equal(warp_pixels(photo, matrix, 64), expected)
    outside = frame_matrix(CropFrame(-5000.0, 40.0, 100.0, 64))
    assert not warp_pixels(photo, outside, 64).any()
