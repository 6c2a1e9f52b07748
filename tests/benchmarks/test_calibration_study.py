"""The calibration study: bodies and their fit, hidden wrists, closed forms, other losses, whole bodies, pages."""

from pathlib import Path

import numpy as np
import pytest
import torch
from calibration_study import anny_body, body_fitting, occlusion, plots, rendering, tables, wholebody
from calibration_study.anny_body import AnnyBody, Skin
from calibration_study.body_fitting import aligned_errors, fit_bodies, project
from calibration_study.networks import NetworkRun
from calibration_study.rendering import change_text, interval_text
from calibration_study.rotations import rotation_matrices
from calibration_study.stick_body import StickBody

from clickpose.calibration.ccnet_fit import CCNetConfig, FeatureTable, apply_ccnet, ccnet_loss, fit_ccnet
from clickpose.data.persons import PersonBatch, PersonLabels
from clickpose.data.records import PersonRecord
from clickpose.metrics.bootstrap import Comparison, Interval
from clickpose.networks.ccnet import CCNetOutput
from clickpose.skeleton import COCO

pytestmark = pytest.mark.slow


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
    table = body_fitting.table6(errors, {"none": ones, "same": 2 * ones}, StickBody(), steps=5)
    assert list(table) == ["start, not fitted", "none", "same", "same - none"]
    assert table["same - none"].value == pytest.approx(0, abs=1e-3)  # only relations among joints count
    with pytest.raises(ValueError, match="at least one person"):
        body_fitting.table6(np.zeros((0, 17, 2)), {}, StickBody())


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
    table = FeatureTable(
        features=sides, oks=oks, visibility=visibility, scores=torch.full((400, 1), 0.5), groups=groups
    )
    head = tables.AleatoricCCNet(table)
    losses = fit_ccnet(head, table, CCNetConfig(epochs=6, learning_rate=0.3), loss_function=tables.aleatoric_loss)
    assert losses[-1] < losses[0]
    scores, _ = apply_ccnet(head, torch.tensor([[0.0], [1.0]]))
    assert scores[:, 0] == pytest.approx([0.5, 0.8], abs=0.06)
    log_variance = head(torch.tensor([[0.0], [1.0]])).log_variance[:, 0].tolist()
    assert log_variance[0] == pytest.approx(np.log(1 / 12), abs=0.5) and log_variance[1] < log_variance[0] - 1


def test_whole_bodies_are_ranked_best_by_the_part_s_own_score(shared_folder):
    table = wholebody.table3(shared_folder / "fixtures/datasets/coco/test_coco_wholebody.json", copies=4, draws=2)
    assert list(table) == list(wholebody.ROWS)
    for part in ("feet", "left_hand", "right_hand"):
        value = {row: cells[part][0] for row, cells in table.items()}
        assert value["calibrated, whole"] < value["calibrated, part"] <= value["OKS of the part"] + 0.02
    assert table["original, whole"]["whole"] == table["original, part"]["whole"]
    assert table["calibrated, whole"]["whole"][0] > table["original, whole"]["whole"][0]


CHANGE = {"before": [0.5, 0.4, 0.6], "after": [0.512, 0.4, 0.6], "change": [0.012, 0.002, 0.02]}


def test_figures_as_text():
    parts = (Interval(*CHANGE[part]) for part in ("before", "after", "change"))
    assert tables.as_json({"a": {"b": Comparison(*parts)}}) == {"a": {"b": CHANGE}}
    assert change_text("AP", CHANGE) == "50.00 → 51.20 (+1.20 [+0.20, +2.00])"
    assert change_text("Pearson, persons", CHANGE) == "0.500 → 0.512 (+0.012 [+0.002, +0.020])"
    assert interval_text([0.5, 0.4, 0.6], 100) == "50.0 [40.0, 60.0]"


def measured() -> dict:
    """Return figures of one network, all alike."""
    every = dict.fromkeys(("AP", "AR", "AP_medium", "AP_large", *tables.TABLE_4, *rendering._TABLE_5), CHANGE)
    curve = [[0.5, 0.01]] * len(occlusion.PATCHES)
    reliability = {"scores": [0.2, 0.8], "outcomes": [0.3, 0.7], "low": [0.2, 0.6], "high": [0.4, 0.8], "ece": 0.1}
    curves = dict.fromkeys(("OKS", "original", *occlusion.HEADS), curve)
    return {
        "weights": "abc", "fitted on": 10, "measured on": 5,
        "table1": {"width": {"original": CHANGE, "mean area": CHANGE}}, "table2": every,
        "table4": {"CCNet": every}, "table5": every, "figure4": {"Eq. 5": every, "Eq. 7": every},
        "supplement_g": {"MSE": every}, "table6": {"body": "Anny", "error": {"no weights": [50.0, 48.0, 52.0]}},
        "figure3": {"patches": list(occlusion.PATCHES), "persons": 3, "pearson": {"CCNet": 0.5}, **curves},
        "reliability": {"original": reliability, "CCNet": reliability},
    }  # fmt: skip


