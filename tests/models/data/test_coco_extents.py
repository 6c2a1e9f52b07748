"""Areas of results are COCO's."""

import numpy as np

from clickpose.data.coco_extents import coco_positions, result_areas
from clickpose.data.coco_records import read_results
from helpers.coco_files import TRIO, result


def test_areas_of_results_are_cocos():
    gap = result()
    gap["keypoints"][:3] = [0, 0, 0]
    people = read_results([gap, result(bbox=[0, 0, 2, 3])], TRIO)
    assert result_areas(people).tolist() == [30.0, 16.0]  # 0, 0 belongs to the extent; the first has no box
    np.testing.assert_array_equal(coco_positions(people)[0, 0], [0, 0])
    assert np.isnan(people[0].keypoints[0]).all()
    assert result_areas(people[::-1]).tolist() == [6.0, 30.0]
