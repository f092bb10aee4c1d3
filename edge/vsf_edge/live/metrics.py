"""The numbers of a session as Prometheus text, for ``/metrics``; made when asked for, so that a frame pays nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vsf_edge.errors import EdgeError, brief
from vsf_edge.live.statistics import Durations, Statistics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

QUANTILES = (0.5, 0.95, 0.99)


def registry(statistics: Statistics) -> CollectorRegistry:
    """Give a registry of its own whose only collector reads `statistics`.

    Raises
    ------
    EdgeError
        When prometheus-client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry
    except ImportError as error:
        raise EdgeError(f"there are no metrics ({brief(error)}): pip install 'vsf-edge[live]'") from error
    made = CollectorRegistry()
    made.register(_Collector(statistics))
    return made


def metrics_text(statistics: Statistics) -> str:
    """Give `statistics` in Prometheus' text format.

    Raises
    ------
    EdgeError
        When prometheus-client is not installed.
    """
    made = registry(statistics)
    from prometheus_client import generate_latest

    return generate_latest(made).decode("utf-8")


class _Collector:
    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        now = self._statistics
        for name, text, count in (
            ("frames_taken", "Frames that the source gave.", now.taken),
            ("results", "Frames that came out.", now.results),
            ("results_not_stained", "Frames that came out without stains.", now.unstained),
            ("cells", "Cells seen, counted in every frame.", now.cells),
            ("cells_abstained", "Cells that got no number, counted in every frame.", now.abstained),
        ):
            yield CounterMetricFamily(f"vsf_edge_{name}", text, value=count)
        for name, text, label, counts in (
            ("frames_dropped", "Frames lost.", "reason", now.drops()),
            ("notices", "Notices given.", "kind", dict(now.notices)),
        ):
            family = CounterMetricFamily(f"vsf_edge_{name}", text, labels=[label])
            for value, count in counts.items():
                family.add_metric([value], count)
            yield family
        waiting = GaugeMetricFamily("vsf_edge_queue_length", "Items that wait.", labels=["queue"])
        for queue, length in now.queues.items():
            waiting.add_metric([queue], length)
        yield waiting
        fps = now.fps()
        yield GaugeMetricFamily("vsf_edge_results_per_second", "Results per second.", value=0.0 if fps != fps else fps)
        yield _summary("latency", "Capture to result.", {"": now.latency})
        yield _summary("stage", "Time in a stage.", dict(now.stages))


def _summary(name: str, text: str, durations: dict[str, Durations]) -> Any:
    """Give a summary with quantiles in seconds (Prometheus' unit), by stage where there are several."""
    from prometheus_client.core import Metric

    family = Metric(f"vsf_edge_{name}_seconds", text, "summary")
    for stage, spent in durations.items():
        labels = {"stage": stage} if stage else {}
        for quantile in QUANTILES if spent.count else ():
            value = spent.percentile(100 * quantile) / 1000
            family.add_sample(family.name, {**labels, "quantile": str(quantile)}, value)
        family.add_sample(f"{family.name}_sum", labels, spent.total_ms / 1000)
        family.add_sample(f"{family.name}_count", labels, spent.count)
    return family
