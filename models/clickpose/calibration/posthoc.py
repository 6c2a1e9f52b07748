"""Calibrators for a results file alone: confidences in, predicted OKS out, no features and no network needed.

All have the interface of scikit-learn: ``fit(scores, oks, visibility, area)``, ``predict(scores, area)``, fitted state
in attributes that end in ``_``. They predict the expected OKS of a joint given its confidence, so the targets are OKS
terms (0..1), not labels of 0 or 1.

=============  =================================================================================================
isotonic       any rising curve (scikit-learn); the most flexible, wants thousands of labelled joints
platt          sigmoid(a · logit(s) + b)
temperature    sigmoid(logit(s) / T)
closed_form    Eq. 12 of "On the Calibration of Human Pose Estimation" (ICML 2024) with the person's size; see
               :class:`ClosedFormCalibrator`
identity       none: what :mod:`clickpose.calibration.fit` comes to where the confidences are best as they are
=============  =================================================================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from clickpose.calibration.inputs import LabelledScores, check_labelled_scores
from clickpose.checks import as_array, check_positive, check_unit_range
from clickpose.skeleton import Skeleton

_LOGIT_CLIP = 1e-4  # confidences of exactly 0 and 1 carry no finite evidence
_RIDGE = 1e-2  # pull towards the prior, in pseudo-observations: decides only what the data leave open
_SCORE_KINDS = ("heatmap", "rle")


class PosthocCalibrator(ABC):
    """Base of the calibrators: checks, and one curve for all joints or one for each.

    Args:
        per_joint: fit a curve for each joint; a joint with fewer than ``min_samples`` labels gets the pooled one.
        min_samples: see above.

    Attributes:
        curves_: after fitting, the parameters of one pooled curve or of K.
        num_joints_: K.
    """

    kind: ClassVar[str]
    needs_area: ClassVar[bool] = False

    def __init__(self, per_joint: bool = False, min_samples: int = 50):
        if min_samples < 1:
            raise ValueError(f"Expected min_samples of at least 1, got {min_samples}")
        self.per_joint = per_joint
        self.min_samples = min_samples

    def fit(
        self, scores: ArrayLike, oks: ArrayLike, visibility: ArrayLike, area: ArrayLike | None = None
    ) -> PosthocCalibrator:
        """Fit on labelled persons.

        Args:
            scores: (N, K) confidences, 0..1.
            oks: (N, K) OKS term of each joint, 0..1; not read where ``visibility`` is 0.
            visibility: (N, K) COCO visibility; above 0 is labelled.
            area: (N,) px², above 0; the same kind of area that :meth:`predict` will get. Only the closed form reads it.

        Returns:
            self.

        Raises:
            ValueError: for a wrong shape or range, no person, no labelled joint, or a missing area.
        """
        data = check_labelled_scores(scores, oks, visibility, self._used_area(area))
        joints = data.scores.shape[1]
        self._check_num_joints(joints)
        pooled = self._fit_curve(data, data.labelled)
        curves = [pooled]
        if self.per_joint:
            own = [data.labelled & (np.arange(joints) == joint) for joint in range(joints)]
            curves = [self._fit_curve(data, mask) if mask.sum() >= self.min_samples else pooled for mask in own]
        self.curves_, self.num_joints_ = curves, joints
        return self

    def predict(self, scores: ArrayLike, area: ArrayLike | None = None) -> np.ndarray:
        """Return the predicted OKS of each joint.

        Args:
            scores: (N, K) confidences, 0..1; N may be 0.
            area: (N,) px², above 0; only the closed form reads it.

        Returns:
            (N, K) in 0..1.

        Raises:
            RuntimeError: before :meth:`fit`.
            ValueError: for a wrong shape or range, or a missing area.
        """
        if not hasattr(self, "curves_"):
            raise RuntimeError("Expected fit(scores, oks, visibility, area) before predict; nothing has been fitted")
        scores = check_unit_range("scores", as_array("scores", scores, ("N", self.num_joints_)))
        area = self._used_area(area)
        if area is not None:
            area = check_positive("area", as_array("area", area, (len(scores),)))
        result = np.empty_like(scores)
        for joint in range(self.num_joints_):
            curve = self.curves_[joint if len(self.curves_) > 1 else 0]
            result[:, joint] = self._apply_curve(curve, scores[:, joint], area, joint)
        return np.clip(result, 0.0, 1.0)

    def to_state(self) -> dict:
        """Return options and fitted state as what JSON can hold.

        Raises:
            RuntimeError: before :meth:`fit`.
        """
        if not hasattr(self, "curves_"):
            raise RuntimeError("Expected a fitted calibrator, got one before fit(scores, oks, visibility, area)")
        curves = [np.asarray(curve).tolist() for curve in self.curves_]
        return {**self._options(), "num_joints": self.num_joints_, "curves": curves}

    @classmethod
    def from_state(cls, state: dict) -> PosthocCalibrator:
        """Restore what :meth:`to_state` returned.

        Raises:
            ValueError: if the state is not of this calibrator.
        """
        state = dict(state)
        try:
            curves = [np.asarray(curve, dtype=np.float64) for curve in state.pop("curves")]
            joints = int(state.pop("num_joints"))
            calibrator = cls(**state)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"Expected the state of a {cls.kind} calibrator, got one where {error} fails") from None
        if len(curves) not in (1, joints) or not all(calibrator._is_curve(curve) for curve in curves):
            raise ValueError(f"Expected 1 or {joints} whole curves of a {cls.kind} calibrator, got others")
        calibrator._check_num_joints(joints)
        calibrator.curves_, calibrator.num_joints_ = curves, joints
        return calibrator

    def _options(self) -> dict:
        return {"per_joint": self.per_joint, "min_samples": self.min_samples}

    def _used_area(self, area: ArrayLike | None) -> ArrayLike | None:
        if not self.needs_area:
            return None
        if area is None:
            raise ValueError(f"Expected area of shape (N,) for the {self.kind} calibrator, got None")
        return area

    def _check_num_joints(self, joints: int) -> None:
        """Refuse a number of joints that the options do not allow; any is allowed here."""
        return

    @abstractmethod
    def _fit_curve(self, data: LabelledScores, mask: np.ndarray) -> np.ndarray:
        """Fit one curve to the joints of the (N, K) bool ``mask``."""

    @abstractmethod
    def _apply_curve(self, curve: np.ndarray, scores: np.ndarray, area: np.ndarray | None, joint: int) -> np.ndarray:
        """Evaluate a curve at (N,) scores of one joint."""

    @abstractmethod
    def _is_curve(self, curve: np.ndarray) -> bool:
        """Tell whether an array read from a file can be a curve."""


class IsotonicCalibrator(PosthocCalibrator):
    """A rising step-free curve through the data: isotonic regression, linear between its knots, constant beyond.

    ``curves_`` holds (2, knots) arrays: confidences and predicted OKS.
    """

    kind = "isotonic"

    def _fit_curve(self, data: LabelledScores, mask: np.ndarray) -> np.ndarray:
        from sklearn.isotonic import IsotonicRegression  # a second's import: only for fitting

        regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        regression.fit(data.scores[mask], data.oks[mask])
        return np.stack([regression.X_thresholds_, regression.y_thresholds_])

    def _apply_curve(self, curve: np.ndarray, scores: np.ndarray, area: np.ndarray | None, joint: int) -> np.ndarray:
        return np.interp(scores, curve[0], curve[1])

    def _is_curve(self, curve: np.ndarray) -> bool:
        fits = curve.ndim == 2 and curve.shape[0] == 2 and curve.shape[1] >= 1 and np.isfinite(curve).all()
        return bool(fits and (np.diff(curve) >= 0).all())


class _LogisticCalibrator(PosthocCalibrator):
    """sigmoid(offset + design · coefficients), fitted by cross-entropy against OKS, a convex problem."""

    prior: ClassVar[tuple[float, ...]]

    def _design(
        self, scores: np.ndarray, area: np.ndarray | None, joint: np.ndarray | int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (M, P) design and (M,) offset of M scores with their areas and joint indices."""
        raise NotImplementedError

    def _fit_curve(self, data: LabelledScores, mask: np.ndarray) -> np.ndarray:
        persons, joints = np.nonzero(mask)
        area = None if data.area is None else data.area[persons]
        design, offset = self._design(data.scores[mask], area, joints)
        return fit_logistic(design, data.oks[mask], offset, np.array(self.prior))

    def _apply_curve(self, curve: np.ndarray, scores: np.ndarray, area: np.ndarray | None, joint: int) -> np.ndarray:
        from scipy.special import expit

        design, offset = self._design(scores, area, joint)
        return expit(design @ curve + offset)

    def _is_curve(self, curve: np.ndarray) -> bool:
        return curve.shape == (len(self.prior),) and bool(np.isfinite(curve).all())


