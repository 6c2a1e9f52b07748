"""Fit a CCNet head on the end-to-end network's tokens of a labelled folder, with figures and a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from clickpose.calibration.calibrator_file import Provenance
from clickpose.commands.calibrate.lite import errors_by_clicks, record_pictures
from clickpose.commands.calibrate.outcome import AUTO, CCNET, CalibrateOptions, Outcome, save_fit
from clickpose.data.coco import read_coco_persons
from clickpose.r50.calibration import MODEL
from clickpose.r50.predictor import R50Predictor
from clickpose.r50.tokens import collect_tokens
from clickpose.token_calibration import TokenTables, fit_token_ccnet


def fit_r50(
    folders: Sequence[Path], predictor: R50Predictor, options: CalibrateOptions, clicks: int = 3,
    progress: Callable | None = None,
) -> Outcome:  # fmt: skip
    """Fit a calibration of the end-to-end network, before and after clicks, prompted with ground-truth boxes.

    Args:
        folders: with ``annotations.json`` and ``images/``.
        predictor: of the checkpoint.
        options: method (``ccnet``, which ``auto`` means too), and files to write.
        clicks: simulated clicks a person, one at a time.
        progress: wraps the list of photos, to show how far it is.

    Raises:
        ValueError: for folders that cannot be used, or another method: the network has no confidence of a keypoint
            that a curve could bend.
    """
    if options.method not in (AUTO, CCNET):
        raise ValueError(f"Expected --method auto or {CCNET} for {MODEL}, got {options.method}: its own confidence is "
                         "the same for every keypoint")  # fmt: skip
    skeleton = predictor.skeleton
    records = [record for folder in folders for record in read_coco_persons(folder, skeleton)]
    tables, keypoints, ordered = collect_tokens(predictor, records, clicks, progress)
    fit = fit_token_ccnet(TokenTables(tables, keypoints))
    described = f"{', '.join(folder.name for folder in folders)}: {len(records)} persons"
    outcome = Outcome(
        f"{MODEL} {predictor.fingerprint}, {described}, {CCNET}", skeleton, CCNET,
        Provenance.today(MODEL, skeleton, described, predictor.fingerprint), fit.before, fit.after,
        notes=errors_by_clicks(fit.errors), pictures=lambda: record_pictures(ordered, keypoints),
    )  # fmt: skip
    return save_fit(outcome, fit.fitted, options.out)
