"""A transport without a network, for unit tests of the layers above."""

from collections.abc import Awaitable, Callable

from sonic_client.transport.base import (
    CompressionReport,
    InferCall,
    InferReply,
    ServerCounters,
)
from sonic_client.types import ModelMetadata, ModelState, Tensors

__all__ = ["FakeTransport"]


class FakeTransport:
    """A server of one model, whose answers a coroutine function of the test gives.

    Parameters
    ----------
    metadata : ModelMetadata
        Returned by `describe`.
    respond : callable
        Awaited with every call; returns the outputs, or raises what a real transport
        would.
    server : str
        Address in messages and statistics.

    Attributes
    ----------
    calls : list of InferCall
        Every call so far, including repeated ones.
    timeouts_s : list of float
        The timeout of each.
    is_open : bool
    """

    def __init__(
        self,
        metadata: ModelMetadata,
        respond: Callable[[InferCall], Awaitable[Tensors]],
        *,
        server: str = "grpc://fake:8001",
    ) -> None:
        self._metadata, self._respond, self._server = metadata, respond, server
        self.calls: list[InferCall] = []
        self.timeouts_s: list[float] = []
        self.is_open = False

    @property
    def server(self) -> str:
        """Address in messages and statistics."""
        return self._server

    @property
    def compression(self) -> CompressionReport:
        """Empty, because no bytes are made."""
        return CompressionReport()

    async def open(self) -> None:
        """Set `is_open`."""
        self.is_open = True

    async def close(self) -> None:
        """Clear `is_open`."""
        self.is_open = False

    async def probe(self, *, timeout_s: float) -> None:
        """Return, because it is always ready."""

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Return its one model, as ready."""
        model = self._metadata
        return (ModelState(name=model.name, version=model.version, state="READY"),)

    async def describe(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ModelMetadata:
        """Return the metadata, for any model."""
        return self._metadata

    async def count(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ServerCounters:
        """Count each call so far as one request of one second in the model."""
        n = len(self.calls)
        return ServerCounters(
            requests=n, inferences=n, executions=n, compute_infer_s=float(n)
        )

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Record the call and await the test's answer."""
        self.calls.append(call)
        self.timeouts_s.append(timeout_s)
        answer = await self._respond(call)
        outputs = {name: array.view() for name, array in answer.items()}
        for array in outputs.values():
            array.flags.writeable = False
        return InferReply(model_version=self._metadata.version, outputs=outputs)
