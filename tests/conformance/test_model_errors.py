"""Answers and failures of models, as the client sees them."""

import numpy as np
import pytest


def how(mode):
    return {"HOW": np.array([mode.encode()], dtype=object)}


def failure(text):
    return (
        f"Failed to process the request(s) for model 'misbehaving_0', message: {text}"
    )


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


def test_error_without_a_code_is_internal(ask):
    assert ask("misbehaving", how("plain_error")) == ask.refusal("INTERNAL", "plain")


def test_error_outweighs_outputs(ask):
    answer = ask("misbehaving", how("outputs_and_error"))

    assert answer == ask.refusal("INTERNAL", "with outputs")


def test_error_of_the_model_is_plain_text_over_http(http_call, http_json):
    sent = {
        "inputs": [
            {"name": "HOW", "datatype": "BYTES", "shape": [1], "data": ["plain_error"]}
        ]
    }

    answer = http_json("/v2/models/misbehaving/infer", sent)

    assert answer.headers["content-type"] == "text/plain"
    assert answer.body == b'{"error":"plain"}'


# A real Triton adds the frames of the traceback.
TRACEBACK = "\n\nAt:\n"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("exception:no hits", "RuntimeError: no hits"),
        ("key_error:k", "KeyError: 'k'"),
        (
            "nowhere",
            "AttributeError: 'TritonPythonModel' object has no attribute 'nowhere'",
        ),
        ("model_exception:told to", "TritonModelException: told to"),
    ],
)
def test_exception_is_internal_with_its_type_and_text(ask, mode, kind):
    code, text = ask("misbehaving", how(mode))

    assert code == ask.refusal("INTERNAL", "")[0]
    assert text.partition(TRACEBACK)[0] == failure(kind)


@pytest.mark.parametrize(("mode", "number"), [("no_response", 0), ("two_responses", 2)])
def test_wrong_number_of_responses(ask, mode, number):
    assert ask("misbehaving", how(mode)) == ask.refusal(
        "INTERNAL",
        failure(
            "Number of InferenceResponse objects do not match the number of "
            "InferenceRequest objects. InferenceRequest(s) size is:1, and "
            f"InferenceResponse(s) size is:{number}\n"
        ),
    )


@pytest.mark.parametrize(("mode", "kind"), [("number", "<class 'int'>")])
def test_response_that_is_none(ask, mode, kind):
    assert ask("misbehaving", how(mode)) == ask.refusal(
        "INTERNAL",
        failure(
            "Expected an 'InferenceResponse' object in the execute function return "
            f"list, found type '{kind}'."
        ),
    )


def test_answer_that_is_no_list(ask):
    assert ask("misbehaving", how("not_a_list")) == ask.refusal(
        "INTERNAL",
        failure("Expected a list in the execute return, found type '<class 'int'>'."),
    )


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
