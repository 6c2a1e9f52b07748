"""Argument checks: what passes comes back as it is, and what does not is named with its first wrong value."""

import numpy as np
import pytest
import torch

from clickpose.checks import (
    as_array,
    check_finite,
    check_image,
    check_not_negative,
    check_positive,
    check_unit_range,
)


def test_array_likes_become_arrays_of_the_shape_that_is_asked_for():
    assert as_array("boxes", [[1, 2, 3, 4]], ("N", 4)).dtype == np.float64
    assert as_array("points", torch.ones(2, 3), ("N", "M")).shape == (2, 3)
    whole = as_array("visibility", [0.0, 2.0], (2,), int)
    assert whole.tolist() == [0, 2] and np.issubdtype(whole.dtype, np.integer)


@pytest.mark.parametrize(
    ("value", "shape", "dtype", "message"),
    [
        ([1.0], (2,), float, r"Expected x of shape \(2,\), got \(1,\)"),
        ([1.0], ("N", 4), float, r"Expected x of shape \(N, 4\), got \(1,\)"),
        (["left"], ("N",), float, "Expected x of shape .* got list: could not convert string to float"),
        ([[1.0], [1.0, 2.0]], ("N", "M"), float, "Expected x of shape .* got list: setting an array element"),
        (torch.ones(1, requires_grad=True), (1,), float, "Expected x of shape .* got Tensor: Can't call numpy"),
        ([2.0, 1.9], (2,), int, r"Expected whole numbers in x, got 1\.9 \(1 such values\)"),
        ([2.0, np.nan], (2,), int, r"Expected whole numbers in x, got nan"),
        ([-np.inf, 1.0], (2,), int, r"Expected whole numbers in x, got -inf"),
    ],
)
def test_other_values_are_refused(value, shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        as_array("x", value, shape, dtype)


@pytest.mark.parametrize(
    ("check", "right", "wrong", "wanted"),
    [
        (check_finite, [-1e300, 1e300], [np.nan, np.inf, -np.inf], "finite x"),
        (check_unit_range, [0.0, 1.0], [-1e-9, 1 + 1e-9, np.nan], r"finite x within 0\.\.1"),
        (check_positive, [1e-300, 9.0], [0.0, -1.0, np.nan, np.inf], "finite x above 0"),
        (check_not_negative, [0.0, 9.0], [-1e-9, np.nan, np.inf], "finite x of 0 or more"),
    ],
)
def test_ranges_hold_to_the_bound_and_the_first_wrong_value_is_shown(check, right, wrong, wanted):
    values = np.array(right)
    assert check("x", values) is values and not check("x", np.empty(0)).size
    for value in wrong:
        with pytest.raises(ValueError, match=rf"Expected {wanted}, got {value}"):
            check("x", np.array(value))
    with pytest.raises(ValueError, match=rf"got {wrong[0]} \({len(wrong)} such values\)"):
        check("x", np.array([right[0], *wrong]))


def test_an_image_is_rgb_of_bytes_with_a_pixel():
    image = np.zeros((2, 3, 3), np.uint8)
    assert check_image(image) is image
    for wrong in (image[..., 0], image[..., :2], image.astype(float), image[:0], "photo.jpg"):
        with pytest.raises(ValueError, match=r"Expected image of shape \(H, W, 3\), dtype uint8, RGB, got "):
            check_image(wrong)
