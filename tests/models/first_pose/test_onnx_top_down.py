"""Top-down ONNX networks that a YAML file describes: peaks at known places prove crops, colours, units and decoding."""

import numpy as np
import pytest

from clickpose.first_pose.loading import load_first
from clickpose.first_pose.network import FirstPoseError
from clickpose.first_pose.top_down import BoxCrop, read_heatmaps, read_simcc
from helpers.first_networks import colour_filters, coloured_photo, save_peak_heatmaps, save_peak_simcc

POINTS = np.array([[60.0, 50.0], [140.0, 85.0], [95.0, 150.0]])
BOX = np.array([40.0, 30.0, 170.0, 190.0])
PHOTO = coloured_photo((240, 320), POINTS, radius=8)


@pytest.fixture
def described(tmp_path):
    def load(text: str, options: str = ""):
        (tmp_path / "net.yaml").write_text(f"network: net.onnx\n{text}\n")
        return load_first(f"onnx:{tmp_path / 'net.yaml'}{options}")

    return load


def test_heatmaps_are_read_where_the_photo_has_the_joints_colours(described, tmp_path):
    save_peak_heatmaps(tmp_path / "net.onnx", (128, 96), stride=4)
    poses = described("output: heatmap\nskeleton: coco").pose(PHOTO, BOX[None])
    # the box is 130 x 160, its crop 150 x 200: a cell is 6.25 px of the photo; quarter steps are for smooth maps
    np.testing.assert_allclose(poses.keypoints[0, :3] + 0.5, POINTS, atol=6.25)
    np.testing.assert_array_equal(poses.keypoints[0, 3:6], poses.keypoints[0, :3])
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    pure = colour_filters(3)[..., 0, 0] @ ((np.eye(3) * 255 - mean) / std).T  # (joint, colour)
    np.testing.assert_allclose(poses.scores[0, :3], np.diag(pure), rtol=0.15)


@pytest.mark.parametrize("batch", [1, 3])
def test_simcc_is_read_to_the_bin_for_several_people(described, tmp_path, batch):
    save_peak_simcc(tmp_path / "net.onnx", (128, 96))
    boxes = BOX + np.array([[0, 0, 0, 0], [-20, -10, 20, 10], [0, -20, 30, 20]])[:batch]
    poses = described("output: simcc\nskeleton: coco").pose(PHOTO, boxes)
    for row, box in enumerate(boxes):
        pixel = BoxCrop.around(box, (128, 96), 1.25).step.max()
        np.testing.assert_allclose(poses.keypoints[row, :3] + 0.5, POINTS, atol=0.75 * pixel)
    assert described("output: simcc\nskeleton: coco").name == "net"


def test_colours_in_the_other_order_are_other_joints(described, tmp_path):
    save_peak_simcc(tmp_path / "net.onnx", (128, 96))
    right = described("output: simcc\nskeleton: coco").pose(PHOTO, BOX[None]).keypoints[0, :3]
    swapped = described("output: simcc\nskeleton: coco\ncolours: BGR").pose(PHOTO, BOX[None]).keypoints[0, :3]
    np.testing.assert_allclose(swapped, right[[2, 1, 0]], atol=2.0)


def test_a_mirrored_photo_gives_mirrored_joints(described, tmp_path):
    save_peak_simcc(tmp_path / "net.onnx", (128, 96))
    network = described("output: simcc\nskeleton: coco\nmean: [0, 0, 0]\nstd: [255, 255, 255]")
    mirrored = network.pose(np.ascontiguousarray(PHOTO[:, ::-1]), [[320 - BOX[2], BOX[1], 320 - BOX[0], BOX[3]]])
    plain = network.pose(PHOTO, BOX[None])
    np.testing.assert_allclose(319 - mirrored.keypoints[0, :3, 0], plain.keypoints[0, :3, 0], atol=200 / 128)


def test_a_file_that_describes_nothing_is_said(described, tmp_path):
    save_peak_simcc(tmp_path / "net.onnx", (128, 96))
    for text, sentence in (
        ("output: simcc", "Expected the entries network, output, skeleton, got none for skeleton"),
        ("output: argmax\nskeleton: coco", "Expected output to be one of heatmap, simcc, got 'argmax'"),
        ("output: simcc\nskeleton: coco\nstride: 4", "Expected entries among .*, got stride"),
        ("output: simcc\nskeleton: coco\nmean: [1, 2]", r"Expected 3 numbers as mean, got \[1, 2\]"),
        ("output: simcc\nskeleton: none.yaml", "Expected a skeleton file or one of"),
        ("output: simcc\nskeleton: coco\noutputs: [x, y]", "Expected 2 outputs of .*, got simcc_x, simcc_y"),
        ("output: [", "Cannot use the description"),
    ):
        with pytest.raises(FirstPoseError, match=sentence):
            described(text)
    with pytest.raises(FirstPoseError, match="Expected the 14 joints of crowdpose of net, got 17"):
        described("output: simcc\nskeleton: crowdpose").pose(PHOTO, BOX[None])


def test_a_smooth_peak_is_found_between_the_cells():
    ys, xs = np.mgrid[:32, :24]
    true = np.array([11.3, 17.8])
    heatmap = np.exp(-((xs - true[0]) ** 2 + (ys - true[1]) ** 2) / (2 * 2.0**2))[None, None]
    input_hw = (128, 96)
    plain, dark = (read_heatmaps(heatmap, input_hw, refine)[0][0, 0] / 4 for refine in ("none", "dark"))
    quarter, score = read_heatmaps(heatmap, input_hw, "quarter")
    assert plain.tolist() == [11, 18] and (quarter[0, 0] / 4).tolist() == [11.25, 17.75]
    np.testing.assert_allclose(dark, true, atol=0.02)
    assert score[0, 0] == heatmap.max()
    ends = read_heatmaps(heatmap, input_hw, "none", ends=True)[0][0, 0]
    np.testing.assert_allclose(ends, [11 * 95 / 23, 18 * 127 / 31])
    edge = np.zeros((1, 1, 8, 8))
    edge[..., 0, 7] = 1
    assert all(read_heatmaps(edge, (8, 8), refine)[0].tolist() == [[[7, 0]]] for refine in ("quarter", "dark"))


def test_simcc_takes_the_less_sure_axis_as_score():
    x, y = np.zeros((1, 1, 8)), np.zeros((1, 1, 12))
    x[..., 5], y[..., 7] = 0.9, 0.4
    places, scores = read_simcc(x, y, 2.0)
    assert places.tolist() == [[[2.5, 3.5]]] and scores.tolist() == [[0.4]]


def test_a_crop_has_the_networks_shape_and_holds_the_box():
    crop = BoxCrop.around(np.array([0.0, 0, 30, 10]), (256, 192), 1.25)
    assert crop.center_xy == (15, 5) and crop.extent_xy == (37.5, 50)
    np.testing.assert_allclose(crop.to_photo([[0, 0], [192, 256]]), [[-3.75, -20], [33.75, 30]])
    ends = BoxCrop.around(np.array([0.0, 0, 30, 10]), (256, 192), 1.25, ends=True)
    np.testing.assert_allclose(ends.to_photo([[0, 0], [191, 255]]), [[-3.75, -20], [33.75, 30]])
