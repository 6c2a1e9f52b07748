"""A Django middleware: a photo that is opened has its predictions, although all are made in the background.

The launcher lets Label Studio predict a few tasks at a time. Whoever opens a task before its turn gets it predicted
first and then shown. By itself, Label Studio asks only for tasks that were never predicted, in the stream for none, and
where two ask at once, it keeps two predictions. So there is one turn at a time here, and an annotator's comes before
the launcher's.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)

OPENED_TASK = re.compile(r"^/api/tasks/(\d+)/?$")
ACTIONS = re.compile(r"^/api/dm/actions/?$")


class Turns:
    """One at a time; the urgent before the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._urgent = 0  # that wait

    @contextmanager
    def turn(self, *, urgent: bool) -> Iterator[None]:
        """Wait for a turn, and hold it to the end of the block."""
        with self._changed:
            self._urgent += urgent
            try:
                self._changed.wait_for(lambda: not self._taken and (urgent or not self._urgent))
            finally:
                self._urgent -= urgent
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


TURNS = Turns()  # of the process: for addresses without a slash at the end, Label Studio makes middlewares anew


class PredictFirstMiddleware:
    """Gives turns to requests that predict, and predicts the task that an annotator opens."""

    def __init__(self, get_response: Any):
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Pass the request on, in its turn where it may predict."""
        opened = OPENED_TASK.match(request.path_info) if request.method == "GET" else None
        if opened:
            return self._open(request, int(opened[1]))
        action = request.GET.get("id") if ACTIONS.match(request.path_info) and request.method == "POST" else None
        if action == "retrieve_tasks_predictions":
            with TURNS.turn(urgent=False):
                return self.get_response(request)
        response = self.get_response(request)
        if action == "next_task" and response.status_code == 200:
            self._add_predictions(response)
        return response

    def _open(self, request: Any, task_id: int) -> Any:
        # nothing is done for somebody whom Label Studio is about to refuse
        if not _may_open(request.user, task_id) or not _lacks_prediction(task_id):
            return self.get_response(request)
        with TURNS.turn(urgent=True):
            _predict(task_id)
            return self.get_response(request)

    def _add_predictions(self, response: Any) -> None:
        """Predict the next task of the stream, where that has not been done, and write it into the answer."""
        task = getattr(response, "data", None)
        if not isinstance(task, dict) or task.get("predictions") or not _lacks_prediction(task.get("id")):
            return
        with TURNS.turn(urgent=True):
            _predict(task["id"])
        try:
            task["predictions"] = _serialized_predictions(task["id"])
            response._is_rendered = False  # it has been, without
            response.render()
        except Exception:
            logger.exception("The predictions of task %s could not be added", task["id"])


def _may_open(user: Any, task_id: int) -> bool:
    """Tell whether a task is shown to somebody, by Label Studio's own rule."""
    try:
        from tasks.models import Task

        return bool(
            user.is_authenticated and Task.objects.select_related("project").get(pk=task_id).has_permission(user)
        )
    except Exception:  # no such task, or a Label Studio that is built otherwise: it answers by itself
        logger.debug("Whether task %s may be opened is not known", task_id, exc_info=True)
        return False


def _lacks_prediction(task_id: Any) -> bool:
    """Tell whether a task that nobody has labelled lacks a prediction of the version that its project shows."""
    try:
        from tasks.models import Prediction, Task

        task = Task.objects.select_related("project").get(pk=task_id)
        if not task.project.show_collab_predictions or task.total_annotations:
            return False
        found = Prediction.objects.filter(task_id=task_id)
        version = task.project.model_version
        return not (found.filter(model_version=version) if version else found).exists()
    except Exception:  # no such task, or a Label Studio that is built otherwise: it answers by itself
        logger.debug("Whether task %s has a prediction is not known", task_id, exc_info=True)
        return False


def _predict(task_id: int) -> None:
    """Let Label Studio get the prediction of a task that has none of the backend's present version."""
    try:
        from data_manager.functions import evaluate_predictions
        from tasks.models import Task

        evaluate_predictions([Task.objects.get(pk=task_id)])
    except Exception:  # whoever opens a task gets it, with or without
        logger.exception("Task %s could not be predicted", task_id)


def _serialized_predictions(task_id: int) -> list:
    from tasks.models import Task
    from tasks.serializers import PredictionSerializer

    task = Task.objects.select_related("project").get(pk=task_id)
    version = task.project.model_version
    found = task.predictions.filter(model_version=version) if version else task.predictions.all()
    return PredictionSerializer(found, many=True).data
