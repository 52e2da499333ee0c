"""How long a try may take."""

from dataclasses import replace

import pytest

from sonic_client import AdaptiveConfig, AsyncClient
from sonic_client.message.adaptive_timeout import AdaptiveTimeout
from sonic_client.report import TryEnded
from sonic_client.transport import FakeTransport


def ended(duration_s, status="OK"):
    return TryEnded(
        server="s",
        status=status,
        duration_s=duration_s,
        message=1,
        request_id="",
        number=1,
    )


def timeout_after(durations_s, **options):
    timeout = AdaptiveTimeout(AdaptiveConfig(timeout=True, **options))
    for duration_s in durations_s:
        timeout.try_ended(ended(duration_s))
    return timeout


def test_it_is_a_multiple_of_the_99th_percentile():
    # 198 fast calls and 2 slow ones: the 99th percentile is the slowest fast one.
    timeout = timeout_after(
        [0.5] * 99 + [90.0] + [0.5] * 99 + [90.0], timeout_factor=3.0, min_timeout_s=0.1
    )

    assert timeout.seconds() == pytest.approx(1.5)


def test_it_says_nothing_before_enough_calls():
    assert timeout_after([0.1] * 99).seconds() is None


@pytest.mark.parametrize(
    ("duration_s", "expected_s"),
    [(0.001, 2.0), (100.0, 30.0)],
    ids=["floor", "ceiling"],
)
def test_it_stays_within_its_bounds(duration_s, expected_s):
    timeout = timeout_after([duration_s] * 200, min_timeout_s=2.0, max_timeout_s=30.0)

    assert timeout.seconds() == expected_s


def test_it_follows_servers_that_became_faster():
    timeout = timeout_after([5.0] * 200 + [0.5] * 2000, timeout_factor=4.0)

    assert timeout.seconds() == pytest.approx(2.0)


def test_tries_given_up_double_it_until_one_succeeds():
    timeout = timeout_after([0.5] * 200, timeout_factor=4.0)
    for _ in range(3):
        timeout.try_ended(ended(2.0, status="DEADLINE_EXCEEDED"))
    assert timeout.seconds() == pytest.approx(16.0)

    timeout.try_ended(ended(9.0))

    assert timeout.seconds() == pytest.approx(2.0)


async def test_a_try_is_given_that_time(metadata, config, make_request, echo_rows):
    config = replace(config, adaptive=AdaptiveConfig(timeout=True, min_timeout_s=7.0))
    transport = FakeTransport(metadata, echo_rows)

    async with AsyncClient(config, transport=transport) as client:
        async for _ in client.map(map(make_request, range(150))):
            pass

    assert transport.timeouts_s[0] > 7.0
    assert transport.timeouts_s[-1] == 7.0
