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
