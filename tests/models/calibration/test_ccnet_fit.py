"""CCNet end to end on a toy world whose raw confidences mislead: mAP rises, mAR and the keypoints stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clickpose.calibration.aggregation import mean_above_threshold, visibility_weighted
from clickpose.calibration.ccnet_fit import (
    CCNetConfig,
    FeatureTable,
    PersonLabels,
    apply_ccnet,
    ccnet_loss,
    collect_features,
    fit_ccnet,
    label_detections,
)
from clickpose.calibration.pred_net import PredNetOutput
from clickpose.metrics.average_precision import average_precision
from clickpose.metrics.keypoint_sets import KeypointTruth
from clickpose.networks.ccnet import CCNet, CCNetOutput
from clickpose.networks.pred_nets import heatmap_pred_net
from clickpose.skeleton import Skeleton
from clickpose.terms import oks_terms

TOY = Skeleton("toy", ("a", "b", "c"), ((0, 1),), (), (0.08, 0.08, 0.08))
SIDE, AREA = 32, 400.0


class ToyNetwork(nn.Module):
    """Its input is its heatmaps, scaled and mixed with other features."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 6, 1, bias=False)
        self.final = nn.Conv2d(6, 3, 1, bias=False)
        with torch.no_grad():
            self.mix.weight[:, :, 0, 0] = torch.cat([torch.eye(3), -0.5 * torch.eye(3)])
            self.final.weight[:, :, 0, 0] = torch.cat([torch.eye(3), torch.zeros(3, 3)], 1)

    def forward(self, image):
        return self.final(self.mix(image))


