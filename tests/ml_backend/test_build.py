"""The network and the service that settings describe."""

import pytest

from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.build import load_predictor
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.settings import ServiceSettings


@pytest.mark.parametrize("flip_test", [True, False])
def test_the_model_version_tells_a_network_with_flip_test_from_one_without(tmp_path, flip_test):
    settings = ServiceSettings(cache_dir=tmp_path, flip_test=flip_test)
    fingerprint = load_predictor(settings).fingerprint
    assert fingerprint.endswith("-flip") is flip_test
    client = create_app(settings).test_client()
    assert client.post("/predict", json={"tasks": [], "label_config": build_labeling_config()}).status_code == 200
    version = client.post("/setup", json={"project": "1.1", "schema": build_labeling_config()}).json["model_version"]
    assert version.endswith(fingerprint)
