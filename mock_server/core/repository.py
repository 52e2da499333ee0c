"""The models of a server: which are loaded, in what state, and how to find one."""

import re
import threading
import time
from collections.abc import Hashable, Iterable, Iterator
from queue import SimpleQueue
from typing import Literal, NamedTuple

import grpc
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import ModelConfig

from mock_server.core.ensemble import LoadedEnsemble
from mock_server.core.loaded_model import Loaded, LoadedModel
from mock_server.core.sources import DeclaredModels, ModelSource
from mock_server.errors import (
    ConfigurationError,
    ModelError,
    ModelLoadError,
    exception_text,
    internal,
    invalid,
)
from mock_server.model.config import ensemble_of
from mock_server.model.config_message import is_ensemble, parse_json
from mock_server.model.declaration import Ensemble, Model
from mock_server.profiles import DEFAULT_PROFILE, Profile
from mock_server.scheduling import threads
from mock_server.wire.inference import InferenceRequest, InferenceResponse

ModelControl = Literal["none", "explicit"]

_LEAST_WAIT_S = 0.1
"""Time for an idle model to end its threads, even after another one did not."""

_MAX_DIGITS = 19
"""Digits of the largest integer of 64 bits."""

_UNLOADING = ("UNLOADING", "")
_UNLOADED = ("UNAVAILABLE", "unloaded")


class IndexRow(NamedTuple):
    """One version of a model, or a model that was never loaded."""

    name: str
    version: str = ""
    state: str = ""  #: READY, UNLOADING, UNAVAILABLE, or empty: never loaded
    reason: str = ""


class _ModelState:
    """The versions of one model: those that are loaded, and what became of others."""

    def __init__(self) -> None:
        self.loaded: dict[int, Loaded] = {}
        self.gone: dict[int, tuple[str, str]] = {}  #: state and reason
        self.override: ModelConfig | None = None
        self.source_state: Hashable = None