class PlattCalibrator(_LogisticCalibrator):
    """sigmoid(a · logit(s) + b); ``curves_`` holds (a, b)."""

    kind = "platt"
    prior = (1.0, 0.0)

    def _design(
        self, scores: np.ndarray, area: np.ndarray | None, joint: np.ndarray | int
    ) -> tuple[np.ndarray, np.ndarray]:
        evidence = logit(scores)
        return np.stack([evidence, np.ones_like(evidence)], axis=1), np.zeros_like(evidence)


class TemperatureCalibrator(_LogisticCalibrator):
    """sigmoid(logit(s) / T); ``curves_`` holds (1 / T,)."""

    kind = "temperature"
    prior = (1.0,)

    def _design(
        self, scores: np.ndarray, area: np.ndarray | None, joint: np.ndarray | int
    ) -> tuple[np.ndarray, np.ndarray]:
        evidence = logit(scores)
        return evidence[:, None], np.zeros_like(evidence)


class ClosedFormCalibrator(_LogisticCalibrator):
    """The expected OKS l^2 / (s^2 + l^2) (Eq. 12) with l^2 = (2 sigma_k)^2 · area, its s^2 read from the confidence.

    The log-odds of Eq. 12 are log l^2 - log s^2. A heatmap's peak tells log s^2 up to a constant, -logit(o) (Eq. 17);
    an RLE score tells it as 2 log(1 - o) (Eq. 19). The unit of s is the network's: fixed pixels, or a share of the box,
    so that the power of the area is fitted as well: logit(OKS) = a · evidence + b · log(area) + c + log (2 sigma_k)^2.
    ``curves_`` holds (a, b, c).

    Args:
        sigmas: (K,) OKS sigmas of the joints, COCO convention.
        score_kind: ``"heatmap"`` (peaks) or ``"rle"`` (1 - scale).
        per_joint: as the base class.
        min_samples: as the base class.
    """

    kind = "closed_form"
    needs_area = True
    prior = (1.0, 1.0, 0.0)
    _AREA_UNIT = 1e4  # px^2: keeps log(area) near 0, so that the constant is of order 1

    def __init__(self, sigmas: ArrayLike, score_kind: str = "heatmap", per_joint: bool = False, min_samples: int = 50):
        super().__init__(per_joint, min_samples)
        if score_kind not in _SCORE_KINDS:
            raise ValueError(f"Expected score_kind to be one of {', '.join(_SCORE_KINDS)}, got {score_kind!r}")
        self.sigmas = check_positive("sigmas", as_array("sigmas", sigmas, ("K",)))
        self.score_kind = score_kind

    def _options(self) -> dict:
        return {**super()._options(), "sigmas": self.sigmas.tolist(), "score_kind": self.score_kind}

    def _check_num_joints(self, joints: int) -> None:
        if joints != len(self.sigmas):
            raise ValueError(f"Expected scores of {len(self.sigmas)} joints, one for each sigma, got {joints}")

    def _design(
        self, scores: np.ndarray, area: np.ndarray | None, joint: np.ndarray | int
    ) -> tuple[np.ndarray, np.ndarray]:
        if area is None:
            raise ValueError(f"Expected area of shape (N,) for the {self.kind} calibrator, got None")
        clipped = np.clip(scores, _LOGIT_CLIP, 1 - _LOGIT_CLIP)
        evidence = logit(scores) if self.score_kind == "heatmap" else -2 * np.log1p(-clipped)
        offset = np.broadcast_to(2 * np.log(2 * self.sigmas[joint]), evidence.shape)
        return np.stack([evidence, np.log(area / self._AREA_UNIT), np.ones_like(evidence)], axis=1), offset


