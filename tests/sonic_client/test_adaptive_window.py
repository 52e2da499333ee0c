"""A window that finds what the servers take."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from sonic_client import (
    AdaptiveConfig,
    AsyncClient,
    Failure,
    ServerOverloadedError,
    Timing,
    WindowConfig,
)
from sonic_client.flow.adaptive_window import AdaptiveWindow
from sonic_client.report import TryEnded
from sonic_client.transport import FakeTransport


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def ended(*, status="OK", is_overload=False, duration_s=0.01):
    return TryEnded(
        server="s",
        status=status,
        duration_s=duration_s,
        message=1,
        request_id="",
        number=1,
        is_overload=is_overload,
    )


def window_of(max_requests, clock=None, **options):
    return AdaptiveWindow(
        AdaptiveConfig(**options), max_requests=max_requests, clock=clock or Clock()
    )


def rounds(max_requests, capacity, n_rounds, **options):
    """Sizes of the window, a round: a full window sent, and what exceeds refused."""
    sizes, clock = [], Clock()
    window = window_of(max_requests, clock, **options)
    for _ in range(n_rounds):
        clock.now += 1.0
        sizes.append(window.max_requests)
        for place in range(sizes[-1]):
            window.try_ended(ended(is_overload=place >= capacity))
    return sizes


@pytest.mark.parametrize("capacity", [3, 10, 40])
def test_it_converges_on_the_capacity_of_a_server(capacity):
    sizes = rounds(64, capacity, n_rounds=300)

    settled = sizes[100:]
    assert max(settled) <= capacity + 2
    assert min(settled) >= capacity // 2
    assert 0.6 * capacity <= np.mean(settled) <= capacity + 1


def test_it_stays_at_the_bound_of_the_window_while_nothing_is_refused():
    assert set(rounds(16, 1000, n_rounds=20)) == {16}


def test_one_overload_halves_it_once():
    window = window_of(32)

    for _ in range(32):
        window.try_ended(ended(is_overload=True))

    assert window.max_requests == 16


def test_it_never_shrinks_below_its_bound():
    assert rounds(64, 0, n_rounds=30, min_requests=5)[-1] == 5


def test_slow_calls_are_overload_if_asked_for():
    window = window_of(8, slow_call_s=1.0)

    window.try_ended(ended(duration_s=0.9))
    assert window.max_requests == 8
    window.try_ended(ended(duration_s=1.1))

    assert window.max_requests == 4


def test_other_failures_do_not_shrink_it():
    window = window_of(8)

    for status in ("UNAVAILABLE", "INVALID_ARGUMENT", "LOCALLY_CANCELLED"):
        window.try_ended(ended(status=status))

    assert window.max_requests == 8


class QueueLimited:
    """Takes four calls at once, and refuses more."""

    def __init__(self):
        self.in_flight = self.n_refused = 0

    async def __call__(self, call):
        if self.in_flight >= 4:
            self.n_refused += 1
            raise ServerOverloadedError(
                server="s", status="UNAVAILABLE", details="Exceeds maximum queue size"
            )
        self.in_flight += 1
        for _ in range(12):
            await asyncio.sleep(0)
        self.in_flight -= 1
        return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}


async def refusals(metadata, config, requests):
    now_s = 0.0

    async def sleep(duration_s):  # moves the clock, and waits a turn of the loop
        nonlocal now_s
        now_s += duration_s
        await asyncio.sleep(0)

    server = QueueLimited()
    transport = FakeTransport(metadata, server)
    timing = Timing(clock=lambda: now_s, sleep=sleep)
    async with AsyncClient(config, transport=transport, timing=timing) as client:
        outcomes = [o async for o in client.map(requests)]
    assert [outcome.request_id for outcome in outcomes] == list(range(100))
    assert [o.error for o in outcomes if isinstance(o, Failure)] == []
    return server.n_refused


async def test_a_client_that_fits_its_window_is_refused_less(
    metadata, config, make_request
):
    rigid = replace(
        config,
        window=WindowConfig(max_requests=32),
        adaptive=AdaptiveConfig(window=False),
    )
    adaptive = replace(rigid, adaptive=AdaptiveConfig())
    requests = [make_request(number) for number in range(100)]

    n_rigid = await refusals(metadata, rigid, requests)
    n_adaptive = await refusals(metadata, adaptive, requests)

    assert 0 < n_adaptive < n_rigid / 2
