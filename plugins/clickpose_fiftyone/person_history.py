"""The earlier states of a person whom a human corrected, which it carries with it, and what tells its states apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import fiftyone as fo

from clickpose_fiftyone.field_names import (
    BOUNDING_BOX,
    CONFIDENCE,
    FIXED,
    HISTORY,
    KEYPOINT_OKS,
    POINTS,
    PRED_OKS,
    SCORE_RAW,
    VISIBILITY,
)

_KEPT = (
    POINTS, CONFIDENCE, KEYPOINT_OKS, VISIBILITY, FIXED, PRED_OKS, SCORE_RAW, BOUNDING_BOX,
)  # fmt: skip


def history_of(label: fo.Keypoint) -> list[dict]:
    """Return the earlier states of a person, oldest first."""
    stored = label.get_attribute_value(HISTORY, None)
    return json.loads(stored) if stored else []


def state_of(label: fo.Keypoint) -> dict:
    """Return what the history keeps of a person."""
    return {name: label.get_attribute_value(name, None) for name in _KEPT}


def with_state(label: fo.Keypoint, state: Mapping) -> fo.Keypoint:
    """Return a person as it was in an earlier state; nothing is changed."""
    earlier = label.copy()
    for name, value in state.items():
        earlier[name] = value
    return earlier


def mark_of(label: fo.Keypoint) -> str:
    """Return what differs after any change of a person's pose, by whomever: who corrects it compares two of these."""
    state = [history_of(label), {name: _plain(value) for name, value in state_of(label).items()}]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]


def _plain(value):
    """Return a list of the database's as one."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
