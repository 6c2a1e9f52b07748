"""Which people the review queue shows and in which order; each reviewer's choice is kept with the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from clickpose_fiftyone.diagnosis import ERRORS
from clickpose_fiftyone.field_names import ACCEPTED, AUTO_ACCEPTED, REJECTED, SENT
from clickpose_fiftyone.fiftyone_internals import ID, dataset_id, own_collection
from clickpose_fiftyone.label_errors import KINDS
from clickpose_fiftyone.review_log import WORDS

WAITING = "waiting"
STATES = {
    WAITING: WAITING,
    **{tag: WORDS[tag] for tag in (ACCEPTED, AUTO_ACCEPTED)},
    REJECTED: f"{WORDS[REJECTED]} (not a person)",
    SENT: WORDS[SENT],
}
BY_PERSON, BY_PHOTO = "person", "photo"
ORDERS = {BY_PERSON: "person by person", BY_PHOTO: "photo by photo"}
_FILTERS = "review_filters"
_DIAGNOSED, _LABELS = "diagnosis", "labels"


@dataclass(frozen=True)
class QueueFilter:
    """What a reviewer looks at.

    Attributes:
        state: a key of :data:`STATES`.
        order: a key of :data:`ORDERS`; photo by photo, everybody of a photo comes together.
        joint: the least certain of this joint first; of an error, those who have it there. None for the whole person.
        error: a key of :func:`error_choices`; None for everybody.
    """

    state: str = WAITING
    order: str = BY_PERSON
    joint: str | None = None
    error: str | None = None

    def __post_init__(self):
        known = ((self.state, STATES), (self.order, ORDERS), (self.error or "", {"": "", **error_choices()}))
        for value, choices in known:
            if value not in choices:
                raise ValueError(f"Expected one of {', '.join(choices)}, got {value!r}")

    @property
    def of_labels(self) -> bool:
        """Whether it is people of a field of labels that look wrong, not predictions."""
        return self.error is not None and self.error.startswith(f"{_LABELS}:")

    @property
    def kind(self) -> str | None:
        """The error without what it is of; None for everybody."""
        return None if self.error is None else self.error.partition(":")[2]


def error_choices() -> dict[str, str]:
    """Return the kinds of errors that a queue can be of, and how they are called."""
    wrong = {f"{_DIAGNOSED}:{kind}": f"prediction: {kind}" for kind in ERRORS[1:]}
    return wrong | {f"{_LABELS}:{kind}": f"label: {text}" for kind, text in KINDS.items()}


def stored_filter(samples, by: str | None) -> QueueFilter:
    """Return what a reviewer looks at in a dataset; everybody who waits where nothing was chosen, or by nobody."""
    found = None if by is None else own_collection(_FILTERS).find_one({ID: _name(samples, by)})
    known = {part.name for part in fields(QueueFilter)}
    chosen = {name: value for name, value in (found or {}).items() if name in known}
    try:
        return QueueFilter(**chosen)
    except ValueError:  # of another version
        return QueueFilter()


def store_filter(samples, by: str, chosen: QueueFilter) -> None:
    """Keep what a reviewer looks at in a dataset: other panels, pages and processes show it, too."""
    kept: Mapping = {"dataset": dataset_id(samples), "by": by, **asdict(chosen)}
    own_collection(_FILTERS).replace_one({ID: _name(samples, by)}, kept, upsert=True)


def _name(samples, by: str) -> str:
    return f"{dataset_id(samples)}:{by}"
