"""Measurements of one point of a scan: a served model, or the pipeline directly."""

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
from exatrkx_pipeline.serving import STAGE_METRIC
from sonic_client import (
    Client,
    ClientConfig,
    Failure,
    JobSummary,
    Request,
    ServerConfig,
    ServerCounters,
    WindowConfig,
)
from sonic_client.transport import transport_for
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
        The server, on this machine.
    n_passes : int
        Measured passes; a short one before them is not measured.
    server : int, optional
        Its process id, if it has a process of its own.
    times : ServerTimes
        Reads the server's own times.

    Raises
    ------
    SonicError
        At the first failure of an event.
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
    # A new client, whose counters include only the measured passes.
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

    This is what the threads of an event-processing framework do; torch computes with
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
    """Seconds that a server has spent on a model in all requests."""

    stages_s: Mapping[str, float]
    """By stage of the pipeline, or step of the ensemble with its waiting."""

    queue_s: float = 0.0
    """Waiting for the steps of an ensemble, which the ensemble's counters omit."""

    def since(self, earlier: ModelTimes, n_events: int) -> ModelTimes:
        """Return the increase since `earlier`, per event."""
        return ModelTimes(
            stages_s={
                name: (total - earlier.stages_s.get(name, 0.0)) / n_events
                for name, total in self.stages_s.items()
            },
            queue_s=(self.queue_s - earlier.queue_s) / n_events,
        )


class ServerTimes:
    """Reads a server's own counters and metrics.

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
        """Return the server's counts so far; empty if it has none.

        Raises
        ------
        SonicError
            If it does not answer.
        OSError
            If its metrics do not answer.
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
        """Return the mean over the server's GPUs; empty if there is none."""
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
    """Return the seconds by stage of a model, from a text of metrics."""
    return {
        sample.labels["stage"]: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name in (STAGE_METRIC, f"{STAGE_METRIC}_total")
        and sample.labels["model"] == model
    }


def gpu_utilisation(metrics: str) -> dict[str, float]:
    """Return the mean of ``nv_gpu_utilization``, from a text of metrics."""
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
