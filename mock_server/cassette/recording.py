"""Models that ask a real server, and keep what it answers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from mock_server.cassette.exchange import (
    Exchange,
    RecordedResponse,
    key_of,
    rounded,
    shapes_text,
)
from mock_server.cassette.folder import Cassette
from mock_server.cassette.upstream import Upstream
from mock_server.model.config import model_of
from mock_server.model.declaration import Execution, Model
from mock_server.wire.inference import InferenceRequest, InferenceResponse

logger = logging.getLogger(__name__)


def recorded_models(
    upstream: Upstream, cassette: Cassette, *, max_bytes: int | None = None
) -> list[Model]:
    """Models that stand between a client and the real ones.

    Clients get the answers as they came; rounded ones go into the cassette alone.
    Beyond `max_bytes` requests are still answered, but recorded no more.
    """
    backend = RecordBackend(upstream, cassette, max_bytes)
    return [
        model_of(config, backend, version=version)
        for config, version in cassette.models.values()
    ]


class RecordBackend:
    """Passes requests on, and records the exchanges."""

    def __init__(
        self, upstream: Upstream, cassette: Cassette, max_bytes: int | None
    ) -> None:
        self._upstream = upstream
        self._cassette = cassette
        self._max_bytes = max_bytes
        self._is_full = False

    def __repr__(self) -> str:
        return f"RecordBackend({str(self._cassette.folder)!r})"

    def start(self, model: Model, instance_name: str, device_id: int) -> RecordInstance:
        """An instance of one model."""
        return RecordInstance(self, model)

    def ask(self, request: InferenceRequest, model: Model) -> list[InferenceResponse]:
        """Responses of the real server, which are recorded on the way."""
        declared = {spec.name for spec in model.inputs}
        # A sequence's control inputs are the scheduler's, and the real one has its own.
        inputs = tuple(tensor for tensor in request.inputs if tensor.name in declared)
        asked = replace(request, inputs=inputs)
        responses = self._upstream.ask(asked, is_decoupled=model.is_decoupled)
        self._record(asked, responses)
        return responses

    def _record(
        self, request: InferenceRequest, responses: Sequence[InferenceResponse]
    ) -> None:
        cassette = self._cassette
        if self._max_bytes is not None and cassette.size_bytes >= self._max_bytes:
            if not self._is_full:
                self._is_full = True
                logger.warning(
                    "the cassette has reached its limit of %d bytes: nothing more is "
                    "recorded",
                    self._max_bytes,
                )
            return
        kept = tuple(
            replace(
                recorded,
                outputs=tuple(rounded(t, cassette.decimals) for t in recorded.outputs),
            )
            for recorded in map(RecordedResponse.of, responses)
        )
        key = key_of(request, cassette.decimals)
        cassette.add(Exchange(request.model_name, key, shapes_text(request), kept))


class RecordInstance:
    """Asks the real server for each request of a batch, one after the other."""

    def __init__(self, backend: RecordBackend, model: Model) -> None:
        self._backend = backend
        self._model = model

    def execute(self, batch: Sequence[Execution]) -> None:
        """Answer with what the real server answers."""
        for execution in batch:
            responses = self._backend.ask(execution.request, self._model)
            last = len(responses) - 1
            for number, response in enumerate(responses):
                named = replace(response, model_version=self._model.version)
                execution.respond(named, number == last)
            if last < 0:
                execution.respond(None, True)

    def finalize(self) -> None:
        """Nothing to let go of."""
