"""Shared memory that does not work, no longer works, or is not let go of."""

import os
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from sonic_client import (
    ModelMetadata,
    RejectedRequestError,
    ServerConfig,
    TensorSpec,
    TryTimedOutError,
)
from sonic_client.transport import FakeTransport, InferCall, transport_for
from sonic_client.transport.shared_memory import SharedMemoryTransport

METADATA = ModelMetadata(
    name="m",
    version="1",
    platform="",
    inputs=(TensorSpec("X", "FP32", (-1,)),),
    outputs=(TensorSpec("Y", "FP32", (-1,)),),
)


class RegionServer(FakeTransport):
    """Knows regions by name, like a server, and answers with the inline inputs."""

    def __init__(self, server="grpc://127.0.0.1:8001"):
        super().__init__(METADATA, self.answer, server=server)
        self.regions = {}
        self.refuses_regions = self.loses_regions = self.keeps_regions = False
        self.stalls = False

    async def answer(self, call):
        if self.stalls:
            raise TryTimedOutError(
                server=self.server, status="DEADLINE_EXCEEDED", details=""
            )
        for place in call.input_regions.values():
            if self.loses_regions or place.region not in self.regions:
                raise self.refusal(f"Unable to find shared memory region: '{place}'")
        return {"Y": np.zeros(len(call.inputs["X"]), np.float32)}

    async def register_region(self, name, *, key, n_bytes, timeout_s):
        if self.refuses_regions:
            raise self.refusal(f"Unable to open shared memory region: '{key}'")
        self.regions[name] = n_bytes

    async def unregister_region(self, name, *, timeout_s):
        if self.keeps_regions:
            raise self.refusal(f"region '{name}' is currently in use")
        self.regions.pop(name, None)  # an unknown name is no error at Triton

    def refusal(self, text):
        return RejectedRequestError(server=self.server, status="INTERNAL", details=text)


@asynccontextmanager
async def opened(server):
    transport = SharedMemoryTransport(server)
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()
    assert regions_of_this_process() == []


def regions_of_this_process():
    return list(Path("/dev/shm").glob(f"sonic_{os.getpid()}_*"))


async def infer(transport, n_rows=5):
    call = InferCall(
        model_name="m",
        model_version="",
        request_id="",
        inputs={"X": np.ones(n_rows, np.float32)},
    )
    return await transport.infer(call, timeout_s=10.0)


async def test_a_server_that_refuses_gets_its_tensors_in_the_message(caplog):
    server = RegionServer()
    server.refuses_regions = True

    async with opened(server) as transport:
        replies = [await infer(transport) for _ in range(3)]

    assert [len(reply.outputs["Y"]) for reply in replies] == [5, 5, 5]
    assert not any(call.input_regions for call in server.calls)
    assert caplog.text.count("no shared memory with") == 1


def test_a_server_elsewhere_is_not_even_asked():
    for url in ("grpc://triton.example.org:8001", "http://triton.example.org:8000"):
        elsewhere = ServerConfig(url=url, shared_memory="auto")
        assert not isinstance(transport_for(elsewhere), SharedMemoryTransport)


async def test_a_region_that_vanished_is_warned_of_once_and_replaced(caplog):
    server = RegionServer()

    async with opened(server) as transport:
        await infer(transport)
        server.regions.clear()  # as when it was started anew
        server.keeps_regions = True
        replies = [await infer(transport) for _ in range(3)]
        server.regions.clear()
        replies.append(await infer(transport))
        server.keeps_regions = False

    placed = [bool(call.input_regions) for call in server.calls]
    assert placed == [True, True, False, True, True, True, False]
    assert len(replies) == 4
    assert caplog.text.count("has lost its shared memory") == 1


async def test_a_region_in_use_is_left_to_the_server():
    server = RegionServer()
    server.keeps_regions = True

    async with opened(server) as transport:
        await infer(transport)

    assert len(server.regions) == 1


async def test_a_region_that_a_lost_call_may_still_use_is_not_used_again():
    server = RegionServer()

    async with opened(server) as transport:
        server.stalls = True
        with pytest.raises(TryTimedOutError):
            await infer(transport)
        server.stalls = False
        await infer(transport)

    first, second = (call.input_regions["X"].region for call in server.calls)
    assert first != second
    assert server.regions == {}


async def test_a_region_grows_with_its_calls_and_is_then_kept():
    server = RegionServer()

    async with opened(server) as transport:
        for n_rows in (10, 100_000, 10, 100_000):
            await infer(transport, n_rows)
        assert len(server.regions) == 1

    names = [call.input_regions["X"].region for call in server.calls]
    assert len(set(names)) == 2
    assert names[1:] == names[1:2] * 3


async def test_no_room_means_without(monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)

    async with opened(RegionServer()) as transport:
        reply = await infer(transport)

    assert len(reply.outputs["Y"]) == 5
    assert "No space left on device" in caplog.text
