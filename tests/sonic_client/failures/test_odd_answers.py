"""Rows that no event can claim, and values that are no numbers."""

import numpy as np
import pytest

from mock_server import Model
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
)

FEATURES = Served("FEATURES", "FP32", (-1, 3))


def outcomes_of(serve, config_for, function, output, **settings):
    server = serve(models=[Model("label", [FEATURES], [output], function)])
    requests = [
        Request(number, {"FEATURES": np.full((4, 3), number, np.float32)})
        for number in range(3)
    ]
    with Client(config_for(server, **settings)) as client:
        return list(client.map(requests)), client.summary()


def lose_a_row(tensors):
    return {"LABELS": np.zeros(len(tensors["FEATURES"]) - 1, np.int64)}


def test_other_rows_than_the_inputs_are_an_error_that_names_the_output(
    serve, config_for
):
    labels = Served("LABELS", "INT64", (-1,))
    outcomes, _ = outcomes_of(serve, config_for, lose_a_row, labels)

    for outcome in outcomes:
        assert isinstance(outcome.error, InvalidAnswerError)
        assert "'LABELS': expected 4 rows, one per input row, got INT64[3]" in str(
            outcome.error
        )


def test_other_rows_are_accepted_where_they_are_declared(serve, config_for):
    labels = Served("LABELS", "INT64", (-1,))
    outcomes, _ = outcomes_of(
        serve,
        config_for,
        lose_a_row,
        labels,
        batching=BatchingConfig(variable_outputs=("LABELS",)),
    )

    assert [len(outcome.outputs["LABELS"]) for outcome in outcomes] == [3, 3, 3]


def nan_in_the_second_event(tensors):
    scores = tensors["FEATURES"][:, 0].copy()
    scores[scores == 1.0] = np.nan
    return {"SCORES": scores}


@pytest.mark.parametrize("policy", ["ignore", "warn", "raise"])
def test_nan_is_counted_in_the_summary_and_fails_its_event_if_asked(
    serve, config_for, policy
):
    outcomes, summary = outcomes_of(
        serve,
        config_for,
        nan_in_the_second_event,
        Served("SCORES", "FP32", (-1,)),
        answers=AnswersConfig(nonfinite=policy),
    )

    answered = [isinstance(outcome, Answer) for outcome in outcomes]
    assert answered == [True, policy != "raise", True]
    assert summary.client.nonfinite == {"SCORES": 4}
    assert ("NaN or infinite in SCORES", "4 values") in summary.rows()


SCORES = Served("SCORES", "FP32", (-1,))


def first_feature(tensors):
    return {"SCORES": tensors["FEATURES"][:, 0].copy()}


def all_nan(tensors):
    return {"SCORES": np.full(len(tensors["FEATURES"]), np.nan, np.float32)}


@pytest.fixture
def outcomes_of_servers(serve, config_for, requests_of):
    """What 20 events come to, and how the servers' states changed."""

    def outcomes(*functions, **settings):
        servers = [
            serve(models=[Model("label", [FEATURES], [SCORES], function)])
            for function in functions
        ]
        config = config_for(
            *servers, answers=AnswersConfig(nonfinite="raise"), **settings
        )
        with Client(config) as client:
            found = list(client.map(requests_of(20)))
            return found, client.statistics().server_changes

    return outcomes


def test_nan_is_answered_by_another_server_where_it_is_not_accepted(
    outcomes_of_servers,
):
    outcomes, changes = outcomes_of_servers(all_nan, first_feature)

    scores = [outcome.outputs["SCORES"].tolist() for outcome in outcomes]
    assert scores == [[number] * 2 for number in range(20)]
    assert changes == {}  # it may be the event: no server is left for that


def test_an_event_whose_answer_is_nan_everywhere_fails(outcomes_of_servers):
    outcomes, changes = outcomes_of_servers(
        nan_in_the_second_event, nan_in_the_second_event
    )

    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert [failure.request_id for failure in failures] == [1]
    assert isinstance(failures[0].error, NonFiniteAnswerError)
    assert len(failures[0].servers) == failures[0].tries == 2
    assert changes == {}


def test_only_the_event_with_nan_is_sent_again_from_a_batch(
    serve, config_for, requests_of
):
    splits = Served("ROW_SPLITS", "INT64", (-1,))
    n_rows = []

    def sick(tensors):
        n_rows.append(len(tensors["FEATURES"]))
        return nan_in_the_second_event(tensors)

    servers = [
        serve(models=[Model("label", [FEATURES, splits], [SCORES], function)])
        for function in (sick, first_feature)
    ]
    config = config_for(
        ServerConfig(url=servers[0].url, preferred=True),
        servers[1],
        layout="concat",
        answers=AnswersConfig(nonfinite="raise"),
    )
    with Client(config) as client:
        outcomes = list(client.map(requests_of(4)))

    scores = [outcome.outputs["SCORES"].tolist() for outcome in outcomes]
    assert scores == [[number] * 2 for number in range(4)]
    assert sorted(set(n_rows)) == [2, 8]
