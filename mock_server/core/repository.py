"""Which models of a server are loaded, in what state, and how that changes."""

import threading
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal, NamedTuple

import grpc
from tritonclient.grpc import model_config_pb2

from mock_server.core.ensemble import LoadedEnsemble
from mock_server.core.loaded import Loaded
from mock_server.core.loaded_model import LoadedModel
from mock_server.core.lookup import ModelLookup, VersionStates
from mock_server.core.sources import DeclaredModels, ModelSource
from mock_server.core.versions import served_versions
from mock_server.errors import ModelError, exception_text, invalid
from mock_server.model.config import defaults
from mock_server.model.config.declaration import ensemble_of
from mock_server.model.config.text import ConfigurationError, parse_json
from mock_server.model.declaration import Model
from mock_server.model.ensemble_steps import Ensemble

ModelControl = Literal["none", "explicit"]


class IndexRow(NamedTuple):
    """One version of a model, or a model of which nothing was ever loaded."""

    name: str
    version: str = ""
    state: str = ""  #: READY, UNLOADING, UNAVAILABLE, or empty: never loaded
    reason: str = ""


class ModelLoadError(Exception):
    """A model that a server was to start with could not be loaded."""


class Repository(ModelLookup):
    """Models of a server; may be asked and changed from any thread.

    Parameters
    ----------
    models : iterable of Model
        Loaded at once. More come by `add`.
    sources : iterable of ModelSource
        What else there is to load.
    control : {"none", "explicit"}
        ``none``: `start` loads all, and nothing can be loaded or unloaded after it;
        ``explicit``: `start` loads `load`, and clients say the rest.
    load : iterable of str
        Names; ``*`` is all.
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        sources: Iterable[ModelSource] = (),
        control: ModelControl = "none",
        load: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._lock = threading.RLock()
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
            state = self._states.setdefault(model.name, VersionStates())
            loaded = dict(state.loaded)
            loaded[int(model.version)] = self._started(model)
            state.loaded = dict(sorted(loaded.items()))
            state.source_state = source.state()

    def start(self) -> None:
        """Load what is to be there from the start, unless it is.

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
                problems.append(error.message)
        if problems:
            raise ModelLoadError("\n".join(problems))

    def close(self) -> None:
        """End the threads of all models, and wait for those being unloaded."""
        for loaded in self.all():
            loaded.stop()
        with self._lock:
            unloading, self._unloading = self._unloading, []
        for thread in unloading:
            thread.join()

    def index(self, *, only_ready: bool = False) -> list[IndexRow]:
        """What there is, in what state: a row for each version that was ever loaded."""
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
        """Load a model, or load it anew if it has changed; returns when it is ready.

        Parameters
        ----------
        name : str
        config : str, optional
            JSON of a configuration to be used instead of the model's own, until it is
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
        """Serve a model no more; what runs finishes. An unknown model is no error.

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
            steps = _step_names(state.loaded.values()) if with_dependents else []
            state.override = None
            leaving, state.loaded = state.loaded, {}
            for version in leaving:
                state.gone[version] = ("UNLOADING", "")
            self._let_go(state, leaving)
        for step in steps:
            self.unload(step)

    def _check_control(self) -> None:
        if self._control == "none":
            raise ModelError(
                grpc.StatusCode.UNAVAILABLE,
                "explicit model load / unload is not allowed if polling is enabled",
            )

    def _load(self, name: str, config: str | None) -> None:
        with self._lock:
            source, override, own, source_state = self._polled(name, config)
            state = self._states.setdefault(name, VersionStates())
            is_unchanged = override is None or override == state.override
            if state.loaded and is_unchanged and state.source_state == source_state:
                return
            if defaults.is_ensemble(own):
                self._load_steps(name, own)
            self._replace(source, own, state)
            state.override = override or state.override
            state.source_state = source_state

    def _polled(
        self, name: str, config: str | None
    ) -> tuple[
        ModelSource,
        model_config_pb2.ModelConfig | None,
        model_config_pb2.ModelConfig,
        Hashable,
    ]:
        """Source of a model, the configuration given and the one to use, its state."""
        failure = ModelError(
            grpc.StatusCode.INTERNAL,
            f"failed to load '{name}', failed to poll from model repository",
        )
        source = self._sources.get(name)
        if source is None:
            raise failure
        try:
            override = None if config is None else parse_json(config)
            own = override or self._override(name) or source.config()
            own.name = own.name or name
            return source, override, own, source.state()
        except (ConfigurationError, OSError) as error:
            raise failure from error

    def _override(self, name: str) -> model_config_pb2.ModelConfig | None:
        state = self._states.get(name)
        return None if state is None else state.override

    def _load_steps(self, name: str, config: model_config_pb2.ModelConfig) -> None:
        for step in ensemble_of(config).steps:
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
        self,
        source: ModelSource,
        config: model_config_pb2.ModelConfig,
        state: VersionStates,
    ) -> None:
        """Load the versions that the policy asks for; then let go of the former."""
        loaded: dict[int, Loaded] = {}
        problems = []
        wanted = served_versions(config.version_policy, source.versions())
        for version in wanted:
            try:
                model = source.model(version, config, self.ask)
                loaded[version] = self._started(model)
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
        former, state.loaded = state.loaded, loaded
        for version in loaded:
            state.gone.pop(version, None)
        for version in former.keys() - loaded.keys():
            state.gone[version] = ("UNLOADING", "")
        self._let_go(state, former)

    def _started(self, model: Model) -> Loaded:
        if isinstance(model.function, Ensemble):
            return LoadedEnsemble(model, self.find)
        return LoadedModel(model)

    def _let_go(self, state: VersionStates, leaving: dict[int, Loaded]) -> None:
        """Wait for what runs in a thread of its own, then finalize the instances."""

        def close() -> None:
            for loaded in leaving.values():
                loaded.close()
            with self._lock:
                for version in leaving.keys() & state.gone.keys():
                    if state.gone[version] == ("UNLOADING", ""):
                        state.gone[version] = ("UNAVAILABLE", "unloaded")

        if not leaving:
            return
        thread = threading.Thread(target=close, name="mock-server-unload", daemon=True)
        self._unloading = [t for t in self._unloading if t.is_alive()] + [thread]
        thread.start()


def _step_names(loaded: Iterable[Loaded]) -> Sequence[str]:
    return sorted(
        {
            step.model_name
            for each in loaded
            if isinstance(each, LoadedEnsemble)
            for step in each.ensemble.steps
        }
    )
