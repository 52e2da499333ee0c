"""Where the time inside a model goes: stages by metrics, steps by counters."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from exatrkx_pipeline.repository import EXATRKX_ENSEMBLE
from exatrkx_pipeline.serving.python_backend import STAGE_METRIC
from sonic_client.config import ServerConfig
from sonic_client.server_counters import ServerCounters
from sonic_client.transport import transport_for

__all__ = ["ModelTimes", "ServerTimes", "gpu_utilisation", "stage_seconds"]

ENSEMBLE = "exatrkx_ensemble"
LIMIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimes:
    """Seconds that a server has spent on a model, over all requests."""

    stages_s: Mapping[str, float]
    """By stage of the pipeline, or step of the ensemble, its waiting included."""

    queue_s: float = 0.0
    """Waiting for the steps of an ensemble, which its own counters leave out."""

    def since(self, earlier: ModelTimes, n_events: int) -> ModelTimes:
        """What came to it for each of so many events."""
        return ModelTimes(
            stages_s={
                name: (total - earlier.stages_s.get(name, 0.0)) / n_events
                for name, total in self.stages_s.items()
            },
            queue_s=(self.queue_s - earlier.queue_s) / n_events,
        )


class ServerTimes:
    """What a server tells of itself beside its answers.

    Parameters
    ----------
    url : str
        Its gRPC endpoint.
    metrics_url : str, optional
        Its metrics for Prometheus, if it has any.
    """

    def __init__(self, url: str, metrics_url: str | None) -> None:
        self._url, self._metrics_url = url, metrics_url

    def read(self, model: str) -> ModelTimes:
        """What the server has counted so far; empty where it does not tell.

        Raises
        ------
        SonicError
            If it does not answer.
        OSError
            If its metrics do not.
        """
        if model != ENSEMBLE:
            return ModelTimes(stages_s=stage_seconds(self._metrics(), model))
        names = [step.model for step in EXATRKX_ENSEMBLE]
        steps = asyncio.run(_counters(self._url, names))
        return ModelTimes(
            stages_s={name: steps[name].total_s for name in names},
            queue_s=sum(each.queue_s for each in steps.values()),
        )

    def gpu_utilisation(self) -> dict[str, float]:
        """Mean over the GPUs that the server sees; empty if there is none."""
        return gpu_utilisation(self._metrics())

    def _metrics(self) -> str:
        if self._metrics_url is None:
            return ""
        parts = urlsplit(self._metrics_url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=LIMIT_S)
        try:
            connection.request("GET", parts.path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def stage_seconds(metrics: str, model: str) -> dict[str, float]:
    """Seconds by stage of a model, out of the text that Prometheus reads."""
    return {
        sample.labels["stage"]: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name in (STAGE_METRIC, f"{STAGE_METRIC}_total")
        and sample.labels["model"] == model
    }


def gpu_utilisation(metrics: str) -> dict[str, float]:
    """Mean of ``nv_gpu_utilization``, out of the text that Prometheus reads."""
    values = [
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "nv_gpu_utilization"
    ]
    return {"gpu": sum(values) / len(values)} if values else {}


async def _counters(url: str, models: Iterable[str]) -> dict[str, ServerCounters]:
    transport = transport_for(ServerConfig(url=url))
    await transport.open()
    try:
        return {
            model: await transport.count(model, "", timeout_s=LIMIT_S)
            for model in models
        }
    finally:
        await transport.close()
