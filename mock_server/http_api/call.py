"""One HTTP request, as the parts of the service see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mock_server.wire.inference import Cancellation


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was read to its end, and what to do about its connection."""

    method: str
    body: bytes
    headers: dict[str, str]
    """By lower-case name."""

    cancellation: Cancellation
    drop_connection: Callable[[], object]
