"""Fits on the tokens of people before and after clicks, made up so that their worth is known."""

import numpy as np
import torch

from clickpose.calibration.ccnet_fit import CCNetConfig, FeatureTable
from clickpose.calibration.posthoc import PlattCalibrator
from clickpose.token_calibration import TokenTables, apply_to_table, fit_token_ccnet, fit_token_posthoc


def synthetic_data(persons=120):
    """Tokens that tell the OKS, and raw scores that are too sure of it."""
    rng = np.random.default_rng(0)
    tables = []
    for clicks in range(2):
        truth = rng.normal(size=(persons, 17))
        oks = 1 / (1 + np.exp(-truth))
        features = np.stack([truth, rng.normal(size=truth.shape)], axis=2)
        sure = 1 / (1 + np.exp(-(3 * truth + rng.normal(size=truth.shape))))
        visibility = rng.choice([0, 2], truth.shape, p=[0.2, 0.8])
        visibility[:, 0] = -1 if clicks else 2
        arrays = {"features": features, "oks": oks, "visibility": visibility, "scores": sure}
        columns = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
        groups, seen = torch.arange(persons) // 2, torch.full((persons, 17), 0.9)
        tables.append(FeatureTable(**columns, groups=groups, visibility_scores=seen))
    return TokenTables(tuple(tables), np.zeros((persons, 17, 2)))


def test_both_kinds_of_fit_improve_people_they_have_not_seen():
    data = synthetic_data()
    config = CCNetConfig(epochs=10, learning_rate=5e-2)
    for fit, better in ((fit_token_ccnet(data, config, 2), 0.3), (fit_token_posthoc(data, PlattCalibrator(), 2), 0.6)):
        assert fit.errors.shape == (2, 2)
        assert (fit.errors[:, 1] < better * fit.errors[:, 0]).all()
        np.testing.assert_array_equal(fit.before.oks, fit.after.oks)
        assert fit.before.visibility.min() == 0
        scores, visibility = apply_to_table(fit.fitted, data.tables[0])
        error = np.square(scores - data.tables[0].oks.numpy())[data.tables[0].visibility > 0].mean()
        assert error < fit.errors[0, 1] * 1.1  # fitted on everybody: in sample no worse than out of fold
        assert visibility.shape == scores.shape
