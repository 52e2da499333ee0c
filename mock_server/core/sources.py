"""What can be loaded: a name, its configuration, and its versions."""

from collections.abc import Callable, Hashable, Iterator
from typing import Protocol

from tritonclient.grpc import model_config_pb2

from mock_server.model.config.declaration import config_of
from mock_server.model.declaration import Model
from mock_server.wire.inference import InferenceRequest, InferenceResponse

Responses = Callable[[InferenceRequest], Iterator[InferenceResponse]]
"""Asks a model of the server that a source is part of; ends with its last response."""


class ModelSource(Protocol):
    """A model that may be loaded, any number of times."""

    name: str

    def config(self) -> model_config_pb2.ModelConfig:
        """Configuration as written; raises `ConfigurationError`."""

    def versions(self) -> list[int]:
        """Versions that are there."""

    def model(
        self, version: int, config: model_config_pb2.ModelConfig, ask: Responses
    ) -> Model:
        """One version, by a configuration that need not be the source's own.

        Raises
        ------
        BaseException
            Whatever the model raises, or `ConfigurationError`.
        """

    def state(self) -> Hashable:
        """Equal as long as nothing has changed."""


class DeclaredModels:
    """Versions of one model that the program itself has declared."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._models: dict[int, Model] = {}

    def add(self, model: Model) -> None:
        """One more version.

        Raises
        ------
        ValueError
            If it is there already.
        """
        number = int(model.version)
        if number in self._models:
            raise ValueError(f"model {model.name!r} version {number} is served already")
        self._models[number] = model

    def config(self) -> model_config_pb2.ModelConfig:
        """Configuration of the highest version; all of them are served."""
        config = config_of(self._models[max(self._models)])
        config.version_policy.all.SetInParent()
        return config

    def versions(self) -> list[int]:
        """Versions that were added."""
        return sorted(self._models)

    def model(
        self, version: int, config: model_config_pb2.ModelConfig, ask: Responses
    ) -> Model:
        """The version as it was declared, whatever the configuration."""
        return self._models[version]

    def state(self) -> Hashable:
        """Its versions."""
        return tuple(self.versions())
