"""The generate extension over HTTP: plain JSON objects in and out."""

import json

import pytest


def test_keys_are_inputs_and_outputs(http_json):
    answer = http_json("/v2/models/versions/generate", {"X": 1})

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "model_name": "versions",
        "model_version": "3",
        "VERSION": "3",
    }


def test_other_keys_are_parameters(http_json):
    answer = http_json(
        "/v2/models/request_facts/generate",
        {"X": 1, "key": "value", "number": 7, "id": "9", "flag": True},
    )

    facts = json.loads(answer.json["FACTS"])
    assert facts["parameters"] == {
        "key": "value",
        "number": 7,
        "id": "9",
        "flag": True,
    }
    assert facts["id"] == "9"


def test_several_elements_come_as_a_list(http_json):
    answer = http_json("/v2/models/types/generate", {"X_FP32": [1, 2.5]})

    assert answer.json == {
        "model_name": "types",
        "model_version": "1",
        "Y_FP32": [1.0, 2.5],
    }


def test_version_in_the_path(http_json):
    answer = http_json("/v2/models/versions/versions/1/generate", {"X": 1})

    assert answer.json["VERSION"] == "1"


def test_one_response_of_a_decoupled_model(http_json):
    answer = http_json("/v2/models/decoupled/generate", {"VALUES": [5]})

    assert (answer.status, answer.json["VALUE"]) == (200, 5)


def test_several_responses_do_not_fit(http_json):
    answer = http_json("/v2/models/decoupled/generate", {"VALUES": [5, 6]})

    assert answer.error == (
        200,
        "generate expects model to produce exactly 1 response, use generate stream for "
        "model that generates various number of responses",
    )


@pytest.mark.parametrize("values", [[5], [5, 6, 7]])
def test_stream_of_events(http_json, values):
    answer = http_json("/v2/models/decoupled/generate_stream", {"VALUES": values})

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.body.decode() == "".join(
        f'data: {{"VALUE":{value},"model_name":"decoupled","model_version":"1"}}\n\n'
        for value in values
    )


def test_error_in_a_stream_of_events(http_json):
    answer = http_json("/v2/models/decoupled/generate_stream", {"VALUES": [5, -1, 7]})

    assert answer.body.decode().split("\n\n") == [
        'data: {"VALUE":5,"model_name":"decoupled","model_version":"1"}',
        'data: {"error":"negative: -1"}',
        'data: {"VALUE":7,"model_name":"decoupled","model_version":"1"}',
        "",
    ]


def test_generate_of_an_unknown_model(http_json):
    answer = http_json("/v2/models/nowhere/generate", {"X": 1})

    assert answer.error == (404, "Request for unknown model: 'nowhere' is not found")


def test_generate_without_an_input(http_json):
    answer = http_json("/v2/models/versions/generate", {})

    assert answer.error == (
        400,
        "[request id: <id_unknown>] expected 1 inputs but got 0 inputs for model "
        "'versions'. Got input(s) [], but missing required input(s) ['X']. Please "
        "provide all required input(s).",
    )


def test_generate_of_no_json(http_json):
    assert http_json("/v2/models/versions/generate", "{").error == (
        500,
        "failed to parse the request JSON buffer: Missing a name for object member. at "
        "1",
    )


def test_error_of_the_model_in_generate(http_json):
    answer = http_json("/v2/models/misbehaving/generate", {"HOW": "plain_error"})

    assert answer.error == (400, "plain")


def test_object_is_no_input(http_json):
    answer = http_json("/v2/models/versions/generate", {"X": {"a": 1}})

    assert answer.error == (
        500,
        "Unable to parse 'data': attempt to access JSON non-signed-integer as "
        "signed-integer",
    )
