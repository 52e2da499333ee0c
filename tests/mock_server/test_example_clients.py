"""The call patterns of NVIDIA's example clients, and its perf_analyzer.

Patterns: ``src/python/examples`` of triton-inference-server/client, whose names the
tests carry; written anew here.
"""

import asyncio
import os
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from queue import Queue

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as aioclient
import tritonclient.utils.shared_memory as shm
from numpy.testing import assert_array_equal
from tritonclient.utils import InferenceServerException

from mock_server import Model, TensorSpec, profile_of

WAIT_S = 20.0
ROW = np.arange(16, dtype=np.int32).reshape(1, 16)
ONES = np.ones((1, 16), np.int32)


@pytest.fixture
def server(serve):
    """`simple` and `simple_string` of the examples, and a model that repeats."""

    def add_sub(tensors):
        a, b = tensors["INPUT0"], tensors["INPUT1"]
        return {"OUTPUT0": a + b, "OUTPUT1": a - b}

    def add_sub_strings(tensors):
        numbers = {name: array.astype(np.int32) for name, array in tensors.items()}
        answer = add_sub(numbers)
        return {
            name: np.array([str(n).encode() for n in array.ravel()], object).reshape(
                array.shape
            )
            for name, array in answer.items()
        }

    def model(name, datatype, function):
        return Model(
            name,
            [TensorSpec(f"INPUT{i}", datatype, (16,)) for i in (0, 1)],
            [TensorSpec(f"OUTPUT{i}", datatype, (16,)) for i in (0, 1)],
            function,
            max_batch_size=8,
        )

    def repeat(tensors):
        for value in tensors["IN"]:
            yield {"OUT": [value]}

    return serve(
        model("simple", "INT32", add_sub),
        model("simple_string", "BYTES", add_sub_strings),
        Model(
            "repeat_int32",
            [TensorSpec("IN", "INT32", (-1,))],
            [TensorSpec("OUT", "INT32", (1,))],
            repeat,
            is_decoupled=True,
        ),
        http_port=0,
        metrics_port=0,
        profile=replace(profile_of("24.10"), client_shared_memory=True),
    )


@pytest.fixture
def client(connect, server):
    return connect(server)


@pytest.fixture
def inputs(tensor):
    return [tensor("INPUT0", ROW), tensor("INPUT1", ONES)]


def outputs(kind=grpcclient.InferRequestedOutput):
    return [kind("OUTPUT0"), kind("OUTPUT1")]


def check(result):
    assert_array_equal(result.as_numpy("OUTPUT0"), ROW + ONES)
    assert_array_equal(result.as_numpy("OUTPUT1"), ROW - ONES)


def test_simple_grpc_infer_client(client, inputs):
    for compression in (None, "gzip", "deflate"):
        check(
            client.infer(
                "simple",
                inputs,
                outputs=outputs(),
                client_timeout=WAIT_S,
                headers={"test": "1"},
                compression_algorithm=compression,
            )
        )

    (statistics,) = client.get_inference_statistics("simple").model_stats
    assert statistics.inference_stats.success.count == 3
    with pytest.raises(InferenceServerException, match="is not available"):
        client.get_inference_statistics("wrong_model_name")


def test_simple_grpc_async_infer_client(client, inputs):
    answers = Queue()
    for _ in range(5):
        client.async_infer(
            "simple",
            inputs,
            partial(lambda out, result, error: out.put((result, error)), answers),
            outputs=outputs(),
        )

    for _ in range(5):
        result, error = answers.get(timeout=WAIT_S)
        assert error is None
        check(result)


def test_simple_grpc_aio_infer_client(server, inputs):
    async def ask():
        async with aioclient.InferenceServerClient(server.url[7:]) as client:
            return await asyncio.gather(
                *(client.infer("simple", inputs, outputs=outputs()) for _ in range(5))
            )

    for result in asyncio.run(ask()):
        check(result)


def test_simple_grpc_string_infer_client(client, tensor):
    def strings(array):
        flat = [str(number).encode() for number in array.ravel()]
        return np.array(flat, object).reshape(array.shape)

    result = client.infer(
        "simple_string",
        [tensor("INPUT0", strings(ROW)), tensor("INPUT1", strings(ONES))],
    )

    assert_array_equal(result.as_numpy("OUTPUT0").astype(np.int32), ROW + ONES)


