"""Events on their way through the steps: in order, with what each step made of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from producers.event_loop.step import Step
from producers.event_loop.times import Stopwatch
from producers.model.errors import EventFailedError
from producers.model.event import AnyEvent
from producers.model.iteration import iterating
from sonic_base.errors import SonicError
from sonic_client.types import Failure, Outcome, Request

__all__ = ["Flight", "fly_through"]

MAX_PASSED_BY = 256
"""Events that need not be sent, before those that were are asked for: they wait in
memory until then."""


class Flight:
    """An event, and what the steps made of it until now.

    Attributes
    ----------
    event : AnyEvent
    kept : dict of str to object
        By step: its product; or what it keeps for the products of the whole chunk.
    failures : list of EventFailedError
    """

    __slots__ = ("event", "failures", "kept")

    def __init__(self, event: AnyEvent) -> None:
        self.event = event
        # Any: products of several producers.
        self.kept: dict[str, Any] = {}
        self.failures: list[EventFailedError] = []

    def fail(self, step: Step, error: SonicError, servers: tuple[str, ...]) -> None:
        """Remember that a step got no answer, or none that it can use."""
        failure = EventFailedError(
            event_id=self.event.event_id,
            entry=self.event.entry,
            source=str(self.event.source),
            reason=str(error),
            producer=step.name,
            servers=servers,
        )
        failure.__cause__ = error
        self.failures.append(failure)


def fly_through(
    step: Step, flights: Iterator[Flight], watch: Stopwatch
) -> Iterator[Flight]:
    """Yield the flights in order, after this step.

    Steps pull each other, so that each one's window is full: while the last step
    waits for an event, the earlier ones are asked for later events. An event whose
    needed products failed passes by, unsent, as a failure of this step too.
    """
    with iterating(flights) as source:
        sender = _Sender(step, source, watch)
        while not sender.is_done:
            yield from sender.send()


class _Sender:
    def __init__(self, step: Step, source: Iterator[Flight], watch: Stopwatch) -> None:
        self._step, self._source, self._watch = step, source, watch
        self._waiting: deque[tuple[Flight, bool]] = deque()  # the flight, and if sent
        self.is_done = False

    def send(self) -> Iterator[Flight]:
        """Yield flights until the source ends, or many in a row were not sent."""
        assert self._step.client is not None  # opened by the loop
        with (
            iterating(self._requests()) as requests,
            iterating(self._step.client.map(requests)) as outcomes,
        ):
            while True:
                before = self._watch.switch("wait")
                outcome = next(outcomes, None)
                self._watch.switch(before)
                if outcome is None:
                    break
                yield from self._passed_by()
                flight, _ = self._waiting.popleft()
                self._land(flight, outcome)
                yield flight
        yield from self._passed_by()

    def _requests(self) -> Iterator[Request]:
        step, n_passed_by = self._step, 0
        while n_passed_by < MAX_PASSED_BY:
            flight = next(self._source, None)
            if flight is None:
                self.is_done = True
                return
            if step.needs and not all(name in flight.kept for name in step.needs):
                self._waiting.append((flight, False))
                n_passed_by += 1
                continue
            n_passed_by = 0
            before = self._watch.switch("acquire")
            event = flight.event
            request = Request(event.event_id, step.producer.acquire(event))
            self._waiting.append((flight, True))
            self._watch.switch(before)
            yield request

    def _passed_by(self) -> Iterator[Flight]:
        while self._waiting and not self._waiting[0][1]:
            yield self._waiting.popleft()[0]

    def _land(self, flight: Flight, outcome: Outcome) -> None:
        step = self._step
        if isinstance(outcome, Failure):
            flight.fail(step, outcome.error, outcome.servers)
            return
        before = self._watch.switch("produce")
        try:
            if step.makes_chunks:
                kept = step.producer.accept(flight.event, outcome.outputs)  # type: ignore[attr-defined]  # is ChunkProducing
            else:
                kept = step.producer.produce(flight.event, outcome.outputs)
                flight.event.products[step.name] = kept
            flight.kept[step.name] = kept
        except SonicError as error:
            flight.fail(step, error, (outcome.server,))
        finally:
            self._watch.switch(before)
