"""What depends on the people of a field and is written anew when they change: photos' columns, coloured joints."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clickpose_fiftyone.colours import add_heat_joints
from clickpose_fiftyone.columns import PersonColumns, index_lowest_oks, lowest_oks, of_photos_columns
from clickpose_fiftyone.dataset_info import kept_of
from clickpose_fiftyone.field_names import HIDDEN_BELOW_INFO, PRED_OKS, VISIBILITY, joints_field_of, person_path
from clickpose_fiftyone.visibility import LOW_VISIBILITY, low_counts


def refresh_derived(samples, field: str) -> None:
    """Write anew what depends on the people of a view: lowest predicted OKS, hidden joints, colours.

    The photos' columns are of one field; where that is another one, they stay.
    """
    if samples.get_field(person_path(field, PRED_OKS)) is None:
        return
    refresh_sample_columns(samples, field)
    refresh_colours(samples, field)


def refresh_colours(samples, field: str) -> None:
    """Write the coloured joints of a field anew, where it has them; joints that were left out stay away."""
    if joints_field_of(field) in samples.get_field_schema():
        add_heat_joints(samples, field, kept_of(samples, HIDDEN_BELOW_INFO, field) or 0.0)


def write_people(columns: PersonColumns, persons: Mapping[str, np.ndarray]) -> None:
    """Write columns of people, and what depends on them: lowest predicted OKS, hidden joints, colours.

    Args:
        columns: the people.
        persons: attribute -> (N, …), as for :meth:`PersonColumns.write_all`.
    """
    photos = photo_columns(columns, persons)
    columns.write_all(persons, photos)
    if PRED_OKS in persons and photos:
        index_lowest_oks(columns)
    refresh_colours(columns.samples, columns.field)


def photo_columns(columns: PersonColumns, persons: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what photos keep of new columns of their people; nothing where theirs are of another field."""
    if not of_photos_columns(columns.samples, columns.field):
        return {}
    lowest = lowest_oks(columns, persons[PRED_OKS]) if PRED_OKS in persons else {}
    hidden = low_counts(columns, persons[VISIBILITY], LOW_VISIBILITY) if VISIBILITY in persons else {}
    return {**lowest, **hidden}


def refresh_sample_columns(samples, field: str, low_visibility: float = LOW_VISIBILITY) -> None:
    """Write ``min_pred_oks`` (indexed) and ``num_low_vis`` of each sample anew, unless they are another field's."""
    if not of_photos_columns(samples, field):
        return
    columns = PersonColumns(samples, field)
    counts = low_counts(columns, columns.joints(VISIBILITY), low_visibility)
    columns.write_all({}, {**lowest_oks(columns, columns.scalars(PRED_OKS)), **counts})
    index_lowest_oks(columns)
