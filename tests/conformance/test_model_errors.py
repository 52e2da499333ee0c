"""Answers and failures of models, as the client sees them."""

import numpy as np
import pytest


def how(mode):
    return {"HOW": np.array([mode.encode()], dtype=object)}


@pytest.mark.parametrize(
    "code",
    [
        "UNKNOWN",
        "INTERNAL",
        "NOT_FOUND",
        "INVALID_ARG",
        "UNAVAILABLE",
        "UNSUPPORTED",
        "ALREADY_EXISTS",
        "CANCELLED",
    ],
)
def test_error_of_the_model_keeps_its_code_and_text(ask, code):
    assert ask("misbehaving", how(f"error:{code}")) == ask.refusal(
        code, f"told to: {code}"
    )


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("plain_error", "plain"),
        ("outputs_and_error", "with outputs"),
        ("exception:no hits", "misbehaving_0 RuntimeError: no hits"),
        ("exception:", "misbehaving_0 RuntimeError:"),
        ("key_error:k", "misbehaving_0 KeyError: 'k'"),
        ("nowhere", "misbehaving_0 AttributeError: TritonPythonModel nowhere"),
        ("model_exception:told to", "misbehaving_0 TritonModelException: told to"),
        ("no_response", "misbehaving_0 InferenceResponse not match size 1 0"),
        ("two_responses", "misbehaving_0 InferenceResponse not match size 1 2"),
        ("number", "misbehaving_0 expected InferenceResponse found int"),
        ("not_a_list", "misbehaving_0 expected list found int"),
    ],
)
def test_failure_of_the_model_is_internal(ask, mode, words):
    assert ask("misbehaving", how(mode)) == ask.refusal("INTERNAL", words)


def outputs(answer):
    return [(t.name, t.datatype, tuple(t.shape)) for t in answer.outputs]


@pytest.mark.parametrize(
    ("mode", "returned"),
    [
        ("well", [("A", "FP32", (2,)), ("B", "FP32", (2,))]),
        ("missing", [("B", "FP32", (2,))]),
        ("undeclared", [("A", "FP32", (2,))]),
        ("other_type", [("A", "INT64", (2,))]),
        ("other_shape", [("A", "FP32", (1, 2, 1))]),
        ("no_tensor", []),
    ],
)
def test_answer_other_than_declared_is_passed_on(ask, mode, returned):
    assert outputs(ask("misbehaving", how(mode))) == returned


def test_output_returned_twice_is_sent_twice(ask):
    answer = ask("misbehaving", how("twice"))

    first, second = answer.outputs
    assert (first.name, second.name) == ("A", "A")
    assert np.frombuffer(first.data + second.data, "<f4").tolist() == [1, 2, 2, 4]


def test_output_asked_for_but_not_returned_is_silently_missing(ask):
    answer = ask("misbehaving", how("missing"), outputs=["A", "B"])

    assert outputs(answer) == [("B", "FP32", (2,))]


def test_output_not_a_number_is_passed_on(ask):
    answer = ask("misbehaving", how("not_a_number"))

    assert answer.tensor("A").data == np.array([np.nan, -np.inf], "<f4").tobytes()


def test_array_with_gaps_is_packed(ask):
    assert ask("misbehaving", how("strided")).values("A", "<f4") == [0.0, 2.0]


def test_model_answers_again_after_any_failure(ask):
    for mode in ("exception:x", "no_response", "number"):
        ask("misbehaving", how(mode))

    assert outputs(ask("misbehaving", how("well")))
