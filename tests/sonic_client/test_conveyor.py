"""What departs when, and in which order it arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import Request, WindowConfig
from sonic_client.batching import BatchPlanner, CheckedRequest, MessageLimits
from sonic_client.flow.map_queue import Conveyor
from sonic_client.flow.window import Landing, Window


class Bounds:
    """A layout, as far as planning looks at it."""

    max_bytes, max_batch_size, fills_up = 10**9, 0, False

    def __init__(self, max_events):
        self.max_events = max_events


class Clock:
    """A clock that goes when it is told to."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


def conveyor_of(*, max_events, max_requests, clock=None, ordered=True):
    return Conveyor(
        BatchPlanner(MessageLimits(Bounds(max_events))),
        Window(WindowConfig(max_requests=max_requests), ordered=ordered),
        max_delay_s=0.5,
        clock=clock or Clock(),
    )


def item(number):
    return CheckedRequest(request=Request(number, {}), n_bytes=1)


def numbers(batch):
    return [each.request.request_id for each in batch]


def land(conveyor, departure):
    conveyor.land(Landing(departure.ticket, numbers(departure.batch)))


def test_a_full_batch_departs_at_once():
    conveyor = conveyor_of(max_events=2, max_requests=4)

    conveyor.put(item(0))
    assert conveyor.departures() == []
    conveyor.put(item(1))

    assert [numbers(d.batch) for d in conveyor.departures()] == [[0, 1]]


def test_the_reader_stops_when_a_batch_finds_no_room():
    conveyor = conveyor_of(max_events=1, max_requests=1)
    conveyor.put(item(0))
    (first,) = conveyor.departures()
    assert conveyor.has_room
    conveyor.put(item(1))
    assert conveyor.departures() == []
    assert not conveyor.has_room

    land(conveyor, first)

    assert [numbers(d.batch) for d in conveyor.departures()] == [[1]]
    assert conveyor.has_room


def test_a_batch_that_has_waited_long_enough_departs_though_not_full():
    clock = Clock()
    conveyor = conveyor_of(max_events=9, max_requests=4, clock=clock)
    conveyor.put(item(0))
    clock.now_s = 0.3
    conveyor.put(item(1))
    assert conveyor.seconds_left() == pytest.approx(0.2)
    conveyor.check_delay()
    assert conveyor.departures() == []

    clock.now_s = 0.5
    conveyor.check_delay()

    assert [numbers(d.batch) for d in conveyor.departures()] == [[0, 1]]
    assert conveyor.seconds_left() is None


def test_an_overdue_batch_stays_open_until_there_is_room():
    clock = Clock()
    conveyor = conveyor_of(max_events=2, max_requests=1, clock=clock)
    conveyor.put(item(0))
    conveyor.put(item(1))
    (first,) = conveyor.departures()
    conveyor.put(item(2))
    clock.now_s = 9.0
    conveyor.check_delay()
    assert conveyor.departures() == []
    assert conveyor.seconds_left() is None

    land(conveyor, first)

    assert [numbers(d.batch) for d in conveyor.departures()] == [[2]]


def test_the_delay_counts_anew_for_every_batch():
    clock = Clock()
    conveyor = conveyor_of(max_events=2, max_requests=9, clock=clock)
    for number in range(2):
        conveyor.put(item(number))
    assert conveyor.seconds_left() is None

    clock.now_s = 7.0
    conveyor.put(item(2))

    assert conveyor.seconds_left() == 0.5


def test_a_failure_stops_departures_and_reaches_the_consumer():
    conveyor = conveyor_of(max_events=1, max_requests=1)
    conveyor.put(item(0))
    (first,) = conveyor.departures()
    conveyor.put(item(1))

    conveyor.land(Landing(first.ticket, ZeroDivisionError()))

    assert conveyor.departures() == []
    assert conveyor.has_room  # the reader must not wait for ever
    with pytest.raises(ZeroDivisionError):
        conveyor.deliver()


@given(
    st.randoms(use_true_random=False),
    st.integers(0, 25),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_any_interleaving_gives_every_request_once_in_order(
    random, n_requests, max_events, max_requests
):
    clock = Clock()
    conveyor = conveyor_of(
        max_events=max_events, max_requests=max_requests, clock=clock
    )
    source, in_flight, delivered = iter(range(n_requests)), [], []
    is_read = False
    while not conveyor.is_done:
        step = random.choice(["read", "land", "deliver", "tick"])
        if step == "read" and conveyor.has_room and not is_read:
            number = next(source, None)
            is_read = number is None
            conveyor.finish() if is_read else conveyor.put(item(number))
        elif step == "land" and in_flight:
            land(conveyor, in_flight.pop(random.randrange(len(in_flight))))
        elif step == "deliver":
            delivered += conveyor.deliver()
        elif step == "tick":
            clock.now_s += random.random()
            conveyor.check_delay()
        in_flight += conveyor.departures()
        assert len(in_flight) <= max_requests

    assert delivered == list(range(n_requests))
