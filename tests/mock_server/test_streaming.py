import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from mock_server import Model, TensorSpec
from mock_server.model.batching import DynamicBatching

WAIT_S = 10.0


def model(name, function, **options):
    return Model(
        name=name,
        inputs=[TensorSpec("X", "FP32", (-1,))],
        outputs=[TensorSpec("Y", "FP32", (-1,))],
        function=function,
        **options,
    )


def identity(tensors):
    return {"Y": tensors["X"]}


def request(name, value=1.0, request_id="", **parameters):
    message = service_pb2.ModelInferRequest(model_name=name, id=request_id)
    message.inputs.add(name="X", datatype="FP32", shape=[1])
    message.raw_input_contents.append(np.float32(value).tobytes())
    for key, flag in parameters.items():
        message.parameters[key].bool_param = flag
    return message


def told(message):
    """Id, values or error, and the final flag, of one message of a stream."""
    answer = message.infer_response
    values = [np.frombuffer(raw, "<f4").tolist() for raw in answer.raw_output_contents]
    flag = answer.parameters.get("triton_final_response")
    is_final = None if flag is None else flag.bool_param
    return answer.id, message.error_message or values, is_final


@pytest.fixture
def stream(serve, stub_of):
    """What a stream of these requests to a server of these models is answered."""

    def ask(models, *requests):
        stub = stub_of(serve(*models))
        answers = stub.ModelStreamInfer(iter(requests), timeout=WAIT_S)
        return [told(message) for message in answers]

    return ask


def count(tensors):
    for number in range(int(tensors["X"][0])):
        yield {"Y": np.array([number], np.float32)}


def test_answers_keep_the_order_of_their_requests_over_all_models(stream):
    fast_is_done = threading.Event()

    def slow(tensors):
        assert fast_is_done.wait(WAIT_S)
        return identity(tensors)

    def fast(tensors):
        fast_is_done.set()
        return identity(tensors)

    answers = stream(
        [model("slow", slow), model("fast", fast)],
        request("slow", request_id="a"),
        request("fast", request_id="b"),
        request("unknown", request_id="c"),
    )

    assert [answer[0] for answer in answers] == ["a", "b", "c"]
    assert answers[2][1] == "Request for unknown model: 'unknown' is not found"


def test_decoupled_model_answers_as_often_as_it_likes(stream):
    answers = stream([model("m", count, is_decoupled=True)], request("m", 3, "a"))

    assert answers == [("a", [[float(n)]], False) for n in range(3)]


def test_decoupled_answers_do_not_wait_for_slower_requests(serve, stub_of):
    release = threading.Event()

    def slow(tensors):
        assert release.wait(WAIT_S)
        return identity(tensors)

    models = [model("slow", slow), model("quick", count, is_decoupled=True)]
    requests = [request("slow", request_id="a"), request("quick", 1, "b")]
    answers = stub_of(serve(*models)).ModelStreamInfer(iter(requests), timeout=WAIT_S)

    assert told(next(answers))[0] == "b"
    release.set()
    assert [told(message)[0] for message in answers] == ["a"]


def test_exception_of_a_model_is_its_requests_last_answer(stream):
    def crash(tensors):
        raise RuntimeError("boom")

    ((request_id, text, is_final),) = stream(
        [model("m", crash)], request("m", request_id="a")
    )

    assert (request_id, is_final) == ("a", True)
    assert text.startswith("Failed to process the request(s) for model 'm_0_0', ")


@pytest.mark.parametrize("is_streamed", [True, False], ids=["stream", "unary"])
def test_running_model_sees_that_its_client_has_left(serve, stub_of, is_streamed):
    started, seen = threading.Event(), threading.Event()

    def watch(tensors, inference):
        inference.cancellation.when_cancelled(seen.set)
        started.set()
        assert seen.wait(WAIT_S)
        return identity(tensors)

    stub = stub_of(serve(model("m", watch)))
    if is_streamed:
        call = stub.ModelStreamInfer(iter([request("m")]))
    else:
        call = stub.ModelInfer.future(request("m"))
    assert started.wait(WAIT_S)

    call.cancel()

    assert seen.wait(WAIT_S)


def test_request_cancelled_in_the_queue_of_a_batching_model_is_not_run(serve, stub_of):
    started, release, probed, cancelled = (threading.Event() for _ in range(4))
    ran = []

    def hold(tensors):
        ran.append(tensors["X"][0, 0])
        started.set()
        assert release.wait(WAIT_S)
        return identity(tensors)

    def ask(value, **options):
        message = request("m", value)
        message.inputs[0].shape[:] = [1, 1]
        return stub.ModelInfer.future(message, **options)

    def watch(tensors, inference):
        inference.cancellation.when_cancelled(cancelled.set)
        probed.set()
        assert cancelled.wait(WAIT_S)
        return identity(tensors)

    holding = model("m", hold, max_batch_size=1, dynamic_batching=DynamicBatching())
    stub = stub_of(serve(holding, model("probe", watch)))
    running = ask(1)
    assert started.wait(WAIT_S)
    waiting = ask(2, timeout=0.05)
    assert waiting.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # A later call on the same connection was cancelled: so was the earlier one.
    probe = stub.ModelInfer.future(request("probe"))
    assert probed.wait(WAIT_S)
    probe.cancel()
    assert cancelled.wait(WAIT_S)
    release.set()
    running.result(WAIT_S)

    ask(3).result(WAIT_S)

    assert ran == [1, 3]


def test_function_may_ask_for_the_request_itself(serve, stub_of):
    def look(tensors, inference):
        return {"Y": np.float32([inference.parameters["scale"]]), "unknown": 1}

    message = request("m", request_id="a")
    message.parameters["scale"].int64_param = 3

    response = stub_of(serve(model("m", look))).ModelInfer(message)

    assert response.raw_output_contents[0] == np.float32(3).tobytes()


def test_stream_leaves_no_thread_behind(serve, stub_of):
    stub = stub_of(serve(model("m", identity)))
    list(stub.ModelStreamInfer(iter([request("m")])))
    before = {thread for thread in threading.enumerate() if thread.name != "MainThread"}

    for _ in range(5):
        list(stub.ModelStreamInfer(iter([request("m")])))

    names = {t.name for t in set(threading.enumerate()) - before}
    assert "mock-server-stream" not in names
