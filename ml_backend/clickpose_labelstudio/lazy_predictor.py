"""The pose network of a worker process: loaded on first need, once, and in the background where that is asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from clickpose.predictor import PosePredictor

LOADING_FAILURES = (ImportError, OSError, RuntimeError, ValueError)

logger = logging.getLogger(__name__)


class ModelUnavailableError(RuntimeError):
    """The network could not be loaded; the message says why."""


class LazyPredictor:
    """Calls ``load`` once, on the first call, whichever thread that comes from.

    The predictor itself is shared without a lock: networks in inference mode and ONNX Runtime sessions only read their
    weights, and the five methods that the service calls keep no state. A lock would make the click of one annotator
    wait for the pre-annotation of another's batch.

    Args:
        load: makes the predictor; may take seconds.
    """

    def __init__(self, load: Callable[[], PosePredictor]):
        self._load = load
        self._lock = threading.Lock()
        self._predictor: PosePredictor | None = None
        self._loading: threading.Thread | None = None

    def __call__(self) -> PosePredictor:
        """Return the predictor, loading it if that has not been done.

        Raises:
            ModelUnavailableError: if loading fails; the next call tries again.
        """
        if self._predictor is None:
            with self._lock:
                if self._predictor is None:
                    self._predictor = self._load_or_explain()
        return self._predictor

    @property
    def is_loaded(self) -> bool:
        """Tell whether calls return at once."""
        return self._predictor is not None

    def load_in_background(self) -> None:
        """Start loading in a thread, unless it is loaded or being loaded."""
        if self._predictor is None and (self._loading is None or not self._loading.is_alive()):
            self._loading = threading.Thread(target=self._load_and_log, name="load-model", daemon=True)
            self._loading.start()

    def wait(self, timeout_s: float) -> bool:
        """Load in the background for at most ``timeout_s`` seconds; return whether the predictor is there."""
        self.load_in_background()
        loading = self._loading
        if self._predictor is None and loading is not None:
            loading.join(timeout_s)
        return self._predictor is not None

    def _load_and_log(self) -> None:
        try:
            self()
        except ModelUnavailableError as error:
            logger.error("%s", error)

    def _load_or_explain(self) -> PosePredictor:
        try:
            return self._load()
        except LOADING_FAILURES as error:
            raise ModelUnavailableError(f"The model could not be loaded: {error}") from error
