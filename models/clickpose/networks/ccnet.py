"""CCNet: one linear layer on a pose network's penultimate features that predicts each joint's OKS and visibility.

"On the Calibration of Human Pose Estimation" (ICML 2024), Sec. 5. The pose network is frozen and its keypoints are not
touched, so that only the ranking of predictions can change. Fitting is :mod:`clickpose.calibration.ccnet_fit`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class CCNetOutput(NamedTuple):
    """``score_logits`` and ``visibility_logits``, (..., K), before the sigmoid."""

    score_logits: Tensor
    visibility_logits: Tensor


class CCNet(nn.Module):
    """Linear layer from features to the score and visibility of K joints, each joint with its own weights.

    Features are standardised first, with statistics that :meth:`initialize` sets, so that one learning rate suits
    every pose network; together with the weights this remains one affine map.

    Args:
        num_keypoints: K.
        num_features: F.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, num_keypoints: int, num_features: int):
        super().__init__()
        if num_keypoints < 1 or num_features < 1:
            raise ValueError(f"Expected at least one keypoint and feature, got {num_keypoints} and {num_features}")
        self.weight = nn.Parameter(torch.zeros(num_keypoints, 2, num_features))
        self.bias = nn.Parameter(torch.zeros(num_keypoints, 2))
        self.register_buffer("feature_mean", torch.zeros(num_features))
        self.register_buffer("feature_scale", torch.ones(num_features))

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> CCNet:
        """Restore a head, its sizes included, from a ``state_dict``.

        Raises:
            ValueError: if the tensors are not a head's.
        """
        shape: tuple[int, ...] = getattr(state.get("weight"), "shape", ())
        if len(shape) != 3 or shape[1] != 2:
            raise ValueError(f"Expected a CCNet head with weight (K, 2, F), got shape {tuple(shape)}")
        head = cls(shape[0], shape[2])
        try:
            head.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"Expected the tensors of a CCNet head: {error}") from None
        return head.eval()

    @property
    def num_keypoints(self) -> int:
        """K."""
        return self.weight.shape[0]

    @property
    def num_features(self) -> int:
        """F."""
        return self.weight.shape[2]

    @torch.no_grad()
    def initialize(self, features: Tensor, oks: Tensor, visibility: Tensor) -> None:
        """Start a fit: take the features' statistics, and answer with each joint's mean OKS and visibility.

        Args:
            features: (N, F) or (N, K, F); a feature that never changes is left out.
            oks: (N, K) in 0..1; not read where ``visibility`` is 0.
            visibility: (N, K); above 0 is labelled, below 0 is left out.
        """
        rows = features.reshape(-1, self.num_features).float()
        spread = rows.std(dim=0, correction=0)
        self.feature_mean.copy_(rows.mean(dim=0))
        self.feature_scale.copy_(torch.where(spread > 1e-6 * spread.max(), 1 / spread, torch.zeros_like(spread)))
        labelled = (visibility > 0).float()
        count = labelled.sum(dim=0)
        score = (torch.where(labelled > 0, oks, 0.0).sum(dim=0) + 1) / (count + 2)  # Laplace's rule: never 0 or 1
        self.weight.zero_()
        seen = (count + 1) / ((visibility >= 0).sum(dim=0) + 2)
        self.bias.copy_(torch.stack([score, seen], dim=1).logit())

    def forward(self, features: Tensor) -> CCNetOutput:
        """Predict.

        Args:
            features: (..., F), one vector a person, for a head of K joints; or (..., K, F), one a joint.

        Raises:
            ValueError: for another number of features.
        """
        if features.shape[-1] != self.num_features:
            raise ValueError(f"Expected {self.num_features} features, got shape {tuple(features.shape)}")
        standard = (features.float() - self.feature_mean) * self.feature_scale
        per_joint = features.ndim >= 3 and features.shape[-2] == self.num_keypoints
        form = "...kf,kof->...ko" if per_joint else "...f,kof->...ko"
        logits = torch.einsum(form, standard, self.weight) + self.bias
        return CCNetOutput(logits[..., 0], logits[..., 1])
