"""gRPC channels to one server: their options and certificates."""

from __future__ import annotations

import itertools
import json
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from sonic_base.errors import ConfigError
from sonic_client.config import ServerConfig, TlsConfig
from sonic_client.config.server import MAX_MESSAGE_BYTES
from sonic_client.errors import ForkedProcessError

__all__ = ["ChannelPool", "channel_options"]

_INFER = "/inference.GRPCInferenceService/ModelInfer"
_OPTIONS = (
    # gRPC would refuse answers above 4 MB.
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Its built-in retry does nothing above 256 KiB; we have our own.
    ("grpc.enable_retries", 0),
    # A call fails at once while the channel waits to connect again: gRPC's waits,
    # up to two minutes, would use up our tries without a connection being made.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Channels to one address share that wait, and one's past, unless told not to; and
    # without it all channels of a pool would be one connection.
    ("grpc.use_local_subchannel_pool", 1),
    # The configuration is ours, not a TXT record's.
    ("grpc.service_config_disable_resolution", 1),
)


class ChannelPool:
    """The channels to one server.

    Parameters
    ----------
    server : ServerConfig

    Raises
    ------
    ConfigError
        If a certificate cannot be read.
    ForkedProcessError
        If gRPC had been used when this process was forked.
    """

    def __init__(self, server: ServerConfig) -> None:
        _forks.refuse_inherited()
        # The name is resolved by gRPC, to all of its addresses.
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
        self._infer_methods: Iterator[Callable[..., Any]] = itertools.cycle(
            [channel.unary_unary(_INFER) for channel in self._channels]
        )
        self._turns = itertools.cycle(self._channels)
        _forks.is_used = True

    def next(self) -> grpc.aio.Channel:
        """Return the channels in turn."""
        return next(self._turns)

    # Any: gRPC has no type for its multicallables.
    def next_infer(self) -> Callable[..., Any]:
        """Return ModelInfer of the channels in turn."""
        return next(self._infer_methods)

    async def close(self) -> None:
        """Close them; calls in flight are cancelled."""
        for channel in self._channels:
            await channel.close()


class _Forks:
    """Knows whether gRPC had been used when this process was forked.

    Its threads are not in the child then, while its locks and counters say that they
    are: also a new channel hangs or crashes there. Closing all channels before does not
    help: gRPC's threads end later, or not before what hangs on a failed call is
    collected, and a fork in between leaves their locks taken for ever.
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


# Any: gRPC's options are of several types.
def channel_options(server: ServerConfig) -> list[tuple[str, Any]]:
    """Return gRPC's settings for the channels to a server."""
    channel = server.channel
    options: list[tuple[str, Any]] = [
        *_OPTIONS,
        ("grpc.keepalive_time_ms", int(channel.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(channel.keepalive_timeout_s * 1000)),
        # An idle connection is left alone: servers count such tests as an attack.
        ("grpc.keepalive_permit_without_calls", 0),
        (
            "grpc.service_config",
            json.dumps({"loadBalancingConfig": [{channel.balancing: {}}]}),
        ),
    ]
    if server.tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", server.tls.server_name))
    return options


def _credentials(tls: TlsConfig) -> grpc.ChannelCredentials:
    # gRPC's own list of authorities is that of its release, not the system's.
    roots = tls.roots or _system_roots()
    return grpc.ssl_channel_credentials(
        root_certificates=_read(roots, "roots"),
        private_key=_read(tls.key, "key"),
        certificate_chain=_read(tls.certificate, "certificate"),
    )


def _system_roots() -> Path | None:
    paths = ssl.get_default_verify_paths()
    return Path(paths.cafile) if paths.cafile else None


def _read(path: Path | None, what: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"tls: cannot read {what} {path}: {error.strerror}"
        ) from error
