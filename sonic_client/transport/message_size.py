"""Refusing what is too large before it costs anything."""

from __future__ import annotations

from sonic_client.config import ServerConfig
from sonic_client.errors import RequestTooLargeError
from sonic_client.transport.base import InferCall
from sonic_client.types import payload_bytes

__all__ = ["check_message_size"]


def check_message_size(call: InferCall, server: ServerConfig) -> None:
    """Compare a call's tensors with the server's limit; nothing is copied.

    gRPC would find out too, after seconds of copying. The few hundred bytes around the
    tensors are not counted.

    Raises
    ------
    RequestTooLargeError
        If they are above it.
    """
    inline = call.inputs
    if call.input_regions:
        inline = {k: v for k, v in inline.items() if k not in call.input_regions}
    n_bytes = payload_bytes(inline)
    limit = server.max_message_bytes
    if n_bytes > limit:
        raise RequestTooLargeError(
            server=server.url,
            status="RESOURCE_EXHAUSTED",
            details=f"{n_bytes} bytes, the limit is {limit}",
            remedy="max_message_bytes; nothing was sent",
        )
