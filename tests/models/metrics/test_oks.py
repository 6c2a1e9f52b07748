"""OKS: golden values by hand, parity with pycocotools, invariances."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO as CocoFile
from pycocotools.cocoeval import COCOeval

from clickpose.metrics.oks import keypoint_oks, oks, oks_matrix
from clickpose.skeleton import COCO

SIGMAS = COCO.sigma_array
AREA = 9_000.0


@pytest.fixture
def people():
    """Two annotated persons with hidden joints, and three predictions around them."""
    rng = np.random.default_rng(0)
    gt = rng.uniform(0, 200, (2, 17, 2))
    visibility = rng.integers(0, 3, (2, 17))
    pred = gt[[0, 1, 0]] + rng.normal(0, 8, (3, 17, 2))
    return pred, gt, visibility


def pycocotools_oks(pred, gt, visibility, area, boxes_xywh, crowd):
    """Return what COCOeval computes for one image, rows in the order of ``pred``."""
    dataset = CocoFile()
    dataset.dataset = {
        "info": {},
        "images": [{"id": 1, "height": 300, "width": 300}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {
                "id": i + 1, "image_id": 1, "category_id": 1, "area": float(area[i]), "iscrowd": int(crowd[i]),
                "bbox": boxes_xywh[i].tolist(), "num_keypoints": int((visibility[i] > 0).sum()),
                "keypoints": np.column_stack([gt[i], visibility[i]]).ravel().tolist(),
            }
            for i in range(len(gt))
        ],
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        dataset.createIndex()
        results = dataset.loadRes([
            {
                "image_id": 1, "category_id": 1, "score": 1 - i / 10,
                "keypoints": np.column_stack([pose, np.ones(17)]).ravel().tolist(),
            }
            for i, pose in enumerate(pred)
        ])  # fmt: skip
        evaluation = COCOeval(dataset, results, "keypoints")
        evaluation.params.kpt_oks_sigmas = SIGMAS
        evaluation._prepare()
        return evaluation.computeOks(1, 1)


def test_one_joint_displaced_by_two_sigma_root_area_gives_exp_minus_half():
    truth = np.zeros((17, 2))
    displaced = truth.copy()
    displaced[9] = [0.0, 2 * SIGMAS[9] * np.sqrt(AREA)]
    terms = keypoint_oks(displaced, truth, AREA, SIGMAS)
    assert terms[9] == pytest.approx(np.exp(-0.5), abs=1e-12)
    assert (np.delete(terms, 9) == 1).all()
    only_wrist = np.arange(17) == 9
    assert oks(displaced, truth, AREA, SIGMAS, only_wrist) == pytest.approx(np.exp(-0.5), abs=1e-12)
    assert oks(displaced, truth, AREA, SIGMAS) == pytest.approx((16 + np.exp(-0.5)) / 17, abs=1e-12)


def test_matrix_equals_pycocotools_with_crowd_and_unlabelled_people(people):
    pred, gt, visibility = people
    gt = np.concatenate([gt, np.zeros((2, 17, 2))])
    visibility = np.concatenate([visibility, np.zeros((2, 17), int)])
    boxes = np.array([[0.0, 0, 200, 200], [10, 20, 150, 160], [40, 50, 20, 30], [5, 5, 60, 90]])
    area = np.array([9_000.0, 12_345.6, 600.0, 2_700.0])
    expected = pycocotools_oks(pred, gt, visibility, area, boxes, crowd=[0, 0, 0, 1])
    actual = oks_matrix(pred, gt, visibility, area, boxes, SIGMAS)
    np.testing.assert_array_equal(actual, expected)  # to the last bit: an OKS may equal a threshold
    assert 0 < expected[0, 2] < 1, "the person without labels must exercise the distance to the box"


def test_unlabelled_person_takes_distance_to_the_doubled_box():
    boxes_xywh = np.array([[100.0, 100.0, 20.0, 40.0]])  # grown: x 80..140, y 60..180
    pred = np.full((2, 17, 2), 100.0)
    pred[0] = [80, 180]
    pred[1] = [140 + 3, 180 + 4]
    matrix = oks_matrix(pred, np.full((1, 17, 2), np.nan), np.zeros((1, 17)), [AREA], boxes_xywh, SIGMAS)
    assert matrix[0, 0] == 1
    assert matrix[1, 0] == pytest.approx(np.exp(-25 / (8 * SIGMAS**2 * AREA)).mean(), abs=1e-12)


def test_pairwise_equals_the_diagonal_of_the_matrix(people):
    pred, gt, visibility = people
    area = np.array([AREA, 2 * AREA])
    matrix = oks_matrix(pred, gt, visibility, area, np.ones((2, 4)), SIGMAS)
    np.testing.assert_allclose(oks(pred[:2], gt, area, SIGMAS, visibility), matrix[[0, 1], [0, 1]], atol=1e-14)


def test_invariant_to_translation_scale_and_joint_order_but_not_to_swapped_axes(people):
    pred, gt, visibility = people
    pred, order = pred[:2], np.random.default_rng(1).permutation(17)
    base = oks(pred, gt, AREA, SIGMAS, visibility)
    shift = np.array([7, -3])
    np.testing.assert_allclose(oks(pred + shift, gt + shift, AREA, SIGMAS, visibility), base, atol=1e-12)
    np.testing.assert_allclose(oks(3 * pred, 3 * gt, 9 * AREA, SIGMAS, visibility), base, atol=1e-12)
    shuffled = oks(pred[:, order], gt[:, order], AREA, SIGMAS[order], visibility[:, order])
    np.testing.assert_allclose(shuffled, base, atol=1e-12)
    assert (oks(pred[..., ::-1], gt, AREA, SIGMAS, visibility) < base - 0.1).all()


def test_unplaced_joints_count_as_missed_and_nobody_labelled_is_nan():
    truth = np.zeros((2, 17, 2))
    guess = truth.copy()
    guess[:, :3] = np.nan
    np.testing.assert_allclose(oks(guess, truth, AREA, SIGMAS), 14 / 17)
    np.testing.assert_allclose(oks(truth, guess, AREA, SIGMAS), 1.0)  # NaN in the reference: not labelled
    assert np.isnan(oks(truth, truth, AREA, SIGMAS, np.zeros(17))).all()


def test_without_an_area_only_what_is_exact_counts_and_a_negative_one_is_refused():
    truth, displaced = np.zeros((17, 2)), np.eye(17, 2)
    np.testing.assert_array_equal(keypoint_oks(displaced, truth, 0.0, SIGMAS), np.arange(17) >= 2)
    assert (keypoint_oks(truth, truth, np.nan, SIGMAS) == 0).all()
    with pytest.raises(ValueError, match=r"Expected area of 0 px\^2 or more, got -1\.0"):
        keypoint_oks(displaced, truth, -1.0, SIGMAS)
    with pytest.raises(ValueError, match=r"Expected area of 0 px\^2 or more, got -4\.0"):
        oks_matrix(truth[None], truth[None], np.zeros((1, 17)), [-4.0], np.ones((1, 4)), SIGMAS)
    with pytest.raises(ValueError, match=r"Expected finite sigmas above 0, got 0\.0 \(17 such values\)"):
        oks(displaced, truth, 1.0, 0 * SIGMAS)


def test_empty_sets_have_empty_matrices():
    nobody = np.zeros((0, 17, 2))
    assert oks_matrix(nobody, nobody, np.zeros((0, 17)), [], np.zeros((0, 4)), SIGMAS).shape == (0, 0)
    one = np.zeros((1, 17, 2))
    assert oks_matrix(one, nobody, np.zeros((0, 17)), [], np.zeros((0, 4)), SIGMAS).shape == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((17, 3)), np.zeros((17, 2)), 1.0, SIGMAS), r"keypoints_a of shape \(\.\.\., K, 2\), got \(17, 3\)"),
        ((np.zeros((17, 2)), np.zeros((16, 2)), 1.0, SIGMAS), r"keypoints_b of shape \(\.\.\., 17, 2\), got \(16, 2\)"),
        ((np.zeros((17, 2)), np.zeros((17, 2)), 1.0, SIGMAS[:3]), r"sigmas of shape \(17,\), got \(3,\)"),
        (
            (np.zeros((17, 2)), np.zeros((17, 2)), 1.0, SIGMAS, [1, 1]),
            r"visibility of shape \(\.\.\., 17\), got \(2,\)",
        ),
    ],
)
def test_wrong_shapes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        oks(*arguments)
