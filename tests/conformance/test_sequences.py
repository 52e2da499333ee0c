"""Sequences: state between requests, and the control inputs that tell of it."""

import json

import numpy as np
import pytest

MODELS = ["sequence", "sequence_oldest"]


def step(ask, model, value, sequence=None, *, start=False, end=False):
    parameters = {}
    if sequence is not None:
        parameters["sequence_id"] = sequence
    if start:
        parameters["sequence_start"] = True
    if end:
        parameters["sequence_end"] = True
    return ask(model, {"X": np.array([[value]], np.int32)}, parameters=parameters)


def total(answer):
    (value,) = answer.values("SUM", "<i4")
    return value


def controls(answer):
    return json.loads(answer.texts("CONTROLS")[0])


@pytest.mark.parametrize("model", MODELS)
def test_sequence_keeps_its_state_to_its_end(ask, model):
    totals = [
        total(step(ask, model, 1, 10, start=True)),
        total(step(ask, model, 2, 10)),
        total(step(ask, model, 3, 10, end=True)),
    ]

    assert totals == [1, 3, 6]


@pytest.mark.parametrize("model", MODELS)
def test_sequences_do_not_mix(ask, model):
    step(ask, model, 1, 20, start=True)
    step(ask, model, 100, 21, start=True)

    assert total(step(ask, model, 2, 20, end=True)) == 3
    assert total(step(ask, model, 200, 21, end=True)) == 300


def test_control_inputs_tell_of_start_end_and_sequence(ask):
    first = controls(step(ask, "sequence", 1, 30, start=True))
    middle = controls(step(ask, "sequence", 1, 30))
    last = controls(step(ask, "sequence", 1, 30, end=True))

    assert first == {
        "START": [1, "int32", [1, 1]],
        "END": [0.0, "float32", [1, 1]],
        "READY": [True, "bool", [1, 1]],
        "CORRID": [30, "uint64", [1, 1]],
    }
    assert (middle["START"][0], middle["END"][0]) == (0, 0.0)
    assert (last["START"][0], last["END"][0]) == (0, 1.0)


def test_sequence_may_be_one_request(ask):
    told = controls(step(ask, "sequence", 5, 31, start=True, end=True))

    assert (told["START"][0], told["END"][0]) == (1, 1.0)


def test_sequence_started_again_starts_from_nothing(ask):
    step(ask, "sequence", 5, 32, start=True)

    assert total(step(ask, "sequence", 7, 32, start=True, end=True)) == 7


def test_sequence_may_be_named_by_a_text(ask):
    step(ask, "sequence_named", 1, "run 7", start=True)
    answer = step(ask, "sequence_named", 2, "run 7", end=True)

    assert total(answer) == 3


def test_request_without_a_start_is_refused(ask):
    never_begun = step(ask, "sequence", 1, 9999)
    step(ask, "sequence", 1, 40, start=True, end=True)
    ended = step(ask, "sequence", 1, 40)

    assert never_begun == ask.refusal("INVALID_ARG", "sequence 9999 START first")
    assert ended == ask.refusal("INVALID_ARG", "sequence 40 START first")


@pytest.mark.parametrize("sequence", [None, 0, ""])
def test_request_of_no_sequence_is_refused(ask, sequence):
    assert step(ask, "sequence", 1, sequence, start=True) == ask.refusal(
        "INVALID_ARG", "sequence non-zero non-empty correlation ID"
    )


def test_plain_model_ignores_sequences(ask):
    row = np.zeros((1, 16), np.int32)

    answer = ask(
        "add_sub", {"INPUT0": row, "INPUT1": row}, parameters={"sequence_id": 7}
    )

    assert answer.version == "1"


def test_control_inputs_are_no_inputs_of_the_model(http_call):
    metadata = http_call("GET", "/v2/models/sequence").json

    assert [each["name"] for each in metadata["inputs"]] == ["X"]


def test_control_input_cannot_be_sent(ask):
    x = np.array([[1]], np.int32)

    answer = ask(
        "sequence",
        {"X": x, "START": x},
        parameters={"sequence_id": 50, "sequence_start": True},
    )

    assert answer == ask.refusal("INVALID_ARG", "expected 1 got 2 sequence START X")
