"""COCO's keypoint evaluation as a FiftyOne backend: ``dataset.evaluate_detections(..., method="coco-pose")``.

FiftyOne's own keypoint similarity is not COCO's (its sigmas are halved, areas ignored), so its figures are others. Here
the ten figures equal pycocotools'; per person the match and its OKS are stored, per sample the counts and the mean OKS.
"""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
import fiftyone.utils.eval.detection as foud
import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX
from clickpose.metrics.average_precision import (
    FIGURES,
    OKS_THRESHOLDS,
    RECALLS,
    KeypointEvaluation,
    evaluate_keypoints,
)
from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.checks import left_out, require_compared, require_samples
from clickpose_fiftyone.collector import collector_paused, uncollected
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.declaring import declare, delete_fields
from clickpose_fiftyone.field_names import AREA, GT, PRED, PRED_OKS, person_path
from clickpose_fiftyone.fiftyone_internals import RestoredResults, dataset_of
from clickpose_fiftyone.matching import Matches, match_persons
from clickpose_fiftyone.people_views import photos_of
from clickpose_fiftyone.skeletons import ASSUMED_SIGMA, joints_without_sigma
from clickpose_fiftyone.truth import (
    PREDICTION_ATTRIBUTES,
    TRUTH_ATTRIBUTES,
    read_predictions,
    read_truth,
    require_same_joints,
    within_categories,
)

METHOD = "coco-pose"
TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, IGNORED = "tp", "fp", "fn", "ignored"


class PoseEvaluationConfig(foud.DetectionEvaluationConfig):
    """Options of the ``coco-pose`` method.

    Args:
        pred_field: Keypoints field with predictions.
        gt_field: Keypoints field with annotations.
        iou: OKS from which a prediction finds a person in the stored matches; the figures always average over
            .5:.05:.95.
        classwise: ignored: all persons are of one class.
        score: attribute that ranks the predictions.
    """

    def __init__(self, pred_field, gt_field, iou=None, classwise=None, score=PRED_OKS, **kwargs):
        kwargs = {name: value for name, value in kwargs.items() if name not in ("use_masks", "use_boxes")}
        super().__init__(pred_field, gt_field, iou=0.5 if iou is None else iou, classwise=False, **kwargs)
        self.score = score

    @property
    def method(self):
        """The name under which the backend is registered."""
        return METHOD


@dataclass(frozen=True, eq=False)
class _Outcome:
    """An evaluation of columns, before it is stored anywhere."""

    truth: PersonColumns
    predictions: PersonColumns
    evaluation: KeypointEvaluation
    matches: Matches
    ignored: np.ndarray  # (G,) persons that need not be found
    scores: np.ndarray  # (P,)

    def prediction_states(self) -> np.ndarray:
        """Return ``tp``, ``fp`` or ``ignored`` of each prediction (P,)."""
        found = np.where(self.matches.truth_of >= 0, TRUE_POSITIVE, FALSE_POSITIVE)
        return np.where(self.matches.counted, found, IGNORED)

    def truth_states(self) -> np.ndarray:
        """Return ``tp``, ``fn`` or ``ignored`` of each annotated person (G,)."""
        found = np.where(self.matches.prediction_of >= 0, TRUE_POSITIVE, FALSE_NEGATIVE)
        return np.where(self.ignored, IGNORED, found)


