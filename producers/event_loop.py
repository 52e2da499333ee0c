"""The loop: events in, one outcome each out, in order, with a bounded window."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from producers.base import ChunkPreparing, Event, EventChunk, Producer
from producers.errors import EventFailedError
from producers.iteration import iterating
from sonic_client.errors import ConfigError
from sonic_client.types import Failure, Outcome, Request

__all__ = ["EventLoop", "FailurePolicy", "LoopTimes", "MappingClient"]

ProductT = TypeVar("ProductT")

FailurePolicy: TypeAlias = Literal["raise", "skip"]


class MappingClient(Protocol):
    """What the loop needs of a client: `sonic_client.Client` is one."""

    def map(
        self, requests: Iterable[Request], *, ordered: bool = True
    ) -> Iterator[Outcome]:
        """Yield one outcome a request, pulling the requests as the window allows."""


class LoopTimes(NamedTuple):
    """A snapshot of where the loop's time went; its parts do not overlap."""

    events: int = 0  #: events handed out, the failed ones included
    failed_events: int = 0  #: of these, those without a product
    space_points: int = 0  #: of the events handed out
    read_s: float = 0.0  #: waiting for the reader, which reads ahead
    acquire_s: float = 0.0  #: in the producer's `prepare` and `acquire`
    wait_s: float = 0.0  #: in the client: sending, and waiting for answers
    produce_s: float = 0.0  #: in the producer's `produce`
    write_s: float = 0.0  #: outside of the loop, with an event handed out

    # Any: counts and seconds.
    def to_dict(self) -> dict[str, Any]:
        """Return the snapshot as plain values for JSON."""
        return self._asdict()


class EventLoop(Generic[ProductT]):
    """Runs a producer over the events of a source.

    Parameters
    ----------
    source : iterable of EventChunk
        As `producers.readers.open_events` gives it.
    producer : Producer
        If it is `ChunkPreparing` too, it prepares each chunk once.
    client : sonic_client.Client, or another `MappingClient`
        An open client of the producer's model. Its window bounds how many events
        are in flight.
    on_failure : {"raise", "skip"}
        What becomes of an event that got no answer: the job ends there, or the
        event comes without a product and the job goes on.

    Raises
    ------
    ConfigError
        If `on_failure` is neither.

    Notes
    -----
    A loop belongs to one thread, and its source is read from there.
    """

    def __init__(
        self,
        source: Iterable[EventChunk],
        producer: Producer[ProductT],
        client: MappingClient,
        *,
        on_failure: FailurePolicy = "raise",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if on_failure not in ("raise", "skip"):
            raise ConfigError(f"on_failure is 'raise' or 'skip', got {on_failure!r}")
        self._source, self._producer, self._client = source, producer, client
        self._on_failure = on_failure
        self._clock = clock
        self._times = LoopTimes()
        self._failures: list[EventFailedError] = []

    def run(self) -> Iterator[tuple[Event, ProductT | None]]:
        """Yield each event with its product, in input order.

        With ``on_failure="skip"`` a failed event has the product None, and its
        cause is in `failures`.

        Closing the generator cancels the requests in flight.

        Raises
        ------
        EventFailedError
            With ``on_failure="raise"``, at the place of the first failed event; the
            client's error is its cause.
        DataError
            If the source cannot be read further.
        """
        in_flight: deque[Event] = deque()
        with (
            iterating(self._requests(in_flight)) as requests,
            iterating(self._client.map(requests)) as outcomes,
        ):
            while (outcome := self._next(outcomes)) is not None:
                event = in_flight.popleft()
                product = self._product(event, outcome)
                handed_out = self._clock()
                yield event, product
                self._spent(write_s=self._clock() - handed_out)

    def times(self) -> LoopTimes:
        """Return where the time went until now."""
        return self._times

    @property
    def failures(self) -> tuple[EventFailedError, ...]:
        """The events that failed until now, in order, with their causes."""
        return tuple(self._failures)

    def _next(self, outcomes: Iterator[Outcome]) -> Outcome | None:
        # The client pulls the requests within this call, in this thread, so what
        # they took is part of it.
        before, started = self._times, self._clock()
        outcome = next(outcomes, None)
        elapsed_s = self._clock() - started
        requests_s = (self._times.read_s - before.read_s) + (
            self._times.acquire_s - before.acquire_s
        )
        self._spent(wait_s=max(0.0, elapsed_s - requests_s))
        return outcome

    def _requests(self, in_flight: deque[Event]) -> Iterator[Request]:
        with iterating(self._source) as chunks:
            while (chunk := self._next_chunk(chunks)) is not None:
                yield from self._requests_of(chunk, in_flight)

    def _next_chunk(self, chunks: Iterator[EventChunk]) -> EventChunk | None:
        started = self._clock()
        chunk = next(chunks, None)
        self._spent(read_s=self._clock() - started)
        return chunk

    def _requests_of(
        self, chunk: EventChunk, in_flight: deque[Event]
    ) -> Iterator[Request]:
        started = self._clock()
        if isinstance(self._producer, ChunkPreparing):
            chunk = self._producer.prepare(chunk)
        for event in chunk:
            request = Request(event.event_id, self._producer.acquire(event))
            in_flight.append(event)
            self._spent(acquire_s=self._clock() - started)
            yield request
            started = self._clock()

    def _product(self, event: Event, outcome: Outcome) -> ProductT | None:
        self._times = self._times._replace(
            events=self._times.events + 1,
            space_points=self._times.space_points + len(event),
        )
        if isinstance(outcome, Failure):
            self._fail(event, outcome)
            return None
        started = self._clock()
        product = self._producer.produce(event, outcome.outputs)
        self._spent(produce_s=self._clock() - started)
        return product

    def _fail(self, event: Event, failure: Failure) -> None:
        error = EventFailedError(
            event_id=event.event_id,
            entry=event.entry,
            source=str(event.source),
            reason=str(failure.error),
        )
        error.__cause__ = failure.error
        self._times = self._times._replace(failed_events=self._times.failed_events + 1)
        self._failures.append(error)
        if self._on_failure == "raise":
            raise error

    def _spent(self, **seconds: float) -> None:
        self._times = self._times._replace(
            **{name: getattr(self._times, name) + s for name, s in seconds.items()}
        )
