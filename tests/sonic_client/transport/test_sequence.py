"""Sequences: which call is the first and the last, and how it is written."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from sonic_client import ModelMetadata, TensorSpec
from sonic_client.transport import InferCall, SequenceStep
from sonic_client.transport.fake import FakeTransport
from sonic_client.transport.grpc_messages import encode_call
from sonic_client.transport.http_messages import encode_body
from sonic_client.transport.sequence import infer_sequence, sequence_calls

X = TensorSpec("X", "FP32", (-1,))
METADATA = ModelMetadata(name="m", version="1", platform="", inputs=(X,), outputs=(X,))


def calls(n_calls):
    for number in range(n_calls):
        yield InferCall(
            model_name="m",
            model_version="",
            request_id=str(number),
            inputs={"X": np.zeros(1, np.float32)},
        )


@given(st.integers(0, 5))
def test_the_first_and_the_last_call_are_marked(n_calls):
    steps = [call.sequence for call in sequence_calls(calls(n_calls), 7)]

    assert [step.is_start for step in steps] == [n == 0 for n in range(n_calls)]
    assert [step.is_end for step in steps] == [n == n_calls - 1 for n in range(n_calls)]
    assert {step.sequence_id for step in steps} <= {7}


async def test_each_call_waits_for_the_one_before():
    in_flight = []

    async def respond(call):
        in_flight.append(call.request_id)
        assert len(in_flight) == 1
        in_flight.clear()
        return {"X": call.inputs["X"]}

    transport = FakeTransport(METADATA, respond)
    replies = [
        reply
        async for reply in infer_sequence(
            transport, calls(3), sequence_id="s", timeout_s=1.0
        )
    ]

    assert len(replies) == 3
    assert [call.request_id for call in transport.calls] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("sequence_id", "field"), [(7, "int64_param"), ("seven", "string_param")]
)
def test_a_step_is_written_as_parameters(sequence_id, field):
    step = SequenceStep(sequence_id=sequence_id, is_start=True)
    call = InferCall(
        model_name="m",
        model_version="",
        request_id="",
        inputs={},
        parameters={"cut": 0.5},
        sequence=step,
    )

    message = service_pb2.ModelInferRequest.FromString(b"".join(encode_call(call)))
    length, parts = encode_body(call)

    assert getattr(message.parameters["sequence_id"], field) == sequence_id
    assert message.parameters["sequence_start"].bool_param is True
    assert message.parameters["sequence_end"].bool_param is False
    assert message.parameters["cut"].double_param == 0.5
    assert json.loads(parts[0])["parameters"] == {
        "binary_data_output": True,
        "cut": 0.5,
        "sequence_id": sequence_id,
        "sequence_start": True,
        "sequence_end": False,
    }
    assert length == len(parts[0])
