"""A served model, loaded with as many requests at once as a point asks for."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sonic_client import (
    Client,
    ClientConfig,
    Failure,
    JobSummary,
    Request,
    WindowConfig,
)
from sonic_tracking.bench.events import Features
from sonic_tracking.bench.measurement import Measurement
from sonic_tracking.bench.scan import ScanPoint
from sonic_tracking.bench.server_times import ServerTimes
from sonic_tracking.bench.utilisation import measured_utilisation

__all__ = ["measure_served"]

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
