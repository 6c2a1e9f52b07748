"""``clickpose calibrate network``: a calibration of lite, or of the end-to-end network, on labelled folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from clickpose.calibration.calibrator_file import CCNET_KIND
from clickpose.calibration.fit import AUTO, OWN, CalibrationFit, Labels, candidates_for, fit_calibration
from clickpose.calibration.posthoc import CALIBRATORS
from clickpose.calibration.provenance import Provenance
from clickpose.commands.calibrate.outcome import Outcome, check_files, save_fit, write_outcome_report
from clickpose.commands.calibrate.report import PersonPictures
from clickpose.data.coco import read_coco_dataset
from clickpose.data.photo_files import check_photos
from clickpose.data.records import PersonRecord
from clickpose.skeleton import Skeleton

if TYPE_CHECKING:
    from clickpose.r50.predictor import R50Predictor
    from clickpose.token_calibration import TokenTables

LITE, R50 = "lite", "r50"
_CURVES_OF = {  # which suit a network's own scores, and why others do not
    LITE: (
        tuple(kind for kind, calibrator in CALIBRATORS.items() if not calibrator.needs_area),
        "its scores know the person's size already",
    ),
    R50: ((), "its own confidence is the same for every keypoint"),
}


@dataclass(frozen=True, kw_only=True)
class NetworkRequest:
    """Which network to fit for, on whom, how, and what to write.

    Attributes:
        data: labelled folders, each with ``annotations.json`` and ``images/``.
        model: ``"lite"`` or ``"r50"``.
        checkpoint: its weights; None for the shipped ones of lite.
        method: ``"auto"``, ``"ccnet"``, or for lite a post-hoc calibrator that needs no area.
        per_joint: a curve for each joint with labels enough.
        clicks: simulated clicks a person, one at a time.
        cache: folder that keeps lite's features between runs.
        out: calibrator to write.
        report: HTML file to write.
        device: to run r50 on; lite runs on the CPU.
        threads: of the CPU.
    """

    data: Sequence[Path]
    model: str = LITE
    checkpoint: Path | None = None
    method: str = AUTO
    per_joint: bool = False
    clicks: int = 3
    cache: Path | None = None
    out: Path | None = None
    report: Path | None = None
    device: str = "cpu"
    threads: int | None = None

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("Expected labelled folders in `data`, got none")
        if self.model not in _CURVES_OF:
            raise ValueError(f"Expected `model` to be lite or r50, got {self.model!r}")
        curves, reason = _CURVES_OF[self.model]
        if self.method not in (AUTO, CCNET_KIND, *curves):
            methods = " or ".join(", ".join((AUTO, CCNET_KIND, *curves)).rsplit(", ", 1))
            why = f": {reason}" if self.method in CALIBRATORS else ""
            raise ValueError(f"Expected `method` {methods} for {self.model}, got {self.method}{why}")
        if self.model == LITE and self.device != "cpu":
            raise ValueError(f"Expected `device` cpu for lite, whose features are computed there, got {self.device!r}")
        if self.model == R50 and self.cache is not None:
            raise ValueError("Expected no `cache` for r50: only lite's features are kept")


class _Network(NamedTuple):
    """A network that is ready: its joints, the mark of its weights, and what runs it over people."""

    skeleton: Skeleton
    fingerprint: str
    collect: Callable[[Sequence[PersonRecord]], tuple[TokenTables, Sequence[PersonRecord]]]  # in the tables' order


def fit_network(request: NetworkRequest, progress: Callable | None = None) -> Outcome:
    """Fit a calibration of a network, before and after clicks, from ground-truth boxes; measure and write it.

    Args:
        request: see there.
        progress: wraps r50's list of photos, to show how far it is.

    Raises:
        ValueError: for folders, photos or weights that cannot be used, too few people, or files that cannot be written;
            before the network runs.
    """
    from clickpose.token_calibration import TokenHead, token_sample  # with torch

    kinds = {AUTO: (OWN, CCNET_KIND), CCNET_KIND: (CCNET_KIND,)}.get(request.method, (OWN,))
    check_files(out=request.out, kinds=kinds, report=request.report)
    network = {LITE: _lite, R50: _r50}[request.model](request, progress)
    sources = [read_coco_dataset(each / "annotations.json", each / "images", network.skeleton) for each in request.data]
    records = [record for source in sources for record in source.persons]
    check_photos(records)
    wish = (request.method, request.per_joint, (TokenHead(),), _CURVES_OF[request.model][0])
    candidates_for(_labels(records, request), network.skeleton, *wish)
    data, ordered = network.collect(records)
    fit = fit_calibration(token_sample(data), network.skeleton, *wish)
    described = f"{', '.join(folder.name for folder in request.data)}: {len(records)} persons"
    outcome = Outcome(
        title=f"{request.model} {network.fingerprint}, {described}, {fit.kind}",
        skeleton=network.skeleton,
        method=fit.kind,
        provenance=Provenance.today(request.model, network.skeleton, described, network.fingerprint),
        before=fit.before,
        after=fit.after,
        notes=[
            *(source.report() for source in sources if any(source.skipped.values())),
            *errors_by_clicks(fit),
            *fit.comparison,
            *fit.notes,
        ],
        pictures=_pictures(ordered, data.keypoints) if request.report is not None else None,
    )
    if request.model == R50 and fit.keeps_own and request.out is not None:  # it reads heads only
        sentence = "No calibrator is written: r50 reads its own scores where there is none."
        return write_outcome_report(
            save_fit(replace(outcome, notes=[*outcome.notes, sentence]), fit, None), request.report
        )
    return write_outcome_report(save_fit(outcome, fit, request.out), request.report)


def errors_by_clicks(fit: CalibrationFit) -> list[str]:
    """Say what a fit does to the error, by the number of clicks."""
    return [
        f"mean squared error of predicted OKS after {clicks} clicks: {before:.4f} -> {after:.4f}"
        for clicks, (before, after) in enumerate(fit.errors)
    ]


def _lite(request: NetworkRequest, progress: Callable | None) -> _Network:
    import torch

    from clickpose.lite.predictor import DEFAULT_FILE, load_network, network_mark
    from clickpose.lite.tokens import collect_lite
    from clickpose.lite.weights import read_skeleton

    torch.set_num_threads(request.threads or torch.get_num_threads())
    weights = request.checkpoint or DEFAULT_FILE
    network, skeleton, mark = load_network(weights), read_skeleton(weights), network_mark(weights)

    def collect(records: Sequence[PersonRecord]) -> tuple[TokenTables, Sequence[PersonRecord]]:
        return collect_lite(network, records, skeleton, request.clicks, request.cache, mark), records

    return _Network(skeleton, mark, collect)


def _r50(request: NetworkRequest, progress: Callable | None) -> _Network:
    from clickpose.build import load
    from clickpose.r50.tokens import collect_tokens
    from clickpose.token_calibration import TokenTables

    # without the calibration that may lie beside it: this fit takes its place
    predictor = cast("R50Predictor", load(R50, request.checkpoint, request.device, request.threads, calibrator=None))

    def collect(records: Sequence[PersonRecord]) -> tuple[TokenTables, Sequence[PersonRecord]]:
        tables, keypoints, ordered = collect_tokens(predictor, records, request.clicks, progress)
        return TokenTables(tables, keypoints), ordered

    return _Network(predictor.skeleton, predictor.fingerprint, collect)


def _labels(records: Sequence[PersonRecord], request: NetworkRequest) -> Labels:
    source = ", ".join(folder.name for folder in request.data)
    if not records:
        raise ValueError(f"Expected labelled persons in {source} to fit on, got none")
    return Labels(
        labelled=np.stack([record.visibility for record in records]) > 0,
        image_ids=np.array([str(record.image_path) for record in records], dtype=object),
        source=source,
    )


def _pictures(records: Sequence[PersonRecord], keypoints: np.ndarray) -> PersonPictures:
    """Return what a report's examples are drawn from: persons and their (N, K, 2) px predictions."""
    return PersonPictures(
        image_paths=[record.image_path for record in records],
        images_hw=np.array([record.image_hw for record in records]),
        keypoints=keypoints,
        truth=np.stack([record.keypoints for record in records]),
        boxes_xyxy=np.stack([record.box_xyxy for record in records]),
    )
