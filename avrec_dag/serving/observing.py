"""What the service tells whoever runs it: readiness, metrics in Prometheus's text, and with every answer the versions that made it."""

import json
import os
import time
from collections.abc import Iterable, Mapping

from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from avrec_dag import __version__
from avrec_dag.serving.newest import Newest, noted
from avrec_dag.serving.problems import possible
from avrec_dag.serving.turns import Lane
from avrec_dag.serving.view import Loaded

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where several workers add up what they counted; set before this module is imported."""
HEADER = b"avrec-versions"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Counted:
    """What is counted, of one application; of all workers where `FOLDER` is set."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("avrec_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry)
        self.seconds = Histogram("avrec_request_seconds", "From request to answer.", ["route"], buckets=_BUCKETS, registry=self.registry)
        self.events = Counter("avrec_events", "Events of feedback, kept on disk or not.", ["outcome"], registry=self.registry)

    def text(self, own: Collector) -> bytes:
        """Everything, with what this process alone knows."""
        registry = self.registry
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        alone = CollectorRegistry()
        alone.register(own)
        return generate_latest(registry) + generate_latest(alone)


class _Own(Collector):
    """What the worker that is asked knows of itself."""

    def __init__(self, newest: Newest, lanes: Mapping[str, Lane]) -> None:
        self.newest, self.lanes = newest, lanes

    def collect(self) -> Iterable[Metric]:
        loaded = self.newest.loaded
        yield GaugeMetricFamily("avrec_ready", "1 where an answer waits for nothing (this worker).", value=float(self.newest.ready))
        yield CounterMetricFamily("avrec_loads", "Views of the library that were loaded (this worker).", value=self.newest.loads)
        yield GaugeMetricFamily("avrec_items", "Items that can be listed.", value=len(loaded.marked) if loaded else 0)
        for name, said in (("running", "Requests at work"), ("waiting", "Requests in the queue")):
            gauge = GaugeMetricFamily(f"avrec_queue_{name}", f"{said} (this worker).", labels=["lane"])
            for lane, one in self.lanes.items():
                gauge.add_metric([lane], one.running if name == "running" else len(one.waiting))
            yield gauge
        info = InfoMetricFamily("avrec_version", "What makes the answers.", labels=["part"])
        for part, told in loaded.versions.items() if loaded else ():
            info.add_metric([part], dict(told))
        info.add_metric(["service"], {"version": __version__, "run": ""})
        yield info


class Observed:
    """ASGI middleware: counts every request, and says in the header `Avrec-Versions` which model, index and features made the answer.

    Args:
        app: What answers.
        counted: Where it is counted.
    """

    def __init__(self, app: ASGIApp, counted: Counted) -> None:
        self._app, self._counted = app, counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        with noted() as used:

            async def told(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    if used:
                        message["headers"] = [*message.get("headers", ()), (HEADER, _versions(used[-1]))]
                await send(message)

            try:
                await self._app(scope, receive, told)
            finally:
                route = getattr(scope.get("route"), "path", "other")
                self._counted.requests.labels(route, scope["method"] if scope["method"].isalpha() else "other", str(status)).inc()
                self._counted.seconds.labels(route).observe(time.perf_counter() - start)


def _versions(loaded: Loaded) -> bytes:
    versions = {part: told["version"] for part, told in loaded.versions.items()}
    return json.dumps({**versions, "runs": {part: told["run"] for part, told in loaded.versions.items() if told["run"]}}).encode()


def routes(app: FastAPI, newest: Newest, counted: Counted, lanes: Mapping[str, Lane]) -> None:
    """Add the routes to the service."""

    @app.get("/healthz", tags=["service"])
    def health() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok", "version": __version__, "items": str(newest.items)}

    @app.get("/readyz", tags=["service"], responses=possible(503))
    def ready() -> dict[str, str]:
        """Whether an answer waits for nothing: the models are loaded and a list was made. A newer version never takes it back."""
        if not newest.ready:
            raise HTTPException(503, newest.why, {"Retry-After": "1"})
        return {"status": "ready"}

    @app.get("/metrics", tags=["service"], response_class=PlainTextResponse)
    def metrics() -> Response:
        """Counts for Prometheus."""
        return Response(counted.text(_Own(newest, lanes)), media_type=CONTENT_TYPE_LATEST)
