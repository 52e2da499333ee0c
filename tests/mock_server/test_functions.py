import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mock_server import Model, ModelError, TensorSpec
from mock_server.core.loaded_model import LoadedModel
from mock_server.model.batching import DynamicBatching
from mock_server.model.functions import split_rows, takes_request
from mock_server.wire.codec import RawTensor
from mock_server.wire.inference import InferenceRequest

WAIT_S = 10.0


def request(*values):
    array = np.array(values, np.float32)[:, None]
    return InferenceRequest(
        model_name="m",
        inputs=(RawTensor("X", "FP32", array.shape, array.tobytes()),),
    )


def answer_of(loaded, request):
    answers = SimpleQueue()
    loaded.submit(request, lambda response, is_final: answers.put(response))
    return answers.get(timeout=WAIT_S)


@pytest.fixture
def joining():
    """Asks a model, which joins requests, for several at once: first one, then some."""
    loaded = []

    def ask(function, first, *others):
        started, release = threading.Event(), threading.Event()

        def held(tensors):
            started.set()
            assert release.wait(WAIT_S)
            return function(tensors)

        model = Model(
            name="m",
            inputs=[TensorSpec("X", "FP32", (1,))],
            outputs=[TensorSpec("Y", "FP32", (1,))],
            function=held,
            max_batch_size=8,
            dynamic_batching=DynamicBatching(),
        )
        loaded.append(LoadedModel(model))
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(answer_of, loaded[-1], first)]
            assert started.wait(WAIT_S)
            for other in others:
                futures.append(pool.submit(answer_of, loaded[-1], other))
                while loaded[-1].pending < len(futures) - 1:
                    pass
            release.set()
            return loaded[-1], [future.result(WAIT_S) for future in futures]

    yield ask
    for each in loaded:
        each.close()


def values(response):
    (output,) = response.outputs
    return np.frombuffer(output.data, "<f4").tolist()


def test_joined_requests_each_get_their_own_rows(joining):
    model, responses = joining(
        lambda tensors: {"Y": 10 * tensors["X"]}, request(0), request(1), request(2, 3)
    )

    assert [values(response) for response in responses] == [[0], [10], [20, 30]]
    counted = model.statistics.snapshot()
    assert (counted.execution_count, counted.inference_count) == (2, 4)
    assert [size for size, _ in counted.batches] == [1, 3]
    assert counted.success.count == 3


def test_error_of_a_joined_batch_is_the_error_of_all_its_requests(joining):
    def refuse(tensors):
        raise ModelError(grpc.StatusCode.UNAVAILABLE, "not now")

    _, responses = joining(refuse, request(0), request(1), request(2))

    assert [response.error.message for response in responses] == ["not now"] * 3


def test_joined_answer_of_another_length_fails(joining):
    _, responses = joining(
        lambda tensors: {"Y": tensors["X"][:1]}, request(0), request(1), request(2)
    )

    assert values(responses[0]) == [0]
    for response in responses[1:]:
        assert "expected 2 rows, as the inputs have, got 1" in response.error.message


def test_rows_are_split_where_the_requests_end():
    array = np.arange(6).reshape(3, 2)

    first, second, third = split_rows({"Y": array}, [1, 0, 2])

    assert_array_equal(first["Y"], [[0, 1]])
    assert second["Y"].shape == (0, 2)
    assert_array_equal(third["Y"], [[2, 3], [4, 5]])


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda tensors: {}, False),
        (lambda tensors, request: {}, True),
        (lambda tensors, scale=1.0: {}, False),
        (dict, False),
    ],
    ids=["one", "two", "default", "built-in"],
)
def test_second_argument_asks_for_the_request(function, takes):
    assert takes_request(function) is takes
