"""Fit a calibration of the lite network on labelled folders, with figures and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from clickpose.calibration.calibrator_file import Provenance
from clickpose.calibration.posthoc import CALIBRATORS, make_calibrator
from clickpose.commands.calibrate.outcome import AUTO, CCNET, CalibrateOptions, Outcome, save_fit
from clickpose.data.coco import read_coco_persons
from clickpose.lite.calibration import MODEL
from clickpose.lite.predictor import DEFAULT_FILE, load_network, network_mark
from clickpose.lite.tokens import collect_lite
from clickpose.lite.weights import read_skeleton
from clickpose.skeleton import Skeleton
from clickpose.token_calibration import fit_token_ccnet, fit_token_posthoc


def fit_lite(
    folders: Sequence[Path], checkpoint: Path | None, options: CalibrateOptions, clicks: int = 3,
    cache: Path | None = None,
) -> Outcome:  # fmt: skip
    """Fit a calibration of the lite network, before and after clicks, from ground-truth boxes.

    Args:
        folders: with ``annotations.json`` and ``images/``.
        checkpoint: the network's weights; None for the shipped ones.
        options: method (a post-hoc one, ``ccnet``, or ``auto``), and files to write.
        clicks: simulated clicks a person, one at a time.
        cache: folder that keeps the network's features.

    Raises:
        ValueError: for folders or weights that cannot be used.
    """
    weights = checkpoint or DEFAULT_FILE
    network, skeleton, mark = load_network(weights), read_skeleton(weights), network_mark(weights)
    records = [record for folder in folders for record in read_coco_persons(folder, skeleton)]
    data = collect_lite(network, records, skeleton, clicks, cache, mark)
    fits = _lite_fits(data, skeleton, options)
    method = min(fits, key=lambda name: np.nanmean(fits[name].errors[:, 1]))
    fit, described = fits[method], f"{', '.join(folder.name for folder in folders)}: {len(records)} persons"
    outcome = Outcome(
        f"{MODEL} {mark}, {described}, {method}", skeleton, method,
        Provenance.today(MODEL, skeleton, described, mark), fit.before, fit.after,
        notes=[*errors_by_clicks(fits[method].errors), *_compared(fits)],
        pictures=lambda: record_pictures(records, data.keypoints),
    )  # fmt: skip
    return save_fit(outcome, fit.fitted, options.out)


def _lite_fits(data, skeleton: Skeleton, options: CalibrateOptions) -> dict:
    """Fit by the given method, or by all that suit lite."""
    posthoc = [kind for kind, cls in CALIBRATORS.items() if not cls.needs_area]
    if options.method not in (AUTO, CCNET, *posthoc):
        raise ValueError(f"Expected --method auto, {CCNET} or {', '.join(posthoc)} for lite, got {options.method}: "
                         "its scores know the person's size already")  # fmt: skip
    wanted = [options.method] if options.method != AUTO else [*posthoc, CCNET]
    return {
        kind: fit_token_ccnet(data)
        if kind == CCNET
        else fit_token_posthoc(data, make_calibrator(kind, skeleton, options.per_joint))
        for kind in wanted
    }


def errors_by_clicks(errors: np.ndarray) -> list[str]:
    """Say what a fit does to the error, by the number of clicks."""
    return [
        f"mean squared error of predicted OKS after {clicks} clicks: {before:.4f} -> {after:.4f}"
        for clicks, (before, after) in enumerate(errors)
    ]


def _compared(fits: Mapping) -> list[str]:
    """Say how the methods compare with each other and with the network's own scores."""
    if len(fits) < 2:
        return []
    own = np.nanmean(next(iter(fits.values())).errors[:, 0])
    lines = [f"{name}: {np.nanmean(fit.errors[:, 1]):.4f}" for name, fit in fits.items()]
    return [f"over all numbers of clicks, own scores: {own:.4f}; " + "; ".join(lines)]


def record_pictures(records, keypoints: np.ndarray):
    """Return what a report's examples are drawn from: persons and their (N, K, 2) px predictions."""
    from clickpose.commands.calibrate.report import PersonPictures

    return PersonPictures(
        image_paths=[record.image_path for record in records],
        images_hw=np.array([record.image_hw for record in records]),
        keypoints=keypoints,
        truth=np.stack([record.keypoints for record in records]),
        boxes_xyxy=np.stack([record.box_xyxy for record in records]),
    )
