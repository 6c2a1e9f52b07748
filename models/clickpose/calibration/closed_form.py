"""The closed-form correction: expected OKS (Eq. 12) from the uncertainty of the position and the size of the person.

Table 1 of "On the Calibration of Human Pose Estimation" (ICML 2024) compares three sources of the size: the
annotation's area, an area predicted from the network's features (:class:`SizeHead`), and one mean area for everybody.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clickpose.calibration.expected_oks import expected_oks, length_scale
from clickpose.checks import as_array, check_finite, check_positive


def closed_form_scores(position_sigmas: ArrayLike, area: ArrayLike, sigmas: ArrayLike) -> np.ndarray:
    """Return l^2 / (s^2 + l^2) (Eq. 12) of every joint, l^2 = (2 sigma_k)^2 · area.

    Args:
        position_sigmas: (N, K) standard deviation s of each predicted position along an axis, original px, such as
            :mod:`clickpose.calibration.heatmap_sigma` gives; infinite where the network saw nothing, which scores 0.
        area: (N,) px², above 0: the annotations', a :class:`SizeHead`'s, or :func:`mean_area`.
        sigmas: (K,) OKS sigmas of the joints, COCO convention.

    Returns:
        (N, K) in 0..1.

    Raises:
        ValueError: for a wrong shape, a negative or NaN sigma, or an area that is not above 0.
    """
    deviations = as_array("position_sigmas", position_sigmas, ("N", "K"))
    area = as_array("area", area, (len(deviations),))
    sigmas = as_array("sigmas", sigmas, (deviations.shape[1],))
    return expected_oks(deviations, length_scale(area, sigmas))


def mean_area(area: ArrayLike, persons: int | None = None) -> np.ndarray:
    """Return one typical area for everybody: the geometric mean, since areas spread over orders of magnitude.

    Args:
        area: (M,) px², above 0, of labelled persons.
        persons: length of the answer; None for M.

    Returns:
        (persons,) px², all alike.

    Raises:
        ValueError: for an area that is not above 0, or none at all.
    """
    area = check_positive("area", as_array("area", area, ("M",)))
    if not len(area):
        raise ValueError("Expected at least one area to take the mean of, got none")
    return np.full(len(area) if persons is None else persons, np.exp(np.log(area).mean()))


class SizeHead:
    """Predict a person's area from the pose network's features: ridge regression of its logarithm.

    What is predicted is the area relative to a reference that is always known, such as the box's; the network's input
    is cut around the box, so that its features can tell only the relation.

    Args:
        penalties: ridge penalties to choose from, by leave-one-out error.

    Attributes:
        coef_: (F,) after fitting.
        intercept_: number.
        penalty_: the chosen one.
    """

    def __init__(self, penalties: tuple[float, ...] = (1.0, 10.0, 100.0, 1e3, 1e4)) -> None:
        self.penalties = penalties

    def fit(self, features: ArrayLike, area: ArrayLike, reference_area: ArrayLike) -> SizeHead:
        """Fit on labelled persons.

        Args:
            features: (N, F) of each person.
            area: (N,) px², above 0, the annotations'.
            reference_area: (N,) px², above 0, such as the boxes'.

        Returns:
            self.

        Raises:
            ValueError: for a wrong shape, features that are not finite, areas that are not above 0, or fewer than two
                persons.
        """
        from sklearn.linear_model import RidgeCV

        features = self._check_features(features)
        if len(features) < 2:
            raise ValueError(f"Expected at least two persons to fit on, got {len(features)}")
        area = check_positive("area", as_array("area", area, (len(features),)))
        reference = check_positive("reference_area", as_array("reference_area", reference_area, (len(features),)))
        # standardised, so that one penalty suits all features; folded back into plain coefficients
        center, spread = features.mean(axis=0), features.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        ridge = RidgeCV(alphas=self.penalties).fit((features - center) / spread, np.log(area / reference))
        self.coef_ = ridge.coef_ / spread
        self.intercept_ = float(ridge.intercept_ - center @ self.coef_)
        self.penalty_ = float(ridge.alpha_)
        return self

    def predict(self, features: ArrayLike, reference_area: ArrayLike) -> np.ndarray:
        """Return (N,) areas, px², of (N, F) features and (N,) reference areas.

        Raises:
            RuntimeError: before :meth:`fit`.
            ValueError: as :meth:`fit`, or for another number of features.
        """
        if not hasattr(self, "coef_"):
            raise RuntimeError("Expected fit(features, area, reference_area) before predict; nothing has been fitted")
        features = self._check_features(features)
        if features.shape[1] != len(self.coef_):
            raise ValueError(f"Expected features of shape (N, {len(self.coef_)}), got {features.shape}")
        reference = check_positive("reference_area", as_array("reference_area", reference_area, (len(features),)))
        return reference * np.exp(features @ self.coef_ + self.intercept_)

    @staticmethod
    def _check_features(features: ArrayLike) -> np.ndarray:
        return check_finite("features", as_array("features", features, ("N", "F")))
