"""What the service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

WEBHOOK_ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "PROJECT_UPDATED",
    "START_TRAINING",
)
LABELLED = {
    "persons": "Persons labelled in a project.",
    "new_persons": "Persons labelled since the last training.",
    "clicks_a_person": "Joints placed or moved, a person.",
    "seconds_a_person": "Lead time, a person.",
    "unseen_share": "Share of joints that nobody has touched.",
    "calibration_error": "Expected calibration error of predicted OKS against what was submitted.",
    "version": "Number of the network's version that is live; 0 for the one that was started with.",
}
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0)


class ServiceMetrics:
    """Counters of one app, in a registry of its own. Under gunicorn each worker process counts for itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "clickpose_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "clickpose_request_seconds", "Time to answer, by route.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self._tasks = Counter("clickpose_tasks", "Tasks answered: batch or edit.", ["kind"], registry=self.registry)
        self._webhooks = Counter("clickpose_webhooks", "Webhook calls by action.", ["action"], registry=self.registry)
        self._unwritten = Counter(
            "clickpose_webhooks_unwritten", "Webhooks whose event could not be written down.", registry=self.registry
        )
        self._labelled = {
            name: Gauge(f"clickpose_labelled_{name}", text, ["project"], registry=self.registry)
            for name, text in LABELLED.items()
        }
        self.model_loaded = Gauge("clickpose_model_loaded", "1 once the weights are loaded.", registry=self.registry)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request; ``route`` is the route's pattern, never the path, which may hold a secret."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_tasks(self, kind: str, count: int) -> None:
        """Count answered tasks of a ``"batch"`` or an ``"edit"``."""
        self._tasks.labels(kind).inc(count)

    def count_webhook(self, action: object) -> None:
        """Count a webhook; unknown actions share one label, so that callers cannot grow the registry."""
        self._webhooks.labels(action if action in WEBHOOK_ACTIONS else "other").inc()

    def count_unwritten(self) -> None:
        """Count a webhook that could not be written down."""
        self._unwritten.inc()

    def set_labelled(self, figures: Mapping[int, Mapping[str, float]]) -> None:
        """Set what is known of the labelling, by project and by the names of :data:`LABELLED`."""
        for name, gauge in self._labelled.items():
            gauge.clear()
            for project, found in figures.items():
                gauge.labels(str(project)).set(found[name])

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)