class IdentityCalibrator(PosthocCalibrator):
    """Leaves confidences as they are: what a fit comes to where no curve is nearer to the OKS than they are."""

    kind = "identity"

    def _fit_curve(self, data: LabelledScores, mask: np.ndarray) -> np.ndarray:
        return np.empty(0)

    def _apply_curve(self, curve: np.ndarray, scores: np.ndarray, area: np.ndarray | None, joint: int) -> np.ndarray:
        return scores

    def _is_curve(self, curve: np.ndarray) -> bool:
        return curve.shape == (0,)


CALIBRATORS: dict[str, type[PosthocCalibrator]] = {
    cls.kind: cls for cls in (IsotonicCalibrator, PlattCalibrator, TemperatureCalibrator, ClosedFormCalibrator)
}
KINDS_IN_FILES: dict[str, type[PosthocCalibrator]] = {**CALIBRATORS, IdentityCalibrator.kind: IdentityCalibrator}


def make_calibrator(kind: str, skeleton: Skeleton, per_joint: bool = False, **options: Any) -> PosthocCalibrator:
    """Make an unfitted calibrator by name.

    Args:
        kind: a key of :data:`CALIBRATORS`.
        skeleton: whose sigmas the closed form uses.
        per_joint: one curve for each joint.
        options: further ones of the class.

    Raises:
        ValueError: for another name.
    """
    if kind not in CALIBRATORS:
        raise ValueError(f"Expected a calibrator of {', '.join(CALIBRATORS)}, got {kind!r}")
    if kind == ClosedFormCalibrator.kind:
        options["sigmas"] = skeleton.sigma_array
    return CALIBRATORS[kind](per_joint=per_joint, **options)


def logit(scores: np.ndarray) -> np.ndarray:
    """Return log(s / (1 - s)), with s kept 1e-4 away from 0 and 1."""
    clipped = np.clip(scores, _LOGIT_CLIP, 1 - _LOGIT_CLIP)
    return np.log(clipped) - np.log1p(-clipped)


def fit_logistic(design: np.ndarray, target: np.ndarray, offset: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the coefficients of a logistic regression with targets in 0..1, an offset, and a faint pull to ``prior``.

    Args:
        design: (M, P).
        target: (M,) in 0..1; need not be 0 or 1.
        offset: (M,) log-odds known beforehand.
        prior: (P,) what the coefficients are where the data do not tell (all scores alike, one sample).
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        logits = design @ coefficients + offset
        change = coefficients - prior
        value = np.logaddexp(0.0, logits).sum() - target @ logits + _RIDGE * change @ change
        return value, design.T @ (expit(logits) - target) + 2 * _RIDGE * change

    def hessian(coefficients: np.ndarray) -> np.ndarray:
        probability = expit(design @ coefficients + offset)
        return (design.T * (probability * (1 - probability))) @ design + 2 * _RIDGE * np.eye(len(prior))

    return minimize(loss, prior, jac=True, hess=hessian, method="trust-exact").x
