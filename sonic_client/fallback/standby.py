"""The fallback of a client, started when first needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

from sonic_base import ConfigError, SonicError
from sonic_client.config import FallbackConfig, ServerConfig
from sonic_client.errors import ServerUnreachableError
from sonic_client.fallback.function import (
    FallbackFunction,
    InProcessModel,
    call_in_thread,
)
from sonic_client.fallback.protocol import FallbackServer, is_fallback_server
from sonic_client.transport.base import InferCall, InferReply, Transport
from sonic_client.types import ModelMetadata

__all__ = ["FallbackLike", "Standby"]

FallbackLike: TypeAlias = FallbackServer | FallbackFunction
"""A server that this process can start, or a function that it can call."""

logger = logging.getLogger(__name__)


class Standby:
    """The fallback server or function of one client.

    Parameters
    ----------
    connect : callable
        Returns the transport that reaches a server, not yet open.

    Attributes
    ----------
    name : str
        Its name in summaries and errors.

    Notes
    -----
    Belongs to one event loop. Cancelling a caller does not undo a start that
    others may wait for.
    """

    def __init__(
        self,
        fallback: FallbackLike,
        config: FallbackConfig,
        connect: Callable[[ServerConfig], Transport],
    ) -> None:
        self._config, self._connect = config, connect
        self.name = f"fallback {config.name or _name_of(fallback)}"
        self._starting: asyncio.Future[None] | None = None
        self._transport: Transport | None = None
        self._server: FallbackServer | None = None
        self._function: InProcessModel | None = None
        if is_fallback_server(fallback):
            self._server = fallback
        elif callable(fallback):
            self._function = InProcessModel(
                fallback, name=self.name, max_concurrent=config.max_concurrent
            )
        else:
            raise ConfigError(
                f"fallback {fallback!r}: expected a FallbackServer or a function"
            )

    @property
    def describes_itself(self) -> bool:
        """Whether it can be asked for the model's tensors; a function cannot."""
        return self._function is None

    async def describe(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ModelMetadata:
        """Start it if it is not running, and ask for the model's metadata.

        Raises
        ------
        ServerUnreachableError
            It cannot be started; the reason is the error's cause.
        """
        transport = await self._started()
        return await transport.describe(model_name, model_version, timeout_s=timeout_s)

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Run the model; start the server if it is not running.

        Raises
        ------
        SonicError
            It cannot be started, or refuses the request as a server would.
        """
        if self._function is not None:
            return await self._function.infer(call, timeout_s=timeout_s)
        loop = asyncio.get_running_loop()
        started = loop.time()
        transport = await self._started()
        left_s = timeout_s - (loop.time() - started)
        return await transport.infer(call, timeout_s=left_s)

    async def close(self) -> None:
        """Stop it, if it was started; one that is starting is left to the process."""
        if self._transport is not None:
            await self._transport.close()
        if self._server and self._starting is not None and self._starting.done():
            await call_in_thread(self._server.stop)

    async def _started(self) -> Transport:
        server = self._server
        assert server is not None  # functions need no start
        if self._starting is None:
            logger.warning("starting the %s", self.name)
            self._starting = call_in_thread(server.start)
        try:
            async with asyncio.timeout(self._config.start_timeout_s):
                await asyncio.shield(self._starting)
        except TimeoutError as error:
            raise self._cannot_start(
                f"not started within {self._config.start_timeout_s:g} s"
            ) from error
        except Exception as error:
            raise self._cannot_start(str(error)) from error
        if self._transport is None:
            self._transport = self._connect(
                # It is on this machine, so shared memory needs no setting.
                ServerConfig(
                    url=server.url,
                    name=self.name,
                    token=getattr(server, "token", None),
                    shared_memory="auto",
                )
            )
            await self._transport.open()
        return self._transport

    def _cannot_start(self, why: str) -> SonicError:
        return ServerUnreachableError(
            server=self.name, status="UNAVAILABLE", details=f"cannot be started: {why}"
        )


def _name_of(fallback: FallbackLike) -> str:
    return getattr(fallback, "__name__", type(fallback).__name__)
