"""Every transport does the same: fake, gRPC and HTTP, at the mock and a real Triton."""

import asyncio
import os
import socket
import threading
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mock_server import MockServer, Model, profile_of
from mock_server import TensorSpec as Served
from sonic_client import (
    ClientClosedError,
    ModelMetadata,
    ModelNotFoundError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerConfig,
    ServerFaultError,
    ServerUnreachableError,
    TensorSpec,
    TryTimedOutError,
)
from sonic_client.transport import FakeTransport, InferCall, transport_for

X, Y = TensorSpec("X", "FP32", (-1, 3)), TensorSpec("Y", "FP32", (-1, 3))


def call_of(inputs, model_name="echo", **more):
    return InferCall(
        model_name=model_name, model_version="", request_id="7", inputs=inputs, **more
    )


def rows(n_rows):
    return np.arange(3 * n_rows, dtype=np.float32).reshape(n_rows, 3)


@asynccontextmanager
async def opened(transport):
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()


class TransportSuite(ABC):
    """A subclass gives transports to a server of the models below.

    ``echo`` returns its input, X FP32[-1,3], as Y; ``batch`` does so in batches of at
    most 8; ``broken`` raises; ``stall`` returns late. All have the parameter ``cut``.
    """

    @abstractmethod
    def transport(self, server, **settings):
        """Return one to the server that the class's fixture `server` gives."""

    async def test_it_says_whether_the_server_is_ready(self, server):
        async with opened(self.transport(server)) as transport:
            await transport.probe(timeout_s=10.0)

    async def test_it_lists_the_models(self, server):
        async with opened(self.transport(server)) as transport:
            index = await transport.index(timeout_s=10.0)

        (echo,) = (model for model in index if model.name == "echo")
        assert echo.is_ready
        assert (echo.version, echo.state, echo.reason) == ("1", "READY", "")

    async def test_it_describes_a_model(self, server):
        async with opened(self.transport(server)) as transport:
            metadata = await transport.describe("echo", "", timeout_s=10.0)

        assert (metadata.name, metadata.version) == ("echo", "1")
        assert (metadata.inputs, metadata.outputs) == ((X,), (Y,))
        assert metadata.max_batch_size == 0
        assert metadata.parameters["cut"] == "0.5"

    @pytest.mark.parametrize("n_rows", [0, 1, 47, 100_000])
    async def test_tensors_come_back_as_they_were_sent(self, server, n_rows):
        async with opened(self.transport(server)) as transport:
            call = call_of({"X": rows(n_rows)})
            reply = await transport.infer(call, timeout_s=30.0)

        np.testing.assert_array_equal(reply.outputs["Y"], rows(n_rows))
        assert not reply.outputs["Y"].flags.writeable
        assert reply.model_version == "1"

    async def test_many_calls_are_in_flight_at_once(self, server):
        async with opened(self.transport(server)) as transport:
            replies = await asyncio.gather(
                *(
                    transport.infer(call_of({"X": rows(n)}), timeout_s=30.0)
                    for n in range(32)
                )
            )

        assert [len(reply.outputs["Y"]) for reply in replies] == list(range(32))

    async def test_it_counts_what_the_server_did(self, server):
        async with opened(self.transport(server)) as transport:
            before = await transport.count("echo", "", timeout_s=10.0)
            for _ in range(3):
                await transport.infer(call_of({"X": rows(2)}), timeout_s=10.0)
            after = await transport.count("echo", "", timeout_s=10.0)

        assert (after - before).requests == 3
        assert (after - before).compute_infer_s > 0.0


