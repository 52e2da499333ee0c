"""Many servers asked at once, each for itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sonic_client.config import ServerConfig
from sonic_client.errors import (
    AccessDeniedError,
    InvalidAnswerError,
    ServerError,
    ServerUnreachableError,
    TryTimedOutError,
)
from sonic_client.transport import Transport, transport_for
from sonic_client.types import ModelState

__all__ = ["ServerReport", "ServerState", "survey"]

ServerState: TypeAlias = Literal[
    "ready", "saturated", "not ready", "denied", "unreachable"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport:
    """What a server said.

    Attributes
    ----------
    server : str
        Its URL.
    state : str
        ``saturated`` is a server that is ready and whose admission control turns new
        work away.
    latency_s : float or None
        Seconds of a health call over an open connection; None if there is none.
    models : tuple of ModelState
        Every version of every model, loaded or not.
    why : str
        The error, if it is not ready.
    """

    server: str
    state: ServerState
    latency_s: float | None = None
    models: tuple[ModelState, ...] = ()
    why: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether it takes new work."""
        return self.state == "ready"

    def row(self) -> tuple[str, ...]:
        """Return the report as texts."""
        latency = "" if self.latency_s is None else f"{self.latency_s * 1e3:.1f} ms"
        models = ", ".join(
            f"{model.name} {model.version}".strip()
            + ("" if model.is_ready else f" ({model.state or 'not loaded'})")
            for model in self.models
        )
        return self.server, self.state, latency, models, self.why


def survey(
    servers: Sequence[ServerConfig], *, timeout_s: float
) -> tuple[ServerReport, ...]:
    """Ask all servers at once; return their reports in order.

    Parameters
    ----------
    servers : sequence of ServerConfig
    timeout_s : float
        Seconds that each of them is given.

    Raises
    ------
    ConfigError
        If a token or a certificate cannot be read.
    """

    async def ask_all() -> list[ServerReport]:
        return await asyncio.gather(*(_report(each, timeout_s) for each in servers))

    return tuple(asyncio.run(ask_all()))


async def _report(server: ServerConfig, timeout_s: float) -> ServerReport:
    transport = transport_for(server)
    await transport.open()
    try:
        return await _ask(transport, timeout_s)
    except (ServerError, InvalidAnswerError) as error:
        return ServerReport(
            server=server.url, state=_state_after(error), why=str(error)
        )
    finally:
        await transport.close()


async def _ask(transport: Transport, timeout_s: float) -> ServerReport:
    deadline = time.monotonic() + timeout_s
    await transport.probe(timeout_s=timeout_s)  # the first call also connects
    started = time.monotonic()
    await transport.probe(timeout_s=deadline - started)
    latency_s = time.monotonic() - started
    try:
        models = await transport.index(timeout_s=deadline - time.monotonic())
    except ServerError as error:
        if error.status != "CANCELLED":
            raise
        # Admission control refuses this call, and without a word.
        return ServerReport(
            server=transport.server,
            state="saturated",
            latency_s=latency_s,
            why="admission refused: try again later, or another server",
        )
    return ServerReport(
        server=transport.server, state="ready", latency_s=latency_s, models=models
    )


def _state_after(error: ServerError | InvalidAnswerError) -> ServerState:
    if isinstance(error, AccessDeniedError):
        return "denied"
    if isinstance(error, ServerUnreachableError | TryTimedOutError | ConnectionError):
        return "unreachable"
    return "not ready"
