import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import WindowConfig
from sonic_client.flow.window import Finished, Window


def window_of(max_requests, max_bytes=100, *, ordered=True):
    limits = WindowConfig(max_requests=max_requests, max_bytes=max_bytes)
    return Window(limits, ordered=ordered)


def delivered(window):
    outcomes = []
    while some := window.deliver():
        outcomes += some
    return outcomes


def test_requests_in_flight_are_bounded():
    window = window_of(2)
    for _ in range(2):
        assert window.admits(1)
        window.start(1)

    assert not window.admits(1)


def test_bytes_in_flight_are_bounded():
    window = window_of(9)
    window.start(60)

    assert window.admits(40)
    assert not window.admits(41)


def test_a_message_above_the_byte_bound_is_in_flight_alone():
    window = window_of(9)

    assert window.admits(1000)
    window.start(1000)
    assert not window.admits(0)


def test_a_finished_message_leaves_its_place_to_another():
    window = window_of(1)
    number = window.start(100)

    window.finish(Finished(number, ["outcome"]))

    assert window.admits(100)
    assert not window.is_empty
    assert delivered(window) == ["outcome"]
    assert window.is_empty


def test_undelivered_outcomes_are_bounded_behind_a_late_one():
    window = window_of(2)
    window.start(1)  # the late one
    for _ in range(3):
        assert window.admits(1)
        window.finish(Finished(window.start(1), ["early"]))

    assert not window.admits(1)
    assert not window.deliver()


def test_a_bug_is_raised():
    window = window_of(2)
    number = window.start(1)

    with pytest.raises(ZeroDivisionError):
        window.finish(Finished(number, ZeroDivisionError()))


@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_interleaving_is_delivered_in_order(random, max_requests):
    window = window_of(max_requests)
    n_messages, n_taken_off, in_flight, outcomes = 20, 0, [], []
    while len(outcomes) < n_messages:
        if n_taken_off < n_messages and window.admits(1) and random.random() < 0.5:
            in_flight.append(window.start(1))
            n_taken_off += 1
        elif in_flight:
            number = in_flight.pop(random.randrange(len(in_flight)))
            window.finish(Finished(number, [number]))
        outcomes += delivered(window)
        assert len(in_flight) <= max_requests

    assert outcomes == list(range(n_messages))
    assert window.is_empty


@given(st.permutations(range(6)))
def test_unordered_delivery_follows_the_answers(finishing_order):
    window = window_of(6, ordered=False)
    for _ in finishing_order:
        window.start(1)
    for number in finishing_order:
        window.finish(Finished(number, [number]))

    assert delivered(window) == finishing_order
