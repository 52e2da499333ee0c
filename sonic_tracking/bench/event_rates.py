"""Rate and latency of the events as they are: singly, by threads, as one batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from exatrkx_pipeline import Pipeline
from sonic_tracking.bench.events import Features
from sonic_tracking.bench.pipeline_report import EventRate

__all__ = ["event_rates", "torch_threads"]

T = TypeVar("T")

PASSES = 3
LONG_PASS_S = 5.0
"""A pass that takes longer is not repeated."""


def event_rates(
    pipeline: Pipeline, features: Features, threads: Sequence[int]
) -> Iterator[EventRate]:
    """Each way with each number of threads, after an event to warm up.

    One by one, an event follows the other, each computed by all threads, as an instance
    of a server does with single requests; side by side, each thread runs whole events,
    and torch computes with one, as in an event-processing framework; a batch is one
    call, with as many threads of torch's.
    """
    seconds_of = partial(_seconds, pipeline.labels)
    for n_threads in threads:
        with torch_threads(n_threads):
            seconds_of(features[0])
            yield _rate(
                "one by one",
                n_threads,
                features,
                lambda: list(map(seconds_of, features)),
            )
    for n_threads in threads:
        if n_threads == 1:  # the same as one by one
            continue
        with torch_threads(1), ThreadPoolExecutor(n_threads) as workers:
            list(workers.map(pipeline.labels, features[:n_threads]))
            yield _rate(
                "side by side",
                n_threads,
                features,
                lambda: list(workers.map(seconds_of, features)),
            )
    for n_threads in threads:
        with torch_threads(n_threads):
            rate = _rate(
                "in one batch",
                n_threads,
                features,
                lambda: [_seconds(pipeline.labels_of, features)],
            )
            yield replace(rate, p50_s=None, p95_s=None)


def _rate(
    way: str, n_threads: int, features: Features, run: Callable[[], list[float]]
) -> EventRate:
    """Of the best of some passes over the events; `run` gives seconds of calls."""
    passes_s: list[float] = []
    cpu_s: list[float] = []
    latencies: list[float] = []
    while len(passes_s) < PASSES and max(passes_s, default=0.0) < LONG_PASS_S:
        start, cpu_start = time.perf_counter(), time.process_time()
        latencies += run()
        passes_s.append(time.perf_counter() - start)
        cpu_s.append(time.process_time() - cpu_start)
    return EventRate(
        way=way,
        threads=n_threads,
        events_per_s=len(features) / min(passes_s),
        cpu_s=min(cpu_s) / len(features),
        p50_s=float(np.quantile(latencies, 0.5)),
        p95_s=float(np.quantile(latencies, 0.95)),
    )


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch compute with so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(call: Callable[[T], object], argument: T) -> float:
    start = time.perf_counter()
    call(argument)
    return time.perf_counter() - start
