"""ModelStreamInfer, and models with any number of responses."""

import grpc
import numpy as np
import pytest

ROW = np.zeros((1, 16), np.int32)
GOOD = {"INPUT0": ROW, "INPUT1": ROW}
FINAL = "triton_final_response"


def how(mode):
    return np.array([mode.encode()], dtype=object)


@pytest.fixture
def stream(stub, grpc_ask):
    """Send requests on one stream, as (model, inputs, fields); all its responses."""

    def send(*requests):
        messages = [
            grpc_ask.request(model, inputs, **fields)
            for model, inputs, fields in requests
        ]
        return list(stub.ModelStreamInfer(iter(messages), timeout=20))

    return send


@pytest.fixture
def decoupled(stream):
    """Ask for these values; all responses."""

    def ask(*values, mode=None, **fields):
        inputs = {"VALUES": np.array(values, np.int32)}
        if mode is not None:
            inputs["HOW"] = how(mode)
        return stream(("decoupled", inputs, fields))

    return ask


def final(message):
    parameters = message.infer_response.parameters
    return parameters[FINAL].bool_param if FINAL in parameters else None


def value(message):
    (data,) = message.infer_response.raw_output_contents
    return int.from_bytes(data, "little", signed=True)


def test_normal_model_answers_once_and_finally(stream):
    (message,) = stream(("add_sub", GOOD, {"id": "7"}))

    assert message.error_message == ""
    assert message.infer_response.id == "7"
    assert (message.infer_response.model_name, final(message)) == ("add_sub", True)
    assert len(message.infer_response.raw_output_contents) == 2


def test_normal_model_has_no_empty_last_message(stream):
    messages = stream(
        ("add_sub", GOOD, {"parameters": {"triton_enable_empty_final_response": True}})
    )

    assert [final(message) for message in messages] == [True]


def test_answers_of_one_model_come_in_order(stream):
    messages = stream(*[("add_sub", GOOD, {"id": str(n)}) for n in range(20)])

    assert [m.infer_response.id for m in messages] == [str(n) for n in range(20)]


def test_stream_without_requests_ends(stream):
    assert stream() == []


def test_several_models_may_be_asked_on_one_stream(stream):
    messages = stream(
        ("add_sub", GOOD, {}), ("versions", {"X": np.ones(1, np.int32)}, {})
    )

    assert {m.infer_response.model_name for m in messages} == {"add_sub", "versions"}


@pytest.mark.parametrize("mode", [None, "thread"])
@pytest.mark.parametrize("values", [(5,), (1, 2, 3), tuple(range(20))])
def test_decoupled_model_answers_as_often_as_it_likes(decoupled, mode, values):
    messages = decoupled(*values, mode=mode, id="7")

    assert [value(message) for message in messages] == list(values)
    assert [final(message) for message in messages] == [False] * len(values)
    assert {message.infer_response.id for message in messages} == {"7"}


@pytest.mark.parametrize("mode", [None, "thread"])
def test_decoupled_model_may_not_answer_at_all(decoupled, mode):
    assert decoupled(mode=mode) == []


def test_last_response_may_be_the_final_one(decoupled):
    messages = decoupled(1, 2, mode="final")

    assert [(value(m), final(m)) for m in messages] == [(1, False), (2, True)]


@pytest.mark.parametrize("values", [(), (1, 2)])
def test_empty_final_message_if_asked_for(decoupled, values):
    *messages, last = decoupled(
        *values, id="7", parameters={"triton_enable_empty_final_response": True}
    )

    assert [value(message) for message in messages] == list(values)
    assert final(last) is True
    assert last.error_message == ""
    response = last.infer_response
    assert (response.id, response.model_name) == ("7", "decoupled")
    assert response.model_version == ""
    assert list(response.outputs) == []


def test_decoupled_model_goes_on_after_an_error(decoupled):
    messages = decoupled(1, -2, 3, id="7")

    assert [m.error_message for m in messages] == ["", "negative: -2", ""]
    assert messages[1].infer_response.id == "7"
    assert [final(message) for message in messages] == [False, False, False]
    assert [value(messages[0]), value(messages[2])] == [1, 3]


def test_exception_of_a_decoupled_model(decoupled, refused):
    (message,) = decoupled(1, mode="raise", id="7")

    assert message.error_message.startswith(
        "Failed to process the request(s) for model 'decoupled_0', message: "
        "RuntimeError: decoupled"
    )
    assert message.infer_response.id == "7"
    assert final(message) is True


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        ("nowhere", GOOD, "unknown model nowhere"),
        ("add_sub", {"INPUT0": ROW, "INPUT9": ROW}, "unexpected input INPUT9"),
        (
            "add_sub",
            {"INPUT0": ROW.astype(np.float32), "INPUT1": ROW},
            "[request id: 7] INPUT0 FP32 INT32",
        ),
    ],
)
def test_wrong_request_is_an_error_message_and_the_stream_stays(
    stream, refused, model, inputs, words
):
    wrong, good = stream((model, inputs, {"id": "7"}), ("add_sub", GOOD, {"id": "8"}))

    assert (0, wrong.error_message) == refused(0, words)
    assert wrong.infer_response.id == "7"
    assert final(wrong) is None
    assert (good.error_message, good.infer_response.id) == ("", "8")


@pytest.mark.parametrize(
    ("mode", "text"),
    [("plain_error", "plain"), ("error:NOT_FOUND", "told to: NOT_FOUND")],
)
def test_error_of_a_normal_model_is_its_final_response(stream, mode, text):
    (message,) = stream(("misbehaving", {"HOW": how(mode)}, {"id": "7"}))

    assert message.error_message == text
    assert message.infer_response.id == "7"
    assert final(message) is True


def test_requested_outputs_filter_on_a_stream_too(stream):
    (message,) = stream(("add_sub", GOOD, {"outputs": ["OUTPUT0"]}))

    assert [each.name for each in message.infer_response.outputs] == ["OUTPUT0"]


def test_responses_arrive_while_the_stream_is_open(stub, grpc_ask):
    import queue

    requests = queue.Queue()
    responses = stub.ModelStreamInfer(iter(requests.get, None), timeout=20)
    for number in range(3):
        requests.put(grpc_ask.request("add_sub", GOOD, id=str(number)))
        assert next(responses).infer_response.id == str(number)
    requests.put(None)

    assert list(responses) == []


def test_deadline_ends_the_stream(stub, grpc_ask, tmp_path):
    file = np.array([str(tmp_path / "gate")], dtype=object)
    requests = iter([grpc_ask.request("gate", {"FILE": file})])

    with pytest.raises(grpc.RpcError) as error:
        list(stub.ModelStreamInfer(requests, timeout=0.3))

    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_sequence_on_a_stream(stream):
    requests = [
        (
            "sequence",
            {"X": np.array([[n]], np.int32)},
            {
                "parameters": {
                    "sequence_id": 70,
                    "sequence_start": n == 1,
                    "sequence_end": n == 3,
                },
                "outputs": ["SUM"],
            },
        )
        for n in (1, 2, 3)
    ]

    assert [value(message) for message in stream(*requests)] == [1, 3, 6]


def test_refused_sequence_on_a_stream(stream, refused):
    (message,) = stream(("sequence", {"X": np.array([[1]], np.int32)}, {"id": "7"}))

    assert (0, message.error_message) == refused(0, "sequence correlation ID")
