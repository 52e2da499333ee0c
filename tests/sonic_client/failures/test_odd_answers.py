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
    InvalidAnswerError,
    Request,
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
