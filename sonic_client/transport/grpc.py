"""KServe v2 over gRPC, as Triton speaks it."""

from __future__ import annotations

import itertools
import json
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2

from sonic_base import ConfigError
from sonic_client.config import MAX_MESSAGE_BYTES, ServerConfig, TlsConfig
from sonic_client.errors import ClientClosedError, ForkedProcessError, TransientError
from sonic_client.transport.base import InferCall, InferReply
from sonic_client.transport.foreign import MAX_DESCRIPTION_BYTES
from sonic_client.transport.grpc_messages import decode_reply, encode_call
from sonic_client.transport.headers import Headers
from sonic_client.transport.payload import check_message_size
from sonic_client.transport.process_guard import ProcessGuard
from sonic_client.transport.status import error_of_status
from sonic_client.transport.wire import Json, WireTransport

__all__ = ["GrpcTransport", "channel_options"]

ReplyT = TypeVar("ReplyT")
# Any: gRPC has no type for what a channel's methods return.
_Method: TypeAlias = Callable[..., Any]

_SERVICE = "/inference.GRPCInferenceService/"
_COMPRESSIONS = {
    "none": None,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}
# The field of a message that is HTTP's whole answer.
_ANSWERS = {"RepositoryIndex": "models", "ModelConfig": "config"}
_LIMITED_METHODS = {
    "name": [
        {"service": "inference.GRPCInferenceService", "method": method}
        for method in (
            *("ServerReady", "ModelMetadata", "ModelConfig", "ModelStatistics"),
            *("RepositoryIndex", "SystemSharedMemoryRegister"),
            "SystemSharedMemoryUnregister",
        )
    ],
    "maxResponseMessageBytes": MAX_DESCRIPTION_BYTES,
}
_OPTIONS = (
    # gRPC would refuse answers above 4 MB.
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Not its retry policy, which does nothing above 256 KiB and has no place in the
    # service config: ours is `retry`. But gRPC sends a stream again that the server
    # never processed, as after a GOAWAY, only if this is on.
    ("grpc.enable_retries", 1),
    # A call fails at once while the channel waits to connect again: gRPC's waits,
    # up to two minutes, would use up our tries without a connection being made.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # By default channels to one address share this wait, and all channels of a pool
    # would be one connection.
    ("grpc.use_local_subchannel_pool", 1),
    # The configuration is ours, not a TXT record's.
    ("grpc.service_config_disable_resolution", 1),
)


