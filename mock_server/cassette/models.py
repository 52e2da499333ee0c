"""Models that record what a real server answers, and models that replay it."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

import grpc

from mock_server.cassette.folder import (
    Cassette,
    Exchange,
    key_of,
    rounded,
    shapes_text,
)
from mock_server.cassette.upstream import Upstream
from mock_server.errors import ModelError
from mock_server.model.config import model_of
from mock_server.model.declaration import Execution, Instance, Model
from mock_server.wire.inference import InferenceRequest, InferenceResponse

logger = logging.getLogger(__name__)


def recorded_models(
    upstream: Upstream, cassette: Cassette, *, max_bytes: int | None = None
) -> list[Model]:
    """Return models that pass requests on to a real server, and record its answers.

    Clients get the answers as they came; only the cassette holds rounded ones. Beyond
    `max_bytes` requests are still answered, but no longer recorded; the same after an
    error of the disk, which is `Cassette.failure`.
    """
    return _models(_Recorder(upstream, cassette, max_bytes), cassette)


def replayed_models(cassette: Cassette) -> list[Model]:
    """Return models that answer from a cassette, declared as they were recorded."""
    return _models(_Replayer(cassette), cassette)


def _models(backend: _CassetteBackend, cassette: Cassette) -> list[Model]:
    return [
        model_of(config, backend, version=version)
        for config, version in cassette.models.values()
    ]


class _CassetteBackend:
    """A `Backend` whose answers come from somewhere else."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._cassette.folder)!r})"

    def start(self, model: Model, instance_name: str, device_id: int) -> Instance:
        """Make an instance of one model."""
        return _CassetteInstance(self, model)

    @abstractmethod
    def responses(
        self, request: InferenceRequest, model: Model
    ) -> Sequence[InferenceResponse]:
        """Return all responses to a request; an error is a response, too."""


class _CassetteInstance:
    def __init__(self, backend: _CassetteBackend, model: Model) -> None:
        self._backend, self._model = backend, model

    def execute(self, batch: Sequence[Execution]) -> None:
        """Answer each request of a batch by itself."""
        model = self._model
        for execution in batch:
            request = execution.request
            responses = self._backend.responses(request, model)
            if not responses:
                execution.respond(None, True)
            for number, response in enumerate(responses, 1):
                own = replace(response, id=request.id, model_version=model.version)
                execution.respond(own, number == len(responses))

    def finalize(self) -> None:
        """Do nothing."""


class _Recorder(_CassetteBackend):
    def __init__(
        self, upstream: Upstream, cassette: Cassette, max_bytes: int | None
    ) -> None:
        super().__init__(cassette)
        self._upstream = upstream
        self._max_bytes = max_bytes
        self._is_full = False

    def responses(
        self, request: InferenceRequest, model: Model
    ) -> list[InferenceResponse]:
        """Return the responses of the real server, and record them."""
        declared = {spec.name for spec in model.inputs}
        # The control inputs of a sequence are made by each server's own scheduler.
        inputs = tuple(tensor for tensor in request.inputs if tensor.name in declared)
        asked = replace(request, inputs=inputs)
        responses = self._upstream.ask(asked, is_decoupled=model.is_decoupled)
        if not self._cassette.failed.is_set() and not self._has_reached_limit():
            self._record(asked, responses)
        return responses

    def _has_reached_limit(self) -> bool:
        if self._max_bytes is None or self._cassette.size_bytes < self._max_bytes:
            return False
        if not self._is_full:
            self._is_full = True
            logger.warning(
                "the cassette has reached its limit of %d bytes: nothing more is "
                "recorded",
                self._max_bytes,
            )
        return True

    def _record(
        self, request: InferenceRequest, responses: Sequence[InferenceResponse]
    ) -> None:
        decimals = self._cassette.decimals
        kept = tuple(
            replace(each, outputs=tuple(rounded(t, decimals) for t in each.outputs))
            for each in responses
        )
        key = key_of(request, decimals)
        exchange = Exchange(request.model_name, key, shapes_text(request), kept)
        try:
            self._cassette.add(exchange)
        except OSError as error:
            # The client gets its answer all the same.
            self._cassette.failure = error
            self._cassette.failed.set()


class _Replayer(_CassetteBackend):
    def responses(
        self, request: InferenceRequest, model: Model
    ) -> Sequence[InferenceResponse]:
        """Return the recorded responses, or an error that names similar requests."""
        key = key_of(request, self._cassette.decimals)
        exchange = self._cassette.find(model.name, key)
        if exchange is not None:
            return exchange.responses
        asked = shapes_text(request)
        near = _nearest(asked, self._cassette.exchanges(model.name))
        error = ModelError(
            grpc.StatusCode.NOT_FOUND,
            f"this request to model '{model.name}' was never recorded: {asked}. "
            f"{near}. The cassette is {self._cassette.folder}, and sonic record adds "
            "to none: record a new one",
        )
        return [model.response_to(request, error=error)]


def _nearest(asked: str, known: Sequence[Exchange]) -> str:
    if not known:
        return "Nothing was recorded of this model"
    shapes = list(dict.fromkeys(each.shapes for each in known))
    if asked in shapes:
        n_alike = sum(each.shapes == asked for each in known)
        return f"Of this shape {n_alike} were, with other values, outputs or parameters"
    (near,) = get_close_matches(asked, shapes, n=1, cutoff=0.0)
    return f"Nearest of {len(known)} recorded: {near}"
