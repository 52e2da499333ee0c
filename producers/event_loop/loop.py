"""The loop: events in, one outcome each out, in order, with bounded windows."""

from __future__ import annotations

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
from contextlib import ExitStack, aclosing
from typing import Any, Generic, Protocol, TypeVar, overload

from producers.event_loop.flights import Flight, fly_through
from producers.event_loop.results import result_of
from producers.event_loop.step import MappingClient, Step, open_steps, plan_steps
from producers.event_loop.streaming import iterate_in_thread
from producers.event_loop.times import LoopTimes, Stopwatch
from producers.model.errors import EventFailedError
from producers.model.event import AnyEvent, LoopChunk, part_ends
from producers.model.iteration import iterating
from producers.model.results import ChunkResult, FailurePolicy, Fill, check_policy
from producers.producer import Producer
from sonic_base.errors import ConfigError
from sonic_client import JobSummary

__all__ = ["EventLoop", "Sink"]

EventT = TypeVar("EventT", bound=AnyEvent)
ProductT = TypeVar("ProductT")

ROWS_PER_PART = 2**13
"""Space points that are worked on at once: their columns, 64 kB each, fit a processor's
cache, and are of a size that the allocator keeps. Columns of 128 kB and more come from
the system each time, whose pages cost more than the work on them."""

EVENTS_PER_PART = 128
"""Events that are handed out at once, and lost at once by a kill, if they are small."""


class Sink(Protocol):
    """Takes what a loop makes; `producers.writers.TrackWriter` is one."""

    def write_result(self, result: ChunkResult) -> None:
        """Take the events of a chunk with their products."""


