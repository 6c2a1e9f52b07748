"""CCNet on the tokens of people before and after clicks, made up so that its worth is known."""

import numpy as np
import pytest
import torch

from clickpose.calibration.ccnet_fit import CCNetConfig, FeatureTable
from clickpose.calibration.fit import fit_calibration, out_of_fold
from clickpose.networks.ccnet import CCNet
from clickpose.skeleton import COCO
from clickpose.token_calibration import TokenHead, TokenTables, token_sample

QUICK = CCNetConfig(epochs=10, learning_rate=5e-2)


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


def test_a_sample_holds_every_person_after_every_number_of_clicks():
    data = synthetic_data(6)
    sample = token_sample(data)
    assert sample.clicks.tolist() == [0] * 6 + [1] * 6 and sample.image_ids.tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert torch.equal(sample.features[6:], data.tables[1].features)
    np.testing.assert_array_equal(sample.scores[:6], data.tables[0].scores.numpy())
    np.testing.assert_allclose(sample.instance_scores, sample.scores.mean(axis=1))  # all joints weigh .9
    assert sample.labelled[:6, 0].all() and not sample.labelled[6:, 0].any()  # a clicked joint is left out
    assert len(sample.before_clicks) == 6


def test_a_head_and_a_curve_improve_people_they_have_not_seen():
    sample = token_sample(synthetic_data())
    for method, better in (("ccnet", 0.3), ("platt", 0.6)):
        fit = fit_calibration(sample, COCO, method, heads=(TokenHead(QUICK),))
        assert fit.errors.shape == (2, 2)
        assert (fit.errors[:, 1] < better * fit.errors[:, 0]).all()
        np.testing.assert_array_equal(fit.before.oks, fit.after.oks)
        assert len(fit.before) == 120 and fit.persons == 120
    best = fit_calibration(sample, COCO, heads=(TokenHead(QUICK),))
    assert best.kind == "ccnet" and isinstance(best.fitted, CCNet)
    scores, _ = TokenHead().read(best.fitted, sample.before_clicks)
    error = np.square(scores - best.before.oks)[best.before.labelled].mean()
    assert error < best.errors[0, 1] * 1.1  # fitted on everybody: in sample no worse than out of fold


def test_a_head_never_sees_the_photos_it_is_measured_on():
    """One photo's people have a feature of their own and an OKS of 1: nobody else can tell what it means."""
    groups = torch.arange(40) // 4
    first = (groups == 0).float()[:, None]
    table = FeatureTable(features=first, oks=first, visibility=torch.full((40, 1), 2), scores=first, groups=groups)
    sample = token_sample(TokenTables((table,), np.zeros((40, 1, 2))))
    candidate = TokenHead(CCNetConfig(epochs=30, batch_size=40, learning_rate=0.3))
    assert candidate.read(candidate.fit(sample), sample)[0][:4].min() > 0.9  # in sample it is easy
    scores, visibility = out_of_fold(candidate, sample)
    assert scores.shape == visibility.shape == (40, 1)
    assert scores.max() < 0.1
    with pytest.raises(ValueError, match="at least two photos and two folds"):
        out_of_fold(candidate, sample.take(np.arange(4)))


def test_a_head_takes_more_people_than_a_curve():
    sample = token_sample(synthetic_data(48))
    fit = fit_calibration(sample, COCO, heads=(TokenHead(QUICK),))
    assert "ccnet" not in fit.compared and "platt" in fit.compared
    fit = fit_calibration(sample, COCO, "ccnet", heads=(TokenHead(QUICK),))
    assert "48 labelled people are few for ccnet, 50 or more are better: the figures may be far off." in fit.notes
