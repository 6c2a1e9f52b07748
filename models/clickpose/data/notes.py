"""What was left out, clipped or guessed on the way: counted while reading, said by a command in one line."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

Notes = MutableMapping[str, int]


def note(notes: Notes, what: str, count: int = 1) -> None:
    """Count something that was left out or guessed."""
    notes[what] = notes.get(what, 0) + count


def told(notes: Mapping[str, int]) -> str:
    """Say in one line what was counted: ``3 crowds; 1 boxes without an area``; empty for nothing."""
    return "; ".join(f"{count} {what}" for what, count in notes.items() if count)