class WireSuite(TransportSuite):
    """What only a transport with a wire can show."""

    scheme: str

    def transport(self, server, **settings):
        return transport_for(ServerConfig(url=server[self.scheme], **settings))

    async def test_an_unknown_model_is_not_found(self, server):
        async with opened(self.transport(server)) as transport:
            with pytest.raises(ModelNotFoundError, match="'nix' is not found") as error:
                await transport.describe("nix", "", timeout_s=10.0)

        assert error.value.status == "NOT_FOUND"

    async def test_a_wrong_shape_is_rejected(self, server):
        async with opened(self.transport(server)) as transport:
            call = call_of({"X": np.zeros((2, 4), np.float32)})
            with pytest.raises(RejectedRequestError, match="unexpected shape") as error:
                await transport.infer(call, timeout_s=10.0)

        assert error.value.status == "INVALID_ARGUMENT"

    async def test_a_model_that_raises_is_a_fault_of_its_server(self, server):
        async with opened(self.transport(server)) as transport:
            call = call_of({"X": rows(1)}, model_name="broken")
            with pytest.raises(ServerFaultError, match="no good") as error:
                await transport.infer(call, timeout_s=10.0)

        assert error.value.status == "INTERNAL"

    async def test_a_call_that_stalls_ends_in_time(self, server):
        async with opened(self.transport(server)) as transport:
            call = call_of({"X": rows(1)}, model_name="stall")
            with pytest.raises(TryTimedOutError) as error:
                await transport.infer(call, timeout_s=0.1)

        assert error.value.status == "DEADLINE_EXCEEDED"

    async def test_a_cancelled_call_leaves_the_transport_usable(self, server):
        async with opened(self.transport(server)) as transport:
            call = call_of({"X": rows(1)}, model_name="stall")
            task = asyncio.create_task(transport.infer(call, timeout_s=30.0))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            reply = await transport.infer(call_of({"X": rows(5)}), timeout_s=10.0)

        assert len(reply.outputs["Y"]) == 5

    async def test_it_is_open_between_open_and_close_only(self, server):
        transport = self.transport(server)

        with pytest.raises(ClientClosedError):
            await transport.probe(timeout_s=1.0)
        async with opened(transport):
            pass
        with pytest.raises(ClientClosedError):
            await transport.infer(call_of({"X": rows(1)}), timeout_s=1.0)

    async def test_nobody_listening_is_unreachable(self):
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            port = reserved.getsockname()[1]
        url = f"{self.scheme}://127.0.0.1:{port}"

        async with opened(transport_for(ServerConfig(url=url))) as transport:
            with pytest.raises(ServerUnreachableError, match=url) as error:
                await transport.probe(timeout_s=10.0)

        assert error.value.status == "UNAVAILABLE"

    async def test_one_that_never_answers_is_given_up_in_time(self):
        with socket.create_server(("127.0.0.1", 0)) as black_hole:
            url = f"{self.scheme}://127.0.0.1:{black_hole.getsockname()[1]}"
            async with opened(transport_for(ServerConfig(url=url))) as transport:
                with pytest.raises(TryTimedOutError):
                    await transport.index(timeout_s=0.1)


class MessageSuite(WireSuite):
    """What there is only where tensors travel in the messages."""

    @pytest.mark.parametrize("compression", ["gzip", "deflate"])
    async def test_compressed_tensors_come_back_as_they_were_sent(
        self, server, compression
    ):
        zeros = np.zeros((10_000, 3), np.float32)

        async with opened(self.transport(server, compression=compression)) as transport:
            reply = await transport.infer(call_of({"X": zeros}), timeout_s=10.0)

        np.testing.assert_array_equal(reply.outputs["Y"], zeros)
        assert transport.compression.saved_fraction > 0.99

    async def test_a_request_above_the_limit_is_refused_without_a_copy(self, server):
        huge = np.broadcast_to(np.float32(0), (190_000_000, 3))  # 2.1 GiB, were it real

        async with opened(self.transport(server)) as transport:
            with pytest.raises(RequestTooLargeError, match="2280000000 bytes"):
                await transport.infer(call_of({"X": huge}), timeout_s=10.0)

    async def test_a_request_above_the_configured_limit_is_refused(self, server):
        async with opened(self.transport(server, max_message_bytes=100)) as transport:
            with pytest.raises(RequestTooLargeError, match="120 bytes"):
                await transport.infer(call_of({"X": rows(10)}), timeout_s=10.0)


async def echo(call):
    return {"Y": call.inputs["X"]}


class TestFake(TransportSuite):
    @pytest.fixture
    def server(self):
        """None: it has no wire."""

    def transport(self, server, **settings):
        metadata = ModelMetadata(
            name="echo",
            version="1",
            platform="python",
            inputs=(X,),
            outputs=(Y,),
            parameters={"cut": "0.5"},
        )
        return FakeTransport(metadata, echo)


@pytest.fixture(scope="module")
def mock_urls():
    """URLs, by scheme, of a mock server of the suite's models."""
    released = threading.Event()

    def broken(tensors):
        raise ValueError("no good")

    def stall(tensors):
        released.wait(30.0)
        return {"Y": tensors["X"]}

    specs = {
        "inputs": [Served("X", "FP32", (-1, 3))],
        "outputs": [Served("Y", "FP32", (-1, 3))],
        "parameters": {"cut": "0.5"},
        "instances": 4,
    }
    row = {
        "inputs": [Served("X", "FP32", (3,))],
        "outputs": [Served("Y", "FP32", (3,))],
        "max_batch_size": 8,
    }
    models = [
        Model(name="batch", function=lambda tensors: {"Y": tensors["X"]}, **row),
        Model(name="echo", function=lambda tensors: {"Y": tensors["X"]}, **specs),
        Model(name="broken", function=broken, **specs),
        Model(name="stall", function=stall, **specs),
    ]
    profile = replace(profile_of("24.10"), client_shared_memory=True)
    with MockServer(models, http_port=0, profile=profile) as server:
        yield {"grpc": server.url, "http": server.http_url}
        released.set()


