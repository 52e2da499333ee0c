"""The models that are fuzzed, and both protocols of their server without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np

from mock_server import (
    Control,
    ControlInput,
    DynamicBatching,
    Ensemble,
    Model,
    QueuePolicy,
    SequenceBatching,
    Step,
    TensorSpec,
)
from mock_server.core.inference_core import InferenceCore
from mock_server.core.received import RequestRecord
from mock_server.core.repository import Repository
from mock_server.core.sources import load_repository
from mock_server.grpc_api.handlers import inference_handler
from mock_server.grpc_api.service import InferenceService
from mock_server.http_api.endpoint import runner_of
from mock_server.http_api.service import HttpService
from mock_server.wire.codec import DATATYPES

MAX_BODY_BYTES = 2**24
SERVICE = "/inference.GRPCInferenceService/"
CONFIG = """
name: "plain"
backend: "python"
input [{ name: "X" data_type: TYPE_FP32 dims: [-1, 3] }]
output [{ name: "Y" data_type: TYPE_FP32 dims: [-1, 3] }]
"""
PAIR = """
name: "pair"
platform: "ensemble"
input [{ name: "X" data_type: TYPE_FP32 dims: [-1, 3] }]
output [{ name: "Y" data_type: TYPE_FP32 dims: [-1, 3] }]
ensemble_scheduling { step [{
  model_name: "plain" model_version: -1
  input_map { key: "X" value: "X" } output_map { key: "Y" value: "Y" }
}] }
"""
MODEL_FILE = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(
                "Y", pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            )])
            for request in requests
        ]
"""


def copied(tensors: dict[str, Any]) -> dict[str, Any]:
    # Of a model with an optional input Triton only counts the inputs.
    return {"Y": tensors.get("X", np.zeros((0, 3), np.float32))}


def models() -> list[Model]:
    """A model of each way to be served."""
    x, y = (TensorSpec(name, "FP32", (-1, 3)) for name in "XY")
    text = TensorSpec("TEXT", "BYTES", (-1,), is_optional=True)
    step = Step(model_name="echo", input_map={"X": "X"}, output_map={"Y": "Y"})
    every = [TensorSpec(f"IN_{t}", t, (-1,), is_optional=True) for t in DATATYPES]
    return [
        Model("echo", [x, text], [y], copied),
        Model(
            "types",
            every,
            [TensorSpec(f"OUT_{t}", t, (-1,)) for t in DATATYPES],
            lambda tensors: {k.replace("IN", "OUT"): v for k, v in tensors.items()},
        ),
        Model(
            "batched",
            [TensorSpec("X", "INT64", (-1,))],
            [TensorSpec("Y", "INT64", (-1,))],
            copied,
            max_batch_size=8,
            dynamic_batching=DynamicBatching(
                max_queue_delay_s=0.0001,
                priority_levels=3,
                default_priority_level=2,
                default_queue_policy=QueuePolicy(
                    default_timeout_s=5.0,
                    allow_timeout_override=True,
                    max_queue_size=64,
                ),
            ),
        ),
        Model(
            "sequence",
            [TensorSpec("X", "INT32", (1,))],
            [TensorSpec("Y", "INT32", (1,))],
            copied,
            max_batch_size=2,
            sequence_batching=SequenceBatching(
                max_sequence_idle_s=0.05,
                control_input=[
                    ControlInput("START", Control.START),
                    ControlInput("CORRID", Control.CORRID, "UINT32"),
                ],
                strategy="oldest",
            ),
        ),
        Model("stream", [x], [y], lambda t: iter([copied(t)] * 2), is_decoupled=True),
        Model("twice", [x], [y], Ensemble([step])),
    ]


def write_repository(folder: Path) -> Path:
    """Write models that can be loaded with other configurations."""
    for name, config in (("plain", CONFIG), ("pair", PAIR)):
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(config)
    (folder / "plain" / "1" / "model.py").write_text(MODEL_FILE)
    return folder


