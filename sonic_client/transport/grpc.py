"""KServe v2 over gRPC, as Triton speaks it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from sonic_client.compression_report import CompressionReport
from sonic_client.config import ServerConfig
from sonic_client.errors import (
    ClientClosedError,
    InvalidAnswerError,
    Mismatch,
    TransientError,
)
from sonic_client.forks import ProcessGuard
from sonic_client.transport.base import InferCall, InferReply, ServerCounters
from sonic_client.transport.compression import CompressionMeter
from sonic_client.transport.grpc_channel import ChannelPool
from sonic_client.transport.grpc_messages import decode_reply, encode_call
from sonic_client.transport.grpc_replies import model_metadata, server_counters
from sonic_client.transport.headers import CallHeaders, Headers
from sonic_client.transport.message_size import check_message_size
from sonic_client.transport.status import error_of_status
from sonic_client.types import ModelMetadata, ModelState

__all__ = ["GrpcTransport"]

ReplyT = TypeVar("ReplyT")

_SERVICE = "/inference.GRPCInferenceService/"
_COMPRESSIONS = {
    "none": None,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}


class GrpcTransport:
    """The gRPC channels to one server.

    Parameters
    ----------
    server : ServerConfig
        With scheme ``grpc`` or ``grpcs``.
    """

    def __init__(self, server: ServerConfig) -> None:
        self._config = server
        self._headers = CallHeaders(server)
        self._compression = _COMPRESSIONS[server.compression]
        self._meter = CompressionMeter(server.compression)
        self._guard = ProcessGuard(f"the connection to {server.url}")
        self._channels: ChannelPool | None = None

    @property
    def server(self) -> str:
        """``grpc://host:port``, or ``grpcs://``."""
        return self._config.url

    @property
    def compression(self) -> CompressionReport:
        """What compressing the requests saved so far."""
        return self._meter.report

    async def open(self) -> None:
        """Make the channels; they connect when first used."""
        self._guard = ProcessGuard(f"the connection to {self.server}")
        self._channels = ChannelPool(self._config)

    async def close(self) -> None:
        """Close the channels; calls in flight are cancelled."""
        channels, self._channels = self._channels, None
        if channels is not None and not self._guard.is_forked:
            await channels.close()

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether it is ready, which implies that it is live."""
        if not (await self._ask("ServerReady", timeout_s=timeout_s)).ready:
            raise TransientError(
                server=self.server, status="UNAVAILABLE", details="not ready"
            )

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Ask for the state of every model version."""
        reply = await self._ask("RepositoryIndex", timeout_s=timeout_s)
        return tuple(
            ModelState(name=m.name, version=m.version, state=m.state, reason=m.reason)
            for m in reply.models
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
        return model_metadata(metadata, config.config, asked_version=model_version)

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
        return server_counters(reply.model_stats)

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Run the model; the RPC's deadline is `timeout_s` from now."""
        check_message_size(call, self._config)
        request = b"".join(encode_call(call))
        self._meter.sample(request)
        message = await self._send(
            self._pool().next_infer(),
            request,
            timeout_s=timeout_s,
            headers=call.headers,
        )
        try:
            return decode_reply(
                message, server=self.server, output_regions=call.output_regions
            )
        except DecodeError as error:
            raise InvalidAnswerError(
                model=call.model_name,
                server=self.server,
                mismatches=[Mismatch("*", "a ModelInferResponse", str(error))],
            ) from error

    async def register_region(
        self, name: str, *, key: str, n_bytes: int, timeout_s: float
    ) -> None:
        """Let the server map a POSIX shared memory object, under a name."""
        await self._ask(
            "SystemSharedMemoryRegister",
            timeout_s=timeout_s,
            name=name,
            key=key,
            byte_size=n_bytes,
        )

    async def unregister_region(self, name: str, *, timeout_s: float) -> None:
        """Let the server unmap it; without effect if it knows no such name."""
        await self._ask("SystemSharedMemoryUnregister", timeout_s=timeout_s, name=name)

    # Any: the generated message classes have no types.
    async def _ask(
        self, method: str, *, timeout_s: float, **question: str | int
    ) -> Any:
        request = getattr(service_pb2, f"{method}Request")(**question)
        call = (
            self._pool()
            .next()
            .unary_unary(
                _SERVICE + method,
                request_serializer=type(request).SerializeToString,
                response_deserializer=getattr(
                    service_pb2, f"{method}Response"
                ).FromString,
            )
        )
        return await self._send(call, request, timeout_s=timeout_s)

    def _pool(self) -> ChannelPool:
        self._guard.check()
        if self._channels is None:
            raise ClientClosedError(f"the channel to {self.server} is not open")
        return self._channels

    # Any: gRPC has no type for its multicallables.
    async def _send(
        self,
        method: Callable[..., Any],
        request: object,
        *,
        timeout_s: float,
        headers: Mapping[str, str] = {},
    ) -> Any:
        deadline = time.monotonic() + timeout_s

        def attempt(all_headers: Headers) -> Awaitable[Any]:
            return self._translated(
                method(
                    request,
                    timeout=deadline - time.monotonic(),
                    metadata=all_headers,
                    compression=self._compression,
                )
            )

        return await self._headers.authorised(attempt, headers)

    async def _translated(self, call: Awaitable[ReplyT]) -> ReplyT:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            # A call that an error's traceback keeps alive holds its connection, even
            # after the channel is closed.
            del call
            details = error.details() or ""
            shown = self._headers.hide(details)
            failure = error_of_status(error.code().name, shown, server=self.server)
            if shown == details:
                raise failure from error.with_traceback(None)
        # gRPC's error shows what is hidden in ours. Raised in its handler, ours would
        # keep it as its context, which goes along where tracebacks are pickled.
        raise failure
