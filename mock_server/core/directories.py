"""Models in Triton's layout: ``MODEL/config.pbtxt`` and ``MODEL/1/model.py``."""

from collections.abc import Hashable, Iterator
from pathlib import Path

from tritonclient.grpc import model_config_pb2

from mock_server.core.sources import Responses
from mock_server.model.config import defaults
from mock_server.model.config.declaration import ensemble_of, model_of
from mock_server.model.config.text import ConfigurationError, parse_text
from mock_server.model.declaration import Model
from mock_server.model.python_backend.backend import PythonBackend
from mock_server.model.python_backend.responses import InferenceResponse
from mock_server.wire.inference import InferenceRequest


def load_repository(path: Path) -> list["ModelDirectory"]:
    """Models of a repository directory, by name; nothing of them is loaded yet.

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
    """One model of a repository directory."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def config(self) -> model_config_pb2.ModelConfig:
        """Configuration of the file, or an empty one: a model may complete it.

        Raises
        ------
        ConfigurationError
            If the file cannot be read, or names another model.
        """
        file = self.path / "config.pbtxt"
        config = (
            parse_text(file.read_text(), str(file))
            if file.exists()
            else model_config_pb2.ModelConfig()
        )
        if config.name and config.name != self.name:
            raise ConfigurationError(
                f"{file}: expected name {self.name!r}, as the directory is called, got "
                f"{config.name!r}"
            )
        config.name = self.name
        return config

    def versions(self) -> list[int]:
        """Numbers that directories are called."""
        return sorted(
            int(each.name)
            for each in self.path.iterdir()
            if each.is_dir() and each.name.isdecimal() and int(each.name) > 0
        )

    def model(
        self, version: int, config: model_config_pb2.ModelConfig, ask: Responses
    ) -> Model:
        """One version, its ``model.py`` imported, or the ensemble that it is.

        Raises
        ------
        BaseException
            Whatever the file raises; `ConfigurationError` for another backend.
        """
        if defaults.is_ensemble(config):
            return model_of(config, ensemble_of(config), version=str(version))
        if config.backend not in {"", defaults.PYTHON}:
            raise ConfigurationError(
                f"model {self.name!r}: expected backend 'python' or an ensemble, got "
                f"{config.backend!r}"
            )
        file = self.path / str(version) / (config.default_model_filename or "model.py")

        def infer(request: InferenceRequest) -> Iterator[InferenceResponse]:
            return map(InferenceResponse.of, ask(request))

        backend = PythonBackend(file, infer)
        completed = backend.completed(config)
        return model_of(
            completed, backend, version=str(version), labels=self._labels(completed)
        )

    def state(self) -> Hashable:
        """Names and times of all its files."""
        return tuple(
            (str(each), each.stat().st_mtime_ns)
            for each in sorted(self.path.rglob("*"))
            if each.is_file() and "__pycache__" not in each.parts
        )

    def _labels(self, config: model_config_pb2.ModelConfig) -> dict[str, list[str]]:
        return {
            each.name: (self.path / each.label_filename).read_text().splitlines()
            for each in config.output
            if each.label_filename
        }
