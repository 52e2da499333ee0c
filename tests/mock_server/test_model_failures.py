import sys

import grpc
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from mock_server import Model, ModelError, TensorSpec


def failing(function, **options):
    return Model(
        name="failing",
        inputs=[TensorSpec("X", "FP32", (-1,))],
        outputs=[TensorSpec("Y", "FP32", (-1,))],
        function=function,
        **options,
    )


def error_of(client, tensor):
    with pytest.raises(InferenceServerException) as error:
        client.infer("failing", [tensor("X", np.ones(1, np.float32))])
    return error.value


def test_exception_becomes_internal_with_the_text_of_the_python_backend(
    serve, connect, tensor, caplog
):
    def divide(tensors):
        raise RuntimeError("no hits")

    error = error_of(connect(serve(failing(divide))), tensor)

    assert error.status() == "StatusCode.INTERNAL"
    assert error.message() == (
        "Failed to process the request(s) for model 'failing_0_0', message: "
        "RuntimeError: no hits"
    )
    assert "in divide" in caplog.text  # the traceback is logged


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, "TypeError: expected a mapping of output names to arrays, found <class"),
        ({"Y": np.zeros(1, complex)}, "TypeError: no KServe datatype for arrays of"),
    ],
    ids=["none", "complex"],
)
def test_answer_that_cannot_be_sent_is_an_exception_of_the_model(
    serve, connect, tensor, answer, text
):
    error = error_of(connect(serve(failing(lambda tensors: answer))), tensor)

    assert error.status() == "StatusCode.INTERNAL"
    assert f"'failing_0_0', message: {text}" in error.message()


def test_model_that_exits_does_not_leave_its_client_waiting(serve, connect, tensor):
    error = error_of(connect(serve(failing(lambda tensors: sys.exit(3)))), tensor)

    assert "message: SystemExit: 3" in error.message()


def test_error_of_the_model_keeps_its_code_and_text(serve, connect, tensor):
    def refuse(tensors):
        raise ModelError(grpc.StatusCode.UNAVAILABLE, "weights still loading")

    error = error_of(connect(serve(failing(refuse))), tensor)

    assert error.status() == "StatusCode.UNAVAILABLE"
    assert error.message() == "weights still loading"


def test_model_answers_again_after_it_failed(serve, connect, tensor):
    calls = []

    def fail_once(tensors):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("once")
        return {"Y": tensors["X"]}

    client = connect(serve(failing(fail_once)))
    error_of(client, tensor)

    assert client.infer("failing", [tensor("X", np.ones(1, np.float32))])


def test_model_error_reads_as_code_and_text():
    error = ModelError(grpc.StatusCode.NOT_FOUND, "no weights")

    assert str(error) == "NOT_FOUND: no weights"
    with pytest.raises(ValueError, match="other than OK"):
        ModelError(grpc.StatusCode.OK, "fine")
