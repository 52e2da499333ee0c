from queue import SimpleQueue

import grpc
import numpy as np

from mock_server import Model, TensorSpec
from mock_server.core.loaded_model import LoadedModel
from mock_server.model.batching import DynamicBatching
from mock_server.wire.codec import RawTensor
from mock_server.wire.inference import FailureReason, InferenceRequest


def model(function, name="m", **options):
    return Model(
        name=name,
        inputs=[TensorSpec("X", "FP32", (-1,))],
        outputs=[TensorSpec("Y", "FP32", (-1,))],
        function=function,
        **options,
    )


def identity(tensors):
    return {"Y": tensors["X"]}


def statistics(client, name="m", version=""):
    return client.get_inference_statistics(name, version).model_stats[0]


def counts(row):
    stats = row.inference_stats
    return {
        "inferences": row.inference_count,
        "executions": row.execution_count,
        "success": stats.success.count,
        "fail": stats.fail.count,
        "queue": stats.queue.count,
        "compute": {
            stats.compute_input.count,
            stats.compute_infer.count,
            stats.compute_output.count,
        },
        "batches": {b.batch_size: b.compute_infer.count for b in row.batch_stats},
    }


def ask(client, tensor, shape=(1,)):
    return client.infer("m", [tensor("X", np.ones(shape, np.float32))])


NOTHING = {
    "inferences": 0,
    "executions": 0,
    "success": 0,
    "fail": 0,
    "queue": 0,
    "compute": {0},
    "batches": {},
}


def test_model_starts_with_all_counters_at_zero(serve, connect):
    row = statistics(connect(serve(model(identity))))

    assert counts(row) == NOTHING
    assert (row.name, row.version, row.last_inference) == ("m", "1", 0)


def test_success_counts_everywhere(serve, connect, tensor):
    client = connect(serve(model(identity)))

    ask(client, tensor)
    ask(client, tensor, shape=(5,))

    row = statistics(client)
    assert counts(row) == {
        "inferences": 2,
        "executions": 2,
        "success": 2,
        "fail": 0,
        "queue": 2,
        "compute": {2},
        "batches": {1: 2},
    }
    assert row.last_inference > 1_700_000_000_000  # milliseconds, not seconds
    times = row.inference_stats
    assert times.success.ns == (
        times.queue.ns
        + times.compute_input.ns
        + times.compute_infer.ns
        + times.compute_output.ns
    )


def test_request_nobody_waits_for_is_not_run_and_counts_as_failure():
    batching = DynamicBatching()
    loaded = LoadedModel(model(identity, max_batch_size=1, dynamic_batching=batching))
    x = RawTensor("X", "FP32", (1, 1), bytes(4))
    request = InferenceRequest(model_name="m", inputs=(x,))
    request.cancellation.cancel()

    answers = SimpleQueue()
    loaded.submit(request, lambda response, is_final: answers.put(response))
    response = answers.get()

    loaded.close()
    assert response.error.code is grpc.StatusCode.CANCELLED
    snapshot = loaded.statistics.snapshot()
    assert (snapshot.fail.count, snapshot.execution_count) == (1, 0)
    assert snapshot.failures[FailureReason.CANCELED] == 1
