"""The web application: Label Studio's ML backend contract over HTTP. Handlers parse, call the service, format."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import math
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, abort, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import HTTPException

import clickpose
from clickpose.checks import described
from clickpose.predictor import PosePredictor
from clickpose_labelstudio import build
from clickpose_labelstudio.joint_words import plain
from clickpose_labelstudio.labeling_config import LabelingConfigError
from clickpose_labelstudio.lazy_predictor import LazyPredictor, ModelUnavailableError
from clickpose_labelstudio.learning.journal import JournalError
from clickpose_labelstudio.live_services import LiveServices, project_number
from clickpose_labelstudio.memory import MemoryReturn
from clickpose_labelstudio.metrics import ServiceMetrics
from clickpose_labelstudio.service import AnnotationService, RequestError
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.slow_bodies import body_deadline

if TYPE_CHECKING:
    from clickpose_labelstudio.learning.journal import Entry
    from clickpose_labelstudio.learning.learner import Learner

SETUP_WAIT_S = 2.0  # Label Studio gives up on /setup after 3 s
BATCH_WAIT_S = 80.0  # and on /predict after 100 s
BODY_S = 15.0  # that the body of a request may take
LARGE_BODY_BYTES = 8 * 1024 * 1024  # many times this in memory once it is read; a large batch has less
LARGE_BODY_WAIT_S = 20.0
NOT_WRITTEN = 507  # status of a webhook whose event could not be kept
MISCONFIGURED = 422  # status that tells the bridge that the labelling configuration is at fault
MAX_PROJECTS = 256
MAX_NAME = 100  # characters of a project's name, which is kept; Label Studio's are some twelve
MAX_ID = 10**9  # of a project that jobs train on
NO_REQUEST = "-"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PLAIN_QUOTES = str.maketrans("“”‘’", "\"\"''")

logger = logging.getLogger(__name__)
current_request_id: ContextVar[str] = ContextVar("current_request_id", default=NO_REQUEST)


class Backend:
    """What the handlers share: the service, and the little that is remembered between requests.

    Args:
        settings: see there.
        services: answer predictions, one for each project whose network has been trained further.
        predictor: the network behind the service, to load it ahead of need; None where the service needs no loading.
    """

    def __init__(self, settings: ServiceSettings, services: LiveServices, predictor: LazyPredictor | None):
        self.settings = settings
        self.services = services
        self.predictor = predictor
        self.metrics = ServiceMetrics()
        self.learner = None if settings.train_dir is None else _make_learner(settings.train_dir, settings)
        # Batches take turns: two would only slow each other down, and take the threads that edits need.
        self.batch_turn = threading.BoundedSemaphore(1)
        self.large_turn = threading.BoundedSemaphore(1)
        self.memory = MemoryReturn()
        self._configs: OrderedDict[str, str] = OrderedDict()
        self._configs_lock = threading.Lock()

    @property
    def is_ready(self) -> bool:
        """Tell whether a prediction can start at once."""
        return self.predictor is None or self.predictor.is_loaded

    def start_loading(self) -> None:
        """Load the weights in the background, and take up what is to be learned."""
        if self.predictor is not None:
            self.predictor.load_in_background()
        if self.learner is not None:
            self.learner.start()

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait for the weights at most ``timeout_s`` seconds; return whether they are there."""
        return self.predictor is None or self.predictor.wait(timeout_s)

    def remember_config(self, project: str, label_config: str) -> None:
        """Keep the labelling configuration of a project, for predictions that come without one."""
        if len(project) > MAX_NAME:
            return
        with self._configs_lock:
            self._configs[project] = label_config
            self._configs.move_to_end(project)
            while len(self._configs) > MAX_PROJECTS:
                self._configs.popitem(last=False)

    def config_of(self, project: object) -> str | None:
        """Return the labelling configuration of a project from its last set-up in this process, or None."""
        with self._configs_lock:
            return self._configs.get(project) if isinstance(project, str) else None


def _make_learner(folder: Path, settings: ServiceSettings) -> Learner:
    from clickpose_labelstudio.learning.learner import Learner  # needs POSIX, which the service itself does not

    return Learner(folder, settings)