class PoseEvaluation(foud.DetectionEvaluation):
    """The ``coco-pose`` method: everything is computed from columns when the run is registered.

    Args:
        config: a :class:`PoseEvaluationConfig`.
    """

    def __init__(self, config):
        super().__init__(config)
        self._outcome = None
        self._matches_by_sample = {}

    def validate_run(self, samples, key, overwrite=True):
        """Refuse a name whose fields would replace something that is not of an earlier run.

        Raises:
            ValueError: naming what is in the way.
        """
        super().validate_run(samples, key, overwrite=overwrite)
        if key in samples.list_evaluations():
            return
        named = (*_person_fields(self.config, key), *_photo_fields(key))
        taken = [path for path in named if samples.get_field(path) is not None]
        if taken:
            raise ValueError(f'Expected a free name for the run, got {key!r}: "{taken[0]}" is there already')

    @collector_paused()
    def prepare(self, samples):
        """Evaluate the view; nothing is written."""
        self._outcome = _evaluate_columns(samples, self.config)
        self._matches_by_sample = _matches_by_sample(self._outcome)

    def register_run(self, samples, key, overwrite=True, cleanup=True):
        """Evaluate the view, if nobody has, then note the run: where the fields cannot serve, there is none."""
        if self._outcome is None:
            self.prepare(samples)
        super().register_run(samples, key, overwrite=overwrite, cleanup=cleanup)

    def register_samples(self, samples, eval_key, dynamic=True):
        """Declare the fields of a run, if there is one."""
        if eval_key is not None:
            *counts, oks = _photo_fields(eval_key)
            kinds = dict.fromkeys(counts, fo.IntField) | {oks: fo.FloatField}
            for path in _person_fields(self.config, eval_key):
                kinds[path] = fo.FloatField if path.endswith("_iou") else fo.StringField
            declare(samples, {path: (kind, None) for path, kind in kinds.items()})
        super().register_samples(samples, eval_key, dynamic=dynamic)

    def evaluate(self, doc, eval_key=None):
        """Return the matches of one sample."""
        return self._matches_by_sample.get(doc.id, [])

    def all_matches(self):
        """Return the matches of all samples."""
        return [match for found in self._matches_by_sample.values() for match in found]

    def cleanup(self, samples, eval_key):
        """Delete the fields of a run."""
        delete_fields(samples, [*_photo_fields(eval_key), *_person_fields(self.config, eval_key)])
        self.cleanup_custom_metrics(samples, eval_key)

    @collector_paused()
    def generate_results(self, samples, matches, eval_key=None, classes=None, missing=None, progress=None):
        """Write the states of all persons and photos; return :class:`PoseEvaluationResults`."""
        if eval_key is not None:
            _write_columns(self._outcome, eval_key)
        return _results(self._outcome, samples, self.config, eval_key, matches, classes, missing, self)


