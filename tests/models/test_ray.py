"""Ray Data gives the answers of one process; skipped where Ray is not installed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from clickpose.build import load
from clickpose.large_sets.manifests import Listed
from clickpose.large_sets.rows import rows_of
from clickpose.ray import PosePredictor, predict_photos

DEMO = Path(__file__).resolve().parents[2] / "ml_backend" / "clickpose_labelstudio" / "demo"


@pytest.fixture
def photos(tmp_path):
    """The demo's photos and one that is none."""
    paths = [shutil.copy(path, tmp_path) for path in sorted(DEMO.glob("*.jpg"))]
    (tmp_path / "none.jpg").write_text("no photo")
    return [*map(str, paths), str(tmp_path / "none.jpg")]


def check_same(found, photos):
    """Compare rows of a table with those of one process: equal to a thousandth of a pixel."""
    rows = rows_of(load("lite", threads=1), [Listed(path, path) for path in photos])
    found = {row["photo"]: row for row in found}
    assert sorted(found) == sorted(photos)  # each once
    for row in rows:
        got = found[row["photo"]]
        assert got["error"] == row.get("error", "")
        assert (got["height"], got["width"]) == (row.get("height", 0), row.get("width", 0))
        people = json.loads(got["people"])
        assert len(people) == len(row.get("people", []))
        for one, other in zip(people, row.get("people", []), strict=True):
            np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=1e-3)
            assert one["score"] == pytest.approx(other["score"], abs=1e-5)


@pytest.mark.slow
def test_a_batch_keeps_its_columns_and_gets_poses(photos):
    batch = {"photo": np.array(photos, object), "mine": np.arange(len(photos))}
    found = PosePredictor()(batch)
    assert set(found) == {"photo", "mine", "height", "width", "people", "error"}
    check_same([dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)], photos)


@pytest.mark.slow
def test_actors_of_ray_give_the_answers_of_one_process(photos):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        found = predict_photos(photos, workers=2, batch_size=2).take_all()
    finally:
        ray.shutdown()
    check_same(found, photos)
