"""From flights to results: the products that are made for a whole chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from producers.event_loop.flights import Flight
from producers.event_loop.step import Step
from producers.model.event import LoopChunk
from producers.model.results import ChunkResult, FailurePolicy

__all__ = ["result_of"]


def result_of(
    chunk: LoopChunk[Any],
    flights: Sequence[Flight],
    steps: Sequence[Step],
    policy: FailurePolicy,
) -> ChunkResult:
    """Return the chunk with its products, making those that are made at once."""
    products: dict[str, Sequence[Any]] = {}
    for step in steps:
        kept = [flight.kept.get(step.name) for flight in flights]
        if step.makes_chunks:
            products[step.name] = step.producer.produce_chunk(chunk, kept)  # type: ignore[attr-defined]  # is ChunkProducing
        else:
            products[step.name] = kept
    return ChunkResult(
        chunk=chunk,
        events=[flight.event for flight in flights],
        products=products,
        is_failed=np.array([bool(flight.failures) for flight in flights]),
        failures=tuple(failure for flight in flights for failure in flight.failures),
        on_failure=policy,
    )
