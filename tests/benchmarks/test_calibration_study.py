"""The calibration study: bodies and their fit, hidden wrists, other losses, simulated whole bodies, text."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from calibration_study import body_fitting, occlusion, tables, wholebody
from calibration_study.body_fitting import StickBody, aligned_errors, fit_bodies, project, rotation_matrices
from calibration_tables import change_text, interval_text

from clickpose.calibration.ccnet_fit import CCNetConfig, FeatureTable, apply_ccnet, ccnet_loss, fit_ccnet
from clickpose.metrics.bootstrap import Comparison, Interval
from clickpose.networks.ccnet import CCNetOutput
from clickpose.skeleton import COCO


def test_rotations_turn_about_their_axis():
    turns = rotation_matrices(torch.tensor([[0.0, 0.0, torch.pi / 2], [0.0, 0.0, 0.0]]))
    assert torch.allclose(turns[0] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)
    assert torch.allclose(turns[1], torch.eye(3), atol=1e-6)


def test_the_body_at_rest_stands_upright_and_is_mirrored():
    joints = StickBody().joints(torch.zeros(1, StickBody.num_parameters))[0]
    assert joints[COCO.index("left_ankle")].tolist() == pytest.approx([0.10, -0.05 - 0.42 - 0.41, 0])
    assert joints[COCO.index("nose")].tolist() == pytest.approx([0, 0.10 + 0.42 + 0.16, 0.11])
    mirrored = joints[list(COCO.flip_indices)] * torch.tensor([-1.0, 1, 1])
    assert torch.allclose(mirrored, joints, atol=1e-6)


def test_a_bent_knee_moves_the_ankle_alone_and_keeps_its_length():
    parameters = torch.zeros(1, StickBody.num_parameters)
    parameters[0, 3 * 9] = torch.pi / 2  # left knee about x
    rest, bent = (StickBody().joints(p)[0] for p in (torch.zeros_like(parameters), parameters))
    moved = (rest - bent).norm(dim=1) > 1e-6
    assert moved.nonzero().flatten().tolist() == [COCO.index("left_ankle")]
    knee = COCO.index("left_knee")
    assert (bent[15] - bent[knee]).norm().item() == pytest.approx(0.41, abs=1e-6)


def test_projection_of_points_by_hand():
    points = torch.tensor([[[0.5, 0.2, 0.0], [0.5, 0.2, 2.0]]])
    assert project(points)[0].tolist() == [pytest.approx([125, -50]), pytest.approx([250, -100])]


def test_aligned_errors_ignore_similarity_and_measure_the_rest_in_mm():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(2, 17, 3, generator=generator)
    turn = rotation_matrices(torch.tensor([0.3, -1.2, 0.7]))
    assert aligned_errors(truth @ turn * 1.3 + 2.0, truth).max() < 1e-2
    mirrored = truth * torch.tensor([-1.0, 1, 1])
    assert aligned_errors(mirrored, truth).min() > 100  # a mirror image is no similarity
    spoilt = truth.clone()
    spoilt[0, 3, 0] += 0.17
    assert 5 < aligned_errors(spoilt, truth)[0] < 17 * 1.5
    assert aligned_errors(spoilt, truth)[1] < 1e-2


def test_right_keypoints_improve_the_start_and_wrong_ones_hurt_less_with_low_weight():
    body, generator = StickBody(), torch.Generator().manual_seed(0)
    truth = body.random_poses(6, generator)
    start = truth + 0.2 * torch.randn(truth.shape, generator=generator)
    joints = body.joints(truth)
    keypoints, extent = project(joints), torch.full((6,), 200.0)

    def error(points, weights):
        return aligned_errors(body.joints(fit_bodies(body, start, points, weights, extent, 40)), joints).mean()

    ones = torch.ones(6, 17)
    exact = error(keypoints, ones)
    assert exact < 0.7 * aligned_errors(body.joints(start), joints).mean()
    wrong, without = keypoints.clone(), ones.clone()
    wrong[:, 7:11, 0] += 40.0
    without[:, 7:11] = 0.0
    assert exact < error(wrong, without) < error(wrong, ones)


def test_table6_compares_weightings_with_the_first():
    errors = np.random.default_rng(0).normal(0, 0.03, (4, 17, 2))
    ones = np.ones((4, 17))
    table = body_fitting.table6(errors, {"none": ones, "same": 2 * ones}, steps=5)
    assert list(table) == ["start, not fitted", "none", "same", "same - none"]
    assert table["same - none"].value == pytest.approx(0, abs=1e-3)  # only relations among joints count
    with pytest.raises(ValueError, match="at least one person"):
        body_fitting.table6(np.zeros((0, 17, 2)), {})


def test_a_patch_hides_its_square_and_nothing_else():
    image = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert torch.equal(occlusion.hide(image, torch.tensor([[20.0, 30.0]]), 0), image)
    hidden = occlusion.hide(image, torch.tensor([[20.0, 30.0]]), 16)
    changed = (hidden != image).any(dim=1)[0]
    rows, columns = changed.nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (22, 37, 12, 27)
    assert hidden[0, :, 22:38, 12:28].float().std() < 0.3 * image[0, :, 22:38, 12:28].float().std()


def test_other_losses_are_least_at_the_right_score_and_keep_the_visibility_term():
    oks = torch.tensor([[0.3, 0.8, 0.5]])
    visibility = torch.tensor([[2, 1, 0]])

    def output(shift: float, log_variance: float = 0.0):
        return tables.AleatoricOutput((oks.logit() + shift), torch.zeros(1, 3), torch.full((1, 3), log_variance))

    for loss in (tables.cross_entropy_loss, tables.aleatoric_loss):
        values = [loss(output(shift), oks, visibility, 0.0).item() for shift in (-0.5, 0.0, 0.5)]
        assert values[1] < min(values[0], values[2])
        with_term = loss(output(0.0), oks, visibility, 0.02).item()
        assert with_term - values[1] == pytest.approx(0.02 * np.log(2), rel=1e-4)
    squared = ccnet_loss(CCNetOutput(*output(0.5)[:2]), oks, visibility, 0.0).item()
    assert tables.aleatoric_loss(output(0.5), oks, visibility, 0.0).item() == pytest.approx(squared / 2, rel=1e-5)
    unsure = tables.aleatoric_loss(output(0.5, 2.0), oks, visibility, 0.0).item()
    assert unsure == pytest.approx(squared / 2 * np.exp(-2.0) + 1.0, rel=1e-5)


def test_ccnet_is_fitted_by_the_likelihood_and_finds_the_uncertain_half():
    generator = torch.Generator().manual_seed(0)
    sides = torch.randint(0, 2, (400, 1), generator=generator).float()
    oks = torch.where(sides > 0, 0.8, torch.rand(400, 1, generator=generator))
    visibility, groups = torch.full((400, 1), 2), torch.arange(400)
    table = FeatureTable(sides, oks, visibility, torch.full((400, 1), 0.5), groups)
    head = tables.AleatoricCCNet(table)
    losses = fit_ccnet(head, table, CCNetConfig(epochs=6, learning_rate=0.3), loss_function=tables.aleatoric_loss)
    assert losses[-1] < losses[0]
    scores, _, _ = apply_ccnet(head, torch.tensor([[0.0], [1.0]]))
    assert scores[:, 0] == pytest.approx([0.5, 0.8], abs=0.06)
    log_variance = head(torch.tensor([[0.0], [1.0]])).log_variance[:, 0].tolist()
    assert log_variance[0] == pytest.approx(np.log(1 / 12), abs=0.5) and log_variance[1] < log_variance[0] - 1


def test_whole_bodies_are_ranked_best_by_the_part_s_own_score():
    shared = Path(os.environ.get("CLICKPOSE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    path = shared / "fixtures/datasets/coco/test_coco_wholebody.json"
    if not path.exists():
        pytest.skip("the shared data folder is absent (set CLICKPOSE_SHARED to its path)")
    table = wholebody.table3(path, copies=4, draws=2)
    assert list(table) == list(wholebody.ROWS)
    for part in ("feet", "left_hand", "right_hand"):
        value = {row: cells[part][0] for row, cells in table.items()}
        assert value["calibrated, whole"] < value["calibrated, part"] <= value["OKS of the part"] + 0.02
    assert table["original, whole"]["whole"] == table["original, part"]["whole"]
    assert table["calibrated, whole"]["whole"][0] > table["original, whole"]["whole"][0]


def test_figures_as_text():
    before, after, change = (Interval(*values) for values in ((0.5, 0.4, 0.6), (0.512, 0.4, 0.6), (0.012, 0.002, 0.02)))
    figure = Comparison(before, after, change)
    assert change_text("AP", figure) == "50.00 → 51.20 (+1.20 [+0.20, +2.00])"
    assert change_text("Pearson, persons", figure) == "0.500 → 0.512 (+0.012 [+0.002, +0.020])"
    assert interval_text(before, 100) == "50.0 [40.0, 60.0]"
    assert tables.as_json({"a": figure}) == {
        "a": {"before": [0.5, 0.4, 0.6], "after": [0.512, 0.4, 0.6], "change": [0.012, 0.002, 0.02]}
    }
