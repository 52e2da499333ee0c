"""A server's sliding window, and its circuit breaker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import ConfigError, HealthConfig
from sonic_client.servers.health import Breaker, Health, HealthWindow

CONFIG = HealthConfig(window_s=60.0, window_calls=4, open_after_failures=3)


def test_a_server_that_was_never_asked_has_no_failures():
    assert HealthWindow(CONFIG).at(0.0) == Health()


def test_only_the_latest_calls_count():
    window = HealthWindow(CONFIG)
    window.failed(now=0.0)
    for now in (1.0, 2.0, 3.0, 4.0):
        window.succeeded(0.5, now=now)

    assert window.at(4.0) == Health(calls=4, error_rate=0.0, latency_s=0.5)


def test_an_old_failure_is_forgiven():
    window = HealthWindow(CONFIG)
    window.failed(now=0.0)
    window.succeeded(1.0, now=50.0)

    assert window.at(50.0).error_rate == 0.5
    assert window.at(61.0).error_rate == 0.0


def test_failures_in_a_row_end_with_a_success():
    window = HealthWindow(CONFIG)
    window.failed(now=0.0)
    window.failed(now=1.0)
    assert window.at(1.0).failures_in_a_row == 2

    window.succeeded(1.0, now=2.0)
    assert window.at(2.0).failures_in_a_row == 0


def test_latency_follows_the_latest_calls():
    window = HealthWindow(CONFIG)
    window.succeeded(1.0, now=0.0)
    window.succeeded(2.0, now=1.0)

    assert window.at(1.0).latency_s == pytest.approx(1.0 + 0.2 * (2.0 - 1.0))


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 30.0)), min_size=1, max_size=40)
)
def test_the_error_rate_is_that_of_the_calls_in_the_window(happenings):
    window, now, ended = HealthWindow(CONFIG), 0.0, []
    for failed, passed_s in happenings:
        now += passed_s
        ended.append((now, failed))
        if failed:
            window.failed(now=now)
        else:
            window.succeeded(1.0, now=now)

    counted = [failed for at, failed in ended[-4:] if at >= now - 60.0]
    health = window.at(now)
    assert health.calls == len(counted)
    assert health.error_rate == pytest.approx(sum(counted) / len(counted))


def breaker_at_work():
    breaker = Breaker(CONFIG, lambda: 1.0)
    breaker.close()
    return breaker


def test_no_server_is_trusted_before_it_was_probed():
    breaker = Breaker(CONFIG, lambda: 1.0)

    assert not breaker.admits
    assert breaker.probe_wait_s(0.0) == 0.0


def test_failures_in_a_row_open_it():
    breaker = breaker_at_work()

    opened = [
        breaker.fail(Health(failures_in_a_row=n), now=0.0, is_trial=False)
        for n in (1, 2, 3)
    ]

    assert opened == [False, False, True]
    assert not breaker.admits


def test_a_high_share_of_failures_opens_it_only_when_it_means_something():
    breaker = breaker_at_work()

    assert not breaker.fail(Health(calls=9, error_rate=0.9), now=0.0, is_trial=False)
    assert breaker.fail(Health(calls=10, error_rate=0.6), now=0.0, is_trial=False)


def test_half_open_admits_one_trial_which_decides():
    breaker = breaker_at_work()
    breaker.open(now=0.0)
    breaker.half_open()

    assert breaker.admits
    assert breaker.let_pass()
    assert not breaker.admits
    assert breaker.succeed(is_trial=True)
    assert breaker.state == "closed"


def test_a_trial_that_fails_opens_it_again():
    breaker = breaker_at_work()
    breaker.open(now=0.0)
    breaker.half_open()
    breaker.let_pass()

    assert breaker.fail(Health(), now=0.0, is_trial=True)
    assert breaker.state == "open"


def test_a_trial_that_says_nothing_leaves_room_for_the_next():
    breaker = breaker_at_work()
    breaker.open(now=0.0)
    breaker.half_open()
    breaker.let_pass()

    breaker.withdraw_trial()

    assert breaker.admits


def test_requests_from_before_the_outage_say_nothing_about_now():
    breaker = breaker_at_work()
    breaker.open(now=0.0)
    breaker.half_open()

    assert not breaker.fail(Health(failures_in_a_row=9), now=0.0, is_trial=False)
    assert not breaker.succeed(is_trial=False)
    assert breaker.state == "half_open"


def test_pauses_double_up_to_their_bound_and_start_anew_after_success():
    config = HealthConfig(first_pause_s=1.0, max_pause_s=3.0)
    breaker = Breaker(config, lambda: 1.0)
    waits = []
    for _ in range(4):
        breaker.open(now=10.0)
        waits.append(breaker.probe_wait_s(10.0))
    breaker.close()
    breaker.open(now=10.0)

    assert waits == [1.0, 2.0, 3.0, 3.0]
    assert breaker.probe_wait_s(10.0) == 1.0


@given(st.floats(0.0, 1.0), st.integers(1, 20))
def test_pauses_stay_within_their_bounds(jitter, n_opens):
    breaker = Breaker(CONFIG, lambda: jitter)
    for _ in range(n_opens):
        breaker.open(now=0.0)

    assert 0.5 <= breaker.probe_wait_s(0.0) <= CONFIG.max_pause_s


@pytest.mark.parametrize(
    "values",
    [
        {"window_s": 0.0},
        {"window_calls": 0},
        {"open_after_failures": 0},
        {"open_above_error_rate": 0.0},
        {"open_above_error_rate": 1.1},
        {"first_pause_s": 40.0},
        {"probe_timeout_s": -1.0},
    ],
    ids=lambda values: next(iter(values)),
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        HealthConfig(**values)
