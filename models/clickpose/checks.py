"""Argument checks shared by the package: say what was expected and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike


def as_array(name: str, value: ArrayLike | None, shape: tuple, dtype: DTypeLike = np.float64) -> np.ndarray:
    """Convert ``value`` to an array and check its shape.

    Args:
        name: argument name for the message.
        value: array-like.
        shape: expected shape; an int must match, a string names a free axis ("N").
        dtype: NumPy dtype of the result; for integers the values must be whole numbers.

    Raises:
        ValueError: if the shape differs, or a value is not numeric, or is not a whole number where one is wanted.
    """
    wanted = "(" + ", ".join(str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
    whole = np.issubdtype(dtype, np.integer)
    try:
        array = np.asarray(value, dtype=np.float64 if whole else dtype)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: PyTorch's, of a tensor that wants gradients
        raise ValueError(f"Expected {name} of shape {wanted}, got {type(value).__name__}: {error}") from None
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"Expected {name} of shape {wanted}, got {array.shape}")
    if not whole:
        return array
    return _require(f"whole numbers in {name}", array, np.isfinite(array) & (array == np.rint(array))).astype(dtype)


def check_image(image: ArrayLike) -> np.ndarray:
    """Return ``image`` as an array if it is (H, W, 3) uint8, as RGB photos are, and has a pixel.

    Raises:
        ValueError: otherwise.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"Expected image of shape (H, W, 3), dtype uint8, RGB, got {image.shape}, {image.dtype}")
    return image


def check_finite(name: str, values: np.ndarray) -> np.ndarray:
    """Return ``values`` if all of them are finite.

    Raises:
        ValueError: otherwise; the message shows the first value that is not.
    """
    return _require(f"finite {name}", values, np.isfinite(values))


def check_unit_range(name: str, values: np.ndarray) -> np.ndarray:
    """Return ``values`` if all of them are within 0..1; errors as :func:`check_finite`."""
    return _require(f"finite {name} within 0..1", values, (values >= 0) & (values <= 1))  # NaN compares false


def check_positive(name: str, values: np.ndarray) -> np.ndarray:
    """Return ``values`` if all of them are finite and above 0; errors as :func:`check_finite`."""
    return _require(f"finite {name} above 0", values, np.isfinite(values) & (values > 0))


def check_not_negative(name: str, values: np.ndarray) -> np.ndarray:
    """Return ``values`` if all of them are finite and 0 or more; errors as :func:`check_finite`."""
    return _require(f"finite {name} of 0 or more", values, np.isfinite(values) & (values >= 0))


def described(value: object) -> str:
    """Say what a value of a user's JSON or YAML file is, in words of such files."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...")
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Sequence | np.ndarray):
        return "a list"
    return f"{value}" if not isinstance(value, int) or abs(value) < 10**20 else "a number of more than 20 digits"


def _require(wanted: str, values: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``values`` if all are ``right``, else say which is not."""
    if not right.all():
        wrong = values[~right]
        raise ValueError(f"Expected {wanted}, got {wrong[0]} ({wrong.size} such values)")
    return values