def test_a_page_gets_each_table_between_its_marks_and_nothing_else_changes(tmp_path):
    found = rendering.all_tables({"lite": measured(), "SBL": measured()}, {"original": {"feet": [0.5, 0.4, 0.6]}})
    page = tmp_path / "page.md"
    page.write_text("top\n" + "".join(f"<!-- {t.key} -->old<!-- end {t.key} -->\n\nsaid of it\n" for t in found))
    for _ in range(2):  # a second time changes nothing
        rendering.write_into(page, found)
        text = page.read_text(encoding="utf-8")
    assert text.startswith("top\n") and text.count("said of it") == len(found) and "old" not in text
    assert (
        "<!-- table3 -->\n| ranked by | feet |\n|---|---|\n| original | 50.0 [40.0, 60.0] |\n<!-- end table3 -->"
        in text
    )
    rows = text.split("<!-- table1 -->")[1].splitlines()
    assert rows[3].startswith("| SBL, width | 51.2 [40.0, 60.0] | – | 51.2 (+1.2 [+0.2, +2.0]) |")
    assert rows[4].startswith("| lite, width |")
    page.write_text("nothing")
    with pytest.raises(ValueError, match="Expected <!-- networks --> and <!-- end networks -->"):
        rendering.write_into(page, found)


def test_the_page_in_docs_has_a_place_for_every_table_and_picture(tmp_path):
    source = Path(__file__).resolve().parents[2] / "docs/calibration-tables.md"
    page = tmp_path / "page.md"
    page.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    found = rendering.all_tables({"lite": measured()}, {"original": {"feet": [0.5, 0.4, 0.6]}})
    rendering.write_into(page, found)
    assert page.read_text(encoding="utf-8").count("<!-- end ") == len(found)
    pictures = {path.name for path in plots.plot_all(tmp_path, {"lite": measured()})}
    assert {name for name in pictures if f"(calibration-tables/{name})" in page.read_text()} == pictures
    assert {path.name for path in source.with_suffix("").iterdir()} == pictures


def test_pictures_are_drawn_of_what_was_measured(tmp_path):
    paths = plots.plot_all(tmp_path / "pictures", {"SBL": measured(), "lite": measured()})
    assert [path.name for path in paths] == ["reliability.png", "aggregation.png", "occlusion.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def small_skin() -> Skin:
    """Return two bones; joint 0 hangs on the first, all others half on each; one shape makes everything longer."""
    heads = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    weights = torch.full((17, 2), 0.5)
    weights[0] = torch.tensor([1.0, 0.0])
    carried = weights[..., None] * torch.tensor([0.0, 2.0, 0.0])
    return Skin((-1, 0), torch.stack([heads, 0.1 * heads]), torch.stack([carried, 0.1 * carried]), weights)


def test_skinned_joints_by_hand():
    body = AnnyBody(small_skin())
    parameters = torch.zeros(3, body.num_parameters)
    parameters[1, 3] = torch.pi / 2  # the second bone about x: y becomes z
    parameters[2, 6:10] = torch.tensor([5.0, 6.0, 7.0, 1.0])  # a place, and one standard deviation of shape
    joints = body.joints(parameters)
    assert joints[0].tolist() == [pytest.approx([0, 2, 0])] * 17
    assert joints[1, 0].tolist() == pytest.approx([0, 2, 0])
    assert joints[1, 1].tolist() == pytest.approx([0, 0.5 * 2 + 0.5 * 1, 0.5 * 1], abs=1e-6)
    assert joints[2, 1].tolist() == pytest.approx([5, 6 + 2.2, 7])


def test_bones_move_with_their_nearest_posed_ancestor():
    assert anny_body._nearest_posed([-1, 0, 1, 2, 0], posed=[0, 2]) == [0, 0, 1, 1, 0]


def test_principal_components_give_back_shapes_that_differ_in_few_ways():
    generator = torch.Generator().manual_seed(0)
    ways = torch.randn(2, 3 + 6, generator=generator)
    rows = 1.0 + torch.randn(50, 2, generator=generator) @ ways
    heads, carried = anny_body._principal_components(rows[:, :3].view(50, 1, 3), rows[:, 3:].view(50, 2, 1, 3))
    basis = torch.cat([heads.flatten(1), carried.flatten(1)], dim=1)
    assert torch.allclose(basis[0], rows.mean(dim=0), atol=1e-5)
    scores = (rows - basis[0]) @ torch.linalg.pinv(basis[1:3])
    assert torch.allclose(scores @ basis[1:3] + basis[0], rows, atol=1e-4)
    assert scores.std(dim=0, correction=0).tolist() == pytest.approx([1.0, 1.0], rel=1e-3)


def test_the_first_labelled_wrist_of_each_person_is_hidden_and_nobody_without_one():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (4, 3, 256, 256), generator=generator, dtype=torch.uint8)
    left, right = occlusion.WRISTS
    places = torch.full((4, 17, 2), 0.25)
    places[:, right] = torch.tensor([0.5, 0.75])
    visibility = torch.full((4, 17), 2)
    visibility[:, left] = 0
    visibility[3, right] = 0
    some = torch.zeros(4)
    labels = PersonLabels(places, visibility, some, some[:, None].expand(4, 4), some > 0, some > 0)
    hidden = occlusion.hidden_wrists(seed=1).change(PersonBatch(image, torch.zeros(4, 4), labels))
    assert torch.equal(hidden[3], image[3])
    for before, after in zip(image[:3], hidden[:3], strict=True):
        rows, columns = (before != after).any(dim=0).nonzero().T
        assert (rows.float().mean() - 191.5).abs() < 1 and (columns.float().mean() - 127.5).abs() < 1
        assert len(set(rows.tolist())) in occlusion.PATCHES[1:]

    oks, groups = torch.full((4, 17), 0.5), torch.arange(4)
    table = FeatureTable(features=torch.zeros(4, 3), oks=oks, visibility=visibility, scores=oks, groups=groups)
    both = occlusion.with_hidden_wrists(table, table)
    assert torch.equal(both.visibility[:4], visibility) and len(both) > 8
    learned = (both.visibility[4:] >= 0).nonzero()
    assert set(learned[:, 1].tolist()) == {right} and 3 not in (learned[:, 0] % 4).tolist()


