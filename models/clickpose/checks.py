"""Argument checks shared by the package: say what was expected and what came."""

from __future__ import annotations

import numpy as np


def as_array(name: str, value, shape: tuple, dtype=np.float64) -> np.ndarray:
    """Convert ``value`` to an array and check its shape.

    Args:
        name: argument name for the message.
        value: array-like.
        shape: expected shape; an int must match, a string names a free axis ("N").
        dtype: NumPy dtype of the result.

    Raises:
        ValueError: if the shape differs or the value is not numeric.
    """
    wanted = "(" + ", ".join(str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
    try:
        array = np.asarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected {name} of shape {wanted}, got {type(value).__name__}: {error}") from None
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"Expected {name} of shape {wanted}, got {array.shape}")
    return array


def check_finite(name: str, values: np.ndarray) -> np.ndarray:
    """Return ``values`` if all of them are finite.

    Raises:
        ValueError: otherwise; the message shows the first value that is not.
    """
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise ValueError(f"Expected finite {name}, got {values[wrong][0]} ({int(wrong.sum())} such values)")
    return values


def check_unit_range(name: str, values: np.ndarray) -> np.ndarray:
    """Return ``values`` if all of them are finite and within 0..1.

    Raises:
        ValueError: otherwise; the message shows the first value that is not.
    """
    wrong = ~((values >= 0) & (values <= 1))  # NaN compares false
    if wrong.any():
        raise ValueError(f"Expected finite {name} within 0..1, got {values[wrong][0]} ({int(wrong.sum())} such values)")
    return values


def check_positive(name: str, values: np.ndarray) -> np.ndarray:
    """Return ``values`` if all of them are finite and above 0.

    Raises:
        ValueError: otherwise; the message shows the first value that is not.
    """
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        raise ValueError(f"Expected finite {name} above 0, got {values[wrong][0]} ({int(wrong.sum())} such values)")
    return values
