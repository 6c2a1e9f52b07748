"""Which photo of one file is meant by a name in another: folders may differ, names must tell."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import PurePosixPath


def match_photos(names: Mapping[Hashable, str], known: Mapping[Hashable, str]) -> dict[Hashable, Hashable | None]:
    """Find the known photo of each name: the one whose path ends alike in the most parts, at least in the file's name.

    Args:
        names: of photos, by any id; ``/`` or ``\\`` between the parts.
        known: of the photos to choose from, by id.

    Returns:
        id of each name's photo -> id of the known one; None where there is none.

    Raises:
        ValueError: if a name fits several known photos equally well, or two names the same one.

    Example:
        >>> match_photos({1: "a/x.jpg", 2: "z.jpg"}, {"p": "photos/a/x.jpg", "q": "photos/b/x.jpg"})
        {1: 'p', 2: None}
    """
    by_name: dict[str, list[tuple[Hashable, tuple[str, ...]]]] = {}
    for id_, name in known.items():
        parts = _parts(name)
        by_name.setdefault(parts[-1] if parts else "", []).append((id_, parts))
    found: dict[Hashable, Hashable | None] = {}
    taken: dict[Hashable, str] = {}
    for id_, name in names.items():
        parts = _parts(name)
        shared = (
            [(_shared_tail(parts, other), other_id) for other_id, other in by_name.get(parts[-1], [])] if parts else []
        )
        best = max((length for length, _ in shared), default=0)
        fitting = [other_id for length, other_id in shared if length == best]
        if len(fitting) > 1:
            raise ValueError(f"Expected one photo of the name {name!r}, got {len(fitting)} whose folders do not tell")
        found[id_] = fitting[0] if fitting else None
        if fitting and (twin := taken.setdefault(fitting[0], name)) is not name:
            raise ValueError(f"Expected different photos for {twin!r} and {name!r}, got {known[fitting[0]]!r} for both")
    return found


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts


def _shared_tail(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Return in how many parts, from the end, two paths are alike."""
    alike = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        alike += 1
    return alike
