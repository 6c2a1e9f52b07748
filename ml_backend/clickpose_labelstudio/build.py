"""Put the service together from its settings: network, images, cache."""

from __future__ import annotations

import clickpose
from clickpose.build import chosen_options
from clickpose.predictor import PosePredictor
from clickpose_labelstudio.images import TaskImages
from clickpose_labelstudio.ports import PredictorFactory
from clickpose_labelstudio.region_store import DiskRegionStore
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings


def load_predictor(settings: ServiceSettings) -> PosePredictor:
    """Load the network that settings name.

    Raises:
        ValueError: as :func:`clickpose.load`.
    """
    options = chosen_options(settings.model, settings.flip_test, settings.first)
    return clickpose.load(settings.model, checkpoint=settings.checkpoint, **options)


def build_service(settings: ServiceSettings, get_predictor: PredictorFactory) -> AnnotationService:
    """Make the service that settings describe, around a network that is loaded when it is first needed."""
    return AnnotationService(
        get_predictor,
        TaskImages(settings),
        DiskRegionStore(settings),
        occluded_below=settings.occluded_below,
        unlabelled_below=settings.unlabelled_below,
        browser_decoding=settings.browser_decoding,
    )
