"""What depends on the people of a field and is written anew when they change: photos' columns, coloured joints."""

from __future__ import annotations

from clickpose_fiftyone.colours import add_heat_joints
from clickpose_fiftyone.columns import PersonColumns, index_lowest_oks, lowest_oks, lowest_oks_field
from clickpose_fiftyone.field_names import PRED_OKS, VISIBILITY, joints_field_of, person_path
from clickpose_fiftyone.visibility import LOW_VISIBILITY, low_counts


def refresh_derived(samples, field: str) -> None:
    """Write anew what depends on the people of a view: lowest predicted OKS, hidden joints, colours.

    The photos' columns are of one field; where that is another one, they stay.
    """
    if samples.get_field(person_path(field, PRED_OKS)) is None:
        return
    if lowest_oks_field(samples) in (None, field):
        refresh_sample_columns(samples, field)
    if joints_field_of(field) in samples.get_field_schema():
        add_heat_joints(samples, field)


def refresh_sample_columns(samples, field: str, low_visibility: float = LOW_VISIBILITY) -> None:
    """Write ``min_pred_oks`` (indexed) and ``num_low_vis`` of each sample anew from its persons."""
    columns = PersonColumns(samples, field)
    counts = low_counts(columns, columns.joints(VISIBILITY), low_visibility)
    columns.write_all({}, {**lowest_oks(columns, columns.scalars(PRED_OKS)), **counts})
    index_lowest_oks(columns)
