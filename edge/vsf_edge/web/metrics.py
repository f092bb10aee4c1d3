"""What the live view counts about itself, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from vsf_edge.web.view import View

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class ViewMetrics:
    """The metrics of a view in `registry`, beside those of the loop where it is the loop's."""

    def __init__(self, view: View, registry: CollectorRegistry) -> None:
        self._registry = registry
        painted = Histogram(
            "vsf_edge_view_paint_seconds",
            "Time to paint and encode one message of the live view.",
            buckets=_BUCKETS,
            registry=registry,
        )
        view.painted = painted.observe
        self._clients = Gauge("vsf_edge_view_clients", "Pages and streams that look on.", registry=registry)
        self._clients.set_function(lambda: view.settings.clients - view.places)

    def text(self) -> bytes:
        """Give everything in the registry as Prometheus reads it."""
        return generate_latest(self._registry)
