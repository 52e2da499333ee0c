"""Models that answer from a cassette."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import grpc

from mock_server.cassette.exchange import Exchange, key_of, shapes_text
from mock_server.cassette.folder import Cassette
from mock_server.errors import ModelError
from mock_server.model.config import model_of
from mock_server.model.declaration import Execution, Model
from mock_server.wire.inference import InferenceRequest, InferenceResponse


def replayed_models(cassette: Cassette) -> list[Model]:
    """The models of a cassette, declared as on the server they were recorded from."""
    return [
        model_of(config, ReplayBackend(cassette), version=version)
        for config, version in cassette.models.values()
    ]


class ReplayBackend:
    """Answers of a cassette, for any model of it."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    def __repr__(self) -> str:
        return f"ReplayBackend({str(self._cassette.folder)!r})"

    def start(self, model: Model, instance_name: str, device_id: int) -> ReplayInstance:
        """An instance of one model."""
        return ReplayInstance(self._cassette, model)


class ReplayInstance:
    """Looks each request up."""

    def __init__(self, cassette: Cassette, model: Model) -> None:
        self._cassette = cassette
        self._model = model

    def execute(self, batch: Sequence[Execution]) -> None:
        """Answer with what was recorded, or that it was not."""
        for execution in batch:
            request = execution.request
            key = key_of(request, self._cassette.decimals)
            exchange = self._cassette.find(self._model.name, key)
            if exchange is None:
                execution.respond(self._unknown(request), True)
                continue
            last = len(exchange.responses) - 1
            for number, recorded in enumerate(exchange.responses):
                response = recorded.response_to(request, self._model.version)
                execution.respond(response, number == last)
            if last < 0:
                execution.respond(None, True)

    def finalize(self) -> None:
        """Nothing to let go of."""

    def _unknown(self, request: InferenceRequest) -> InferenceResponse:
        known = self._cassette.exchanges(self._model.name)
        asked = shapes_text(request)
        error = ModelError(
            grpc.StatusCode.NOT_FOUND,
            f"this request to model '{self._model.name}' was never recorded: {asked}. "
            f"{_nearest(asked, known)}. The cassette is {self._cassette.folder}, and "
            "sonic record adds to none: record a new one",
        )
        return InferenceResponse(
            model_name=self._model.name,
            model_version=self._model.version,
            id=request.id,
            error=error,
        )


def _nearest(asked: str, known: Sequence[Exchange]) -> str:
    if not known:
        return "Nothing was recorded of this model"
    shapes = list(dict.fromkeys(each.shapes for each in known))
    if asked in shapes:
        return (
            f"Of this shape {sum(e.shapes == asked for e in known)} were, with other "
            "values, outputs or parameters"
        )
    (near,) = get_close_matches(asked, shapes, n=1, cutoff=0.0)
    return f"Nearest of {len(known)} recorded: {near}"
