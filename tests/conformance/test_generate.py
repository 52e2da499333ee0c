"""The generate extension over HTTP: plain JSON objects in and out."""

import json

import pytest

VERSION = {"model_name": "versions", "model_version": "3", "VERSION": "3"}


@pytest.fixture
def generate(http_json):
    def post(model, value, what="generate"):
        return http_json(f"/v2/models/{model}/{what}", value)

    return post


@pytest.fixture
def events(generate):
    """Events of a decoupled model, as JSON values."""

    def read(value):
        answer = generate("decoupled", value, "generate_stream")
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        *found, end = answer.body.decode().split("\n\n")
        assert end == ""
        return [json.loads(event.removeprefix("data: ")) for event in found]

    return read


@pytest.mark.parametrize(
    ("model", "value", "answer"),
    [
        ("versions", {"X": 1}, VERSION),
        ("versions", {"X": 1, "id": "seven"}, {**VERSION, "id": "seven"}),
        ("versions", {"parameters": {"X": 1}}, VERSION),
        (
            "versions/versions/1",
            {"X": 1},
            {"model_name": "versions", "model_version": "1", "VERSION": "1"},
        ),
        (
            "types",
            {"X_FP32": [1, 2.5]},
            {"model_name": "types", "model_version": "1", "Y_FP32": [1.0, 2.5]},
        ),
        (
            "decoupled",
            {"VALUES": [5]},
            {"model_name": "decoupled", "model_version": "1", "VALUE": 5},
        ),
    ],
)
def test_keys_are_inputs_and_outputs(generate, model, value, answer):
    got = generate(model, value)

    assert (got.status, got.json) == (200, answer)
    assert got.headers["content-type"] == "application/json"


def test_other_keys_are_parameters(generate):
    value = {"X": 1, "key": "value", "n": 7, "id": "9", "parameters": {"flag": True}}

    facts = json.loads(generate("request_facts", value).json["FACTS"])

    assert facts["parameters"] == {"key": "value", "n": 7, "id": "9", "flag": True}
    assert facts["id"] == "9"


def test_of_a_parameter_given_twice_the_first_counts(generate):
    answer = generate("request_facts", '{"X": 1, "key": 2, "key": 3}')

    assert json.loads(answer.json["FACTS"])["parameters"] == {"key": 2}


def test_several_responses_do_not_fit(generate, refused):
    answer = generate("decoupled", {"VALUES": [5, 6]})

    assert answer.error == refused(200, "exactly 1 response generate stream")


@pytest.mark.parametrize("values", [[5], [5, 6, 7]])
def test_stream_of_events(events, values):
    assert events({"VALUES": values, "id": "x"}) == [
        {"VALUE": value, "id": "x", "model_name": "decoupled", "model_version": "1"}
        for value in values
    ]


def test_error_in_a_stream_of_events(events):
    first, error, last = events({"VALUES": [5, -1, 7]})

    assert (first["VALUE"], last["VALUE"]) == (5, 7)
    assert error == {"error": "negative: -1"}


@pytest.mark.parametrize("what", ["generate", "generate_stream"])
@pytest.mark.parametrize(
    ("model", "body", "status", "words"),
    [
        ("nowhere", {"X": 1}, 404, "unknown model nowhere"),
        ("versions", {}, 400, "expected 1 got 0 versions X"),
        ("versions", "{", 500, "failed to parse JSON"),
        ("versions", "[1]", 500, "members non-object"),
        ("versions", {"X": {"a": 1}}, 500, "non-signed-integer"),
        ("versions", {"X": 1, "parameters": 1}, 500, "object parameters"),
        ("versions", {"X": 1, "parameters": [1]}, 500, "object parameters"),
        ("versions", {"X": 1, "id": 7}, 500, "id non-string"),
        ("versions", '{"X": 1, "X": 2}', 400, "X already exists"),
        ("versions", {"X": 1, "parameters": {"X": 2}}, 400, "X already exists"),
    ],
)
def test_wrong_request(generate, refused, what, model, body, status, words):
    assert generate(model, body, what).error == refused(status, words)


def test_error_of_the_model(generate, refused):
    answer = generate("misbehaving", {"HOW": "plain_error"})

    assert answer.error == refused(400, "plain")
