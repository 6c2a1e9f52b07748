"""Simulated clicks: the same as an annotator's through the predictor; the figures, by hand."""

import numpy as np
import pytest
from PIL import Image

from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.lite.click_evaluation import ClickEvaluation, evaluate_clicks
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import LitePredictor
from clickpose.metrics.clicks import ClickCurve
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import COCO


@pytest.mark.parametrize("flip_test", [False, True])
def test_simulated_clicks_are_those_of_an_annotator_with_the_predictor(network, records, flip_test):
    network = FlipTestLite(network, COCO).eval() if flip_test else network
    found = evaluate_clicks(network, records, COCO, ClickProtocol(clicks=3), batch_size=4)
    predictor = LitePredictor(network, None, "test")
    for i, record in enumerate(records):
        predictor.set_image(np.asarray(Image.open(record.image_path)))
        pose = predictor.predict(record.box_xyxy[None])[0]
        np.testing.assert_allclose(found.first_scores[i], pose.keypoint_scores, atol=1e-3)
        np.testing.assert_allclose(found.first_visibility[i], pose.visibility_scores, atol=1e-3)
        for clicks in range(4):
            terms = keypoint_oks(pose.keypoints, record.keypoints, record.area, COCO.sigma_array)
            np.testing.assert_allclose(found.refined_terms[i, clicks], terms, atol=2e-3)
            left = record.labelled & ~pose.fixed
            if left.any():
                worst = np.where(left, terms, np.inf).argmin()
                pose = predictor.refine(pose, {COCO.names[worst]: record.keypoints[worst]})


def test_the_noise_of_clicks_has_the_size_that_is_asked_for(network, records):
    """A noise of s in units of 2 sigma sqrt(area) an axis: -log of a clicked joint's OKS term is s² on average."""
    found = evaluate_clicks(network, records, COCO, ClickProtocol(clicks=17, noise_sigmas=0.5))
    labelled = np.stack([record.labelled for record in records])
    spread = -np.log(found.refined_terms[:, -1][labelled])
    assert len(spread) > 40 and spread.mean() == pytest.approx(0.25, rel=0.35)
    exact = evaluate_clicks(network, records, COCO, ClickProtocol(clicks=17))
    np.testing.assert_allclose(exact.refined_terms[:, -1][labelled], 1, atol=1e-6)


def evaluation(terms, scores, visibility, labelled, refined_terms=None):
    terms, labelled = np.asarray(terms, float), np.asarray(labelled, bool)
    curve = ClickCurve(((terms * labelled).sum(1) / labelled.sum(1))[:, None])
    refined = terms[:, None] if refined_terms is None else np.asarray(refined_terms, float)
    return ClickEvaluation(
        refined=curve,
        manual=curve,
        trunk_manual=curve,
        first_terms=terms,
        first_scores=np.asarray(scores, float),
        first_visibility=np.asarray(visibility, float),
        labelled=labelled,
        refined_terms=refined,
    )


def test_the_score_of_a_person_is_the_mean_of_the_joints_weighted_by_their_visibility():
    """Person scores .9, .5, .1 by visible joints alone; the true OKS falls in the same steps."""
    found = evaluation(
        [[0.8, 0.0], [0.6, 0.0], [0.4, 0.0]],
        [[0.9, 0.3], [0.5, 0.9], [0.1, 0.5]],
        [[1.0, 0.0]] * 3,
        [[True, False]] * 3,
    )
    assert found.score_correlation() == pytest.approx(1.0)


def test_the_correlation_of_persons_who_are_all_alike_is_not_defined():
    alike = evaluation([[0.5, 0.5]] * 2, [[0.2, 0.4]] * 2, [[1, 1]] * 2, [[True, True]] * 2)
    assert np.isnan(alike.score_correlation())


def test_the_calibration_error_counts_labelled_joints_only():
    """Labelled joints promise .7 and hold .6; the unlabelled one, off by .9, does not count."""
    found = evaluation([[0.6, 0.0], [0.6, 0.6]], [[0.7, 0.9], [0.7, 0.7]], [[1, 1]] * 2, [[True, False], [True, True]])
    assert found.calibration_error() == pytest.approx(0.1)


def test_a_curve_over_some_joints_leaves_out_persons_without_them():
    found = evaluation(
        [[0.2, 0.8], [0.4, 0.0]], [[0, 0]] * 2, [[1, 1]] * 2, [[True, True], [True, False]],
        [[[0.2, 0.8], [1.0, 0.9]], [[0.4, 0.0], [1.0, 0.0]]],
    )  # fmt: skip
    np.testing.assert_allclose(found.curve_over([1]).oks, [[0.8, 0.9]])
    np.testing.assert_allclose(found.curve_over([0, 1]).oks, [[0.5, 0.95], [0.4, 1.0]])
