"""What can be wrong with a dataset or a field, as a sentence, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import fiftyone as fo
import fiftyone.core.media as fom
import numpy as np

from clickpose.data.notes import told
from clickpose_fiftyone.field_names import (
    PRED_OKS,
    USUAL_TRUTH,
    differences_field_of,
    joints_field_of,
    overlay_field_of,
    person_path,
)
from clickpose_fiftyone.fiftyone_internals import dataset_of, is_generated


def require_images(samples) -> None:
    """Refuse collections that are not flat sets of images.

    Raises:
        ValueError: for grouped, video and 3D collections. An empty dataset passes.
    """
    kind = samples.media_type
    if kind == fom.GROUP:
        raise ValueError(
            "Expected a dataset of images, got a grouped one; choose images with "
            'samples.select_group_slices("<slice>").clone()'
        )
    if kind == fom.VIDEO:
        raise ValueError(
            "Expected a dataset of images, got videos; make one of their frames: "
            "samples.to_frames(sample_frames=True).clone()"
        )
    if kind not in (fom.IMAGE, None):
        raise ValueError(f"Expected a dataset of images, got {kind}")


def require_own_photos(samples) -> None:
    """Refuse images that are a slice of a grouped dataset or frames of videos, where new fields cannot be saved.

    Raises:
        ValueError: with what to do instead.
    """
    if is_generated(samples):
        raise ValueError("Expected photos, got frames of videos or parts of photos; make a dataset of them: .clone()")
    if dataset_of(samples).media_type == fom.GROUP:
        raise ValueError("Expected a dataset of images, got a slice of a grouped one; make a dataset of it: .clone()")


def require_samples(samples) -> None:
    """Refuse an empty collection.

    Raises:
        ValueError: if there is no sample.
    """
    if not len(samples):
        raise ValueError("Expected at least one photo, got an empty dataset or view")


def require_field(samples, field: str, kind: type, purpose: str = "") -> None:
    """Refuse a field that is missing or of another type.

    Args:
        samples: a dataset or view.
        field: name of a sample field.
        kind: label class, such as ``fo.Keypoints``.
        purpose: what the field is for, for the message.

    Raises:
        ValueError: naming the fields that would do.
    """
    found = document_type(samples, field)
    if found is kind:
        return
    fitting = fields_of(samples, kind)
    others = f"fields of that type: {', '.join(fitting)}" if fitting else "the dataset has no field of that type"
    what = "no such field" if samples.get_field(field) is None else (found or type(samples.get_field(field))).__name__
    role = f" ({purpose})" if purpose else ""
    raise ValueError(f'Expected "{field}"{role} to be a field of {kind.__name__}, got {what}; {others}')


def require_keypoints(samples, *fields: str) -> None:
    """Refuse fields that are not :class:`fiftyone.core.labels.Keypoints` of images; see :func:`require_field`."""
    require_images(samples)
    for field in fields:
        require_field(samples, field, fo.Keypoints)


def require_compared(samples, pred_field: str, gt_field: str) -> None:
    """Refuse to compare fields that are not two Keypoints fields of images.

    Raises:
        ValueError: for another type, or the same field twice.
    """
    require_keypoints(samples, pred_field, gt_field)
    if pred_field == gt_field:
        raise ValueError(f'Expected a field of predictions and another one of labelled people, got "{gt_field}" twice')


def require_writable(samples, field: str, kind: type) -> None:
    """Refuse to write labels into a name that cannot be a field, or is one of another type.

    Raises:
        ValueError: with the reason.
    """
    if not field or not field.isidentifier() or field.startswith("_"):
        raise ValueError(f"Expected a field name of letters, digits and underscores, got {field!r}")
    existing = samples.get_field(field)
    found = document_type(samples, field)
    if existing is not None and found is not kind:
        name = (found or type(existing)).__name__
        raise ValueError(
            f'Expected "{field}" to be free or a field of {kind.__name__}, got {name}; nothing was written'
        )


def document_type(samples, field: str) -> type | None:
    """Return the label class of a field, or None for other fields and for none."""
    return getattr(samples.get_field(field), "document_type", None)


def fields_of(samples, kind: type) -> list[str]:
    """Return the names of the sample fields of a label class."""
    schema = samples.get_field_schema(flat=False)
    return [name for name, field in schema.items() if getattr(field, "document_type", None) is kind]


DRAWN_OVER = (joints_field_of, overlay_field_of, differences_field_of)  # fields of joints that the app shows


def pose_fields(samples) -> list[str]:
    """Return the names of the Keypoints fields with people, without the joints that are drawn over them."""
    names = fields_of(samples, fo.Keypoints)
    drawn = {companion(name) for name in names for companion in DRAWN_OVER}
    return [name for name in names if name not in drawn]


def predicted_fields(samples) -> list[str]:
    """Return those of :func:`pose_fields` that have predicted OKS, without labels that were made of predictions."""
    scored = [name for name in pose_fields(samples) if samples.get_field(person_path(name, PRED_OKS)) is not None]
    return [name for name in scored if name not in USUAL_TRUTH] or scored


def truth_fields(samples, pred_field: str) -> list[str]:
    """Return the fields that may be labels of the people of another field, the most likely one first."""
    predicted = predicted_fields(samples)
    others = [name for name in pose_fields(samples) if name != pred_field]
    return sorted(
        (name for name in others if name in USUAL_TRUTH or name not in predicted),
        key=lambda name: name not in USUAL_TRUTH,
    )


def image_sizes(samples, needed: np.ndarray | None = None) -> np.ndarray:
    """Return the (S, 2) widths and heights in pixels, computing the metadata that is missing.

    Args:
        samples: a dataset or view of images.
        needed: (S,) True for the photos whose size matters, such as those with people; NaN stays where it does not,
            so that one broken file among thousands stops nothing. None for all.

    Raises:
        ValueError: if a photo whose size matters cannot be read; names it.
    """
    sizes = _known_sizes(samples)
    needed = np.ones(len(sizes), bool) if needed is None else needed
    unknown = needed & ~np.isfinite(sizes).all(axis=1)
    if unknown.any():
        ids = [sample_id for sample_id, wanted in zip(samples.values("id"), unknown, strict=True) if wanted]
        samples.select(ids).compute_metadata(skip_failures=True, progress=False, num_workers=1)
        sizes = _known_sizes(samples)
        unknown = needed & ~np.isfinite(sizes).all(axis=1)
    if unknown.any():
        missing = [path for path, bad in zip(samples.values("filepath"), unknown, strict=True) if bad]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"Expected photos whose size can be read, got {missing[0]}{more} without")
    return sizes


def _known_sizes(samples) -> np.ndarray:
    widths, heights = samples.values(["metadata.width", "metadata.height"])
    return np.array([widths, heights], dtype=np.float64).T.reshape(-1, 2)  # None becomes NaN


def plural(count: int, noun: str) -> str:
    """Return ``"1 person"`` or ``"2 persons"``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def people(count: int) -> str:
    """Return ``"1 person"`` or ``"2 people"``."""
    return "1 person" if count == 1 else f"{count} people"


def left_out(notes: Mapping[str, int]) -> str:
    """Return a sentence on what was left out or guessed (what -> how often), after a space; empty for nothing."""
    text = told(notes)
    return f" Left out or guessed: {text}." if text else ""


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Return names separated by commas, the first ones where there are many."""
    shown = ", ".join(map(str, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
