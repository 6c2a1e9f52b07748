"""Boxes: formats, overlaps and greedy suppression, by hand."""

import numpy as np
import pytest

from clickpose.boxes import (
    box_area,
    box_iou,
    clip_boxes,
    enclosing_box,
    greedy_suppression,
    grow_boxes,
    xywh_to_xyxy,
    xyxy_to_xywh,
)


def test_formats_convert_both_ways():
    np.testing.assert_array_equal(xywh_to_xyxy([10, 20, 30, 40]), [10, 20, 40, 60])
    np.testing.assert_array_equal(xyxy_to_xywh([[10, 20, 40, 60]]), [[10, 20, 30, 40]])


def test_area_and_overlap_of_known_boxes():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [9, 9, 1, 1]])
    np.testing.assert_array_equal(box_area(boxes), [100, 100, 100, 0])
    np.testing.assert_allclose(box_iou(boxes[:2], boxes[1:]), [[1 / 3, 0, 0], [1, 0, 0]])
    assert box_iou(np.zeros((1, 4)), np.zeros((1, 4))) == 0


def test_clipping_and_enclosing():
    np.testing.assert_array_equal(clip_boxes([-5, 2, 300, 80], (50, 100)), [0, 2, 100, 50])
    np.testing.assert_array_equal(enclosing_box([[3, 9], [np.nan, 1], [7, 2]]), [3, 2, 7, 9])
    with pytest.raises(ValueError, match="Expected at least one finite point"):
        enclosing_box([[np.nan, 1]])


def test_a_box_grows_to_hold_joints_and_never_shrinks():
    box, joints = [40, 40, 60, 60], np.array([[50, 50], [70, 45], [45, 10], [np.nan, 5]])
    np.testing.assert_array_equal(grow_boxes(box, joints), [40, 10, 70, 60])
    np.testing.assert_array_equal(grow_boxes(box, joints, np.array([True, True, False, True])), [40, 40, 70, 60])
    np.testing.assert_array_equal(grow_boxes(box, joints, np.zeros(4, bool)), box)
    np.testing.assert_array_equal(grow_boxes([np.nan] * 4, joints), [45, 10, 70, 50])
    two = grow_boxes([box, [0, 0, 1, 1]], np.stack([joints, joints]), np.eye(4, dtype=bool)[[2, 1]])
    np.testing.assert_array_equal(two, [[40, 10, 60, 60], [0, 0, 70, 45]])


def test_greedy_suppression_compares_with_kept_items_only():
    overlaps = np.array([[1, 0.8, 0.0], [0.8, 1, 0.8], [0.0, 0.8, 1]])  # a chain: 0 - 1 - 2
    np.testing.assert_array_equal(greedy_suppression(overlaps, np.array([0.9, 0.5, 0.7]), 0.6), [0, 2])
    np.testing.assert_array_equal(greedy_suppression(overlaps, np.array([0.5, 0.9, 0.7]), 0.6), [1])
    np.testing.assert_array_equal(
        greedy_suppression(overlaps, np.ones(3), 0.8), [0, 1, 2]
    )  # equal to the threshold: kept
    assert greedy_suppression(np.zeros((0, 0)), np.zeros(0), 0.5).shape == (0,)
