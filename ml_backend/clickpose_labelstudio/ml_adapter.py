"""The same service through label-studio-ml, for those who deploy their backends that way.

Runs under label-studio-ml 1.0.9, the release on PyPI, and under 2.x, which is on GitHub only (tried with 2.0.1.dev0).
Use it as the model class of a label-studio-ml project, whose ``_wsgi.py`` then says::

    from clickpose_labelstudio.ml_adapter import ClickPoseModel

    app = init_app(model_class=ClickPoseModel)  # 1.0.9 also wants a folder: model_dir="/var/lib/clickpose"

Settings come from the environment, as for :mod:`clickpose_labelstudio.wsgi`. What 1.0.9 lacks remains lacking there:
authentication, ``GET /versions``, a prediction before the first set-up. ``clickpose serve`` has them.

Nothing here or behind it needs more of Flask than label-studio-ml pins (1.1.2).
"""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import Any, ClassVar

from flask import has_request_context, request
from label_studio_ml.model import LabelStudioMLBase

from clickpose_labelstudio.build import build_service, load_predictor
from clickpose_labelstudio.lazy_predictor import LazyPredictor
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings

try:
    from label_studio_ml.response import ModelResponse
except ImportError:  # 1.0.9 has no such class and takes plain lists
    ModelResponse = None


class ClickPoseModel(LabelStudioMLBase):
    """Predicts and refines poses by the one service of this process.

    label-studio-ml makes a model for each project, or for each request; the network and the cache are shared by all.

    Attributes:
        service: the shared service; made from the environment when it is first needed, unless it has been set before.
    """

    service: ClassVar[AnnotationService | None] = None
    _service_lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def shared_service(cls) -> AnnotationService:
        """Return the service, making it on the first call."""
        with ClickPoseModel._service_lock:
            if ClickPoseModel.service is None:
                settings = ServiceSettings.from_environment(os.environ)
                predictor = LazyPredictor(partial(load_predictor, settings))
                ClickPoseModel.service = build_service(settings, predictor)
            return ClickPoseModel.service

    def setup(self) -> None:
        """Tell label-studio-ml 2.x, which calls this, the model version."""
        self.set("model_version", self.shared_service().model_version)

    def predict(self, tasks: list[dict], context: dict | None = None, **kwargs: object) -> Any:
        """Pre-annotate tasks, or refine what a human edits where a context is given.

        Args:
            tasks: Label Studio's tasks.
            context: ``params.context`` of the request.
            kwargs: the other parameters of the request; not used.

        Returns:
            A ``ModelResponse`` under 2.x, a list of predictions under 1.0.9. An edit that moves nothing has no result,
            which a ``ModelResponse`` cannot say; then it is a list under 2.x too.
        """
        predictions = self.shared_service().predict(tasks, self._current_label_config(), context)
        if ModelResponse is None or not all("result" in prediction for prediction in predictions):
            return predictions
        return ModelResponse(predictions=predictions)

    def _current_label_config(self) -> str | None:
        """Return the configuration that the request brings, else that of the model.

        1.0.9 keeps one model for all projects, with the configuration of the last one that was set up.
        """
        body = request.get_json(silent=True) if has_request_context() else None
        own = body.get("label_config") if isinstance(body, dict) else None
        return own or self.label_config