class Repository:
    """Models of a server; may be asked and changed from any thread.

    Parameters
    ----------
    models : iterable of Model
        Loaded at once. More come by `add`.
    sources : iterable of ModelSource
        Further models that can be loaded.
    control : {"none", "explicit"}
        ``none``: `start` loads all, and nothing can be loaded or unloaded later;
        ``explicit``: `start` loads `load`, and clients load and unload.
    load : iterable of str
        Names; ``*`` means all.
    profile : Profile
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        sources: Iterable[ModelSource] = (),
        control: ModelControl = "none",
        load: Iterable[str] = (),
        profile: Profile = DEFAULT_PROFILE,
    ) -> None:
        self._profile = profile
        self._lock = threading.RLock()
        # `loaded` of a state is replaced, never changed: readers need no lock.
        self._states: dict[str, _ModelState] = {}
        self._sources: dict[str, ModelSource] = {each.name: each for each in sources}
        self._control = control
        names = list(load)
        self._startup = (
            list(self._sources) if control == "none" or "*" in names else names
        )
        self._unloading: list[threading.Thread] = []
        for model in models:
            self.add(model)

    def add(self, model: Model) -> None:
        """Serve one more model, or one more version of it, at once.

        Raises
        ------
        ValueError
            If this version of the model is served already, or a model of that name is
            in the repository.
        """
        with self._lock:
            source = self._sources.setdefault(model.name, DeclaredModels(model.name))
            if not isinstance(source, DeclaredModels):
                raise ValueError(  # noqa: TRY004 - of the name, not the argument's type
                    f"model {model.name!r} is in the repository already"
                )
            source.add(model)
            state = self._states.setdefault(model.name, _ModelState())
            loaded = dict(state.loaded)
            loaded[int(model.version)] = self._started(model)
            state.loaded = dict(sorted(loaded.items()))
            state.source_state = source.state()

    def start(self) -> None:
        """Load the models of the start that are not loaded yet.

        Raises
        ------
        ModelLoadError
            If one cannot be loaded; the message has a line for each.
        """
        problems = []
        for name in self._startup:
            if name in self._states:
                continue
            try:
                self._load(name, None)
            except ModelError as error:
                cause = error.message.strip().removesuffix(";")
                problems.append(f"{cause}; mend the model or load only the others")
        if problems:
            raise ModelLoadError("\n".join(problems))

    def close(self) -> None:
        """End the threads of all models, and wait for those that are being unloaded.

        The wait is bounded, for all of them together.
        """
        end_s = time.monotonic() + threads.STOP_WAIT_S
        for loaded in self.all():
            loaded.stop(max(_LEAST_WAIT_S, end_s - time.monotonic()))
        with self._lock:
            unloading, self._unloading = self._unloading, []
        threads.join_threads(unloading)

    @property
    def is_server_ready(self) -> bool:
        """Whether no model has failed to load, and none is being unloaded."""
        return all(
            gone == _UNLOADED
            for state in list(self._states.values())
            for gone in list(state.gone.values())
        )

    def find(self, name: str, version: str) -> Loaded:
        """Return the model that a request names, in its highest version by default.

        Raises
        ------
        ModelError
            NOT_FOUND; UNAVAILABLE for a version that is not loaded any more;
            INVALID_ARGUMENT if `version` is not a number.
        """
        return self.versions(name, version)[-1]

    def versions(self, name: str, version: str) -> list[Loaded]:
        """Return every version of a model, ascending, or the requested one.

        Raises
        ------
        ModelError
            As `find` does; the list is never empty.
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
        """Return whether a request for it would find a model.

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
        """Return the models whose statistics a client asks for; no name means all.

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
        """Return every loaded version of every model, by name."""
        return [
            loaded
            for _, state in sorted(self._states.items())
            for loaded in state.loaded.values()
        ]

    def ask(self, request: InferenceRequest) -> Iterator[InferenceResponse]:
        """Yield all responses of a model of this server; an error is a response, too.

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

    def index(self, *, only_ready: bool = False) -> list[IndexRow]:
        """Return a row for each version that was ever loaded, and its state."""
        rows = []
        for name in sorted(self._sources):
            state = self._states.get(name)
            if state is None:
                rows.append(IndexRow(name))
                continue
            told = {version: ("READY", "") for version in state.loaded}
            for version, (what, reason) in sorted((told | state.gone).items()):
                rows.append(IndexRow(name, str(version), what, reason))
        return [row for row in rows if row.state == "READY" or not only_ready]

    def load(self, name: str, config: str | None = None) -> None:
        """Load a model, again if it has changed; returns when it is ready.

        Parameters
        ----------
        name : str
        config : str, optional
            JSON of a configuration to use instead of the model's own, until it is
            unloaded.

        Raises
        ------
        ModelError
            UNAVAILABLE if the server is not in explicit mode; INTERNAL if there is no
            such model, or the configuration cannot be read; INVALID_ARGUMENT if it
            cannot be loaded.
        """
        self._check_control()
        self._load(name, config)

    def unload(self, name: str, *, with_dependents: bool = False) -> None:
        """Stop serving a model; running requests finish. Ignores an unknown model.

        Parameters
        ----------
        name : str
        with_dependents : bool
            Unload the models of an ensemble's steps as well.

        Raises
        ------
        ModelError
            UNAVAILABLE if the server is not in explicit mode.
        """
        self._check_control()
        with self._lock:
            state = self._states.get(name)
            if state is None:
                return
            steps = {
                step.model_name
                for each in state.loaded.values()
                if isinstance(each, LoadedEnsemble)
                for step in each.ensemble.steps
            }
            state.override = None
            leaving, state.loaded = state.loaded, {}
            state.gone.update(dict.fromkeys(leaving, _UNLOADING))
            self._close(state, leaving)
        if with_dependents:
            for step in sorted(steps):
                self.unload(step)

    def _check_control(self) -> None:
        if self._control == "none":
            raise ModelError(
                grpc.StatusCode.UNAVAILABLE,
                "explicit model load / unload is not allowed if polling is enabled",
            )

    def _load(self, name: str, config: str | None) -> None:
        failure = internal(
            f"failed to load '{name}', failed to poll from model repository"
        )
        with self._lock:
            source = self._sources.get(name)
            if source is None:
                raise failure
            state = self._states.get(name) or _ModelState()
            try:
                override = None if config is None else parse_json(config)
                own = override or state.override or source.config()
                own.name = own.name or name
                source_state = source.state()
            except (ConfigurationError, OSError, UnicodeDecodeError) as error:
                raise failure from error
            self._states[name] = state
            self._check_no_circle(name, own)
            is_unchanged = override is None or override == state.override
            if state.loaded and is_unchanged and state.source_state == source_state:
                return
            if is_ensemble(own):
                self._load_steps(name, own)
            self._replace(source, own, state)
            state.override = override or state.override
            state.source_state = source_state

    def _check_no_circle(
        self, name: str, config: ModelConfig, above: tuple[str, ...] = ()
    ) -> None:
        """Refuse an ensemble that is a step of itself: its requests would never end."""
        if not is_ensemble(config):
            return
        for step in config.ensemble_scheduling.step:
            if step.model_name in (*above, name):
                raise invalid(
                    f"load failed for model '{(*above, name)[0]}': circular dependency "
                    f"between ensembles: {step.model_name} -> ... -> {name} -> ... -> "
                    f"{step.model_name}"
                )
            state = self._states.get(step.model_name)
            source = self._sources.get(step.model_name)
            if source is not None:
                inner = (state and state.override) or source.config()
                self._check_no_circle(step.model_name, inner, (*above, name))

    def _load_steps(self, name: str, config: ModelConfig) -> None:
        try:
            steps = ensemble_of(config).steps
        except ValueError:
            return  # `_replace` says why it cannot be loaded
        for step in steps:
            try:
                self._load(step.model_name, None)
            except ModelError as error:
                problem = error.message.removeprefix(
                    f"load failed for model '{step.model_name}': "
                )
                raise invalid(
                    f"load failed for model '{name}': ensemble '{name}' depends on "
                    f"'{step.model_name}' which has no loaded version. Model "
                    f"'{step.model_name}' loading failed with error: {problem}"
                ) from error

    def _replace(
        self, source: ModelSource, config: ModelConfig, state: _ModelState
    ) -> None:
        """Load the versions that the policy selects; then close the previous ones."""
        loaded: dict[int, Loaded] = {}
        problems = []
        wanted = served_versions(config.version_policy, source.versions())
        for version in wanted:
            try:
                began_s = time.monotonic()
                model = source.model(version, config, self.ask)
                loaded[version] = self._started(model)
                loaded[version].load_s = time.monotonic() - began_s
            except BaseException as error:
                reason = f"Internal: {exception_text(error)}"
                state.gone[version] = ("UNAVAILABLE", reason)
                problems.append(
                    f"version {version} is at UNAVAILABLE state: {reason};\n"
                )
        if problems or not wanted:
            for each in loaded.values():
                each.close()
            text = "".join(problems) or "at least one version must be available;\n"
            raise invalid(f"load failed for model '{source.name}': {text}")
        previous, state.loaded = state.loaded, loaded
        for version in loaded:
            state.gone.pop(version, None)
        state.gone.update(dict.fromkeys(previous.keys() - loaded.keys(), _UNLOADING))
        self._close(state, previous)

    def _started(self, model: Model) -> Loaded:
        if isinstance(model.function, Ensemble):
            if model.function.max_inflight_requests and not (
                self._profile.limits_ensembles
            ):
                raise ConfigurationError(
                    f"model {model.name!r}: expected no max_inflight_requests in "
                    f"profile {self._profile.name}: it needs profile 26.04 or later"
                )
            return LoadedEnsemble(model, self.find)
        return LoadedModel(model)

    def _close(self, state: _ModelState, leaving: dict[int, Loaded]) -> None:
        """Close models in a thread of its own, which waits for what they still run."""

        def close() -> None:
            for loaded in leaving.values():
                loaded.close()
            with self._lock:
                for version in leaving.keys() & state.gone.keys():
                    if state.gone[version] == _UNLOADING:
                        state.gone[version] = _UNLOADED

        if not leaving:
            return
        thread = threading.Thread(target=close, name="mock-server-unload", daemon=True)
        self._unloading = [t for t in self._unloading if t.is_alive()] + [thread]
        thread.start()


def version_number(text: str) -> int | None:
    """Return the version a client asks for, None for any; read as by ``std::stol``.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT if it is not a number, or negative.
    """
    if not text:
        return None
    match = re.match(r"\s*([+-]?)([0-9]+)", text, re.ASCII)
    number = None
    # More digits are out of range, and Python refuses to read thousands of them.
    if match is not None and len(digits := match[2].lstrip("0")) <= _MAX_DIGITS:
        number = int(f"{match[1]}{digits or 0}")
    if number is None or not -(2**63) <= number < 2**63:
        raise invalid(
            f"failed to get model version from specified version string '{text}' "
            "(details: stol), version should be an integral value > 0"
        )
    if number < 0:
        raise invalid(
            f"invalid model version specified '{text}' , version should be an integral "
            "value > 0"
        )
    return number


def served_versions(
    policy: model_config_pb2.ModelVersionPolicy, present: Iterable[int]
) -> list[int]:
    """Return the versions that a policy selects of those that exist, ascending."""
    versions = sorted(present)
    match policy.WhichOneof("policy_choice"):
        case "all":
            return versions
        case "specific":
            return [v for v in versions if v in set(policy.specific.versions)]
        case _:
            return versions[-max(1, policy.latest.num_versions) :]
