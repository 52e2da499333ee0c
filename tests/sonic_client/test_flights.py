"""Batches on their way: each lands exactly once, whoever carries it."""

import asyncio

import pytest

from sonic_client import ClientClosedError
from sonic_client.flow.in_flight import InFlight


class Gates:
    """Answers a batch, which is a text, with itself, when its gate is opened."""

    def __init__(self):
        self._open = {}
        self.carriers = []

    def of(self, batch):
        return self._open.setdefault(batch, asyncio.Event())

    async def send(self, batch):
        self.carriers.append(asyncio.current_task())
        await self.of(batch).wait()
        if batch == "bug":
            raise ZeroDivisionError
        return [batch]


class Landings:
    """Notes what landed, and starts what is to follow a number."""

    def __init__(self, follow=()):
        self.results, self._follow = {}, dict(follow)
        self.flights = None
        self._changed = asyncio.Event()

    def note(self, finished):
        assert finished.number not in self.results
        self.results[finished.number] = finished.result
        self._changed.set()
        if finished.number in self._follow:
            self.flights.start(*self._follow[finished.number])

    async def until(self, *number):
        while not self.results.keys() >= set(number):
            self._changed.clear()
            await self._changed.wait()


def flights_of(gates, landings, tasks):
    landings.flights = InFlight(gates, tasks, landings.note)
    return landings.flights


async def test_what_departs_because_of_a_landing_needs_no_other_task():
    gates, landings = Gates(), Landings({1: (2, "b"), 2: (3, "c")})
    async with asyncio.TaskGroup() as tasks:
        flights = flights_of(gates, landings, tasks)
        flights.start(1, "a")
        for batch in "abc":
            gates.of(batch).set()
        await landings.until(1, 2, 3)

    assert landings.results == {1: ["a"], 2: ["b"], 3: ["c"]}
    assert len(set(gates.carriers)) == 1


async def test_abandoning_a_batch_leaves_the_others_alone():
    gates, landings = Gates(), Landings({1: (2, "b")})
    async with asyncio.TaskGroup() as tasks:
        flights = flights_of(gates, landings, tasks)
        flights.start(1, "a")
        flights.start(3, "c")
        gates.of("a").set()
        await landings.until(1)
        flights.cancel(1)  # it landed: its task carries the second batch now
        flights.cancel(3)
        gates.of("b").set()
        await landings.until(2, 3)

    assert landings.results[2] == ["b"]
    assert isinstance(landings.results[3], ClientClosedError)


@pytest.mark.parametrize("n_turns", range(4))
async def test_cancelling_lands_everything_exactly_once(n_turns):
    gates, landings = Gates(), Landings({1: (2, "b")})
    async with asyncio.TaskGroup() as tasks:
        flights = flights_of(gates, landings, tasks)
        flights.start(1, "a")
        flights.start(3, "c")
        gates.of("a").set()
        for _ in range(n_turns):
            await asyncio.sleep(0)
        await flights.cancel_all()
        flights.start(4, "d")

    assert landings.results.keys() == {1, 2, 3, 4}
    for number in (3, 4):
        assert isinstance(landings.results[number], ClientClosedError)


async def test_a_bug_is_carried_to_the_one_who_iterates():
    gates, landings = Gates(), Landings({1: (2, "b")})
    async with asyncio.TaskGroup() as tasks:
        flights = flights_of(gates, landings, tasks)
        flights.start(1, "bug")
        for batch in ("bug", "b"):
            gates.of(batch).set()
        await landings.until(1, 2)

    assert isinstance(landings.results[1], ZeroDivisionError)
    assert landings.results[2] == ["b"]