def create_app(
    settings: ServiceSettings,
    service: AnnotationService | None = None,
    load_predictor: Callable[[], PosePredictor] | None = None,
) -> Flask:
    """Make the web application.

    Args:
        settings: hosts, limits, secrets, model.
        service: a ready service, for tests; by default one is made from the settings.
        load_predictor: makes the network, on first need; by default the one that the settings name.
    """
    predictor = None
    if service is None:
        predictor = LazyPredictor(load_predictor or partial(build.load_predictor, settings))
        services = build.build_services(settings, predictor)
    else:
        services = build.only_service(service)
    app = Flask("clickpose_labelstudio", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_request_bytes
    app.extensions["clickpose"] = Backend(settings, services, predictor)
    for rule, methods, view in ROUTES:
        app.add_url_rule(rule, view.__name__, view, methods=methods)
    app.before_request(_begin)
    app.before_request(_check_credentials)
    app.before_request(_take_turn_if_large)
    app.after_request(_end)
    app.teardown_request(_end_turn_if_large)
    app.teardown_request(_forget_request_id)
    app.register_error_handler(HTTPException, _say_http_error)
    app.register_error_handler(Exception, _say_internal_error)
    app.register_error_handler(RequestError, partial(_say_error, 400))
    app.register_error_handler(LabelingConfigError, partial(_say_error, MISCONFIGURED))
    app.register_error_handler(ModelUnavailableError, partial(_say_error, 503))
    return app


def _backend() -> Backend:
    return current_app.extensions["clickpose"]


# Handlers


def index() -> Response:
    """Say what this is."""
    return _json(
        {
            "service": "clickpose",
            "version": clickpose.__version__,
            "model": _backend().settings.model,
            "ready": _backend().is_ready,
            "endpoints": sorted({rule for rule, _, _ in ROUTES}),
        }
    )


def health() -> Response:
    """Answer at once, and load the weights meanwhile."""
    return _json({"status": "UP", "ready": _backend().is_ready, "v2": True})


def setup() -> Response:
    """Check a project's labelling configuration and name the model version."""
    body = _json_object()
    project, label_config = body.get("project"), body.get("schema") or body.get("label_config")
    backend = _backend()
    if not backend.wait_until_ready(SETUP_WAIT_S):
        # The weights need longer than Label Studio waits; the next set-up gives the whole version.
        return _json({"model_version": f"clickpose-{backend.settings.model}-{clickpose.__version__}"})
    service = backend.services.of(project)
    unmatched = service.check_config(label_config).say_unmatched()
    if unmatched:
        logger.warning("Project %.40r: %.500s", project, " ".join(unmatched.split()))
    if isinstance(project, str) and isinstance(label_config, str):
        backend.remember_config(project, label_config)
    return _json({"model_version": service.model_version} | _notes(unmatched))


def predict() -> Response:
    """Pre-annotate a batch of tasks, or refine what a human edits."""
    backend = _backend()
    body = _json_object()
    g.parsed = time.perf_counter()
    params = body.get("params") or {}
    if not isinstance(params, dict):
        raise RequestError(f"Expected params to be an object, got {described(params)}")
    context, tasks = params.get("context"), body.get("tasks")
    label_config = body.get("label_config") or backend.config_of(body.get("project"))
    service = backend.services.of(body.get("project"))  # one network from here to the end
    with contextlib.nullcontext() if context else _batch_turn(backend):
        results = service.predict(tasks, label_config, context)
    g.predicted = time.perf_counter()
    backend.metrics.count_tasks("edit" if context else "batch", len(results))
    backend.memory.after_work()
    unmatched = service.check_config(label_config).say_unmatched()
    return _json({"results": results, "model_version": service.model_version} | _notes(unmatched))


def _notes(sentence: str | None) -> dict:
    return {"notes": [sentence]} if sentence else {}


def versions() -> Response:
    """List the one model version that this service has for a project."""
    _backend().wait_until_ready(SETUP_WAIT_S)
    service = _backend().services.of(request.args.get("project"))
    return _json({"versions": [service.model_version] if _backend().is_ready else []})


def webhook() -> Response:
    """Take note of an event; nothing slow happens here, because Label Studio waits one second.

    Where the operator has named a folder for it, the event is written into the journal before it is answered, and
    "Start training", which arrives here too, begins a job beside the service. Otherwise the answer, and the log, say
    with which command to train.
    """
    body = _json_object()
    _backend().metrics.count_webhook(body.get("action"))
    training, learner = body.get("action") == "START_TRAINING", _backend().learner
    if learner is not None:
        return _note(learner, body)
    if not training:
        return _json({"status": "received"})
    project = body.get("project")
    number = project.get("id") if isinstance(project, dict) else None
    number = number if isinstance(number, int) and not isinstance(number, bool) and 0 < number < MAX_ID else None
    sentence = how_to_train(number)
    logger.info("%s", sentence)
    return _json({"status": "recorded", "message": sentence})


def _note(learner: Learner, body: dict) -> Response:
    """Write an event down; say that it could not be, where the disk is full or another process holds the journal.

    Unlike other webhooks, Label Studio sends the wish to train with the login.
    """
    training = body.get("action") == "START_TRAINING"
    if training and request.endpoint == "webhook" and _backend().settings.basic_auth_user and not _has_login():
        abort(401)
    if not request.is_json:  # a page of another site, open in the operator's browser, cannot send JSON here
        abort(415, "Expected Content-Type: application/json")
    try:
        return _json(learner.note(body))
    except OSError as error:
        _backend().metrics.count_unwritten()
        logger.warning("An event was not written down: %s", error)
        return _say(NOT_WRITTEN, f"The event was not written down: {error}")


def how_to_train(project: int | None) -> str:
    """Say how to train on the annotations of a project; None for one that is not known."""
    number = project or "<project>"
    return (
        f"Training on project {number} was asked for. This service does not train (--train-dir lets it); "
        f"clickpose labelstudio train --project {number} does, and clickpose serve "
        f"--checkpoint runs/project-{number}/lite.safetensors serves what comes out"
    )


def job_status() -> Response:
    """Tell how a training job is; Label Studio takes 410 for one that is there no more."""
    learner = _backend().learner
    status = None if learner is None else learner.jobs.status(_json_object().get("job"))
    return _say(410, "There is no such training job") if status is None else _json(status)


def secret_webhook(secret: str) -> Response:
    """Take note of an event that came to the webhook's secret address."""
    if not _same_text(secret, _backend().settings.webhook_secret):
        abort(404)
    return webhook()


def stats() -> Response:
    """Show how the labelling goes: of all projects, or of ``?project=7``."""
    from clickpose_labelstudio.learning.stats_page import stats_page

    entries, project = _journalled()
    return Response(stats_page(entries, project, _learner().journal.projects()), mimetype="text/html")


def stats_csv() -> Response:
    """Give the same figures as a table."""
    from clickpose_labelstudio.learning.statistics import as_csv

    return Response(as_csv(_journalled()[0]), mimetype="text/csv")


def _journalled() -> tuple[list[Entry], int | None]:
    """Return the annotations that are asked for, and of which project they are, None for all."""
    wanted = request.args.get("project")
    project = None if wanted is None else project_number(wanted)
    if wanted is not None and project is None:
        raise RequestError(f"Expected project to be a number, got {wanted[:40]!r}")
    try:
        return _learner().journal.entries(project), project
    except JournalError as error:
        abort(503, str(error))


def _learner() -> Learner:
    learner = _backend().learner
    if learner is None:
        abort(404)
    return learner


def metrics() -> Response:
    """Give Prometheus its numbers."""
    _backend().metrics.model_loaded.set(_backend().is_ready)
    if _backend().learner is not None:
        with contextlib.suppress(JournalError):
            _backend().metrics.set_labelled(_learner().figures())
    return Response(_backend().metrics.render(), content_type=CONTENT_TYPE_LATEST)


ROUTES = (
    ("/", ["GET"], index),
    ("/health", ["GET"], health),
    ("/setup", ["POST"], setup),
    ("/predict", ["POST"], predict),
    ("/versions", ["GET"], versions),
    ("/webhook", ["POST"], webhook),
    ("/webhook/<secret>", ["POST"], secret_webhook),
    ("/job_status", ["POST"], job_status),
    ("/metrics", ["GET"], metrics),
    ("/stats", ["GET"], stats),
    ("/stats.csv", ["GET"], stats_csv),
)


# Around every request


def _begin() -> None:
    g.started = time.perf_counter()
    wanted = request.headers.get("X-Request-ID", "")
    g.request_id = wanted if REQUEST_ID.fullmatch(wanted) else uuid.uuid4().hex[:16]
    current_request_id.set(g.request_id)
    _backend().start_loading()


def _check_credentials() -> None:
    """Ask for the configured user, except of webhooks: Label Studio sends most of those without one.

    A webhook is let in by its secret address, by the user, or, where no secret is configured, as it comes.
    """
    settings = _backend().settings
    if request.endpoint == "secret_webhook" or (request.endpoint == "webhook" and not settings.webhook_secret):
        return
    if request.endpoint != "webhook" and not settings.basic_auth_user:
        return
    if not _has_login():
        abort(401)


def _take_turn_if_large() -> None:
    """Let one large body be read at a time: eight of 64 MB would take gigabytes."""
    if (request.content_length or 0) <= LARGE_BODY_BYTES and "Transfer-Encoding" not in request.headers:
        return
    if not _backend().large_turn.acquire(timeout=LARGE_BODY_WAIT_S):
        abort(503, "Other large requests are still being read; try again later")
    g.large = True


def _end_turn_if_large(error: BaseException | None) -> None:
    if g.pop("large", False):
        _backend().large_turn.release()


def _has_login() -> bool:
    """Tell whether a request comes with the configured user and password."""
    settings, given = _backend().settings, request.authorization
    user, password = (given.username, given.password) if given is not None and given.type == "basic" else ("", "")
    same_user = _same_text(user, settings.basic_auth_user)
    return _same_text(password, settings.basic_auth_password) and same_user


def _same_text(given: str | None, wanted: str) -> bool:
    """Compare secrets in constant time; an unset secret equals nothing."""
    same = hmac.compare_digest((given or "").encode("utf-8", "replace"), wanted.encode())
    return bool(wanted) and same


def _end(response: Response) -> Response:
    """Count and log the request by its route, never its path or body, which may hold secrets."""
    now = time.perf_counter()
    started = g.get("started", now)
    route = request.url_rule.rule if request.url_rule else "unknown"
    _backend().metrics.count_request(route, response.status_code, now - started)
    response.headers["X-Request-ID"] = g.request_id
    if "predicted" in g:
        parts = {"parse": g.parsed - started, "predict": g.predicted - g.parsed, "encode": now - g.predicted}
        response.headers["Server-Timing"] = ", ".join(f"{part};dur={1000 * t:.2f}" for part, t in parts.items())
    logger.info("%s %s %d %.1f ms", request.method, route, response.status_code, 1000 * (now - started))
    return response


def _forget_request_id(error: BaseException | None) -> None:
    current_request_id.set(NO_REQUEST)


@contextlib.contextmanager
def _batch_turn(backend: Backend) -> Iterator[None]:
    if not backend.batch_turn.acquire(timeout=BATCH_WAIT_S):
        abort(503, "Other batches are still being predicted; try again later")
    try:
        yield
    finally:
        backend.batch_turn.release()


def _json_object() -> dict:
    """Return the request's JSON object.

    Raises:
        RequestError: if the body is none.
    """
    try:
        with body_deadline(request.environ, BODY_S):
            data = request.get_data(cache=False)
    except (HTTPException, MemoryError):
        raise
    except Exception as error:  # gunicorn reads it here, with many errors of its own for chunks that end too soon
        logger.info("A body could not be read: %.200r", error)
        raise RequestError("Expected a whole request body, got one that breaks off or is framed wrongly") from None
    try:
        body = json.loads(data, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise RequestError("Expected a JSON object as the request body") from None
    if not isinstance(body, dict):
        raise RequestError(f"Expected a JSON object as the request body, got {described(body)}")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"Expected JSON numbers, got {name}")


def _finite(text: str) -> float:
    """Read a number; one such as 1e999 would be echoed as an infinity, which JSON cannot say."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"Expected finite JSON numbers, got {text}")
    return number


def _json(payload: dict, status: int = 200) -> Response:
    return Response(json.dumps(payload, allow_nan=False), status, mimetype="application/json")


def _say(status: int, sentence: str) -> Response:
    """Answer an error. The sentence is also the HTTP reason, the one part that Label Studio shows to its users."""
    response = _json({"error": sentence}, status)
    in_ascii = re.sub(r"[^\x20-\x7e]", " ", plain(sentence.translate(PLAIN_QUOTES)))
    reason = " ".join(in_ascii.split())[:200].strip()
    response.status = f"{status} {reason or 'Error'}"
    return response


def _say_error(status: int, error: Exception) -> Response:
    logger.warning("%.500s", " ".join(str(error).split()))  # it may quote the request, which must not write log lines
    return _say(status, str(error))


def _say_http_error(error: HTTPException) -> Response:
    sentences = {
        401: "Expected the user name and password of this service",
        404: "There is nothing at this address",
        405: f"Expected another method than {request.method} at this address",
        413: f"Expected a request of at most {_backend().settings.max_request_bytes} bytes",
    }
    status = error.code or 500
    response = _say(status, sentences.get(status, error.description or error.name))
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="clickpose", charset="UTF-8"'
    if status == 405:
        response.headers["Allow"] = ", ".join(getattr(error, "valid_methods", None) or ())
    return response


def _say_internal_error(error: Exception) -> Response:
    logger.exception("Request %s failed", g.get("request_id", "-"))
    return _say(500, f"The request failed inside the service; its log has the reason under id {g.request_id}")


class RequestIdFilter(logging.Filter):
    """Puts the id of the request that a thread works on into each log record, as ``%(request_id)s``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mark a record."""
        record.request_id = current_request_id.get()
        return True
