"""Simulated clicks: the same as an annotator's through the predictor; the figures, by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import clickpose
from clickpose.clicks.click_protocol import ClickProtocol, PersonChance, SimulatedAnnotator
from clickpose.clicks.interactive import evaluate_predictor
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.frames import CropFrame
from clickpose.image_io import read_image
from clickpose.lite import click_evaluation
from clickpose.lite.click_evaluation import ClickEvaluation, evaluate_clicks
from clickpose.lite.mirrored_views import FlipTestLite
from clickpose.lite.predictor import LitePredictor
from clickpose.metrics.clicks import ClickCurve
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import COCO

DEMO = Path(__file__).parents[3] / "ml_backend" / "clickpose_labelstudio" / "demo"


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


class StackedChance:
    """The random numbers that each person of a batch has where people are clicked photo by photo."""

    def __init__(self, keys):
        self.parts = [PersonChance(key, (1, 17, 2)) for key in keys]

    def rewind(self):
        for part in self.parts:
            part.rewind()

    def uniform(self, like):
        return torch.cat([part.uniform(row[None]) for part, row in zip(self.parts, like, strict=True)])

    def normal(self, like):
        return torch.cat([part.normal(row[None]) for part, row in zip(self.parts, like, strict=True)])


def as_dataset(records) -> PoseDataset:
    sizes = {record.image_path: record.image_hw for record in records}
    images = [ImageRecord(number, path, image_hw) for number, (path, image_hw) in enumerate(sizes.items())]
    people = [replace(record, image_id=list(sizes).index(record.image_path)) for record in records]
    return PoseDataset(name="made", skeleton=COCO, images=images, persons=people)


@pytest.fixture
def clicked(monkeypatch):
    """What the annotators of a test clicked: for each call the joints, and where in shares of the person's box side."""
    made, real = [], SimulatedAnnotator.click

    def click(self, poses, count=1):
        placed = real(self, poses, count)
        made.append(placed)
        return placed

    monkeypatch.setattr(SimulatedAnnotator, "click", click)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["worst", "lowest_score", "random", "farthest"])
@pytest.mark.parametrize("loop", ["progressive", "once"])
def test_batches_are_clicked_as_photos_are(network, records, monkeypatch, clicked, strategy, loop):
    """One annotator: the same joints at the same places, and the same curves."""
    protocol = ClickProtocol(strategy, clicks=4, noise_sigmas=0.25, loop=loop, joints=COCO.names[:12])
    keys = [[0, number // 2, number % 2] for number in range(len(records))]  # two people in each photo
    monkeypatch.setattr(click_evaluation, "BatchChance", lambda generator: StackedChance(keys))
    batch = evaluate_clicks(network, records, COCO, protocol)
    by_round = list(clicked)
    clicked.clear()
    dataset = as_dataset(records)
    found = evaluate_predictor(LitePredictor(network, None, "test"), dataset, protocol)
    assert len(by_round) == 4 and len(clicked) == 4 * 2 * len(records)  # by hand and refined
    for person, record in enumerate(records):
        frame = CropFrame.around_box(record.box_xyxy, 1)
        for n, placed in enumerate(by_round):
            alone = clicked[person * 8 + 4 + n]  # refined comes after by hand
            assert placed.chosen[person].tolist() == alone.chosen[0].tolist(), (person, n)
            chosen = alone.chosen[0]
            where = frame.from_norm(placed.positions[person, chosen].numpy())
            np.testing.assert_allclose(where, alone.positions[0, chosen], atol=0.01)
    np.testing.assert_allclose(batch.refined.oks, found["refined"].person_curve().oks, atol=2e-3)


def make_record(path, image_hw, keypoints, visibility, box_xyxy) -> PersonRecord:
    return PersonRecord(
        annotation_id=0,
        image_path=path,
        image_hw=image_hw,
        keypoints=keypoints,
        visibility=visibility,
        box_xyxy=box_xyxy,
        area=0.53 * float(np.prod(box_xyxy[2:] - box_xyxy[:2])),
        visibility_known=True,
    )


@pytest.mark.slow
def test_the_shipped_network_has_the_same_curves_both_ways():
    """On the demo photos: the labels are the network's own poses, moved by up to a sixth of the box."""
    predictor = clickpose.load("lite", threads=1)
    records = []
    for number, name in enumerate(("astronaut.jpg", "grace-hopper.jpg", "group-1.jpg")):
        path = DEMO / name
        image = read_image(path)
        predictor.set_image(image)
        for i, pose in enumerate(predictor.predict()):
            rng = np.random.default_rng([number, i])
            box = np.clip(pose.box_xyxy, 1, [image.shape[1] - 1, image.shape[0] - 1] * 2)
            side = min(box[2:] - box[:2])
            moved = pose.keypoints + rng.uniform(-side / 6, side / 6, (17, 2))
            seen = np.where(rng.random(17) < 0.8, 2, 0)
            records.append(make_record(path, image.shape[:2], moved, seen, box))
    assert len(records) >= 4
    protocol = ClickProtocol(clicks=3)
    batch = evaluate_clicks(predictor.network, records, COCO, protocol)
    photos = evaluate_predictor(predictor, as_dataset(records), protocol)["refined"]
    np.testing.assert_allclose(batch.refined.oks, photos.person_curve().oks, atol=5e-3)
    assert (batch.refined.oks[:, 3] > batch.refined.oks[:, 0] + 0.05).all()


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