class EventLoop(Generic[EventT, ProductT]):
    """Runs one or several producers over the events of a source.

    Parameters
    ----------
    source : iterable of LoopChunk
        As `producers.readers.open_events` gives it.
    producers : Producer, Step, or sequence of them
        A producer that is `ChunkPreparing` prepares each chunk once; one that is
        `ChunkProducing` makes the products of a chunk at once. Of several, each has
        a client with a window of its own; steps that need the products of others
        come after them.
    client : sonic_client.Client, or another `MappingClient`, optional
        An open client of the model, for a single producer. Its window bounds how
        many events are in flight. A `TritonProducer` needs none.
    sink : Sink, optional
        Where `process` writes to.
    on_failure : {"raise", "skip", "fill"}
        What becomes of an event that got no answer: the job ends there; or the event
        comes with the product None; or with `fill`.
    fill : object, or callable
        The product of a failed event; a function gets the event.

    Raises
    ------
    ConfigError
        If `on_failure` is another, a producer has no client, or steps do not fit.

    Notes
    -----
    A loop belongs to one thread, and its source is read from there. It is run once,
    in one of its forms: `run`, `results`, `for_each`, `process` or `stream`.
    """

    @overload
    def __init__(
        self,
        source: Iterable[LoopChunk[EventT]],
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
        source: Iterable[LoopChunk[EventT]],
        producers: Sequence[Step | Producer[EventT, Any]],
        client: None = None,
        *,
        sink: Sink | None = None,
        on_failure: FailurePolicy = "raise",
        fill: Fill = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None: ...

    # Any: the overloads say what goes with what.
    def __init__(
        self,
        source: Iterable[LoopChunk[EventT]],
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

    def run(self) -> Generator[tuple[EventT, ProductT | None], None, None]:
        """Yield each event with its product, in input order.

        Of several producers, the product is a dict with that of each by name. A
        failed event has None, or `fill`, and its cause is in `failures`.

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
            As `run`. The events before come first, also if it is Ctrl-C.
        """
        parts: deque[LoopChunk[EventT]] = deque()
        with ExitStack() as stack:
            self._steps = tuple(open_steps(self._steps, stack))
            flights = self._take_off(parts)
            for step in self._steps:
                flights = fly_through(step, flights, self._watch)
            landed: list[Flight] = []
            with iterating(flights) as in_order:
                try:
                    for flight in in_order:
                        self._require_success(flight)
                        landed.append(flight)
                        if len(landed) == len(parts[0]):
                            complete, landed = landed, []
                            yield from self._hand_out(parts.popleft(), complete)
                except GeneratorExit:
                    raise
                except BaseException:
                    # What was answered until then is not lost, also on Ctrl-C.
                    if landed:
                        yield from self._hand_out(parts[0].part(0, len(landed)), landed)
                    raise

    def for_each(self, callback: Callable[[EventT, ProductT | None], object]) -> None:
        """Call a function with each event and its product, in input order.

        Raises
        ------
        EventFailedError, DataError
            As `run`; and whatever the function raises ends the loop.
        """
        for event, product in self.run():
            callback(event, product)

    def process(self, on_events: Callable[[int], object] | None = None) -> LoopTimes:
        """Write everything into the sink; return where the time went.

        Parameters
        ----------
        on_events : callable, optional
            Called with the number of events written until then.

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

        The work is done in a thread of its own. Use `contextlib.aclosing` where
        iteration may end early: closing cancels the requests in flight.
        """
        async with aclosing(iterate_in_thread(self.results())) as results:
            async for result in results:
                for pair in self._pairs(result):
                    yield pair

    def times(self) -> LoopTimes:
        """Return where the time went until now."""
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
        """The failures until now, in the order of events, with their causes."""
        return tuple(self._failures)

    def summaries(self) -> dict[str, JobSummary]:
        """Return what each step's client did, by name; of clients that can say it."""
        return {
            step.name: step.client.summary()
            for step in self._steps
            if step.client is not None and hasattr(step.client, "summary")
        }

    def _pairs(self, result: ChunkResult) -> Iterator[tuple[EventT, ProductT | None]]:
        for event, products in result.by_event(self._fill):
            product = next(iter(products.values())) if self._is_alone else products
            yield event, product  # type: ignore[misc]  # as the overloads say

    def _take_off(self, parts: deque[LoopChunk[EventT]]) -> Iterator[Flight]:
        with iterating(self._source) as chunks:
            while (chunk := self._next_chunk(chunks)) is not None:
                start = 0
                for end in _ends(chunk):
                    part = self._prepared(chunk.part(start, end))
                    parts.append(part)
                    yield from map(Flight, part)
                    start = end

    def _next_chunk(
        self, chunks: Iterator[LoopChunk[EventT]]
    ) -> LoopChunk[EventT] | None:
        before = self._watch.switch("read")
        chunk = next(chunks, None)
        self._watch.switch(before)
        return chunk

    def _prepared(self, part: LoopChunk[EventT]) -> LoopChunk[EventT]:
        before = self._watch.switch("acquire")
        for step in self._steps:
            if step.prepares_chunks:
                part = step.producer.prepare(part)  # type: ignore[attr-defined]  # is ChunkPreparing
        self._watch.switch(before)
        return part

    def _require_success(self, flight: Flight) -> None:
        if flight.failures and self._on_failure == "raise":
            self._count_failure(flight.failures)
            raise flight.failures[0]

    def _count_failure(self, failures: Sequence[EventFailedError]) -> None:
        self._failures += failures
        self._counts = self._counts._replace(
            failed_events=self._counts.failed_events + 1
        )

    def _hand_out(
        self, chunk: LoopChunk[EventT], flights: list[Flight]
    ) -> Iterator[ChunkResult]:
        before = self._watch.switch("produce")
        result = result_of(chunk, flights, self._steps, self._on_failure)
        for flight in flights:
            if flight.failures:
                self._count_failure(flight.failures)
        self._counts = self._counts._replace(
            events=self._counts.events + len(flights),
            space_points=self._counts.space_points + int(chunk.row_splits[-1]),
        )
        self._watch.switch("write")
        yield result
        self._watch.switch(before)


# Any: events of any kind.
def _ends(chunk: LoopChunk[Any]) -> list[int]:
    return part_ends(chunk.row_splits, n_rows=ROWS_PER_PART, n_events=EVENTS_PER_PART)
