"""Parameters of a request: which reach the model, and which are the server's own."""

import json

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

X = {"X": np.ones(1, np.int32)}


def facts(answer):
    (text,) = answer.texts("FACTS")
    return json.loads(text)


def with_parameter(grpc_ask, key, **value):
    request = grpc_ask.request("request_facts", X)
    request.parameters[key].CopyFrom(service_pb2.InferParameter(**value))
    return grpc_ask.send(request)


@pytest.mark.parametrize(
    ("value", "read"),
    [(True, True), (7, 7), (-(2**40), -(2**40)), ("text", "text"), ("", "")],
)
def test_parameters_reach_the_model(ask, value, read):
    answer = ask("request_facts", X, parameters={"key": value})

    assert facts(answer)["parameters"]["key"] == read


def test_fraction_reaches_the_model(grpc_ask):
    answer = with_parameter(grpc_ask, "key", double_param=0.5)

    assert facts(answer)["parameters"] == {"key": 0.5}


def test_model_learns_id_outputs_and_inputs(ask):
    told = facts(ask("request_facts", X, id="seven", outputs=["FACTS"]))

    assert told["id"] == "seven"
    assert told["requested"] == ["FACTS"]
    assert told["inputs"] == [["X", [1], "int32"]]
    assert told["cancelled"] is False


def test_model_learns_the_outputs_it_may_be_asked_for(grpc_ask):
    assert facts(grpc_ask("request_facts", X))["requested"] == ["FACTS"]


def test_scheduling_parameters_do_not_reach_the_model_as_such(grpc_ask):
    answer = grpc_ask(
        "request_facts",
        X,
        parameters={
            "priority": 1,
            "timeout": 5_000_000,
            "sequence_id": 7,
            "sequence_start": True,
            "sequence_end": True,
            "own": 1,
        },
    )

    told = facts(answer)
    assert told["parameters"] == {"own": 1}
    assert told["timeout"] == 5_000_000
    assert told["correlation_id"] == 7
    assert told["flags"] == 3  # START | END


def test_sequence_id_may_be_a_text(ask):
    answer = ask("request_facts", X, parameters={"sequence_id": "run 7"})

    assert facts(answer)["correlation_id"] == "run 7"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("key", {"uint64_param": 1}, "key expected int64_param bool_param"),
        ("key", {}, "key expected int64_param bool_param"),
        ("sequence_start", {"int64_param": 1}, "sequence_start expected bool_param"),
        ("sequence_end", {"string_param": "x"}, "sequence_end expected bool_param"),
        ("sequence_id", {"bool_param": True}, "sequence_id int64_param string_param"),
        ("priority", {"string_param": "x"}, "priority int64_param uint64_param"),
        ("timeout", {"string_param": "x"}, "timeout expected int64_param"),
        (
            "triton_enable_empty_final_response",
            {"int64_param": 1},
            "triton_enable_empty_final_response expected bool_param",
        ),
        ("triton_key", {"int64_param": 1}, "triton_ reserved"),
    ],
)
def test_parameter_of_another_type_or_a_reserved_name(grpc_ask, key, value, words):
    assert with_parameter(grpc_ask, key, **value) == grpc_ask.refusal(
        "INVALID_ARG", words
    )


def test_priority_may_be_unsigned(grpc_ask):
    answer = with_parameter(grpc_ask, "priority", uint64_param=1)

    assert facts(answer)["parameters"] == {}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("triton_key", 1, "triton_ reserved"),
        ("key", {"a": 1}, "key invalid type"),
        ("key", [1], "key invalid type"),
        ("key", None, "key invalid type"),
    ],
)
def test_parameter_over_http_that_is_refused(http_ask, key, value, words):
    answer = http_ask("request_facts", X, parameters={key: value})

    assert answer == http_ask.refusal("INVALID_ARG", words)


def test_fraction_reaches_the_model_over_http(http_ask):
    answer = http_ask("request_facts", X, parameters={"key": 0.5})

    assert facts(answer)["parameters"]["key"] == 0.5


def test_headers_do_not_reach_the_model(stub, grpc_ask):
    request = grpc_ask.request("request_facts", X)

    response = stub.ModelInfer(request, metadata=[("x-own", "1")])

    assert facts(grpc_ask.answer(response))["parameters"] == {}
