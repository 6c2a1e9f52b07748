"""A self-contained HTML report on calibrated confidence: figures with intervals, plots before and after, the persons
whose confidence misleads most. Needs the extra ``plots``.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from clickpose.checks import as_array
from clickpose.draw import DrawStyle, draw_poses, score_color
from clickpose.extras import require_extra
from clickpose.image_io import read_image
from clickpose.metrics.bootstrap import Comparison, Interval
from clickpose.metrics.calibration_figures import CalibrationSample, compare
from clickpose.skeleton import COCO, Skeleton
from clickpose.structures import Poses

if TYPE_CHECKING:
    import jinja2

RESAMPLES = 300
_ARROWS = {1: "↑", 0: "", -1: "↓"}
_MOST_JOINTS_BY_NAME = 24  # skeletons with more are shown by part
_EXAMPLES = 9
_PICTURE_SIDE = 260  # pixels
_MARGIN = 0.25  # of the box, around it


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonPictures:
    """What the examples of a report are drawn from, for the N persons of the samples.

    Attributes:
        image_paths: N photos.
        images_hw: (N, 2) height and width that the coordinates refer to; a photo stored otherwise is stretched back.
        keypoints: (N, K, 2) px, predicted; NaN where a joint is not placed.
        truth: (N, K, 2) px; not read where the joint is not labelled.
        boxes_xyxy: (N, 4) px.
    """

    image_paths: Sequence[Path]
    images_hw: np.ndarray
    keypoints: np.ndarray
    truth: np.ndarray
    boxes_xyxy: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.image_paths)
        keypoints = as_array("keypoints", self.keypoints, (count, "K", 2))
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "truth", as_array("truth", self.truth, keypoints.shape))
        object.__setattr__(self, "images_hw", as_array("images_hw", self.images_hw, (count, 2), int))
        object.__setattr__(self, "boxes_xyxy", as_array("boxes_xyxy", self.boxes_xyxy, (count, 4)))


def write_report(
    path: str | Path,
    before: CalibrationSample,
    after: CalibrationSample,
    title: str,
    provenance: Mapping[str, object],
    skeleton: Skeleton = COCO,
    pictures: PersonPictures | None = None,
    figures: Mapping[str, Comparison] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Path:
    """Write the report.

    Args:
        path: the HTML file; its folder must be there.
        before: confidences as the network gives them.
        after: the same persons, confidences calibrated.
        title: heading.
        provenance: what the figures come from (data, weights, calibrator, versions), by name; shown as text.
        skeleton: the K joints.
        pictures: of the same persons, for the examples; None for a report without pictures.
        figures: more rows for the table, such as of
            :func:`~clickpose.metrics.bootstrap.compare_average_precision`; they come first.
        resamples: draws of the bootstrap intervals.
        seed: of the draws.

    Returns:
        ``path``.

    Raises:
        ValueError: if there is no person with a labelled joint, the samples are not of the same persons, skeleton or
            pictures do not fit them, or the extra ``plots`` is not installed.
    """
    _check(before, after, skeleton, pictures)
    template = _template()
    compared = {**(figures or {}), **compare(before, after, resamples, seed=seed)}
    page = template.render(
        title=title,
        persons=int(before.measured.sum()),
        joints=int(before.labelled.sum()),
        photos=None if before.image_ids is None else len(set(before.image_ids)),
        level=round(next(iter(compared.values())).change.level * 100),
        resamples=resamples,
        rows=[_row(name, figure) for name, figure in compared.items()],
        plots=_plots(before, after, skeleton),
        examples=[] if pictures is None else _examples(before, after, skeleton, pictures),
        scale_uri=_scale_uri(),
        provenance=provenance,
    )
    path = Path(path)
    path.write_text(page, encoding="utf-8")
    return path


def _check(
    before: CalibrationSample, after: CalibrationSample, skeleton: Skeleton, pictures: PersonPictures | None
) -> None:
    if not before.measured.any():
        raise ValueError("Expected at least one person with a labelled joint, got none")
    if before.oks.shape[1] != len(skeleton):
        raise ValueError(f"Expected {len(skeleton)} joints ({skeleton.name}), got {before.oks.shape[1]}")
    if set(before.correct) != set(after.correct):
        raise ValueError(f"Expected the same criteria, got {sorted(before.correct)} and {sorted(after.correct)}")
    if pictures is not None and pictures.keypoints.shape[:2] != before.oks.shape:
        raise ValueError(f"Expected pictures of {before.oks.shape} persons and joints, got {pictures.keypoints.shape}")


def _template() -> jinja2.Template:
    """Load the page's template; whatever is filled in is escaped."""
    require_extra("plots", "jinja2", "matplotlib")
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("clickpose.commands.calibrate"), autoescape=True
    ).get_template("calibration_report.html")


def _row(name: str, figure: Comparison) -> dict:
    """Return a line of the table."""
    clear = figure.change.low > 0 or figure.change.high < 0  # NaN: not clear
    improved = figure.change.value * figure.better > 0
    return {
        "name": name,
        "arrow": _ARROWS[figure.better],
        "cells": [_cell(figure.before), _cell(figure.after)],
        "change": _cell(figure.change, sign="+"),
        "verdict": "" if not (clear and figure.better) else "better" if improved else "worse",
    }