class PoseEvaluationResults(RestoredResults, foud.DetectionResults):
    """The figures and curves of an evaluation; see FiftyOne's ``DetectionResults`` for the rest.

    Args:
        figures: COCO's ten figures, NaN where there is nobody to find.
        precision: (10, 101) precision by OKS threshold and recall.
        person_scores: score of each prediction that counts.
        person_oks: its OKS with the person that it found, 0 for none.
        notes: what was assumed or left out -> of how many people.
    """

    def __init__(
        self, samples, config, eval_key, matches, figures, precision, person_scores, person_oks, notes=None,
        backend=None, **kwargs,
    ):  # fmt: skip
        super().__init__(samples, config, eval_key, matches, backend=backend, **kwargs)
        self.notes = dict(notes or {})
        self.figures = figures
        self.precision = np.asarray(precision, dtype=np.float64)
        self.person_scores = np.asarray(person_scores, dtype=np.float64)
        self.person_oks = np.asarray(person_oks, dtype=np.float64)

    def mAP(self):
        """Return COCO's AP over OKS .5:.05:.95."""
        return self.figures["AP"]

    def mAR(self):
        """Return COCO's AR over OKS .5:.05:.95."""
        return self.figures["AR"]

    def metrics(self, *args, **kwargs):
        """Return FiftyOne's own metrics at the matching threshold, with the ten figures."""
        return {**super().metrics(*args, **kwargs), **self.figures}

    def sentence(self) -> str:
        """Return the ten figures and what was assumed, as a sentence."""
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.figures.items())
        return f"{figures}.{left_out(self.notes)}"

    def pr_curve(self, threshold: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        """Return recall (101,) and precision (101,) at one of the OKS thresholds .5:.05:.95.

        Raises:
            ValueError: for another threshold.
        """
        distance = np.abs(OKS_THRESHOLDS - threshold)
        if distance.min() > 1e-6:
            raise ValueError(f"Expected an OKS threshold of .5, .55, …, .95, got {threshold}")
        return RECALLS, self.precision[int(distance.argmin())]

    @classmethod
    def restore(cls, stored, samples, config, key, **kwargs):
        """Return the results of a run from what FiftyOne stored of them."""
        columns = (stored[name] for name in ("ytrue", "ypred", "ious", "confs", "ytrue_ids", "ypred_ids"))
        own = {name: stored[name] for name in ("figures", "precision", "person_scores", "person_oks")}
        for name in ("classes", "missing", "custom_metrics", "notes"):
            own[name] = stored.get(name)
        return cls(samples, config, key, list(zip(*columns, strict=True)), **own, **kwargs)


@stepwise
@uncollected
def evaluate_poses(
    samples, pred_field: str = PRED, gt_field: str = GT, eval_key: str | None = "eval", score: str = PRED_OKS,
    oks: float = 0.5,
) -> Steps[PoseEvaluationResults]:  # fmt: skip
    """Evaluate predictions; equal to ``samples.evaluate_detections(..., method="coco-pose")`` without its sample loop.

    Beside FiftyOne's own fields, each sample gets ``<eval_key>_oks``, the mean OKS of its predictions.

    Args:
        samples: a dataset or view of images.
        pred_field: Keypoints field with predictions.
        gt_field: Keypoints field with annotations (``visibility`` 0/1/2, ``area``, ``iscrowd``, ``bounding_box``).
        eval_key: name under which the run is stored; None to store nothing.
        score: attribute that ranks the predictions; ``"score_raw"`` for the ranking before calibration.
        oks: OKS from which a prediction finds a person, for the stored matches.
        progress: called with (parts of the work done, parts in all); nothing is written before the second one.

    Raises:
        ValueError: if the fields cannot serve or there is no ground truth.
    """
    if eval_key is not None and not eval_key.isidentifier():
        raise ValueError(f"Expected a name of letters, digits and underscores for the run, got {eval_key!r}")
    if not 0 < oks <= 1:
        raise ValueError(f"Expected an OKS threshold in 0..1, got {oks}")
    samples = photos_of(samples, people=False)
    require_samples(samples)
    config = PoseEvaluationConfig(pred_field, gt_field, iou=oks, score=score)
    method = config.build()
    method.prepare(samples)
    yield 1, 3
    method.register_run(samples, eval_key)
    method.register_samples(samples, eval_key)
    results = method.generate_results(samples, method.all_matches(), eval_key=eval_key)
    yield 2, 3
    if eval_key is not None:
        method.save_run_results(samples, eval_key, results)
        method.add_fields_to_sidebar_group(samples, eval_key, omit_fields=(pred_field, gt_field))
    return results


def _evaluate_columns(samples, config: PoseEvaluationConfig) -> _Outcome:
    require_compared(samples, config.pred_field, config.gt_field)
    truth_columns = PersonColumns(samples, config.gt_field, attributes=TRUTH_ATTRIBUTES)
    prediction_columns = PersonColumns(samples, config.pred_field, attributes=PREDICTION_ATTRIBUTES)
    require_same_joints(prediction_columns, truth_columns)
    found = read_predictions(prediction_columns, config.score, as_coco=True)
    truth, predictions = within_categories(read_truth(truth_columns), found, truth_columns, prediction_columns)
    sigmas = truth_columns.skeleton.sigma_array
    evaluation = evaluate_keypoints(truth, predictions, sigmas, range(len(truth_columns.counts)))
    matches = match_persons(truth, predictions, sigmas, config.iou)
    return _Outcome(truth_columns, prediction_columns, evaluation, matches, truth.ignored, predictions.scores)


def _matches_by_sample(outcome: _Outcome) -> dict[str, list[tuple]]:
    """Return sample id -> FiftyOne's (true label, predicted label, OKS, confidence, true id, predicted id)."""
    found: dict[str, list[tuple]] = {str(sample_id): [] for sample_id in outcome.truth.sample_ids}
    names = list(found)
    truth_ids, prediction_ids = outcome.truth.label_ids, outcome.predictions.label_ids
    matches, label = outcome.matches, "person"
    for prediction in np.flatnonzero(matches.counted).tolist():
        truth = int(matches.truth_of[prediction])
        hit = truth >= 0
        found[names[outcome.predictions.rows[prediction]]].append(
            (
                label if hit else None, label, float(matches.oks[prediction]) if hit else None,
                float(outcome.scores[prediction]), truth_ids[truth] if hit else None, prediction_ids[prediction],
            )
        )  # fmt: skip
    for truth in np.flatnonzero((matches.prediction_of < 0) & ~outcome.ignored).tolist():
        found[names[outcome.truth.rows[truth]]].append((label, None, None, None, truth_ids[truth], None))
    return found


def _write_columns(outcome: _Outcome, eval_key: str) -> None:
    """Write the matches of all persons and the counts of all samples."""
    matches = outcome.matches
    truth_ids, prediction_ids = outcome.truth.label_ids, outcome.predictions.label_ids
    predictions, truth = outcome.prediction_states(), outcome.truth_states()
    partner = [truth_ids[i] if i >= 0 else None for i in matches.truth_of.tolist()]
    found = np.where(matches.truth_of >= 0, matches.oks, np.nan)
    own = np.array([matches.oks[i] if i >= 0 else np.nan for i in matches.prediction_of.tolist()], np.float64)
    own_ids = [prediction_ids[i] if i >= 0 else None for i in matches.prediction_of]
    outcome.truth.write_all({eval_key: truth, f"{eval_key}_id": own_ids, f"{eval_key}_iou": own})
    columns = outcome.predictions
    photos = {f"{eval_key}_{FALSE_NEGATIVE}": outcome.truth.totals(truth == FALSE_NEGATIVE)}
    for state in (TRUE_POSITIVE, FALSE_POSITIVE):
        photos[f"{eval_key}_{state}"] = columns.totals(predictions == state)
    counted = columns.totals(matches.counted)
    total = np.bincount(columns.rows, weights=matches.oks * matches.counted, minlength=len(columns.counts))
    photos[_oks_field(eval_key)] = np.divide(total, counted, out=np.full(len(total), np.nan), where=counted > 0)
    columns.write_all({eval_key: predictions, f"{eval_key}_id": partner, f"{eval_key}_iou": found}, photos)


def _results(outcome: _Outcome, samples, config, eval_key, matches, classes, missing, backend) -> PoseEvaluationResults:
    counted = outcome.matches.counted
    return PoseEvaluationResults(
        samples, config, eval_key, matches,
        figures={name: outcome.evaluation.figures[name] for name in FIGURES},
        precision=outcome.evaluation.precision.tolist(),
        person_scores=outcome.scores[counted].tolist(),
        person_oks=outcome.matches.oks[counted].tolist(),
        notes=_notes(outcome),
        classes=classes, missing=missing, backend=backend,
    )  # fmt: skip


def _notes(outcome: _Outcome) -> dict[str, int]:
    """Count what the figures assume of the labelled people, who of them counts neither way, and what is left out."""
    without_area, skeleton = ~np.isfinite(outcome.truth.scalars(AREA)) & ~outcome.ignored, outcome.truth.skeleton
    notes = {
        f"labelled people without an area, which is taken as {BODY_SHARE_OF_BOX:g} of the box": int(without_area.sum()),
        "labelled people that count neither way (crowds, or without labelled joints)": int(outcome.ignored.sum()),
    }
    elsewhere = len(dataset_of(outcome.truth.samples)) - len(outcome.truth.counts)  # maybe those where nobody was found
    further = {
        f"joints of an own skeleton, whose sigma is taken as {ASSUMED_SIGMA:g}": joints_without_sigma(skeleton),
        "photos of the dataset that are not in the view": elsewhere,
    }
    return notes | {what: count for what, count in further.items() if count}


def _oks_field(eval_key: str) -> str:
    return f"{eval_key}_oks"


def _person_fields(config, eval_key: str) -> list[str]:
    """Return the paths of what a run writes of people: their state, their partner, their OKS."""
    fields, names = (config.gt_field, config.pred_field), (eval_key, f"{eval_key}_id", f"{eval_key}_iou")
    return [person_path(field, name) for field in fields for name in names]


def _photo_fields(eval_key: str) -> list[str]:
    """Return the sample fields of a run."""
    states = (TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)
    return [*(f"{eval_key}_{state}" for state in states), _oks_field(eval_key)]
