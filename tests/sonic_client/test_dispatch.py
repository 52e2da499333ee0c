"""What becomes of one batch, whatever the server answers."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from sonic_client import (
    AccessDeniedError,
    Answer,
    AsyncClient,
    BatchingConfig,
    Failure,
    InvalidAnswerError,
    ModelNotFoundError,
    RejectedRequestError,
    Request,
    RequestTooLargeError,
    ServerUnreachableError,
    TensorMismatchError,
    TriesExhaustedError,
)
from sonic_client.transport import FakeTransport

LOST = ServerUnreachableError(server="s", status="UNAVAILABLE", details="lost")
REJECTED = RejectedRequestError(server="s", status="INVALID_ARGUMENT", details="bad")


def labels_of(call):
    return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}


def failing_first(*errors):
    """Raise the errors in turn, then answer."""
    remaining = list(errors)

    async def respond(call):
        if remaining:
            raise remaining.pop(0)
        return labels_of(call)

    return respond


def rejecting(*numbers, error=REJECTED):
    """Reject every message that holds one of the numbers."""

    async def respond(call):
        if set(numbers) & set(call.inputs["FEATURES"][:, 0].tolist()):
            raise error
        return labels_of(call)

    return respond


async def outcomes_of(transport, config, requests):
    async with AsyncClient(config, transport=transport) as client:
        outcomes = [outcome async for outcome in client.map(requests)]
        return outcomes, client.statistics()


async def test_transient_failures_are_repeated_and_counted(
    metadata, config, make_request
):
    transport = FakeTransport(metadata, failing_first(LOST, LOST))

    (answer,), statistics = await outcomes_of(transport, config, [make_request(7)])

    assert isinstance(answer, Answer)
    assert (answer.tries, answer.server, answer.model_version) == (
        3,
        transport.server,
        "3",
    )
    assert statistics.tries == {"UNAVAILABLE": 2, "OK": 1}
    assert statistics.servers == {transport.server: 1}


async def test_a_failure_tells_its_cause_and_the_servers_tried(
    metadata, config, make_request
):
    transport = FakeTransport(metadata, failing_first(LOST, LOST, LOST))

    (failure,), statistics = await outcomes_of(transport, config, [make_request(7)])

    assert isinstance(failure, Failure)
    assert isinstance(failure.error, TriesExhaustedError)
    assert failure.error.failures == (LOST, LOST, LOST)
    assert (failure.request_id, failure.tries) == (7, 3)
    assert failure.servers == (transport.server,)
    assert (statistics.events, statistics.failed_events) == (1, 1)
    assert (statistics.requests, statistics.points) == (0, 0)


@pytest.fixture
def concat_config(config):
    return replace(
        config, layout="concat", batching=BatchingConfig(max_events=8, max_delay_s=60.0)
    )


async def test_concat_joins_events_and_returns_each_its_own(
    batch_metadata, concat_config, make_request
):
    transport = FakeTransport(batch_metadata, failing_first())
    requests = [make_request(number, n_rows=number) for number in range(1, 11)]

    outcomes, statistics = await outcomes_of(transport, concat_config, requests)

    assert [outcome.outputs["LABELS"].tolist() for outcome in outcomes] == [
        [number] * number for number in range(1, 11)
    ]
    assert [call.inputs["ROW_SPLITS"].tolist() for call in transport.calls] == [
        [0, 1, 3, 6, 10, 15, 21, 28, 36],
        [0, 9, 19],
    ]
    assert [call.request_id for call in transport.calls] == ["1+7", "9+1"]
    assert (statistics.events, statistics.requests, statistics.points) == (10, 2, 55)


@pytest.mark.parametrize("bad", [{3}, {0}, {7}, {2, 5}, {0, 1, 2, 3, 4, 5, 6, 7}])
async def test_a_bad_event_fails_alone(
    batch_metadata, concat_config, make_request, bad
):
    transport = FakeTransport(batch_metadata, rejecting(*bad))

    outcomes, statistics = await outcomes_of(
        transport, concat_config, [make_request(number) for number in range(8)]
    )

    assert [outcome.request_id for outcome in outcomes] == list(range(8))
    assert {o.request_id for o in outcomes if isinstance(o, Failure)} == bad
    assert statistics.failed_events == len(bad)


async def test_finding_one_bad_event_takes_logarithmically_many_calls(
    batch_metadata, concat_config, make_request
):
    transport = FakeTransport(batch_metadata, rejecting(3))

    await outcomes_of(
        transport, concat_config, [make_request(number) for number in range(8)]
    )

    # All 8; then both halves at each of three levels.
    assert len(transport.calls) == 1 + 2 * 3


async def test_a_message_too_large_for_the_server_goes_in_parts(
    batch_metadata, concat_config, make_request
):
    too_large = RequestTooLargeError(
        server="s", status="RESOURCE_EXHAUSTED", details="larger than max"
    )

    async def respond(call):
        if len(call.inputs["FEATURES"]) > 4:
            raise too_large
        return labels_of(call)

    outcomes, _ = await outcomes_of(
        FakeTransport(batch_metadata, respond),
        concat_config,
        [make_request(number) for number in range(8)],
    )

    assert all(isinstance(outcome, Answer) for outcome in outcomes)


@pytest.mark.parametrize(
    ("error", "n_calls"),
    [
        # Looked for again, once: the model may have been exchanged meanwhile.
        (ModelNotFoundError(server="s", status="NOT_FOUND", details=""), 2),
        (AccessDeniedError(server="s", status="UNAUTHENTICATED", details=""), 1),
        (RejectedRequestError(server="s", status="UNIMPLEMENTED", details=""), 1),
    ],
    ids=["not found", "unauthenticated", "unimplemented"],
)
async def test_a_rejection_that_is_not_about_an_event_is_not_bisected(
    batch_metadata, concat_config, make_request, error, n_calls
):
    transport = FakeTransport(batch_metadata, rejecting(0, error=error))

    outcomes, _ = await outcomes_of(
        transport, concat_config, [make_request(number) for number in range(8)]
    )

    assert [outcome.error for outcome in outcomes] == [error] * 8
    assert len(transport.calls) == n_calls


async def test_wrong_events_do_not_spoil_the_batch_they_were_in(
    batch_metadata, concat_config, make_request
):
    transport = FakeTransport(batch_metadata, failing_first())
    wrong = Request("wrong", {"FEATURES": np.zeros(3)})

    outcomes, statistics = await outcomes_of(
        transport, concat_config, [make_request(0), wrong, make_request(2)]
    )

    assert [outcome.request_id for outcome in outcomes] == [0, "wrong", 2]
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [
        False,
        True,
        False,
    ]
    assert isinstance(outcomes[1].error, TensorMismatchError)
    assert (outcomes[1].servers, outcomes[1].tries) == ((), 0)
    assert transport.calls[0].inputs["ROW_SPLITS"].tolist() == [0, 2, 4]
    assert (statistics.events, statistics.failed_events) == (3, 1)


async def test_a_concat_answer_of_other_length_fails_the_whole_batch(
    batch_metadata, concat_config, make_request
):
    async def respond(call):
        return {"LABELS": np.zeros(5, np.int64)}

    transport = FakeTransport(batch_metadata, respond)

    outcomes, _ = await outcomes_of(
        transport, concat_config, [make_request(0), make_request(1)]
    )

    assert all(isinstance(o.error, InvalidAnswerError) for o in outcomes)
    assert "expected 4 rows, one per input row" in str(outcomes[0].error)


async def test_the_deadline_covers_a_batch_and_its_halves(
    batch_metadata, concat_config, make_request
):
    async def respond(call):
        await asyncio.sleep(0)
        raise REJECTED

    transport = FakeTransport(batch_metadata, respond)

    await outcomes_of(
        transport, concat_config, [make_request(number) for number in range(4)]
    )

    assert transport.timeouts_s == sorted(transport.timeouts_s, reverse=True)
    assert transport.timeouts_s[0] <= concat_config.deadline_s
