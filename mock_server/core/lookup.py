"""The models of a server by the name and version of a request."""

from collections.abc import Hashable, Iterator
from queue import SimpleQueue

import grpc
from tritonclient.grpc import model_config_pb2

from mock_server.core.loaded import Loaded
from mock_server.core.versions import version_number
from mock_server.errors import ModelError, invalid
from mock_server.wire.inference import InferenceRequest, InferenceResponse


class VersionStates:
    """The versions of one model: those that are loaded, and what became of others."""

    def __init__(self) -> None:
        self.loaded: dict[int, Loaded] = {}
        self.gone: dict[int, tuple[str, str]] = {}  #: state and reason
        self.override: model_config_pb2.ModelConfig | None = None
        self.source_state: Hashable = None


class ModelLookup:
    """Finds what is loaded; may be asked from any thread, while it changes too."""

    def __init__(self) -> None:
        # `loaded` of a state is replaced, never changed: readers need no lock.
        self._states: dict[str, VersionStates] = {}

    @property
    def is_server_ready(self) -> bool:
        """Whether no model has failed to load, and none is being unloaded."""
        return all(
            gone == ("UNAVAILABLE", "unloaded")
            for state in list(self._states.values())
            for gone in list(state.gone.values())
        )

    def find(self, name: str, version: str) -> Loaded:
        """Model that a request names; of several versions the highest.

        Raises
        ------
        ModelError
            NOT_FOUND; UNAVAILABLE for a version that is not loaded any more;
            INVALID_ARGUMENT if `version` is not a number.
        """
        return self.versions(name, version)[-1]

    def versions(self, name: str, version: str) -> list[Loaded]:
        """Every version of a model, ascending, or the one asked for; never empty.

        Raises
        ------
        ModelError
            As `find` does.
        """
        number = version_number(version)
        state = self._states.get(name)
        problem = f"Request for unknown model: '{name}'"
        if state is None:
            which = "" if number is None else f" version {number}"
            raise ModelError(
                grpc.StatusCode.NOT_FOUND, f"{problem}{which} is not found"
            )
        if number is None:
            if state.loaded:
                return list(state.loaded.values())
            raise ModelError(
                grpc.StatusCode.NOT_FOUND, f"{problem} has no available versions"
            )
        if number in state.loaded:
            return [state.loaded[number]]
        if number in state.gone:
            raise ModelError(
                grpc.StatusCode.UNAVAILABLE,
                f"{problem} version {number} is not at ready state",
            )
        raise ModelError(
            grpc.StatusCode.NOT_FOUND, f"{problem} version {number} is not found"
        )

    def is_ready(self, name: str, version: str) -> bool:
        """Whether a request for it would find a model.

        Raises
        ------
        ModelError
            INVALID_ARGUMENT if `version` is not a number.
        """
        number = version_number(version)
        state = self._states.get(name)
        if state is None:
            return False
        return bool(state.loaded) if number is None else number in state.loaded

    def counted(self, name: str, version: str) -> list[Loaded]:
        """Models whose statistics a client asks for; no name asks for all.

        Raises
        ------
        ModelError
            INVALID_ARGUMENT if there is no such model or version.
        """
        number = version_number(version)
        if not name:
            return self.all()
        state = self._states.get(name)
        if state is None or not state.loaded:
            raise invalid(f"requested model '{name}' is not available")
        if number is not None and number not in state.loaded:
            raise invalid(
                f"requested model version is not available for model '{name}'"
            )
        return self.versions(name, version)

    def all(self) -> list[Loaded]:
        """Every loaded version of every model, by name."""
        return [
            loaded
            for _, state in sorted(self._states.items())
            for loaded in state.loaded.values()
        ]

    def ask(self, request: InferenceRequest) -> Iterator[InferenceResponse]:
        """All responses of a model of this server; an error is a response, too.

        Raises
        ------
        ModelError
            If the request is wrong.
        """
        answers: SimpleQueue[tuple[InferenceResponse | None, bool]] = SimpleQueue()
        loaded = self.find(request.model_name, request.model_version)
        loaded.submit(
            request, lambda response, is_final: answers.put((response, is_final))
        )
        is_final = False
        while not is_final:
            response, is_final = answers.get()
            if response is not None:
                yield response
