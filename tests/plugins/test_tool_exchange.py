"""Labels from a FiftyOne dataset to other tools and back, through the operators: joints, their order, visibility."""

import importlib.util

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from PIL import Image

from clickpose.skeleton import COCO
from clickpose.skeleton_io import skeleton_from_dict
from clickpose_fiftyone.columns import PersonColumns
from clickpose_fiftyone.install import install_plugin
from clickpose_fiftyone.skeletons import set_skeleton, skeleton_of
from clickpose_fiftyone.truth import labelled_visibility

HAND = skeleton_from_dict(
    {"name": "hand", "joints": {"wrist": 0.05, "thumb": 0.05, "little finger": 0.05, "Ring": 0.05},
     "edges": [["wrist", "thumb"], ["wrist", "little finger"], ["wrist", "Ring"]]}
)  # fmt: skip
HAS_SLEAP = importlib.util.find_spec("sleap_io") is not None


@pytest.fixture(scope="module", autouse=True)
def installed(fiftyone_home):
    install_plugin(fiftyone_home / "plugins")


@pytest.fixture(params=[COCO, HAND], ids=["coco", "hand"])
def dataset(request, new_dataset, tmp_path, rng):
    """Labelled people, some joints hidden and some not labelled, one photo without anybody."""
    skeleton, samples = request.param, []
    for index, count in enumerate((2, 0, 1)):
        path = tmp_path / "photos" / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (640, 480)).save(path)
        people = []
        for _ in range(count):
            visibility = rng.choice([0, 1, 2], len(skeleton), p=[0.3, 0.3, 0.4])
            visibility[:3] = 0, 1, 2
            points = np.where((visibility > 0)[:, None], rng.uniform(0.1, 0.9, (len(skeleton), 2)), np.nan)
            placed = points[visibility > 0]
            box = [*placed.min(axis=0), *np.ptp(placed, axis=0)]
            people.append(
                fo.Keypoint(label="person", points=points.tolist(), visibility=visibility.tolist(), bounding_box=box)
            )
        samples.append(fo.Sample(str(path), gt=fo.Keypoints(keypoints=people)))
    dataset = new_dataset(*samples)
    dataset.add_dynamic_sample_fields()
    set_skeleton(dataset, "gt", skeleton)
    return dataset


@pytest.mark.parametrize("name", ["labels.json", "labels.xml", "labels.datumaro.json", "labels.slp"])
def test_people_come_back_from_a_tool_with_joints_order_and_visibility(name, dataset, new_dataset, tmp_path):
    if name.endswith(".slp") and not HAS_SLEAP:
        pytest.skip("sleap-io is not installed")
    operator = {key: foo.get_operator(f"@clickpose/pose_review/{key}_coco") for key in ("export", "import")}
    operator["export"](dataset, pred_field="gt", path=str(tmp_path / name))
    again = new_dataset()
    operator["import"](again, annotations=str(tmp_path / name), images=str(tmp_path / "photos"), field="gt")
    before, after = PersonColumns(dataset, "gt"), PersonColumns(again, "gt")
    assert skeleton_of(again, "gt").names == before.skeleton.names
    assert len(after) == 3
    order = [
        min(range(3), key=lambda row, person=person: np.nansum(np.abs(after.keypoints[row] - person)))
        for person in before.keypoints
    ]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(after.keypoints[order], before.keypoints, atol=0.01)
    if not name.endswith(".slp"):  # SLEAP knows no hidden joints
        np.testing.assert_array_equal(labelled_visibility(after)[order], labelled_visibility(before))
