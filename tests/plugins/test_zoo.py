"""The remote zoo source in plugins/zoo, registered and loaded through FiftyOne's own zoo."""

import shutil
from pathlib import Path

import fiftyone.zoo as foz
import numpy as np
import pytest

ZOO = Path(__file__).resolve().parents[2] / "plugins" / "zoo"


@pytest.fixture(scope="module")
def source(fiftyone_home):
    """The source where FiftyOne puts one that it downloaded."""
    target = fiftyone_home / "models" / "clickpose_zoo"  # as the manifest names it; "clickpose" would hide the package
    shutil.copytree(ZOO, target)
    yield target
    shutil.rmtree(target)


def test_the_zoo_has_both_networks_and_loads_the_shipped_one(source):
    assert {"clickpose-lite", "clickpose-r50"} <= set(foz.list_zoo_models())
    model = foz.load_zoo_model("clickpose-lite", min_score=0.5)
    assert (source / "clickpose-lite.safetensors").is_file()
    assert model.min_score == 0.5
    assert model.predict(np.zeros((64, 64, 3), np.uint8)).keypoints == []


def test_a_network_without_weights_of_ours_says_what_to_do(source):
    with pytest.raises(ValueError, match="checkpoint='<file>'"):
        foz.download_zoo_model("clickpose-r50")
