"""The queue of a map: what is sent when, and in which order outcomes come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import Request, WindowConfig
from sonic_client.batching import BatchPlanner, CheckedRequest, MessageLimits
from sonic_client.flow.map_queue import MapQueue
from sonic_client.flow.window import Finished, Window


class Bounds:
    """A layout, as far as planning looks at it."""

    max_bytes, max_batch_size, pads = 10**9, 0, False

    def __init__(self, max_events):
        self.max_events = max_events


class Clock:
    """A clock that goes when it is told to."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


def queue_of(*, max_events, max_requests, clock=None, ordered=True):
    return MapQueue(
        BatchPlanner(MessageLimits(Bounds(max_events))),
        Window(WindowConfig(max_requests=max_requests), ordered=ordered),
        max_delay_s=0.5,
        clock=clock or Clock(),
    )


def item(number):
    return CheckedRequest(request=Request(number, {}), n_bytes=1)


def numbers(batch):
    return [each.request.request_id for each in batch]


def finish(queue, ready):
    queue.finish(Finished(ready.number, numbers(ready.batch)))


def test_a_full_batch_is_sent_at_once():
    queue = queue_of(max_events=2, max_requests=4)

    queue.put(item(0))
    assert queue.take_ready() == []
    queue.put(item(1))

    assert [numbers(d.batch) for d in queue.take_ready()] == [[0, 1]]


def test_the_reader_stops_when_a_batch_must_wait():
    queue = queue_of(max_events=1, max_requests=1)
    queue.put(item(0))
    (first,) = queue.take_ready()
    assert not queue.is_full
    queue.put(item(1))
    assert queue.take_ready() == []
    assert queue.is_full

    finish(queue, first)

    assert [numbers(d.batch) for d in queue.take_ready()] == [[1]]
    assert not queue.is_full


def test_a_batch_that_has_waited_long_enough_is_sent_though_not_full():
    clock = Clock()
    queue = queue_of(max_events=9, max_requests=4, clock=clock)
    queue.put(item(0))
    clock.now_s = 0.3
    queue.put(item(1))
    assert queue.seconds_left() == pytest.approx(0.2)
    queue.check_delay()
    assert queue.take_ready() == []

    clock.now_s = 0.5
    queue.check_delay()

    assert [numbers(d.batch) for d in queue.take_ready()] == [[0, 1]]
    assert queue.seconds_left() is None


def test_an_overdue_batch_takes_more_until_the_window_admits_it():
    clock = Clock()
    queue = queue_of(max_events=2, max_requests=1, clock=clock)
    queue.put(item(0))
    queue.put(item(1))
    (first,) = queue.take_ready()
    queue.put(item(2))
    clock.now_s = 9.0
    queue.check_delay()
    assert queue.take_ready() == []
    assert queue.seconds_left() is None

    finish(queue, first)

    assert [numbers(d.batch) for d in queue.take_ready()] == [[2]]


def test_the_delay_counts_anew_for_every_batch():
    clock = Clock()
    queue = queue_of(max_events=2, max_requests=9, clock=clock)
    for number in range(2):
        queue.put(item(number))
    assert queue.seconds_left() is None

    clock.now_s = 7.0
    queue.put(item(2))

    assert queue.seconds_left() == 0.5


def test_a_failure_stops_the_sending_and_reaches_the_consumer():
    queue = queue_of(max_events=1, max_requests=1)
    queue.put(item(0))
    (first,) = queue.take_ready()
    queue.put(item(1))

    queue.finish(Finished(first.number, ZeroDivisionError()))

    assert queue.take_ready() == []
    assert not queue.is_full  # the reader must not wait for ever
    with pytest.raises(ZeroDivisionError):
        queue.deliver()


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
    queue = queue_of(max_events=max_events, max_requests=max_requests, clock=clock)
    source, in_flight, delivered = iter(range(n_requests)), [], []
    is_read = False
    while not queue.is_done:
        step = random.choice(["read", "finish", "deliver", "tick"])
        if step == "read" and not queue.is_full and not is_read:
            number = next(source, None)
            is_read = number is None
            queue.close() if is_read else queue.put(item(number))
        elif step == "finish" and in_flight:
            finish(queue, in_flight.pop(random.randrange(len(in_flight))))
        elif step == "deliver":
            delivered += queue.deliver()
        elif step == "tick":
            clock.now_s += random.random()
            queue.check_delay()
        in_flight += queue.take_ready()
        assert len(in_flight) <= max_requests

    assert delivered == list(range(n_requests))
