"""A machine that serves: asked by lines of JSON, answers by lines; its network is a fake that counts what it encodes.

python shared_worker.py CACHE SHARED VERSIONS
"""

import json
import sys
from pathlib import Path

from clickpose_labelstudio.build import region_store_of
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.live_services import LiveServices
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings
from helpers import fakes

XML = build_labeling_config()
TASK = {"id": 1, "data": {"image": "/data/a.png"}}


def main(cache: Path, shared: Path, versions: Path) -> None:
    regions = region_store_of(ServiceSettings(cache_dir=cache, shared_cache_dir=shared))
    images, networks = fakes.FakeImages({"/data/a.png": fakes.blank_image()}), []

    def service_of(fingerprint: str) -> AnnotationService:
        predictor = fakes.FakePredictor()
        predictor.fingerprint = fingerprint
        networks.append(predictor)
        return AnnotationService(lambda: predictor, images, regions)

    live = LiveServices(service_of("base"), versions, lambda version, project: service_of(f"v{version.number}"))
    for line in sys.stdin:
        context = json.loads(line)
        before = sum(network.encoded for network in networks)
        service = live.of(7)
        (reply,) = service.predict([TASK], XML, context)
        encoded = sum(network.encoded for network in networks) - before
        print(json.dumps({"encoded": encoded, "version": service.model_version, "reply": reply}), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
