"""A transport without a wire, for unit tests of what lies above it."""

from collections.abc import Awaitable, Callable

from sonic_client.compression_report import CompressionReport
from sonic_client.transport.base import InferCall, InferReply, ServerCounters
from sonic_client.types import ModelMetadata, ModelState, Tensors

__all__ = ["FakeTransport"]


class FakeTransport:
    """One model, answered by a coroutine function of the test.

    Parameters
    ----------
    metadata : ModelMetadata
        What `describe` returns.
    respond : callable
        Is awaited with every call; returns the outputs, or raises what a real
        transport would.
    server : str
        The address it claims to have.

    Attributes
    ----------
    calls : list of InferCall
        Every call so far, repeated ones included.
    timeouts_s : list of float
        The time each of them was given.
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
        """The address it claims to have."""
        return self._server

    @property
    def compression(self) -> CompressionReport:
        """Nothing: no bytes are made."""
        return CompressionReport()

    async def open(self) -> None:
        """Note that it is open."""
        self.is_open = True

    async def close(self) -> None:
        """Note that it is closed."""
        self.is_open = False

    async def probe(self, *, timeout_s: float) -> None:
        """Find it ready."""

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Return its one model, ready."""
        model = self._metadata
        return (ModelState(name=model.name, version=model.version, state="READY"),)

    async def describe(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ModelMetadata:
        """Return the metadata, whatever model is asked for."""
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
        """Await the test's answer."""
        self.calls.append(call)
        self.timeouts_s.append(timeout_s)
        answer = await self._respond(call)
        outputs = {name: array.view() for name, array in answer.items()}
        for array in outputs.values():
            array.flags.writeable = False
        return InferReply(model_version=self._metadata.version, outputs=outputs)
