"""Where the time inside a model goes: stages by metrics, steps by counters."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterable
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from exatrkx_pipeline.repository.ensemble import EXATRKX_ENSEMBLE
from exatrkx_pipeline.serving.python_backend import STAGE_METRIC
from sonic_client.config import ServerConfig
from sonic_client.transport import transport_for

__all__ = ["ServerTimes", "gpu_utilisation", "stage_seconds"]

ENSEMBLE = "exatrkx_ensemble"
LIMIT_S = 10.0


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

    def read(self, model: str) -> dict[str, float]:
        """Seconds spent so far, by stage of the pipeline or step of the ensemble.

        Empty if the server does not tell.

        Raises
        ------
        SonicError
            If it does not answer.
        OSError
            If its metrics do not.
        """
        if model == ENSEMBLE:
            steps = [step.model for step in EXATRKX_ENSEMBLE]
            return asyncio.run(_step_seconds(self._url, steps))
        return stage_seconds(self._metrics(), model)

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


async def _step_seconds(url: str, steps: Iterable[str]) -> dict[str, float]:
    transport = transport_for(ServerConfig(url=url))
    await transport.open()
    try:
        return {
            step: (await transport.count(step, "", timeout_s=LIMIT_S)).total_s
            for step in steps
        }
    finally:
        await transport.close()
