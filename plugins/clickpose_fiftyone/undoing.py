"""Take an action of the review back, by name: whoever did it, whenever."""

from __future__ import annotations

from clickpose_fiftyone.checks import people
from clickpose_fiftyone.field_names import SENT
from clickpose_fiftyone.removal import bring_back
from clickpose_fiftyone.review_log import DELETED, default_reviewer, find_action, note_undone
from clickpose_fiftyone.settling import take_back


def undo_action(samples, action_id: str, by: str | None = None) -> str:
    """Take an action back; returns a sentence.

    People whom somebody settled anew since stay as they are.

    Args:
        samples: the dataset or a view.
        action_id: of :func:`clickpose_fiftyone.review_log.actions_of`.
        by: who takes it back; by default who runs this process.

    Raises:
        ValueError: if there is no such action, or somebody has taken it back.
    """
    action = find_action(samples, action_id)
    back = bring_back(samples, action) if action.what == DELETED else take_back(samples, action)
    note_undone(action, by or default_reviewer())
    left = len(action.label_ids) - back
    text = f"Taken back: {action}."
    if left:
        text += f" {people(left)} stay as they are: settled anew since, or not there any more."
    if action.what == SENT:
        text += " The project in Label Studio stays."
    return text
