"""The way of one message, whatever its servers do: bounded in tries and in time."""

import asyncio

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sonic_client import (
    Answer,
    AsyncClient,
    ClientConfig,
    GivenUpError,
    HealthConfig,
    InvalidAnswerError,
    ModelMetadata,
    ModelNotFoundError,
    NoServerError,
    RejectedRequestError,
    Request,
    RequestTooLargeError,
    RetryConfig,
    ServerFaultError,
    ServerOverloadedError,
    ServerUnreachableError,
    TensorSpec,
    Timing,
    TransientError,
    TryTimedOutError,
)
from sonic_client.transport import FakeTransport

METADATA = ModelMetadata(
    name="label",
    version="1",
    platform="python",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
)


class FakeTime:
    """A clock that only waiting and calling move."""

    def __init__(self):
        self.now = 1000.0
        self.timing = Timing(
            clock=lambda: self.now, sleep=self.sleep, jitter=lambda: 1.0
        )

    async def sleep(self, wait_s):
        self.now += wait_s
        await asyncio.sleep(0)


KINDS = {
    "lost": ServerUnreachableError,
    "cancelled": TransientError,
    "late": TryTimedOutError,
    "full": ServerOverloadedError,
    "broken": ServerFaultError,
    "large": RequestTooLargeError,
    "rejected": RejectedRequestError,
    "gone": ModelNotFoundError,
}


def model_of(time, happenings, begins):
    """Answer, answer wrongly, or fail, as the next happening says."""
    coming = iter(happenings)

    async def respond(call):
        what, takes_s = next(coming, ("answer", 0.0))
        begins.append((what, time.now))
        time.now += takes_s
        await asyncio.sleep(0)
        if what in KINDS:
            raise KINDS[what](server="s", status="UNAVAILABLE", details=what)
        rows = len(call.inputs["FEATURES"]) + (what == "wrong")
        return {"LABELS": np.zeros((rows,) if what != "wrong" else (1, 1), np.int64)}

    return respond


happenings = st.lists(
    st.tuples(st.sampled_from([*KINDS, "answer", "wrong"]), st.floats(0.0, 4.0)),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@example(
    # The servers' breakers open; the wait for one of them outlasts the deadline.
    servers=[[("gone", 0.0), ("lost", 3.0)], [("lost", 1.5)]],
    allowed_tries=4,
    deadline_s=5.5,
    has_fallback=False,
)
@given(
    servers=st.lists(happenings, min_size=1, max_size=3),
    allowed_tries=st.integers(1, 6),
    deadline_s=st.floats(0.5, 20.0),
    has_fallback=st.booleans(),
)
def test_tries_and_time_stay_within_their_bounds(
    servers, allowed_tries, deadline_s, has_fallback
):
    time, begins = FakeTime(), []
    config = ClientConfig(
        servers=[f"fake:{number + 1}" for number in range(len(servers))],
        model_name="label",
        deadline_s=deadline_s,
        retry=RetryConfig(
            allowed_tries=allowed_tries, first_wait_s=0.1, patience_s=5.0
        ),
        health=HealthConfig(first_pause_s=0.5, max_pause_s=1.0),
    )
    transports = {
        server.name: FakeTransport(
            METADATA, model_of(time, happens, begins), server=server.url
        )
        for server, happens in zip(config.servers, servers, strict=True)
    }

    async def outcome_and_end():
        async with AsyncClient(
            config,
            transport=lambda server: transports[server.name],
            timing=time.timing,
            fallback=(lambda t: {"LABELS": np.zeros(1, np.int64)})
            if has_fallback
            else None,
        ) as client:
            started = time.now
            request = Request(7, {"FEATURES": np.zeros((1, 3), np.float32)})
            (outcome,) = [each async for each in client.map([request])]
            return outcome, started

    outcome, started = asyncio.run(outcome_and_end())

    given_s = [s for each in transports.values() for s in each.timeouts_s]
    counted = [what for what, _ in begins if what != "full"]
    assert len(counted) <= allowed_tries
    assert counted.count("broken") <= config.retry.fault_tries
    assert all(begin < started + deadline_s for _, begin in begins)
    assert all(0.0 < seconds <= deadline_s + 1e-6 for seconds in given_s)
    assert outcome.request_id == 7
    if not isinstance(outcome, Answer):
        assert isinstance(
            outcome.error,
            GivenUpError
            | RejectedRequestError
            | InvalidAnswerError
            | TransientError
            | NoServerError,
        )


@pytest.mark.parametrize("n_requests", [1, 50])
def test_retries_of_all_requests_together_keep_to_the_budget(n_requests):
    """The seconds that it takes are those that the budget asks for."""
    time, begins = FakeTime(), []
    config = ClientConfig(
        servers="fake:1",
        model_name="label",
        deadline_s=1000.0,
        retry=RetryConfig(
            allowed_tries=3,
            first_wait_s=0.0,
            budget_burst=2.0,
            budget_ratio=0.0,
            budget_retries_per_s=1.0,
        ),
        health=HealthConfig(open_after_failures=1000, min_calls=1000),
    )
    always = [("lost", 0.0)] * 10_000
    transport = FakeTransport(METADATA, model_of(time, always, begins))

    async def run():
        async with AsyncClient(
            config, transport=transport, timing=time.timing
        ) as client:
            inputs = {"FEATURES": np.zeros((1, 3), np.float32)}
            requests = [Request(n, inputs) for n in range(n_requests)]
            return [each async for each in client.map(requests)]

    started = time.now
    assert len(asyncio.run(run())) == n_requests

    n_retries = len(begins) - n_requests
    assert n_retries == 2 * n_requests
    assert n_retries <= 2 + 1.0 * (time.now - started) + 1e-6