class Refused(Exception):
    """A gRPC call was aborted."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(code, details)
        self.code, self.details = code, details


class Context:
    """What a handler asks of gRPC's context."""

    def __init__(self, metadata: Sequence[tuple[str, Any]]) -> None:
        self._metadata = metadata
        self._callbacks: list[Callable[[], object]] = []

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Refused(code, details)

    def add_callback(self, callback: Callable[[], object]) -> bool:
        self._callbacks.append(callback)
        return True

    def invocation_metadata(self) -> Sequence[tuple[str, Any]]:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def is_active(self) -> bool:
        return True

    def end(self) -> None:
        for callback in self._callbacks:
            callback()


class HttpAnswer(NamedTuple):
    status: int
    body: bytes


class MemoryTransport(asyncio.Transport):
    """Keeps what a protocol writes, and tells when it has closed the connection."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written: list[bytes] = []
        self.closed = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def writelines(self, parts: Any) -> None:
        self.written.extend(map(bytes, parts))

    def is_closing(self) -> bool:
        return self.closed.done()

    def close(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


def http_answer(raw: bytes) -> HttpAnswer | None:
    """Split an answer whose connection was closed; None if there is none."""
    if not raw:
        return None
    head, _, body = raw.partition(b"\r\n\r\n")
    return HttpAnswer(int(head.split(None, 2)[1]), body)


class DirectServer:
    """The protocols' own code, called in this thread: nothing listens."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.repository = Repository(
            models(),
            sources=load_repository(folder),
            control="explicit",
            load=["*"],
        )
        self.repository.start()
        record = RequestRecord(100, keep_inputs=True)
        self.core = InferenceCore(self.repository, record=record)
        handler = inference_handler(InferenceService(self.core))
        self._handlers = {
            name.removeprefix(SERVICE): each
            for name, each in handler._method_handlers.items()
        }
        self._http = HttpService(self.core, max_body_bytes=MAX_BODY_BYTES)
        self._runner = runner_of(
            self._http.answer, max_body_bytes=MAX_BODY_BYTES, max_header_bytes=8190
        )
        self.loop = loop
        loop.run_until_complete(self._runner.setup())

    @property
    def rpcs(self) -> list[str]:
        return sorted(self._handlers)

    def call(
        self, rpc: str, messages: Sequence[bytes], metadata: Sequence[Any] = ()
    ) -> list[bytes]:
        """Answer one call; raises `Refused`, or whatever nobody has foreseen."""
        handler, context = self._handlers[rpc], Context(metadata)
        try:
            if handler.request_streaming:
                requests = map(handler.request_deserializer, messages)
                answers = list(handler.stream_stream(requests, context))
            else:
                request = handler.request_deserializer(messages[0])
                answers = [handler.unary_unary(request, context)]
            return [handler.response_serializer(each) for each in answers]
        finally:
            context.end()

    def exchange(self, raw: bytes, *, is_whole: bool, wait_s: float) -> bytes:
        """Return what HTTP answers to the bytes of a connection, which is then closed.

        A client whose bytes need not be a whole request leaves after a moment.
        """
        return self.loop.run_until_complete(self._exchange(raw, is_whole, wait_s))

    async def _exchange(self, raw: bytes, is_whole: bool, wait_s: float) -> bytes:
        protocol, transport = self._runner.server(), MemoryTransport()
        protocol.connection_made(transport)
        try:
            protocol.data_received(raw)
            if is_whole:
                await asyncio.wait_for(transport.closed, wait_s)
            else:
                for _ in range(10):
                    await asyncio.sleep(0)
        finally:
            transport.close()
            protocol.connection_lost(None)
            await asyncio.sleep(0)
        return b"".join(transport.written)

    def load_all(self) -> None:
        """Undo what requests have loaded and unloaded."""
        self.core.shared_memory.unregister()
        load_all(self.repository)

    def close(self) -> None:
        self.loop.run_until_complete(self._runner.cleanup())
        self._http.close()
        self.core.close()


def load_all(repository: Repository) -> None:
    """Load all models as they were at first."""
    for row in repository.index():
        repository.unload(row.name)
    for name in ("plain", "pair", *(model.name for model in models())):
        repository.load(name)


@contextmanager
def direct_server(folder: Path) -> Iterator[DirectServer]:
    loop = asyncio.new_event_loop()
    try:
        server = DirectServer(folder, loop)
        try:
            yield server
        finally:
            server.close()
    finally:
        loop.close()
