"""A served model, loaded with as many requests at once as a point asks for."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch
from prometheus_client.parser import text_string_to_metric_families

from exatrkx_pipeline import StageClock, load_weights
from exatrkx_pipeline.repository import EXATRKX_ENSEMBLE
from exatrkx_pipeline.serving.python_backend import STAGE_METRIC
from sonic_client import (
    Client,
    ClientConfig,
    Failure,
    JobSummary,
    Request,
    WindowConfig,
)
from sonic_client.config import ServerConfig
from sonic_client.transport import ServerCounters, transport_for
from sonic_tracking.bench.events import Features
from sonic_tracking.bench.machine import measured_utilisation
from sonic_tracking.bench.service_report import Measurement, ScanPoint

__all__ = [
    "ModelTimes",
    "ServerTimes",
    "gpu_utilisation",
    "measure_direct",
    "measure_served",
    "stage_seconds",
]

DEADLINE_S = 600.0


def measure_served(
    point: ScanPoint,
    features: Features,
    url: str,
    *,
    n_passes: int,
    server: int | None,
    times: ServerTimes,
) -> Measurement:
    """Send all events, `point.concurrency` of them in flight, `n_passes` times.

    Parameters
    ----------
    point : ScanPoint
    features : Features
    url : str
        Of the server, which is on this machine.
    n_passes : int
        Measured passes; before them there is a short one that is not.
    server : int, optional
        Its process id, if it has its own.
    times : ServerTimes
        What the server tells of its stages.

    Raises
    ------
    SonicError
        The first failure of an event: a benchmark has none.
    """
    config = ClientConfig(
        servers=url,
        model_name=point.model,
        deadline_s=DEADLINE_S,
        window=WindowConfig(max_requests=point.concurrency),
    )
    with Client(config) as warm_up:
        _run_all(warm_up, features[: 2 * point.concurrency])
    passes_s = []
    # A client of its own: its counters are those of the measured passes alone.
    with Client(config) as client, measured_utilisation(server) as shares:
        before = times.read(point.model)
        for _ in range(n_passes):
            start = time.perf_counter()
            _run_all(client, features)
            passes_s.append(time.perf_counter() - start)
        after = times.read(point.model)
    summary = client.summary()
    spent = after.since(before, n_passes * len(features))
    return Measurement(
        point=point,
        n_events=len(features),
        passes_s=passes_s,
        latency_s=_latency(summary),
        split_s=_split(summary, spent.queue_s),
        stages_s=spent.stages_s,
        utilisation=shares | times.gpu_utilisation(),
    )


def _run_all(client: Client, features: Features) -> None:
    for outcome in client.map(_requests(features)):
        if isinstance(outcome, Failure):
            raise outcome.error


def _requests(features: Features) -> Iterator[Request]:
    for number, event in enumerate(features):
        yield Request(number, {"FEATURES": event})


def _latency(summary: JobSummary) -> dict[str, float]:
    latency = summary.client.latency
    return {
        "mean": latency.mean_s,
        "p50": latency.quantile_s(0.5),
        "p90": latency.quantile_s(0.9),
        "p99": latency.quantile_s(0.99),
    }


def _split(summary: JobSummary, steps_queue_s: float) -> dict[str, float]:
    split = summary.split()
    if split is None:
        return {}
    return {
        "overhead": max(0.0, split.overhead_s - steps_queue_s),
        "queue": split.queue_s + steps_queue_s,
        "compute_input": split.compute_input_s,
        "compute_infer": split.compute_infer_s,
        "compute_output": split.compute_output_s,
    }


def measure_direct(
    point: ScanPoint,
    features: Features,
    weights: Path,
    *,
    n_passes: int,
    device: str = "cpu",
) -> Measurement:
    """Find tracks with `point.instances` threads, each an event at a time.

    As the threads of an event-processing framework do it: torch itself computes with
    one thread in each of them.
    """
    pipeline = load_weights(weights, device=device)
    clock = StageClock()
    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(point.instances) as workers:
            for _ in workers.map(pipeline.labels, features[: 2 * point.instances]):
                pass
            passes_s = []
            with measured_utilisation(None) as shares:
                for _ in range(n_passes):
                    start = time.perf_counter()
                    for _ in workers.map(
                        lambda event: pipeline.labels(event, clock), features
                    ):
                        pass
                    passes_s.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads_before)
    n_done = n_passes * len(features)
    return Measurement(
        point=point,
        n_events=len(features),
        passes_s=passes_s,
        stages_s={stage: total / n_done for stage, total in clock.seconds.items()},
        utilisation=shares,
    )


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