def _cell(interval: Interval, sign: str = "") -> dict[str, str]:
    if not np.isfinite(interval.value):
        return {"value": "not defined", "interval": ""}
    # + 0.0: no "-0.000"
    value, low, high = (
        f"{round(number, 3) + 0.0:{sign}.3f}" for number in (interval.value, interval.low, interval.high)
    )
    return {"value": value, "interval": f"[{low}, {high}]" if np.isfinite([interval.low, interval.high]).all() else ""}


def _plots(before: CalibrationSample, after: CalibrationSample, skeleton: Skeleton) -> list[dict[str, str]]:
    import clickpose.commands.calibrate.plots as plots  # imports matplotlib: only for a report

    by_name = len(skeleton) <= _MOST_JOINTS_BY_NAME or not skeleton.parts
    groups = {name: (joint,) for joint, name in enumerate(skeleton.names)} if by_name else skeleton.parts
    drawn = (
        (
            "Reliability",
            "Is a confidence of .8 an OKS of .8? Mean OKS by bins of equal count; on the dashed line confidence and "
            "quality agree. Bands: confidence of the mean. Below: how many have which confidence.",
            plots.reliability_plot(before, after),
        ),
        (
            "Sparsification",
            "The error that is left when the least confident are removed. AUSE is the area above the best order.",
            plots.sparsification_plot(before, after),
        ),
        (
            "Precision and recall",
            "Persons ranked by confidence. Confidence cannot change how far a curve reaches, only how high it stays.",
            plots.precision_plot(before, after),
        ),
        (
            f"Confidences by {'joint' if by_name else 'part'}",
            "OKS itself (grey) is often near 0 or 1; an honest confidence lies between where the network cannot know.",
            plots.score_histograms(before, after, groups),
        ),
    )
    return [{"title": title, "text": text, "uri": _uri("svg+xml", svg.encode())} for title, text, svg in drawn]


def _examples(
    before: CalibrationSample, after: CalibrationSample, skeleton: Skeleton, pictures: PersonPictures
) -> list[dict[str, str]]:
    """Return the pictures of those who are believed most wrongly, worst first."""
    excess = np.where(after.measured, after.instance_scores - after.instance_oks, -np.inf)
    worst = [person for person in np.argsort(-excess, kind="stable")[:_EXAMPLES] if excess[person] > 0]
    return [
        {
            "uri": _uri("jpeg", _example_jpeg(after, skeleton, pictures, int(person))),
            "before": f"{before.instance_scores[person]:.2f}",
            "after": f"{after.instance_scores[person]:.2f}",
            "oks": f"{after.instance_oks[person]:.2f}",
            "name": Path(pictures.image_paths[person]).name,
        }
        for person in worst
    ]


def _example_jpeg(sample: CalibrationSample, skeleton: Skeleton, pictures: PersonPictures, person: int) -> bytes:
    """Draw prediction and annotation of a person side by side, cut out around its box."""
    height, width = pictures.images_hw[person].tolist()
    photo = Image.fromarray(read_image(pictures.image_paths[person])).resize((width, height))
    box, labelled = pictures.boxes_xyxy[person], sample.labelled[person]
    annotation = np.where(labelled[:, None], pictures.truth[person], np.nan)
    poses = (
        (pictures.keypoints[person], sample.scores[person], sample.instance_scores[person]),
        (annotation, np.where(labelled, sample.oks[person], 0), sample.instance_oks[person]),
    )
    crop, offset, scale = _cut_out(photo, box)
    style = DrawStyle(boxes=False, scores=False, legend=False)
    halves = [
        draw_poses(
            crop,
            Poses(
                skeleton=skeleton,
                keypoints=(keypoints[None] - offset) * scale,
                boxes_xyxy=(box.reshape(1, 2, 2) - offset).reshape(1, 4) * scale,
                keypoint_scores=scores[None],
                visibility_scores=np.ones((1, len(skeleton))),
                instance_scores=np.array([score]),
            ),
            style,
        )
        for keypoints, scores, score in poses
    ]
    buffer = io.BytesIO()
    gap = np.full((_PICTURE_SIDE, 4, 3), 255, np.uint8)
    Image.fromarray(np.concatenate([halves[0], gap, halves[1]], axis=1)).save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _cut_out(photo: Image.Image, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return a square (S, S, 3) uint8 around a box (grey beyond the photo), its upper left corner in px, its scale."""
    center, extent = box_xyxy.reshape(2, 2).mean(axis=0), np.ptp(box_xyxy.reshape(2, 2), axis=0).max()
    half = float(np.clip(extent * (0.5 + _MARGIN), 8.0, max(photo.size)))  # whatever box a results file has
    corner = np.round(center - half)
    side = max(int(np.ceil(2 * half)), 1)
    canvas = Image.new("RGB", (side, side), (236, 238, 240))
    left, top = (int(value) for value in -corner)
    canvas.paste(photo, (left, top))
    return np.asarray(canvas.resize((_PICTURE_SIDE, _PICTURE_SIDE))), corner, _PICTURE_SIDE / side


def _scale_uri() -> str:
    """Return the colour scale of the examples as a picture."""
    colors = np.array([[score_color(value) for value in np.linspace(0, 1, 120)]], dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.repeat(colors, 14, axis=0)).save(buffer, "PNG")
    return _uri("png", buffer.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
