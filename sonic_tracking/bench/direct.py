"""The pipeline in this process, by threads: what a service is compared with."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from exatrkx_pipeline import StageClock, load_weights
from sonic_tracking.bench.events import Features
from sonic_tracking.bench.measurement import Measurement
from sonic_tracking.bench.scan import ScanPoint
from sonic_tracking.bench.utilisation import measured_utilisation

__all__ = ["measure_direct"]


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
