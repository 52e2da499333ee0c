"""The event loop: one outcome per event, in input order, with bounded windows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from typing import Any, Generic, Protocol, TypeVar, cast, overload

import numpy as np

from producers.event_loop.in_flight import InFlightEvent, run_step
from producers.event_loop.producer import Producer
from producers.event_loop.step import (
    MappingClient,
    OpenStep,
    Step,
    open_steps,
    plan_steps,
)
from producers.event_loop.times import LoopTimes, Stopwatch
from producers.io.iteration import iterating
from producers.model.chunk import AnyEvent, Chunk, part_ends
from producers.model.errors import EventFailedError
from producers.model.results import ChunkResult, FailurePolicy, Fill, check_policy
from sonic_base import ConfigError
from sonic_client import Client, JobSummary

__all__ = ["EventLoop", "Sink"]

T = TypeVar("T")
EventT = TypeVar("EventT", bound=AnyEvent)
ProductT = TypeVar("ProductT")

ROWS_PER_PART = 2**13
"""Space points that are worked on at once: their columns, 64 kB each, fit a processor's
cache, and are of a size that the allocator keeps. Columns of 128 kB and more come from
the system each time, and mapping their pages costs more than the work on them."""

EVENTS_PER_PART = 128
"""Most events that are handed out at once, and lost at once if the job is killed."""


class Sink(Protocol):
    """Takes the results of a loop; `TrackWriter` is one."""

    def write_result(self, result: ChunkResult) -> None:
        """Take the events of a chunk with their products."""


class EventLoop(Generic[EventT, ProductT]):
    """Runs one or several producers over the events of a source.

    Parameters
    ----------
    source : iterable of EventChunk or ColumnChunk
        For example the source that `open_events` returns.
    producers : Producer, Step, or sequence of them
        A producer that is `ChunkPreparing` prepares each chunk once; one that is
        `ChunkProducing` makes the products of a chunk at once. Several producers have
        a client with a window of its own each; a step that needs the product of
        another comes after it.
    client : sonic_client.Client, or another `MappingClient`, optional
        An open client of the model, for a single producer. Its window bounds how
        many events are in flight. A `TritonProducer` needs none.
    sink : Sink, optional
        The sink that `process` writes to.
    on_failure : {"raise", "skip", "fill"}
        If an event gets no answer: end the job there, give the event the product
        None, or give it `fill`.
    fill : object, or callable
        The product of a failed event; a function gets the event.

    Raises
    ------
    ConfigError
        If `on_failure` is unknown, a producer has no client, or steps do not fit.

    Notes
    -----
    A loop belongs to one thread, and reads its source there. It runs once, in one of
    its forms: `run`, `results`, `for_each`, `process` or `stream`.
    """

    @overload
    def __init__(
        self,
        source: Iterable[Chunk[EventT]],
        producers: Producer[EventT, ProductT],
        client: MappingClient | None = None,
        *,
        sink: Sink | None = None,
        on_failure: FailurePolicy = "raise",
        fill: Fill = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None: ...

    @overload
    def __init__(
        self: EventLoop[EventT, dict[str, Any]],
        source: Iterable[Chunk[EventT]],
        producers: Sequence[Step | Producer[EventT, Any]],
        client: None = None,
        *,
        sink: Sink | None = None,
        on_failure: FailurePolicy = "raise",
        fill: Fill = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None: ...

    # Any: the overloads have the types.
    def __init__(
        self,
        source: Iterable[Chunk[EventT]],
        producers: Any,
        client: MappingClient | None = None,
        *,
        sink: Sink | None = None,
        on_failure: FailurePolicy = "raise",
        fill: Fill = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        check_policy(on_failure)
        self._steps, self._is_alone = plan_steps(producers, client)
        self._source, self._sink = source, sink
        self._on_failure, self._fill = on_failure, fill
        self._watch = Stopwatch(clock)
        self._counts = LoopTimes()
        self._failures: list[EventFailedError] = []
        self._clients = {step.name: step.client for step in self._steps}

    def run(self) -> Generator[tuple[EventT, ProductT | None], None, None]:
        """Yield each event with its product, in input order.

        With several producers, the product is a dict with the product of each by
        name. A failed event has None, or `fill`, and its cause is in `failures`.

        Closing the generator cancels the requests in flight.

        Raises
        ------
        EventFailedError
            With ``on_failure="raise"``, at the place of the first failed event; the
            client's error is its cause.
        DataError
            If the source cannot be read further.
        """
        with iterating(self.results()) as results:
            for result in results:
                yield from self._pairs(result)

    def results(self) -> Generator[ChunkResult, None, None]:
        """Yield the events with their products chunk by chunk: cheapest for many.

        Raises
        ------
        EventFailedError, DataError
            As `run`. The events before the failed one come first, also on Ctrl-C.
        """
        parts: deque[Chunk[EventT]] = deque()
        with ExitStack() as stack:
            steps = open_steps(self._steps, stack)
            self._clients |= {step.name: step.client for step in steps}
            events = self._events(steps, parts)
            for step in steps:
                events = run_step(step, events, self._watch)
            done: list[InFlightEvent] = []
            with iterating(events) as in_order:
                try:
                    for each in in_order:
                        self._require_success(each)
                        done.append(each)
                        if len(done) == len(parts[0]):
                            complete, done = done, []
                            yield from self._hand_out(steps, parts.popleft(), complete)
                except GeneratorExit:
                    raise
                except BaseException:
                    # The answers until then are not lost, also on Ctrl-C.
                    if done:
                        part = parts[0].part(0, len(done))
                        yield from self._hand_out(steps, part, done)
                    raise

    def for_each(self, callback: Callable[[EventT, ProductT | None], object]) -> None:
        """Call a function with each event and its product, in input order.

        Raises
        ------
        EventFailedError, DataError
            As `run`. An exception of the function ends the loop.
        """
        for event, product in self.run():
            callback(event, product)

    def process(self, on_events: Callable[[int], object] | None = None) -> LoopTimes:
        """Write everything into the sink; return where the time went.

        Parameters
        ----------
        on_events : callable, optional
            Called with the number of events written so far.

        Raises
        ------
        ConfigError
            If the loop has no sink.
        EventFailedError, DataError
            As `run`.
        """
        if self._sink is None:
            raise ConfigError("the loop has no sink to write to")
        with iterating(self.results()) as results:
            for result in results:
                self._sink.write_result(result)
                if on_events is not None:
                    on_events(self._counts.events)
        return self.times()

    async def stream(
        self,
    ) -> AsyncGenerator[tuple[EventT, ProductT | None], None]:
        """Yield as `run` does, for asyncio: the caller's event loop is never blocked.

        A thread of its own does the work. Use `contextlib.aclosing` where iteration
        may end early: closing cancels the requests in flight.
        """
        async with aclosing(iterate_in_thread(self.results())) as results:
            async for result in results:
                for pair in self._pairs(result):
                    yield pair

    def times(self) -> LoopTimes:
        """Return where the time went so far."""
        spent = self._watch.seconds
        return self._counts._replace(
            read_s=spent["read"],
            acquire_s=spent["acquire"],
            wait_s=spent["wait"],
            produce_s=spent["produce"],
            write_s=spent["write"],
        )

    @property
    def failures(self) -> tuple[EventFailedError, ...]:
        """The failures so far, in the order of events, with their causes."""
        return tuple(self._failures)

    def summaries(self) -> dict[str, JobSummary]:
        """Return the summary of each step's client by name, if the client has one."""
        return {
            name: client.summary()
            for name, client in self._clients.items()
            if isinstance(client, Client)
        }

    def _pairs(self, result: ChunkResult) -> Iterator[tuple[EventT, ProductT | None]]:
        for event, products in result.by_event(self._fill):
            product = next(iter(products.values())) if self._is_alone else products
            # The overloads of `__init__` fix these types.
            yield cast("tuple[EventT, ProductT]", (event, product))

    def _events(
        self, steps: Sequence[OpenStep], parts: deque[Chunk[EventT]]
    ) -> Iterator[InFlightEvent]:
        """Yield the events of the source; append the part of each chunk to `parts`."""
        with iterating(self._source) as chunks:
            while (chunk := self._next_chunk(chunks)) is not None:
                start = 0
                for end in part_ends(
                    chunk.row_splits, n_rows=ROWS_PER_PART, n_events=EVENTS_PER_PART
                ):
                    part = self._prepared(steps, chunk.part(start, end))
                    parts.append(part)
                    yield from map(InFlightEvent, part)
                    start = end

    def _next_chunk(self, chunks: Iterator[Chunk[EventT]]) -> Chunk[EventT] | None:
        before = self._watch.switch("read")
        chunk = next(chunks, None)
        self._watch.switch(before)
        return chunk

    def _prepared(
        self, steps: Sequence[OpenStep], part: Chunk[EventT]
    ) -> Chunk[EventT]:
        before = self._watch.switch("acquire")
        for step in steps:
            if step.prepare is not None:
                part = step.prepare(part)
        self._watch.switch(before)
        return part

    def _require_success(self, event: InFlightEvent) -> None:
        if event.failures and self._on_failure == "raise":
            self._count_failures(event.failures)
            raise event.failures[0]

    def _count_failures(self, failures: Sequence[EventFailedError]) -> None:
        if failures:
            self._failures += failures
            n_failed = self._counts.failed_events + 1
            self._counts = self._counts._replace(failed_events=n_failed)

    def _hand_out(
        self,
        steps: Sequence[OpenStep],
        chunk: Chunk[EventT],
        done: Sequence[InFlightEvent],
    ) -> Iterator[ChunkResult]:
        before = self._watch.switch("produce")
        result = ChunkResult(
            chunk=chunk,
            events=[each.event for each in done],
            products={
                step.name: step.produce_chunk(
                    chunk, [each.kept.get(step.name) for each in done]
                )
                for step in steps
            },
            is_failed=np.array([bool(each.failures) for each in done]),
            failures=tuple(failure for each in done for failure in each.failures),
            on_failure=self._on_failure,
        )
        for each in done:
            self._count_failures(each.failures)
        self._counts = self._counts._replace(
            events=self._counts.events + len(done),
            space_points=self._counts.space_points + int(chunk.row_splits[-1]),
        )
        self._watch.switch("write")
        yield result
        self._watch.switch(before)


async def iterate_in_thread(items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Yield the items without blocking asyncio's event loop while they are made.

    One item is made at a time, when it is asked for. The generator runs in one thread
    from its beginning to its closing. Closing waits for the item that is being made;
    the event loop goes on meanwhile, also if the caller is cancelled.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="event-loop")
    try:
        while True:
            item = await loop.run_in_executor(thread, next, items, None)
            if item is None:
                return
            yield item
    finally:
        closing = loop.run_in_executor(thread, items.close)
        thread.shutdown(wait=False)  # ends once it has closed the generator
        await asyncio.shield(closing)