def test_simple_grpc_health_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("simple")
    assert client.get_server_metadata().name == "triton"
    assert client.get_model_metadata("simple", headers={"test": "1"}).name == "simple"
    with pytest.raises(
        InferenceServerException, match="Request for unknown model: 'wrong_model_name'"
    ):
        client.get_model_metadata("wrong_model_name")


def test_simple_grpc_custom_repeat(client, tensor):
    answers = Queue()
    values = np.array([4, 2, 0, 1], np.int32)
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer("repeat_int32", [tensor("IN", values)], request_id="0")

    received = []
    for _ in values:
        result, error = answers.get(timeout=WAIT_S)
        assert error is None
        assert result.get_response().id == "0"
        received.append(int(result.as_numpy("OUT")[0]))
    client.stop_stream()

    assert received == values.tolist()


def test_simple_grpc_shm_client(client):
    size = ROW.nbytes
    name = f"mock_{os.getpid()}"
    region = shm.create_shared_memory_region("in", f"/{name}", 4 * size)
    try:
        shm.set_shared_memory_region(region, [ROW, ONES])
        client.register_system_shared_memory("in", f"/{name}", 4 * size)
        given = []
        for number in (0, 1):
            one = grpcclient.InferInput(f"INPUT{number}", [1, 16], "INT32")
            one.set_shared_memory("in", size, offset=number * size)
            given.append(one)
        wanted = outputs()
        for number, each in enumerate(wanted):
            each.set_shared_memory("in", size, offset=(2 + number) * size)

        client.infer("simple", given, outputs=wanted)

        answer = shm.get_contents_as_numpy(region, np.int32, [4, 16])
        assert_array_equal(answer[2:3], ROW + ONES)
        assert_array_equal(answer[3:4], ROW - ONES)
        assert len(client.get_system_shared_memory_status().regions) == 1
        client.unregister_system_shared_memory()
        assert len(client.get_system_shared_memory_status().regions) == 0
        del answer
    finally:
        shm.destroy_shared_memory_region(region)


def test_simple_grpc_keepalive_client(server, inputs):
    options = grpcclient.KeepAliveOptions(
        keepalive_time_ms=2**31 - 1, keepalive_permit_without_calls=False
    )
    client = grpcclient.InferenceServerClient(server.url[7:], keepalive_options=options)

    check(client.infer("simple", inputs))
    client.close()


def test_simple_http_infer_client(server):
    pytest.importorskip("geventhttpclient")  # of tritonclient[http]
    from tritonclient import http

    client = http.InferenceServerClient(server.http_url[7:])
    given = []
    for name, array in (("INPUT0", ROW), ("INPUT1", ONES)):
        one = http.InferInput(name, [1, 16], "INT32")
        given.append(one.set_data_from_numpy(array, binary_data=name == "INPUT0"))
    wanted = [
        http.InferRequestedOutput("OUTPUT0", binary_data=True),
        http.InferRequestedOutput("OUTPUT1", binary_data=False),
    ]

    for algorithm in (None, "gzip", "deflate"):
        check(
            client.infer(
                "simple",
                given,
                outputs=wanted,
                query_params={"test_1": 1},
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
        )
    client.close()


def test_reuse_infer_objects_client(client, inputs, tensor):
    check(client.infer("simple", inputs, outputs=outputs()))
    inputs[1].set_data_from_numpy(2 * ONES)

    result = client.infer("simple", inputs)

    assert_array_equal(result.as_numpy("OUTPUT0"), ROW + 2 * ONES)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("options", [[], ["--async"]], ids=["sync", "async"])
def test_perf_analyzer_measures_it(server, tmp_path, protocol, options):
    program = shutil.which("perf_analyzer")
    if program is None:
        pytest.skip("perf_analyzer is not on PATH")
    url = {"grpc": server.url, "http": server.http_url}[protocol][7:]

    done = subprocess.run(
        [program, "-m", "simple", "-i", protocol, "-u", url, "-b", "2",
         "--concurrency-range", "1:2", "-p", "500", "-s", "999", "-r", "10",
         "-f", tmp_path / "out.csv", "--collect-metrics", "--metrics-url",
         server.metrics_url[7:], *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[0].startswith("Concurrency,Inferences/Second,Client Send")
    # In the order of their rates.
    assert sorted(row.split(",")[0] for row in rows[1:]) == ["1", "2"]
    assert all(float(row.split(",")[1]) > 0 for row in rows[1:])
