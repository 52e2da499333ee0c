"""Events in flight: sent in order through each step, with the products so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from producers.event_loop.step import OpenStep
from producers.event_loop.times import Stopwatch
from producers.io.iteration import iterating
from producers.model.chunk import AnyEvent
from producers.model.errors import EventFailedError
from sonic_base import SonicError
from sonic_client import Failure, Outcome, Request

__all__ = ["MAX_SKIPPED", "InFlightEvent", "run_step"]

MAX_SKIPPED = 256
"""Most events in a row that may wait in memory because this step does not send them.
After that many, the answers to the requests before them are collected first."""


class InFlightEvent:
    """An event, and what the steps made of it so far.

    Attributes
    ----------
    event : AnyEvent
    kept : dict of str to object
        By step: its product, or what it keeps to make the products of the chunk.
    failures : list of EventFailedError
    """

    __slots__ = ("event", "failures", "kept")

    def __init__(self, event: AnyEvent) -> None:
        self.event = event
        # Any: products of several producers.
        self.kept: dict[str, Any] = {}
        self.failures: list[EventFailedError] = []

    def fail(self, step: str, error: SonicError, servers: tuple[str, ...]) -> None:
        """Record that a step got no answer, or none that it can use."""
        failure = EventFailedError(
            event_id=self.event.event_id,
            entry=self.event.entry,
            source=str(self.event.source),
            reason=str(error),
            producer=step,
            servers=servers,
        )
        failure.__cause__ = error
        self.failures.append(failure)


def run_step(
    step: OpenStep, events: Iterator[InFlightEvent], watch: Stopwatch
) -> Iterator[InFlightEvent]:
    """Yield the events in order, after this step.

    Steps pull from each other, so that the window of each is full: while the last step
    waits for an answer, the earlier ones are asked for later events. An event that
    lacks a product that this step needs is passed on without being sent.
    """
    with iterating(events) as source:
        runner = _Runner(step, source, watch)
        while not runner.is_done:
            yield from runner.run()


class _Runner:
    def __init__(
        self, step: OpenStep, source: Iterator[InFlightEvent], watch: Stopwatch
    ) -> None:
        self._step, self._source, self._watch = step, source, watch
        #: Events in order, and whether each was sent.
        self._waiting: deque[tuple[InFlightEvent, bool]] = deque()
        self.is_done = False

    def run(self) -> Iterator[InFlightEvent]:
        """Yield events until the source ends, or many in a row were not sent."""
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
                yield from self._skipped()
                pending, _ = self._waiting.popleft()
                self._accept(pending, outcome)
                yield pending
        yield from self._skipped()

    def _requests(self) -> Iterator[Request]:
        step, n_skipped = self._step, 0
        while n_skipped < MAX_SKIPPED:
            pending = next(self._source, None)
            if pending is None:
                self.is_done = True
                return
            if step.needs and not all(name in pending.kept for name in step.needs):
                self._waiting.append((pending, False))
                n_skipped += 1
                continue
            request = self._request(pending)
            if request is None:
                self._waiting.append((pending, False))
                n_skipped += 1
                continue
            n_skipped = 0
            self._waiting.append((pending, True))
            yield request

    def _request(self, pending: InFlightEvent) -> Request | None:
        """Return the request of an event; None if its producer refuses to send it."""
        before = self._watch.switch("acquire")
        event = pending.event
        try:
            return Request(event.event_id, self._step.acquire(event))
        except SonicError as error:
            pending.fail(self._step.name, error, ())
            return None
        finally:
            self._watch.switch(before)

    def _skipped(self) -> Iterator[InFlightEvent]:
        while self._waiting and not self._waiting[0][1]:
            yield self._waiting.popleft()[0]

    def _accept(self, pending: InFlightEvent, outcome: Outcome) -> None:
        step = self._step
        if isinstance(outcome, Failure):
            pending.fail(step.name, outcome.error, outcome.servers)
            return
        before = self._watch.switch("produce")
        try:
            pending.kept[step.name] = step.accept(pending.event, outcome.outputs)
        except SonicError as error:
            pending.fail(step.name, error, (outcome.server,))
        finally:
            self._watch.switch(before)
