"""Answers that the model does not declare, wrong requests, and NaN."""

import numpy as np
import pytest

from mock_server import FaultPlan, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    AnswersConfig,
    BatchingConfig,
    Client,
    Failure,
    InvalidAnswerError,
    NonFiniteAnswerError,
    Request,
    ServerConfig,
    TensorMismatchError,
)

WRONG = {
    "missing": FaultPlan().on().omit_output(),
    "cut": FaultPlan().on().cut_answer(),
    "type": FaultPlan().on().change_datatype("LABELS", datatype="INT32"),
    "rank": FaultPlan().on().change_shape("LABELS", shape=(2, 1)),
}


@pytest.mark.parametrize(
    "inputs",
    [
        {"FEATURES": np.zeros((2, 4), np.float32)},
        {"FEATURES": np.zeros((2, 3), np.float64)},
        {"FEATURE": np.zeros((2, 3), np.float32)},
        {},
    ],
    ids=["shape", "type", "name", "missing"],
)
def test_a_request_that_does_not_fit_the_model_is_not_sent(serve, config_for, inputs):
    arrivals = []

    with Client(config_for(serve(arrivals.append))) as client:
        (failure,) = client.map([Request(0, inputs)])

    assert isinstance(failure.error, TensorMismatchError)
    assert arrivals == []


@pytest.mark.parametrize("faults", WRONG.values(), ids=WRONG)
def test_the_error_of_a_wrong_answer_names_the_output(
    serve, config_for, requests_of, faults
):
    with Client(config_for(serve(faults))) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, InvalidAnswerError)
    assert "'LABELS'" in str(failure.error)
    assert failure.tries == 1


@pytest.mark.parametrize("faults", WRONG.values(), ids=WRONG)
def test_after_a_wrong_answer_another_server_is_asked(
    serve, config_for, requests_of, assert_whole, faults
):
    with Client(config_for(serve(faults), serve())) as client:
        assert_whole(list(client.map(requests_of(20))), 20)


def test_another_server_that_is_coming_back_is_waited_for(
    serve, config_for, requests_of, assert_whole
):
    always_wrong = serve(FaultPlan().on().omit_output())
    restarting = serve(FaultPlan().on(5).restart_server(down_s=0.1))

    # There are no waits between tries here, so many may fall into one outage.
    config = config_for(always_wrong, restarting, retry={"allowed_tries": 100})
    with Client(config) as client:
        assert_whole(list(client.map(requests_of(20))), 20)


@pytest.mark.parametrize(
    "faults",
    [FaultPlan().on().add_output("MORE"), FaultPlan().on().duplicate_answer()],
    ids=["not declared", "twice"],
)
def test_more_outputs_than_declared_are_left_out(
    serve, config_for, requests_of, assert_whole, faults
):
    with Client(config_for(serve(faults))) as client:
        outcomes = list(client.map(requests_of(5)))

    assert_whole(outcomes, 5)
    assert {tuple(outcome.outputs) for outcome in outcomes} == {("LABELS",)}


def test_one_wrong_answer_is_no_reason_to_leave_a_server(
    serve, config_for, requests_of
):
    server = serve(FaultPlan().on(1).omit_output())

    with Client(config_for(server)) as client:
        outcomes = list(client.map(requests_of(11)))

    assert [type(outcome) for outcome in outcomes].count(Failure) == 1
    assert {outcome.tries for outcome in outcomes} == {1}


FEATURES = Served("FEATURES", "FP32", (-1, 3))
SCORES = Served("SCORES", "FP32", (-1,))


@pytest.fixture
def run(serve, config_for, requests_of):
    """A function that gives requests to servers, each with a function of its own."""

    def run(*functions, n_requests=20, output=SCORES, inputs=(FEATURES,), **settings):
        servers = [
            serve(models=[Model("label", list(inputs), [output], function)])
            for function in functions
        ]
        first, *others = [ServerConfig(url=server.url) for server in servers]
        if others:
            first = ServerConfig(url=first.url, preferred=True)
        with Client(config_for(first, *others, **settings)) as client:
            return list(client.map(requests_of(n_requests))), client.summary().client

    return run


def lose_a_row(tensors):
    return {"LABELS": np.zeros(len(tensors["FEATURES"]) - 1, np.int64)}


@pytest.mark.parametrize("declared", [False, True])
def test_other_rows_than_the_inputs_are_an_error_unless_declared(run, declared):
    batching = BatchingConfig(variable_outputs=("LABELS",) if declared else ())
    labels = Served("LABELS", "INT64", (-1,))

    (outcome,), _ = run(lose_a_row, n_requests=1, output=labels, batching=batching)

    if declared:
        assert len(outcome.outputs["LABELS"]) == 1
    else:
        assert isinstance(outcome.error, InvalidAnswerError)
        text = "'LABELS': expected 2 rows, one per input row, got INT64[1]"
        assert text in str(outcome.error)


RAISE = AnswersConfig(nonfinite="raise")


def first_feature(tensors):
    return {"SCORES": tensors["FEATURES"][:, 0].copy()}


def nan_in_the_second_event(tensors):
    scores = tensors["FEATURES"][:, 0].copy()
    scores[scores == 1.0] = np.nan
    return {"SCORES": scores}


def all_nan(tensors):
    return {"SCORES": np.full(len(tensors["FEATURES"]), np.nan, np.float32)}


@pytest.mark.parametrize("policy", ["ignore", "warn", "raise"])
def test_nan_is_counted_and_fails_its_event_if_asked(run, policy):
    answers = AnswersConfig(nonfinite=policy)

    outcomes, statistics = run(nan_in_the_second_event, n_requests=3, answers=answers)

    answered = [isinstance(outcome, Answer) for outcome in outcomes]
    assert answered == [True, policy != "raise", True]
    assert statistics.nonfinite == {"SCORES": 2}


def test_nan_is_answered_by_another_server_where_it_is_not_accepted(run):
    outcomes, statistics = run(all_nan, first_feature, answers=RAISE)

    scores = [outcome.outputs["SCORES"].tolist() for outcome in outcomes]
    assert scores == [[number] * 2 for number in range(20)]
    # The event may be the cause, so no server is left alone for that.
    assert statistics.server_changes == {}


def test_an_event_whose_answer_is_nan_everywhere_fails(run):
    functions = [nan_in_the_second_event] * 2

    outcomes, statistics = run(*functions, answers=RAISE)

    (failure,) = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert failure.request_id == 1
    assert isinstance(failure.error, NonFiniteAnswerError)
    assert len(failure.servers) == failure.tries == 2
    assert statistics.server_changes == {}


def test_only_the_event_with_nan_is_sent_again_from_a_batch(run):
    n_rows = []

    def sick(tensors):
        n_rows.append(len(tensors["FEATURES"]))
        return nan_in_the_second_event(tensors)

    outcomes, _ = run(
        sick,
        first_feature,
        n_requests=4,
        inputs=(FEATURES, Served("ROW_SPLITS", "INT64", (-1,))),
        layout="concat",
        answers=RAISE,
    )

    scores = [outcome.outputs["SCORES"].tolist() for outcome in outcomes]
    assert scores == [[number] * 2 for number in range(4)]
    assert sorted(set(n_rows)) == [2, 8]
