"""What the Review panel says and shows of people: progress, cards, pictures."""

import contextlib
from dataclasses import replace

from fiftyone.operators import types

from clickpose_fiftyone.columns import POSE_ATTRIBUTES, PersonColumns
from clickpose_fiftyone.field_names import REFINED
from clickpose_fiftyone.fiftyone_internals import root_dataset_of
from clickpose_fiftyone.queue_filters import STATES, WAITING, QueueFilter, error_choices
from clickpose_fiftyone.review import Queue
from clickpose_fiftyone.review_log import clock
from clickpose_fiftyone.thumbnails import person_thumbnail

from .base import REVIEWER


def heading(queue: Queue, shown: QueueFilter) -> str:
    """Return the line of progress: how many are settled, by whom, and who has whom in hand."""
    of_what = "" if shown.error is None else f" ({error_choices()[shown.error]})"
    parts = [f"**{queue.done} of {queue.total} people settled**{of_what}"]
    parts += [f"{name} {count}" for name, count in list(queue.by.items())[:4]]
    parts += [f"{name} has {count} in hand" for name, count in queue.held.items()]
    if shown.state != WAITING:
        parts.append(f"{queue.found} {STATES[shown.state]}")
    return f"{progress_bar(queue.done, queue.total)} {' · '.join(parts)}"


def show_progress(panel, queue: Queue, shown: QueueFilter, by: str) -> None:
    """Show the line of progress, which goes on with each person of the page whom the reviewer settles by a key."""
    own = [
        replace(queue, done=queue.done + count, by={**queue.by, by: queue.by.get(by, 0) + count} if count else queue.by)
        for count in range(len(queue.items) + 1)
    ]
    texts, ids = [heading(ahead, shown) for ahead in own], [item.label_id for item in queue.items]
    view = types.View(component="PoseProgress", composite_view=True, texts=texts, ids=ids)
    panel.str("heading", default=texts[0], view=view)


def progress_bar(done: int, total: int, cells: int = 16) -> str:
    """Return a bar of text."""
    full = round(cells * done / total) if total else 0
    return "▰" * full + "▱" * (cells - full)


def card_text(item, shown: QueueFilter, without_photo: bool) -> str:
    """Return what a card says below its picture."""
    worst = ", ".join(name.replace("_", " ") for name in item.low_joints[:2])
    parts = [item.wrong or f"**{item.pred_oks:.2f}** · {worst}"]
    if shown.state != WAITING and item.settled_at is not None:
        parts.append(f"{item.settled_by}, {clock(item.settled_at)}")
    parts += [REFINED] * item.refined + ["photo missing"] * without_photo
    return " · ".join(parts)


def nobody_text(queue: Queue, shown: QueueFilter) -> str:
    if queue.held:
        return "All who wait are in others' hands: they come back after five minutes, or when those are done."
    if not queue.total:  # such as an error that nobody has: nothing of it is settled
        return "These filters show nobody."
    return "Everybody is settled." if shown.state == WAITING else "Nobody."


def params_of(items, by: str) -> dict:
    """Return what an event needs to know of some people, and of whose event it is."""
    samples = dict.fromkeys(item.sample_id for item in items)
    return {"label_ids": [item.label_id for item in items], "sample_ids": list(samples), REVIEWER: by}


def pictures_of(samples, field: str, items) -> dict[str, str]:
    """Return label id -> thumbnail, without people whose photo cannot be read."""
    photos = root_dataset_of(samples).select(list({item.sample_id for item in items}))
    columns = PersonColumns(photos, field, attributes=POSE_ATTRIBUTES, rejected=True)
    poses, places = columns.poses(), {label_id: person for person, label_id in enumerate(columns.label_ids)}
    pictures = {}
    for item in items:
        with contextlib.suppress(ValueError):
            pictures[item.label_id] = person_thumbnail(item.filepath, poses, places[item.label_id])
    return pictures
