"""Messages in flight: the end of each is reported exactly once."""

import asyncio

import pytest

from sonic_client import ClientClosedError
from sonic_client.flow.in_flight import InFlight


class Gates:
    """A dispatcher whose batches are texts, answered when their gates are opened."""

    def __init__(self):
        self._gates = {}
        self.senders = []

    def of(self, batch):
        return self._gates.setdefault(batch, asyncio.Event())

    async def send(self, batch):
        self.senders.append(asyncio.current_task())
        await self.of(batch).wait()
        if batch == "bug":
            raise ZeroDivisionError
        return [batch]


class Reports:
    """Keeps the results by number, and starts the batch that follows a number."""

    def __init__(self, gates, tasks, follow=()):
        self.results, self._follow = {}, dict(follow)
        self.in_flight = InFlight(gates, tasks, self.note)
        self._changed = asyncio.Event()

    def note(self, finished):
        assert finished.number not in self.results
        self.results[finished.number] = finished.result
        self._changed.set()
        if finished.number in self._follow:
            self.in_flight.start(*self._follow[finished.number])

    async def until(self, *numbers):
        while not self.results.keys() >= set(numbers):
            self._changed.clear()
            await self._changed.wait()


async def test_a_batch_that_follows_another_needs_no_other_task():
    gates = Gates()
    async with asyncio.TaskGroup() as tasks:
        reports = Reports(gates, tasks, {1: (2, "b"), 2: (3, "c")})
        reports.in_flight.start(1, "a")
        for batch in "abc":
            gates.of(batch).set()
        await reports.until(1, 2, 3)

    assert reports.results == {1: ["a"], 2: ["b"], 3: ["c"]}
    assert len(set(gates.senders)) == 1


async def test_cancelling_a_batch_leaves_the_others_alone():
    gates = Gates()
    async with asyncio.TaskGroup() as tasks:
        reports = Reports(gates, tasks, {1: (2, "b")})
        reports.in_flight.start(1, "a")
        reports.in_flight.start(3, "c")
        gates.of("a").set()
        await reports.until(1)
        reports.in_flight.cancel(1)  # it is finished: its task sends the second batch
        reports.in_flight.cancel(3)
        gates.of("b").set()
        await reports.until(2, 3)

    assert reports.results[2] == ["b"]
    assert isinstance(reports.results[3], ClientClosedError)


@pytest.mark.parametrize("n_turns", range(4))
async def test_cancelling_all_reports_each_exactly_once(n_turns):
    gates = Gates()
    async with asyncio.TaskGroup() as tasks:
        reports = Reports(gates, tasks, {1: (2, "b")})
        reports.in_flight.start(1, "a")
        reports.in_flight.start(3, "c")
        gates.of("a").set()
        for _ in range(n_turns):
            await asyncio.sleep(0)
        await reports.in_flight.cancel_all()
        reports.in_flight.start(4, "d")

    assert reports.results.keys() == {1, 2, 3, 4}
    for number in (3, 4):
        assert isinstance(reports.results[number], ClientClosedError)


async def test_a_bug_is_reported_and_ends_no_other_task():
    gates = Gates()
    async with asyncio.TaskGroup() as tasks:
        reports = Reports(gates, tasks, {1: (2, "b")})
        reports.in_flight.start(1, "bug")
        for batch in ("bug", "b"):
            gates.of(batch).set()
        await reports.until(1, 2)

    assert isinstance(reports.results[1], ZeroDivisionError)
    assert reports.results[2] == ["b"]