class AtMock:
    @pytest.fixture
    def server(self, mock_urls):
        return mock_urls


class SharedMemorySuite(WireSuite):
    """The same with tensors in shared memory, where they can be."""

    def transport(self, server, **settings):
        return super().transport(server, shared_memory="auto", **settings)

    async def test_regions_are_used_again_and_grow(self, server):
        transport = self.transport(server)
        before = set(regions())
        async with opened(transport):
            for n_rows in (10, 20, 10, 50_000, 10):
                reply = await transport.infer(
                    call_of({"X": rows(n_rows)}), timeout_s=10.0
                )
                np.testing.assert_array_equal(reply.outputs["Y"], rows(n_rows))
                assert len(set(regions()) - before) == 1
            assert transport.is_on

        assert set(regions()) == before

    async def test_outputs_of_known_size_come_through_a_region(self, server):
        before = set(regions())
        array = np.arange(15, dtype=np.float32).reshape(5, 3)
        async with opened(self.transport(server)) as transport:
            await transport.describe("batch", "", timeout_s=10.0)
            call = call_of({"X": array}, model_name="batch")
            replies = [await transport.infer(call, timeout_s=10.0) for _ in range(2)]
            kinds = {name.split("_")[2] for name in set(regions()) - before}

        assert kinds == {"input", "output"}
        for reply in replies:
            np.testing.assert_array_equal(reply.outputs["Y"], array)


def regions():
    return [file.name for file in Path("/dev/shm").glob(f"sonic_{os.getpid()}_*")]


MODEL = """
import time
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        {action}
        inputs = [pb.get_input_tensor_by_name(request, "X") for request in requests]
        return [pb.InferenceResponse([pb.Tensor("Y", x.as_numpy())]) for x in inputs]
"""
CONFIG = """
name: "{name}"
backend: "python"
max_batch_size: {max_batch_size}
input [{{ name: "X" data_type: TYPE_FP32 dims: {dims} }}]
output [{{ name: "Y" data_type: TYPE_FP32 dims: {dims} }}]
parameters {{ key: "cut" value {{ string_value: "0.5" }} }}
instance_group [{{ count: 2 kind: KIND_CPU }}]
"""
ACTIONS = {
    "echo": "pass",
    "batch": "pass",
    "broken": "raise ValueError('no good')",
    "stall": "time.sleep(0.5)",
}


@pytest.fixture(scope="module")
def triton_urls(tmp_path_factory):
    """URLs, by scheme, of a real Triton with the suite's models."""
    from sonic_tracking.engines import (
        TritonNotFoundError,
        TritonServer,
        find_triton,
    )

    named = os.environ.get("SONIC_TRITON_PYTHON")
    python = Path(named) if named else None
    try:
        find_triton(python)
    except TritonNotFoundError as missing:
        pytest.skip(str(missing))
    repository = tmp_path_factory.mktemp("repository")
    for name, action in ACTIONS.items():
        version = repository / name / "1"
        version.mkdir(parents=True)
        (version / "model.py").write_text(MODEL.format(action=action))
        shape = (8, [3]) if name == "batch" else (0, [-1, 3])
        config = CONFIG.format(name=name, max_batch_size=shape[0], dims=shape[1])
        (version.parent / "config.pbtxt").write_text(config)
    with TritonServer(repository, python=python) as server:
        yield {"grpc": server.url, "http": server.http_url}


class AtTriton:
    @pytest.fixture
    def server(self, triton_urls):
        return triton_urls


class TestGrpcAtMock(AtMock, MessageSuite):
    scheme = "grpc"


class TestGrpcSharedMemoryAtMock(AtMock, SharedMemorySuite):
    scheme = "grpc"


class TestHttpAtMock(AtMock, MessageSuite):
    scheme = "http"


class TestHttpSharedMemoryAtMock(AtMock, SharedMemorySuite):
    scheme = "http"


@pytest.mark.triton
class TestGrpcAtTriton(AtTriton, MessageSuite):
    scheme = "grpc"


@pytest.mark.triton
class TestGrpcSharedMemoryAtTriton(AtTriton, SharedMemorySuite):
    scheme = "grpc"


@pytest.mark.triton
class TestHttpAtTriton(AtTriton, MessageSuite):
    scheme = "http"


@pytest.mark.triton
class TestHttpSharedMemoryAtTriton(AtTriton, SharedMemorySuite):
    scheme = "http"
