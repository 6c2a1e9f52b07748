"""Put the service together from its settings: network, images, cache."""

from __future__ import annotations

from dataclasses import replace

import clickpose
from clickpose.build import chosen_options
from clickpose.predictor import PosePredictor
from clickpose_labelstudio.images import TaskImages
from clickpose_labelstudio.learning.versions import Version
from clickpose_labelstudio.live_services import LiveServices
from clickpose_labelstudio.ports import PredictorFactory, RegionStore
from clickpose_labelstudio.region_store import DiskRegionStore
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.shared_regions import SharedFolder, SharingRegionStore
from clickpose_labelstudio.turns import turns


def load_predictor(settings: ServiceSettings) -> PosePredictor:
    """Load the network that settings name.

    Raises:
        ValueError: as :func:`clickpose.load`.
    """
    options = chosen_options(settings.model, settings.flip_test, settings.first)
    return clickpose.load(settings.model, checkpoint=settings.checkpoint, **options)


def build_service(settings: ServiceSettings, get_predictor: PredictorFactory) -> AnnotationService:
    """Make the service that settings describe, around a network that is loaded when it is first needed."""
    return _Services(settings).make(get_predictor)


def build_services(settings: ServiceSettings, get_predictor: PredictorFactory) -> LiveServices:
    """Make the services of all projects: they share photos, what was encoded of them, and turns at encoding."""
    shared = _Services(settings)

    def of_version(version: Version, project: int) -> AnnotationService:
        predictor = load_predictor(replace(settings, checkpoint=version.weights))
        version.check_same_joints(predictor.skeleton, get_predictor().skeleton)
        return shared.make(lambda: predictor, f"p{project}v{version.number}")

    return LiveServices(shared.make(get_predictor), settings.versions_dir or settings.train_dir, of_version)


def only_service(service: AnnotationService) -> LiveServices:
    """Let one service answer all projects."""

    def none_of(version: Version, project: int) -> AnnotationService:
        raise RuntimeError("Expected no versions where one service answers all projects")

    return LiveServices(service, None, none_of)


def region_store_of(settings: ServiceSettings) -> RegionStore:
    """Return the store of encoded regions: this machine's, with what others share where there is a folder for it."""
    own = DiskRegionStore(settings)
    if settings.shared_cache_dir is None:
        return own
    return SharingRegionStore(own, SharedFolder(settings.shared_cache_dir, settings.shared_cache_max_bytes))


class _Services:
    """Makes services that share what they can."""

    def __init__(self, settings: ServiceSettings):
        self._settings = settings
        self._images, self._regions = TaskImages(settings), region_store_of(settings)
        self._turns = turns()

    def make(self, get_predictor: PredictorFactory, version: str = "") -> AnnotationService:
        settings = self._settings
        return AnnotationService(
            get_predictor,
            self._images,
            self._regions,
            occluded_below=settings.occluded_below,
            unlabelled_below=settings.unlabelled_below,
            browser_decoding=settings.browser_decoding,
            version=version,
            turns=self._turns,
        )