def world(persons, seed):
    """Blobs near the true joints; the brighter, the further off. Every fifth joint is hidden."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(8, 24, (persons, 3, 2))
    brightness = rng.uniform(0.3, 1.0, (persons, 3))
    shown = truth + rng.normal(0, 1, truth.shape) * (7 * (brightness - 0.3))[..., None]
    grid = np.arange(SIDE) + 0.5
    along = np.exp(-np.square(grid - shown[..., None]) / (2 * 2.0**2))
    images = brightness[..., None, None] * along[:, :, 1, :, None] * along[:, :, 0, None, :]
    visibility = np.where(rng.random((persons, 3)) < 0.2, 0, 2)
    visibility[visibility.sum(1) == 0, 0] = 2
    return torch.from_numpy(images).float(), torch.from_numpy(truth).float(), torch.from_numpy(visibility)


def batches(images, truth, visibility, size=100):
    sigmas, area = torch.tensor(TOY.sigmas), torch.full((size,), AREA)
    for start in range(0, len(images), size):
        rows = slice(start, start + size)
        groups = torch.arange(start, start + len(images[rows]))

        def labels_of(output, rows=rows, groups=groups):
            terms = oks_terms(output.keypoints_input, truth[rows], area[: len(groups)], sigmas)
            return PersonLabels(terms, visibility[rows], groups)

        yield (images[rows],), labels_of


def tables():
    net = heatmap_pred_net(ToyNetwork(), "final", (SIDE, SIDE))
    train, test = world(600, 0), world(300, 1)
    return net, collect_features(net, batches(*train)), test, collect_features(net, batches(*test))


@pytest.fixture(scope="module")
def fitted():
    net, train, test, table = tables()
    head = CCNet(3, 12)
    history = fit_ccnet(head, train, CCNetConfig(epochs=20, learning_rate=2e-2))
    return net, head, history, test, table


def coco(test, found, scores):
    """One person an image is always found: several in one image make the ranking matter within and across images."""
    _, truth, visibility = test
    images = [{"id": i} for i in range(len(truth) // 3)]
    annotations, results = [], []
    for i, (points, seen) in enumerate(zip(truth.numpy() + 100, visibility.numpy(), strict=True)):
        shift = 1000.0 * (i % 3)
        labelled = np.where((seen > 0)[:, None], points + shift, 0.0)
        annotations.append(
            {"id": i + 1, "image_id": i // 3, "category_id": 1, "iscrowd": 0, "area": AREA * 10,
             "bbox": [shift, shift, 64, 64], "num_keypoints": int((seen > 0).sum()),
             "keypoints": np.column_stack([labelled, seen]).ravel().tolist()}
        )  # fmt: skip
        predicted = np.column_stack([found[i] + 100 + shift, np.ones(3)]).ravel().tolist()
        results.append({"image_id": i // 3, "category_id": 1, "keypoints": predicted, "score": float(scores[i])})
    dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
    # areas ten times as large as those the OKS terms were made with: sigmas are smaller by sqrt(10)
    skeleton = replace(TOY, sigmas=tuple(sigma / np.sqrt(10) for sigma in TOY.sigmas))
    return average_precision(dataset, results, skeleton=skeleton)


@pytest.mark.slow
def test_map_rises_and_mar_cannot_change(fitted):
    net, head, _, test, table = fitted
    found = net.predict(test[0])
    again = net.predict(test[0])
    assert torch.equal(found.keypoints_input, again.keypoints_input)  # fitting moved nothing
    scores, visibility = apply_ccnet(head, table.features)
    keypoints = found.keypoints_input.numpy()
    before = coco(test, keypoints, mean_above_threshold(found.scores.numpy().astype(float)))
    after = coco(test, keypoints, visibility_weighted(scores, visibility))
    for figure in ("AR", "AR50", "AR75"):
        assert after[figure] == before[figure]
    assert after["AP"] > before["AP"] + 0.05


def test_scores_become_predicted_oks(fitted):
    _, head, history, _, table = fitted
    scores, visibility = apply_ccnet(head, table.features)
    oks, labelled = table.oks.numpy(), table.visibility.numpy() > 0
    assert history[-1] < history[0]
    correlation = np.corrcoef(scores[labelled], oks[labelled])[0, 1]
    assert correlation > 0.6 > 0 > np.corrcoef(table.scores.numpy()[labelled], oks[labelled])[0, 1]
    assert scores[labelled].mean() == pytest.approx(oks[labelled].mean(), abs=0.03)
    assert visibility.mean() == pytest.approx(labelled.mean(), abs=0.05)


def test_the_loss_by_hand():
    logits = torch.tensor([[0.0, 0.0]])
    output = CCNetOutput(logits, torch.tensor([[0.0, 100.0]]))
    # labelled: (0.5 - 0.9)^2; hidden: its OKS, NaN, is not read; BCE: (log 2 + 100) / 2
    loss = ccnet_loss(output, torch.tensor([[0.9, float("nan")]]), torch.tensor([[2, 0]]))
    assert loss.item() == pytest.approx(0.16 + 0.02 * (np.log(2) + 100) / 2, rel=1e-6)
    nobody = ccnet_loss(output, torch.zeros(1, 2), torch.zeros(1, 2))
    assert nobody.item() == pytest.approx(0.02 * (np.log(2) + 100) / 2, rel=1e-6)
    left_out = ccnet_loss(output, torch.tensor([[0.9, 0.0]]), torch.tensor([[2, -1]]))  # a clicked joint
    assert left_out.item() == pytest.approx(0.16 + 0.02 * np.log(2), rel=1e-6)


class ToyDetector:
    """Finds the people it is told of, in any order: keypoints and scores in, the same and a feature of each out."""

    def predict(self, keypoints, scores):
        return PredNetOutput(keypoints.flatten(1), keypoints, scores)


def test_people_found_in_photos_are_labelled_by_the_annotated_ones_or_left_out():
    at = np.array([[20.0, 20.0], [30.0, 20.0], [25.0, 40.0]])
    annotated = np.stack([at, at + 100, at + 200])
    visibility = np.array([[2, 1, 0], [2, 2, 2], [0, 0, 0]])  # the third has no label: a crowd, say
    annotated[0, 2] = np.nan
    truth = KeypointTruth(
        keypoints=annotated,
        visibility=visibility,
        areas=[AREA] * 3,
        boxes_xywh=[[0, 0, 50, 50], [100, 100, 50, 50], [200, 200, 50, 50]],
        image_ids=["a.jpg"] * 3,
    )
    # the second person a tolerance off at one joint, twice (the surer one counts), the first, nobody, the one without
    off = 2 * TOY.sigma_array[0] * np.sqrt(AREA)
    second = at + 100 + np.array([[off, 0], [0, 0], [0, 0]])
    found = torch.from_numpy(np.stack([second + 0.5, second, at, at + 400, at + 200]))
    scores = torch.tensor([0.4, 0.8, 0.9, 0.9, 0.7])[:, None].expand(-1, 3)
    batches = [((found, scores), lambda output: label_detections(output, truth, TOY.sigma_array, group=7))]
    table = collect_features(ToyDetector(), batches)
    assert table.visibility.tolist() == [[-1] * 3, [2, 2, 2], [2, 1, 0], [-1] * 3, [-1] * 3]
    assert table.oks[1].tolist() == pytest.approx([np.exp(-0.5), 1.0, 1.0])
    assert table.oks[2].tolist() == [1.0, 1.0, 0.0]
    assert table.groups.tolist() == [7] * 5 and table.features.shape == (5, 6)
    empty = label_detections(PredNetOutput(found[:0], found[:0], scores[:0]), truth, TOY.sigma_array, 7)
    assert empty.oks.shape == empty.visibility.shape == (0, 3) and empty.groups.shape == (0,)


def small_table(persons=40):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(persons, 2, 3, generator=generator)
    oks = features[..., 0].sigmoid()
    return FeatureTable(
        features=features,
        oks=oks,
        visibility=torch.full((persons, 2), 2),
        scores=oks.clone(),
        groups=torch.arange(persons) // 2,
    )


def test_each_epoch_has_an_order_of_its_own_and_the_rate_falls_to_nothing(monkeypatch):
    rates, orders = [], []
    step = torch.optim.Adam.step

    def noting_step(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    def noting_loss(output, oks, visibility, weight):
        orders.append(oks[:, 0].tolist())
        return ccnet_loss(output, oks, visibility, weight)

    monkeypatch.setattr(torch.optim.Adam, "step", noting_step)
    config = CCNetConfig(epochs=3, batch_size=40, learning_rate=0.01)
    fit_ccnet(CCNet(2, 3), small_table(), config, loss_function=noting_loss)
    assert rates == pytest.approx([0.01, 0.0075, 0.0025])  # half a cosine at 0, 1/3, 2/3
    assert orders[0] != orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[1])


def test_features_are_computed_once(tmp_path):
    table, path = small_table(), tmp_path / "cache" / "features.safetensors"
    source = {"weights": "0123", "data": "dev"}
    assert FeatureTable.load(path, source) is None
    table.save(path, source)
    loaded = FeatureTable.load(path, source)
    assert all(torch.equal(getattr(loaded, name), getattr(table, name)) for name in FeatureTable.__dataclass_fields__)
    assert FeatureTable.load(path, {"weights": "4567", "data": "dev"}) is None  # of other weights
    path.write_bytes(b"damaged")
    assert FeatureTable.load(path, source) is None


def test_features_are_kept_in_half_precision_where_it_holds_them():
    class Wide:
        def predict(self, features):
            return PredNetOutput(features, torch.zeros(2, 1, 2), torch.zeros(2, 1))

    def labels_of(output):
        return PersonLabels(torch.zeros(2, 1), torch.full((2, 1), 2), torch.arange(2))

    small, large = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [7e4]])
    assert collect_features(Wide(), [((small,), labels_of)]).features.dtype == torch.float16
    both = collect_features(Wide(), [((small,), labels_of), ((large,), labels_of)]).features
    assert both[:, 0].tolist() == [1, 2, 1, 7e4]


def test_persons_are_selected_together():
    table = small_table()
    part = table.select(table.groups.numpy() == 3)
    assert len(part) == 2 and torch.equal(part.oks, table.oks[6:8]) and part.groups.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"features": torch.ones(40, 3, 3)}, r"Expected features of shape \(N, F\) or \(N, K, F\)"),
        ({"features": torch.ones(39, 3)}, r"Expected features of shape \(N, F\) or \(N, K, F\)"),
        ({"features": torch.full((40, 3), torch.nan)}, "Expected finite features"),
        ({"scores": torch.full((40, 2), torch.inf)}, "Expected finite scores, got NaN or infinity"),
        ({"visibility_scores": torch.full((40, 2), torch.nan)}, "Expected finite visibility_scores"),
        ({"oks": torch.full((40, 2), 1.5)}, "Expected finite oks of labelled keypoints"),
        ({"oks": torch.full((40, 2), torch.nan)}, "Expected finite oks of labelled keypoints"),
        ({"visibility": torch.ones(40, 3)}, r"Expected visibility of shape \(40, 2\), got \(40, 3\)"),
        ({"groups": torch.ones(3)}, r"Expected groups of shape \(40,\), got \(3,\)"),
    ],
)
def test_a_broken_table_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(small_table(), **change)


def test_nobody_labelled_or_one_class_of_visibility():
    table = small_table()
    with pytest.raises(ValueError, match="at least one labelled keypoint to fit on, got none among 40 persons"):
        fit_ccnet(CCNet(2, 3), replace(table, visibility=torch.zeros(40, 2)))
    with pytest.raises(ValueError, match="at least one batch"):
        collect_features(None, [])
    head = CCNet(2, 3)
    fit_ccnet(head, table)  # everything visible: a defined answer
    assert apply_ccnet(head, table.features)[1].min() > 0.9
