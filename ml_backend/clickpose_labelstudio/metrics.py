"""What the service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

WEBHOOK_ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "PROJECT_UPDATED",
    "START_TRAINING",
)
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

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)