def small_evaluation(rendering_sigma: float | None) -> tables.Evaluation:
    """Return four persons with boxes of 100 px and 200 px, whose joints are off by as much as the deviations say."""
    rng = np.random.default_rng(0)
    sides = np.array([100.0, 200.0, 100.0, 200.0])
    truth = rng.uniform(0.2, 0.8, (4, 17, 2)) * sides[:, None, None]
    records = [
        PersonRecord(
            annotation_id=number,
            image_path=Path("a.jpg"),
            image_hw=(300, 300),
            keypoints=points,
            visibility=np.full(17, 2),
            box_xyxy=np.array([0.0, 0.0, side, side]),
            area=0.5 * side**2,
            visibility_known=True,
            image_id=number,
        )
        for number, (points, side) in enumerate(zip(truth, sides, strict=True))
    ]
    table = FeatureTable(
        features=torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), oks=torch.full((4, 17), 0.5),
        visibility=torch.full((4, 17), 2), scores=torch.full((4, 17), 0.5), groups=torch.arange(4),
    )  # fmt: skip
    deviations = np.array([2.0, 4.0, 2.0, 4.0])[:, None] * np.ones(17)
    run = NetworkRun(table, truth, np.ones((4, 17)), deviations, np.full(4, 0.5))
    return tables.Evaluation(None, records, run, run, records, rendering_sigma)


def test_one_mean_size_is_the_same_for_persons_whom_the_network_sees_alike():
    evaluation = small_evaluation(None)
    (ways,) = tables.position_deviations(evaluation).values()
    closed = tables.closed_forms(evaluation, ways)
    assert closed["mean"] == pytest.approx([closed["mean"][0]] * 4)  # twice as large, twice as far off
    np.testing.assert_allclose(closed["mean"], closed["ground-truth"])  # all fill the same share of their box
    sigmas = 2 * COCO.sigma_array * np.sqrt(0.5) * 100.0
    assert closed["mean"][0] == pytest.approx(np.mean(sigmas**2 / (sigmas**2 + 4.0)))


def test_a_heatmap_tells_its_deviation_by_width_and_by_height():
    ways = tables.position_deviations(small_evaluation(2.0))
    assert list(ways) == ["width of the peak", "height of the peak"]
    cells = 2.0  # a peak of a half is as wide as it was rendered (Eq. 17)
    crop = np.sqrt(tables._crop_areas(small_evaluation(2.0).records))
    np.testing.assert_allclose(ways["height of the peak"], np.tile((cells * 4 * crop / 256)[:, None], 17))
