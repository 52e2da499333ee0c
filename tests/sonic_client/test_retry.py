import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import (
    DeadlineExceededError,
    RejectedRequestError,
    RetryConfig,
    TransientError,
    TriesExhaustedError,
    TryTimedOutError,
)
from sonic_client.retry import Timing, call_with_retry, wait_bound_s


def failure(kind=TransientError):
    return kind(server="grpc://h:1", status="UNAVAILABLE", details="text")


class FakeTime:
    """A clock that only sleeping and calling move; jitter is always the most."""

    def __init__(self, *, jitter=1.0):
        self.now, self.waits = 1000.0, []
        self.timing = Timing(
            clock=lambda: self.now, sleep=self.sleep, jitter=lambda: jitter
        )

    async def sleep(self, wait_s):
        self.waits.append(wait_s)
        self.now += wait_s


class Calls:
    """Answers with the given results in turn, each after some time."""

    def __init__(self, time, *results, takes_s=0.0):
        self.time, self.results, self.takes_s = time, list(results), takes_s
        self.given_s = []

    async def __call__(self, timeout_s):
        self.given_s.append(timeout_s)
        self.time.now += self.takes_s
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def run(call, time, *, deadline_s=60.0, **retry):
    return asyncio.run(
        call_with_retry(
            call,
            retry=RetryConfig(**retry),
            deadline_s=deadline_s,
            timing=time.timing,
        )
    )


def test_first_answer_is_returned_without_waiting():
    time = FakeTime()

    assert run(Calls(time, "answer"), time) == "answer"
    assert time.waits == []


def test_waits_double_up_to_their_bound():
    time = FakeTime()
    call = Calls(time, *[failure() for _ in range(5)], "answer")

    assert run(call, time, allowed_tries=6, first_wait_s=1.0, max_wait_s=5.0) == (
        "answer"
    )
    assert time.waits == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_jitter_shortens_the_whole_wait():
    time = FakeTime(jitter=0.25)

    run(Calls(time, failure(), "answer"), time, first_wait_s=2.0)

    assert time.waits == [0.5]


@pytest.mark.parametrize("allowed_tries", [1, 2, 5])
def test_allowed_tries_means_that_many_calls(allowed_tries):
    time = FakeTime()
    call = Calls(time, *[failure() for _ in range(9)])

    with pytest.raises(TriesExhaustedError) as caught:
        run(call, time, allowed_tries=allowed_tries)
    assert len(call.given_s) == len(caught.value.failures) == allowed_tries
    assert caught.value.__cause__ is caught.value.failures[-1]


def test_rejected_request_is_not_repeated():
    time = FakeTime()
    call = Calls(time, failure(RejectedRequestError))

    with pytest.raises(RejectedRequestError):
        run(call, time)
    assert len(call.given_s) == 1


def test_each_try_is_given_what_remains_of_the_deadline():
    time = FakeTime()
    call = Calls(time, failure(), failure(), "answer", takes_s=2.0)

    run(call, time, deadline_s=10.0, first_wait_s=1.0)

    assert call.given_s == [10.0, 10.0 - 2.0 - 1.0, 10.0 - 2.0 - 1.0 - 2.0 - 2.0]


def test_no_try_begins_after_the_deadline():
    time = FakeTime()
    call = Calls(time, failure(), failure(), takes_s=2.0)

    with pytest.raises(
        DeadlineExceededError, match=r"within 4 s and 2 tries"
    ) as caught:
        run(call, time, deadline_s=4.0, first_wait_s=0.0)
    assert len(caught.value.failures) == 2


def test_a_wait_that_would_pass_the_deadline_is_not_begun():
    time = FakeTime()
    call = Calls(time, failure())

    with pytest.raises(DeadlineExceededError):
        run(call, time, deadline_s=1.0, first_wait_s=3.0)
    assert time.waits == []


def test_last_allowed_try_that_uses_up_the_time_is_a_deadline():
    time = FakeTime()
    # gRPC's timer may ring a moment early.
    call = Calls(time, failure(TryTimedOutError), takes_s=0.999)

    with pytest.raises(DeadlineExceededError):
        run(call, time, deadline_s=1.0, allowed_tries=1)


async def test_cancelling_the_caller_cancels_the_try_in_flight():
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(timeout_s):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(
        call_with_retry(hang, retry=RetryConfig(), deadline_s=60.0, timing=Timing())
    )
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


@given(
    first_wait_s=st.floats(0.0, 10.0),
    extra_s=st.floats(0.0, 100.0),
    n_failures=st.integers(1, 5000),
)
def test_waits_stay_within_their_bounds(first_wait_s, extra_s, n_failures):
    retry = RetryConfig(first_wait_s=first_wait_s, max_wait_s=first_wait_s + extra_s)

    bound_s = wait_bound_s(retry, n_failures)

    assert first_wait_s <= bound_s <= retry.max_wait_s
    assert bound_s <= wait_bound_s(retry, n_failures + 1)


@given(
    tries_s=st.lists(st.floats(0.0, 3.0), min_size=10, max_size=10),
    jitter=st.floats(0.0, 1.0),
    deadline_s=st.floats(0.1, 10.0),
)
def test_every_try_begins_before_the_deadline(tries_s, jitter, deadline_s):
    time = FakeTime(jitter=jitter)
    begins = []

    async def call(timeout_s):
        begins.append(time.now - 1000.0)
        assert timeout_s == pytest.approx(deadline_s - begins[-1])
        time.now += tries_s[len(begins) - 1]
        raise failure()

    with pytest.raises((DeadlineExceededError, TriesExhaustedError)):
        run(call, time, deadline_s=deadline_s, allowed_tries=10)
    assert all(begin < deadline_s for begin in begins)
