"""KServe v2 over gRPC, as Triton speaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio

# Not in the list of untyped libraries: protobuf has stubs, in a package of its own.
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from sonic_client.errors import (
    ClientClosedError,
    InvalidAnswerError,
    Mismatch,
    RequestTooLargeError,
    TransientError,
)
from sonic_client.summary import ServerCounters
from sonic_client.transport.base import InferCall, InferReply
from sonic_client.transport.codec import decode_reply, encode_call
from sonic_client.transport.status import error_of_status
from sonic_client.types import ModelMetadata, ModelState, TensorSpec

__all__ = ["MAX_MESSAGE_BYTES", "GrpcTransport"]

ReplyT = TypeVar("ReplyT")

MAX_MESSAGE_BYTES = 2**31 - 1
"""gRPC's own limit on one message, an int32."""

_CHANNEL_OPTIONS = (
    # gRPC would refuse answers above 4 MB.
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Its built-in retry does nothing above 256 KiB; we have our own.
    ("grpc.enable_retries", 0),
    # A call fails at once while the channel waits to connect again: gRPC's waits,
    # up to two minutes, would use up our tries without a connection being made.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Channels to one address share that wait, and one's past, unless told not to.
    ("grpc.use_local_subchannel_pool", 1),
)
_SERVICE = "/inference.GRPCInferenceService/"


class GrpcTransport:
    """One gRPC channel to one server.

    Parameters
    ----------
    address : str
        ``host:port``.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._server = f"grpc://{address}"
        self._channel: grpc.aio.Channel | None = None
        # Any: gRPC has no type for its multicallables.
        self._infer: Callable[..., Any] | None = None

    @property
    def server(self) -> str:
        """``grpc://host:port``."""
        return self._server

    async def open(self) -> None:
        """Make the channel; it connects when first used."""
        self._channel = grpc.aio.insecure_channel(self._address, _CHANNEL_OPTIONS)
        # Without serializers: messages pass as bytes, which the codec writes.
        self._infer = self._channel.unary_unary(f"{_SERVICE}ModelInfer")

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        channel, self._channel, self._infer = self._channel, None, None
        if channel is not None:
            await channel.close()

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether it is ready, which implies that it is live."""
        if not (await self._ask("ServerReady", timeout_s=timeout_s)).ready:
            raise TransientError(
                server=self._server, status="UNAVAILABLE", details="not ready"
            )

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Ask for the state of every model version."""
        reply = await self._ask("RepositoryIndex", timeout_s=timeout_s)
        return tuple(
            ModelState(
                name=model.name,
                version=model.version,
                state=model.state,
                reason=model.reason,
            )
            for model in reply.models
        )

    async def describe(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ModelMetadata:
        """Ask for the model's metadata and configuration."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        model = {"name": model_name, "version": model_version}
        metadata = await self._ask("ModelMetadata", **model, timeout_s=timeout_s)
        config = await self._ask(
            "ModelConfig", **model, timeout_s=deadline - loop.time()
        )
        return _model_metadata(metadata, config.config, asked_version=model_version)

    async def count(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ServerCounters:
        """Ask for the model's statistics, summed over its versions."""
        reply = await self._ask(
            "ModelStatistics",
            name=model_name,
            version=model_version,
            timeout_s=timeout_s,
        )
        return _server_counters(reply.model_stats)

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Run the model; the RPC's deadline is `timeout_s` from now."""
        if self._infer is None:
            raise ClientClosedError(f"the channel to {self._server} is not open")
        parts = encode_call(call)
        n_bytes = sum(map(len, parts))
        # gRPC would find out too, after seconds of copying.
        if n_bytes > MAX_MESSAGE_BYTES:
            raise RequestTooLargeError(
                server=self._server,
                status="RESOURCE_EXHAUSTED",
                details=f"{n_bytes} bytes, gRPC's limit is {MAX_MESSAGE_BYTES}",
            )
        message = await self._translated(
            self._infer(b"".join(parts), timeout=timeout_s)
        )
        try:
            return decode_reply(message, server=self._server)
        except DecodeError as error:
            raise InvalidAnswerError(
                model=call.model_name,
                server=self._server,
                mismatches=[Mismatch("*", "a ModelInferResponse", str(error))],
            ) from error

    # Any: the generated message classes have no types.
    async def _ask(self, method: str, *, timeout_s: float, **question: str) -> Any:
        if self._channel is None:
            raise ClientClosedError(f"the channel to {self._server} is not open")
        asked = getattr(service_pb2, f"{method}Request")
        answer = getattr(service_pb2, f"{method}Response")
        call = self._channel.unary_unary(
            _SERVICE + method,
            request_serializer=asked.SerializeToString,
            response_deserializer=answer.FromString,
        )
        return await self._translated(call(asked(**question), timeout=timeout_s))

    async def _translated(self, call: Awaitable[ReplyT]) -> ReplyT:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            # A call that an error's traceback keeps alive holds its connection, even
            # after the channel is closed.
            del call
            raise error_of_status(
                error.code().name, error.details() or "", server=self._server
            ) from error.with_traceback(None)


# Any, here and below: the generated message classes have no types.
def _model_metadata(metadata: Any, config: Any, *, asked_version: str) -> ModelMetadata:
    optional = {tensor.name for tensor in config.input if tensor.optional}
    # Versions are numbers without leading zeros.
    latest = max(metadata.versions, key=lambda v: (len(v), v), default="")
    return ModelMetadata(
        name=metadata.name,
        version=asked_version or latest,
        platform=metadata.platform,
        inputs=tuple(
            TensorSpec(t.name, t.datatype, tuple(t.shape), t.name in optional)
            for t in metadata.inputs
        ),
        outputs=tuple(
            TensorSpec(t.name, t.datatype, tuple(t.shape)) for t in metadata.outputs
        ),
        max_batch_size=config.max_batch_size,
        parameters={
            name: parameter.string_value
            for name, parameter in config.parameters.items()
        },
    )


def _server_counters(versions: Any) -> ServerCounters:
    def seconds(part: str) -> float:
        stats = (getattr(version.inference_stats, part) for version in versions)
        return float(sum(duration.ns for duration in stats)) * 1e-9

    return ServerCounters(
        requests=sum(v.inference_stats.success.count for v in versions),
        failed_requests=sum(v.inference_stats.fail.count for v in versions),
        inferences=sum(v.inference_count for v in versions),
        executions=sum(v.execution_count for v in versions),
        queue_s=seconds("queue"),
        compute_input_s=seconds("compute_input"),
        compute_infer_s=seconds("compute_infer"),
        compute_output_s=seconds("compute_output"),
    )
