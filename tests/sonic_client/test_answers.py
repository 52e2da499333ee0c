"""Answers that are odd, events without rows, and what the caller gets to hold."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from sonic_client import (
    Answer,
    AnswersConfig,
    AsyncClient,
    BatchingConfig,
    Failure,
    InvalidAnswerError,
    ModelMetadata,
    Request,
    TensorSpec,
)
from sonic_client.transport import FakeTransport

SCORES = ModelMetadata(
    name="score",
    version="3",
    platform="",
    inputs=(
        TensorSpec("FEATURES", "FP32", (-1, 3)),
        TensorSpec("ROW_SPLITS", "INT64", (-1,)),
    ),
    outputs=(TensorSpec("SCORES", "FP32", (-1,)), TensorSpec("LABELS", "INT64", (-1,))),
)


async def first_features(call):
    column = call.inputs["FEATURES"][:, 0]
    with np.errstate(invalid="ignore"):
        return {"SCORES": column.copy(), "LABELS": column.astype(np.int64)}


@pytest.fixture
def score_config(config):
    return replace(
        config,
        model_name="score",
        layout="concat",
        batching=BatchingConfig(max_events=8, max_delay_s=60.0),
    )


async def outcomes_of(config, requests, metadata=SCORES, respond=first_features):
    transport = FakeTransport(metadata, respond)
    async with AsyncClient(config, transport=transport) as client:
        outcomes = [outcome async for outcome in client.map(requests)]
        return outcomes, client.statistics(), transport


def requests_with_nan(make_request):
    """Four events, of which number 2 has NaN in one row and infinity in another."""
    requests = [make_request(number) for number in range(4)]
    requests[2].inputs["FEATURES"][:, 0] = [np.nan, np.inf]
    return requests


async def test_values_that_are_no_numbers_are_counted_and_logged_once(
    score_config, make_request, caplog
):
    requests = requests_with_nan(make_request) + requests_with_nan(make_request)

    with caplog.at_level(logging.WARNING, "sonic_client"):
        outcomes, statistics, _ = await outcomes_of(score_config, requests)

    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert statistics.nonfinite == {"SCORES": 4}
    (logged,) = caplog.records
    assert "'SCORES': expected numbers, got 2 NaN or infinite of 2" in logged.message


async def test_only_the_event_with_nan_fails_where_they_are_not_accepted(
    score_config, make_request
):
    config = replace(score_config, answers=AnswersConfig(nonfinite="raise"))

    outcomes, statistics, transport = await outcomes_of(
        config, requests_with_nan(make_request)
    )

    assert [o.request_id for o in outcomes if isinstance(o, Failure)] == [2]
    assert isinstance(outcomes[2].error, InvalidAnswerError)
    assert outcomes[2].servers == (transport.server,)
    assert statistics.failed_ids == (2,)
    assert len(transport.calls) == 1


@pytest.mark.parametrize(
    ("policy", "counted"), [("ignore", {"SCORES": 2}), ("off", {})]
)
async def test_nan_may_be_ignored(score_config, make_request, caplog, policy, counted):
    config = replace(score_config, answers=AnswersConfig(nonfinite=policy))

    with caplog.at_level(logging.WARNING, "sonic_client"):
        outcomes, statistics, _ = await outcomes_of(
            config, requests_with_nan(make_request)
        )

    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert statistics.nonfinite == counted
    assert caplog.records == []


async def test_padding_is_not_checked_for_nan(config, make_request):
    metadata = ModelMetadata(
        name="padded",
        version="1",
        platform="",
        inputs=(
            TensorSpec("FEATURES", "FP32", (-1, -1, 3)),
            TensorSpec("MASK", "BOOL", (-1, -1)),
        ),
        outputs=(TensorSpec("SCORES", "FP32", (-1, -1)),),
    )

    async def nan_where_filled(call):
        scores = call.inputs["FEATURES"][:, :, 0].copy()
        scores[~call.inputs["MASK"]] = np.nan
        return {"SCORES": scores}

    config = replace(config, layout="padded", answers=AnswersConfig(nonfinite="raise"))
    outcomes, statistics, transport = await outcomes_of(
        config,
        [make_request(n, n_rows=n) for n in (1, 3, 2)],
        metadata=metadata,
        respond=nan_where_filled,
    )

    assert [o.outputs["SCORES"].tolist() for o in outcomes] == [[1], [3] * 3, [2] * 2]
    assert statistics.nonfinite == {}
    assert len(transport.calls) == 1


@pytest.mark.parametrize("writable", [False, True])
async def test_outputs_are_writable_on_request(score_config, make_request, writable):
    config = replace(score_config, answers=AnswersConfig(writable=writable))

    outcomes, _, _ = await outcomes_of(config, map(make_request, range(1, 3)))

    arrays = [array for o in outcomes for array in o.outputs.values()]
    assert {array.flags.owndata for array in arrays} == {writable}
    if writable:
        arrays[0][:] = 7
        assert outcomes[1].outputs["SCORES"].tolist() == [2, 2]


async def test_an_event_without_rows_is_answered_without_a_call(
    score_config, make_request
):
    requests = [make_request(0, n_rows=0), make_request(1), make_request(2, n_rows=0)]

    outcomes, statistics, transport = await outcomes_of(score_config, requests)

    assert [outcome.request_id for outcome in outcomes] == [0, 1, 2]
    assert transport.calls[0].inputs["ROW_SPLITS"].tolist() == [0, 2]
    for outcome in (outcomes[0], outcomes[2]):
        assert (outcome.server, outcome.tries, outcome.model_version) == ("", 0, "3")
        assert {n: (a.shape, a.dtype) for n, a in outcome.outputs.items()} == {
            "SCORES": ((0,), np.float32),
            "LABELS": ((0,), np.int64),
        }
    assert (statistics.events, statistics.requests) == (3, 1)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1,), {}),
        ((-1,), {"batching": BatchingConfig(variable_outputs=("SUM",))}),
        ((-1,), {"answers": AnswersConfig(send_empty=True)}),
    ],
    ids=["no rows in the output", "rows of its own", "on request"],
)
async def test_an_event_without_rows_is_sent_if_only_the_model_knows(
    metadata, config, make_request, shape, options
):
    async def respond(call):
        return {"SUM": np.zeros([max(n, 0) for n in shape], np.float32)}

    outcomes, _, transport = await outcomes_of(
        replace(config, **options),
        [make_request(0, n_rows=0)],
        metadata=replace(metadata, outputs=(TensorSpec("SUM", "FP32", shape),)),
        respond=respond,
    )

    assert len(transport.calls) == 1
    assert isinstance(outcomes[0], Answer)


async def test_a_request_in_parts_is_whole_again(config):
    metadata = ModelMetadata(
        name="images",
        version="1",
        platform="",
        inputs=(TensorSpec("X", "FP32", (-1, 2)),),
        outputs=(TensorSpec("Y", "FP32", (-1, 2)),),
        max_batch_size=4,
    )

    async def double(call):
        assert len(call.inputs["X"]) <= 4
        return {"Y": 2 * call.inputs["X"]}

    x = np.arange(22, dtype=np.float32).reshape(11, 2)
    (answer,), statistics, transport = await outcomes_of(
        replace(config, layout="rectangular"),
        [Request("big", {"X": x})],
        metadata=metadata,
        respond=double,
    )

    np.testing.assert_array_equal(answer.outputs["Y"], 2 * x)
    assert (answer.request_id, answer.tries) == ("big", 3)
    assert (statistics.events, statistics.requests) == (1, 3)
    assert [len(call.inputs["X"]) for call in transport.calls] == [4, 4, 3]
