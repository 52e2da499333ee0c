"""The models of a server, by name and version, as a client asks for them."""

import re
import threading
from collections.abc import Iterable

import grpc

from mock_server.errors import ModelError
from mock_server.loaded_model import LoadedModel
from mock_server.models import Model
from mock_server.validation import invalid


class Repository:
    """Loaded models; may be read and added to from any thread."""

    def __init__(self, models: Iterable[Model] = ()) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[str, dict[int, LoadedModel]] = {}
        for model in models:
            self.add(model)

    def add(self, model: Model) -> None:
        """Serve one more model, or one more version of it.

        Raises
        ------
        ValueError
            If this version of the model is served already.
        """
        number = int(model.version)
        with self._lock:
            versions = self._loaded.get(model.name, {})
            if number in versions:
                raise ValueError(
                    f"model {model.name!r} version {number} is served already"
                )
            # Replaced, never changed, so that readers need no lock.
            new = dict(sorted({**versions, number: LoadedModel(model)}.items()))
            self._loaded = dict(sorted({**self._loaded, model.name: new}.items()))

    def find(self, name: str, version: str) -> LoadedModel:
        """Model that a request names; of several versions the highest.

        Raises
        ------
        ModelError
            NOT_FOUND, or INVALID_ARGUMENT if `version` is not a number.
        """
        return self.versions(name, version)[-1]

    def versions(self, name: str, version: str) -> list[LoadedModel]:
        """Every version of a model, ascending, or the one asked for; never empty.

        Raises
        ------
        ModelError
            As `find` does.
        """
        number = _version_number(version)
        versions = self._loaded.get(name)
        if versions is not None and number is None:
            return list(versions.values())
        if versions is not None and number in versions:
            return [versions[number]]
        which = "" if number is None else f" version {number}"
        raise ModelError(
            grpc.StatusCode.NOT_FOUND,
            f"Request for unknown model: '{name}'{which} is not found",
        )

    def is_ready(self, name: str, version: str) -> bool:
        """Whether a request for it would find a model.

        Raises
        ------
        ModelError
            INVALID_ARGUMENT if `version` is not a number.
        """
        number = _version_number(version)
        versions = self._loaded.get(name, {})
        return bool(versions) if number is None else number in versions

    def counted(self, name: str, version: str) -> list[LoadedModel]:
        """Models whose statistics a client asks for; no name asks for all.

        Raises
        ------
        ModelError
            INVALID_ARGUMENT if there is no such model or version.
        """
        number = _version_number(version)
        if not name:
            return self.all()
        if name not in self._loaded:
            raise invalid(f"requested model '{name}' is not available")
        if number is not None and number not in self._loaded[name]:
            raise invalid(
                f"requested model version is not available for model '{name}'"
            )
        return self.versions(name, version)

    def all(self) -> list[LoadedModel]:
        """Every version of every model, by name."""
        return [m for versions in self._loaded.values() for m in versions.values()]


def _version_number(text: str) -> int | None:
    """Version asked for, None for any; read as C++ ``std::stol`` reads it."""
    if not text:
        return None
    problem = f"failed to get model version from specified version string '{text}'"
    match = re.match(r"\s*([+-]?\d+)", text)
    if match is None:
        raise invalid(
            f"{problem} (details: stol), version should be an integral value > 0"
        )
    number = int(match[1])
    if not -(2**63) <= number < 2**63:
        raise invalid(
            f"{problem} (details: stol), version should be an integral value > 0"
        )
    if number < 0:
        raise invalid(
            f"invalid model version specified '{text}' , version should be an integral "
            "value > 0"
        )
    return number
