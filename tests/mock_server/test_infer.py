import ml_dtypes
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tritonclient.grpc import InferRequestedOutput

from mock_server import Model, TensorSpec

ARRAYS = {
    "BOOL": np.array([True, False]),
    "UINT8": np.array([0, 255], dtype=np.uint8),
    "UINT16": np.array([0, 65535], dtype=np.uint16),
    "UINT32": np.array([0, 2**32 - 1], dtype=np.uint32),
    "UINT64": np.array([0, 2**64 - 1], dtype=np.uint64),
    "INT8": np.array([-128, 127], dtype=np.int8),
    "INT16": np.array([-(2**15), 2**15 - 1], dtype=np.int16),
    "INT32": np.array([-(2**31), 2**31 - 1], dtype=np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1], dtype=np.int64),
    "FP16": np.array([1.5, -np.inf], dtype=np.float16),
    "BF16": np.array([1.5, -np.inf], dtype=ml_dtypes.bfloat16),
    "FP32": np.array([1.5, np.nan], dtype=np.float32),
    "FP64": np.array([1.5, 1e300]),
    "BYTES": np.array([b"", b"\0\xff"], dtype=object),
}


def echo(datatype, shape=(-1,)):
    return Model(
        name="echo",
        inputs=[TensorSpec("X", datatype, shape)],
        outputs=[TensorSpec("Y", datatype, shape)],
        function=lambda tensors: {"Y": tensors["X"]},
    )


def answering(*names, **answer):
    """Model whose answer is given, whatever it is asked."""
    return Model(
        name="answering",
        inputs=[TensorSpec("X", "FP32", (-1, 3))],
        outputs=[TensorSpec(name, "FP32", (-1,)) for name in names],
        function=lambda tensors: answer,
    )


@pytest.mark.parametrize(("datatype", "array"), ARRAYS.items(), ids=ARRAYS)
def test_values_of_every_datatype_survive_the_way_there_and_back(
    serve, connect, tensor, datatype, array
):
    result = connect(serve(echo(datatype))).infer("echo", [tensor("X", array)])

    assert result.get_output("Y").datatype == datatype
    assert_array_equal(result.as_numpy("Y"), array)


@pytest.mark.parametrize(("datatype", "array"), ARRAYS.items(), ids=ARRAYS)
def test_empty_tensor_is_an_input_like_any_other(
    serve, connect, tensor, datatype, array
):
    empty = np.empty((0, 3), dtype=array.dtype)

    client = connect(serve(echo(datatype, (-1, 3))))
    result = client.infer("echo", [tensor("X", empty)])

    assert result.as_numpy("Y").shape == (0, 3)


def test_outputs_come_in_the_order_of_the_answer_less_those_not_asked_for(
    serve, connect, tensor
):
    one = np.ones(1, np.float32)
    client = connect(serve(answering("A", "B", "C", C=one, B=one, A=one)))
    x = tensor("X", np.ones((1, 3), np.float32))

    everything = client.infer("answering", [x]).get_response()
    wanted = [InferRequestedOutput(name) for name in ("A", "C", "A")]
    some = client.infer("answering", [x], outputs=wanted).get_response()

    assert [output.name for output in everything.outputs] == ["C", "B", "A"]
    assert [output.name for output in some.outputs] == ["C", "A"]
    assert len(some.raw_output_contents) == 2


def test_answer_other_than_declared_is_passed_on_as_it_is(serve, connect, tensor):
    answer = {"B": np.zeros((2, 2), np.int8), "UNDECLARED": np.zeros(1)}
    client = connect(serve(answering("A", "B", **answer)))

    response = client.infer(
        "answering", [tensor("X", np.ones((1, 3), np.float32))]
    ).get_response()

    (output,) = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("B", "INT8", [2, 2])


def test_float32_answer_of_a_bfloat16_output_is_rounded(serve, connect, tensor):
    model = Model(
        name="m",
        inputs=[TensorSpec("X", "FP32", (-1,))],
        outputs=[TensorSpec("Y", "BF16", (-1,))],
        function=lambda tensors: {"Y": tensors["X"]},
    )

    result = connect(serve(model)).infer(
        "m", [tensor("X", np.array([1.0 + 2**-9], np.float32))]
    )

    assert result.as_numpy("Y") == 1.0


def test_decorated_function_is_served_and_stays_a_function(serve, connect, tensor):
    server = serve()

    @server.model(
        inputs=[TensorSpec("X", "FP32", (-1,))],
        outputs=[TensorSpec("Y", "FP32", (-1,))],
        parameters={"scale": "3"},
    )
    def triple(tensors):
        return {"Y": 3 * tensors["X"]}

    client = connect(server)
    result = client.infer("triple", [tensor("X", np.ones(2, np.float32))])

    assert_array_equal(result.as_numpy("Y"), [3, 3])
    assert_array_equal(triple({"X": np.ones(1)})["Y"], [3])
    config = client.get_model_config("triple").config
    assert config.parameters["scale"].string_value == "3"