class GrpcTransport(WireTransport):
    """The gRPC channels to one server.

    Parameters
    ----------
    server : ServerConfig
        With scheme ``grpc`` or ``grpcs``.
    """

    def __init__(self, server: ServerConfig) -> None:
        super().__init__(server)
        self._compression = _COMPRESSIONS[server.compression]
        self._channels: _ChannelPool | None = None

    async def open(self) -> None:
        """Make the channels; they connect when first used.

        Raises
        ------
        ConfigError
            If a certificate cannot be read.
        ForkedProcessError
            If gRPC had been used when this process was forked.
        """
        self._guard = ProcessGuard(f"the connection to {self.server}")
        self._channels = _ChannelPool(self._config)

    async def close(self) -> None:
        """Close the channels; calls in flight are cancelled."""
        channels, self._channels = self._channels, None
        if channels is not None and not self._guard.is_forked:
            await channels.close()

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether the server is ready, which implies that it is live."""
        answer = await self._ask("ServerReady", timeout_s=timeout_s)
        if not answer["ready"]:
            raise TransientError(
                server=self.server, status="UNAVAILABLE", details="not ready"
            )

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
        return decode_reply(message, call=call, server=self.server)

    async def _ask(
        self,
        method: str,
        *,
        name: str = "",
        version: str = "",
        timeout_s: float,
        **question: object,
    ) -> Json:
        fields = {"name": name, "version": version, **question}
        request = getattr(service_pb2, f"{method}Request")(
            **{field: value for field, value in fields.items() if value}
        )
        # Bytes: gRPC logs a traceback where its own caller cannot read an answer.
        call = self._pool().next_method(_SERVICE + method)
        message = await self._send(
            call, request.SerializeToString(), timeout_s=timeout_s
        )
        return self._read(_json_of, message, method)

    def _pool(self) -> _ChannelPool:
        self._guard.check()
        if self._channels is None:
            raise ClientClosedError(f"the channel to {self.server} is not open")
        return self._channels

    async def _send(
        self,
        method: _Method,
        request: object,
        *,
        timeout_s: float,
        headers: Mapping[str, str] = {},
    ) -> Any:
        deadline = time.monotonic() + timeout_s

        def attempt(sent: Headers) -> Awaitable[Any]:
            return self._translated(
                method(
                    request,
                    timeout=deadline - time.monotonic(),
                    metadata=sent.pairs(),
                    compression=self._compression,
                ),
                sent,
            )

        return await self._called(attempt, headers)

    async def _translated(self, call: Awaitable[ReplyT], sent: Headers) -> ReplyT:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            # A call that an error's traceback keeps alive holds its connection, even
            # after the channel is closed.
            del call
            details = sent.hide(error.details() or "")
            failure = error_of_status(
                error.code().name,
                details,
                server=self.server,
                headers=_texts_of(error.trailing_metadata()),
            )
            failure.__cause__ = sent.cause(error)
        # Raised outside of the handler, or else it would keep gRPC's error, which may
        # show a secret, as its context.
        raise failure


def _json_of(message: bytes, method: str) -> Json:
    """Return the JSON that HTTP answers in place of a message."""
    answer = MessageToDict(
        getattr(service_pb2, f"{method}Response").FromString(message),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    return answer[_ANSWERS[method]] if method in _ANSWERS else answer


def _texts_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """Return the entries of trailing metadata that are texts."""
    return {name: text for name, text in metadata or () if isinstance(text, str)}


class _ChannelPool:
    """The channels to one server, used in turn."""

    def __init__(self, server: ServerConfig) -> None:
        _forks.refuse_inherited()
        # gRPC resolves the name, to all of its addresses.
        target = f"dns:///{server.address}"
        options = channel_options(server)
        n_channels = range(server.channel.connections)
        if server.uses_tls:
            credentials = _credentials(server.tls)
            self._channels = [
                grpc.aio.secure_channel(target, credentials, options)
                for _ in n_channels
            ]
        else:
            self._channels = [
                grpc.aio.insecure_channel(target, options) for _ in n_channels
            ]
        # Without serializers: the messages are bytes, which grpc_messages writes. Made
        # once, because making one takes as long as writing a small message.
        self._infer_methods: Iterator[_Method] = itertools.cycle(
            [channel.unary_unary(f"{_SERVICE}ModelInfer") for channel in self._channels]
        )
        self._turns = itertools.cycle(self._channels)
        _forks.is_used = True

    def next_infer(self) -> _Method:
        """Return ModelInfer of the next channel, on messages as bytes."""
        return next(self._infer_methods)

    def next_method(self, path: str) -> _Method:
        """Return any other method of the next channel, on messages as bytes."""
        method: _Method = next(self._turns).unary_unary(path)
        return method

    async def close(self) -> None:
        """Close them; calls in flight are cancelled."""
        for channel in self._channels:
            await channel.close()


class _Forks:
    """Knows whether gRPC had been used when this process was forked.

    The child has gRPC's locks and counters but not its threads, so even a new channel
    hangs or crashes there. Closing all channels before the fork does not help: gRPC's
    threads end later, or only when a failed call is collected, and a fork in between
    leaves their locks taken for ever.
    """

    def __init__(self) -> None:
        self.is_used = False
        self._parent: int | None = None
        os.register_at_fork(after_in_child=self._note)

    def _note(self) -> None:
        if self.is_used:
            self._parent = os.getppid()

    def refuse_inherited(self) -> None:
        if self._parent is not None:
            raise ForkedProcessError(what="a gRPC connection", pid=self._parent)


_forks = _Forks()


def channel_options(server: ServerConfig) -> list[tuple[str, str | int]]:
    """Return gRPC's settings for the channels to a server."""
    channel = server.channel
    options: list[tuple[str, str | int]] = [
        *_OPTIONS,
        ("grpc.keepalive_time_ms", int(channel.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(channel.keepalive_timeout_s * 1000)),
        # An idle connection is not tested: servers count such tests as an attack.
        ("grpc.keepalive_permit_without_calls", 0),
        (
            "grpc.service_config",
            json.dumps(
                {
                    "loadBalancingConfig": [{channel.balancing: {}}],
                    "methodConfig": [_LIMITED_METHODS],
                }
            ),
        ),
    ]
    # By default gRPC follows http_proxy, even to this machine.
    if server.is_local or not server.proxy:
        options.append(("grpc.enable_http_proxy", 0))
    if server.tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", server.tls.server_name))
    return options


def _credentials(tls: TlsConfig) -> grpc.ChannelCredentials:
    # gRPC would use the authorities of its release instead of the system's.
    system = ssl.get_default_verify_paths().cafile
    roots = tls.roots or (Path(system) if system else None)
    return grpc.ssl_channel_credentials(
        root_certificates=_read(roots, "roots"),
        private_key=_read(tls.key, "key"),
        certificate_chain=_read(tls.certificate, "certificate"),
    )


def _read(path: Path | None, what: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"tls: cannot read {what} {path}: {error.strerror}"
        ) from error
