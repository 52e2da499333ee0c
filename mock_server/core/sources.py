"""Models that can be loaded: declared in Python, or in Triton's repository layout."""

from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Protocol

from tritonclient.grpc.model_config_pb2 import ModelConfig

from mock_server.errors import ConfigurationError
from mock_server.model.config import config_of, ensemble_of, model_of
from mock_server.model.config_message import (
    PYTHON,
    is_ensemble,
    parse_text,
)
from mock_server.model.declaration import Model
from mock_server.model.python_backend import messages
from mock_server.model.python_backend.backend import PythonBackend
from mock_server.wire.inference import InferenceRequest, InferenceResponse

AskServer = Callable[[InferenceRequest], Iterator[InferenceResponse]]
"""Asks a model of the server that a source is part of; ends with its last response."""


class ModelSource(Protocol):
    """A model that may be loaded, any number of times."""

    name: str

    def config(self) -> ModelConfig:
        """Return the configuration as written; raises `ConfigurationError`."""

    def versions(self) -> list[int]:
        """Return the versions that exist."""

    def model(self, version: int, config: ModelConfig, ask: AskServer) -> Model:
        """Return one version, by a configuration that need not be the source's own.

        Raises
        ------
        BaseException
            Whatever the model raises, or `ConfigurationError`.
        """

    def state(self) -> Hashable:
        """Return a value that stays equal as long as nothing has changed."""


class DeclaredModels:
    """A `ModelSource`: versions of one model that the program itself has declared."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._models: dict[int, Model] = {}

    def add(self, model: Model) -> None:
        """Add one more version.

        Raises
        ------
        ValueError
            If it exists already.
        """
        number = int(model.version)
        if number in self._models:
            raise ValueError(f"model {model.name!r} version {number} is served already")
        self._models[number] = model

    def config(self) -> ModelConfig:
        """Return the configuration of the highest version; all versions are served."""
        config = config_of(self._models[max(self._models)])
        config.version_policy.all.SetInParent()
        return config

    def versions(self) -> list[int]:
        """Return the versions that were added."""
        return sorted(self._models)

    def model(self, version: int, config: ModelConfig, ask: AskServer) -> Model:
        """Return the version as it was declared, whatever the configuration."""
        return self._models[version]

    def state(self) -> Hashable:
        """Return the versions."""
        return tuple(self.versions())


def load_repository(path: Path) -> list["ModelDirectory"]:
    """Return the models of a repository directory, by name; loads none of them.

    Raises
    ------
    NotADirectoryError
        If there is no such directory.
    """
    if not path.is_dir():
        raise NotADirectoryError(f"model repository: no directory {path}")
    return [
        ModelDirectory(each)
        for each in sorted(path.iterdir())
        if each.is_dir() and not each.name.startswith((".", "__"))
    ]


class ModelDirectory:
    """A `ModelSource`: ``MODEL/config.pbtxt`` and ``MODEL/1/model.py``."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def config(self) -> ModelConfig:
        """Return the configuration of the file, or an empty one that a model completes.

        Raises
        ------
        ConfigurationError
            If the file cannot be read, or names another model.
        """
        file = self.path / "config.pbtxt"
        config = ModelConfig()
        if file.exists():
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{file}: cannot read: {error}") from error
            config = parse_text(text, str(file))
        if config.name and config.name != self.name:
            raise ConfigurationError(
                f"{file}: expected name {self.name!r}, as the directory is called, got "
                f"{config.name!r}"
            )
        config.name = self.name
        return config

    def versions(self) -> list[int]:
        """Return the numbers that name directories."""
        return sorted(
            int(each.name)
            for each in self.path.iterdir()
            if each.is_dir() and each.name.isdecimal() and int(each.name) > 0
        )

    def model(self, version: int, config: ModelConfig, ask: AskServer) -> Model:
        """Return one version: its ``model.py``, imported, or an ensemble.

        Raises
        ------
        BaseException
            Whatever the file raises; `ConfigurationError` for another backend.
        """
        if is_ensemble(config):
            return model_of(config, ensemble_of(config), version=str(version))
        if config.backend not in {"", PYTHON}:
            raise ConfigurationError(
                f"model {self.name!r}: expected backend 'python' or an ensemble, got "
                f"{config.backend!r}"
            )
        file = self._file(str(version), config.default_model_filename or "model.py")
        backend = PythonBackend(
            file, lambda request: map(messages.InferenceResponse.of, ask(request))
        )
        completed = backend.completed(config)
        labels = {
            each.name: self._file("", each.label_filename).read_text().splitlines()
            for each in completed.output
            if each.label_filename
        }
        return model_of(completed, backend, version=str(version), labels=labels)

    def _file(self, folder: str, name: str) -> Path:
        """Return a file that a configuration names, which a client may have sent.

        It must lie in the model's directory. Links in there may lead out of it: only
        the directory's owner makes them.
        """
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise ConfigurationError(
                f"model {self.name!r}: expected the name of a file in its directory, "
                f"got {name!r}"
            )
        return self.path / folder / name

    def state(self) -> Hashable:
        """Return the names and times of all its files."""
        return tuple(
            (str(each), each.stat().st_mtime_ns)
            for each in sorted(self.path.rglob("*"))
            if each.is_file() and "__pycache__" not in each.parts
        )
