"""A KServe v2 server in this process, and the one that tests get."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from mock_server.core.endpoints import Endpoint, Endpoints, Opener
from mock_server.core.inference_core import InferenceCore
from mock_server.core.received import ReceivedRequest, RequestRecord
from mock_server.core.repository import ModelControl, Repository
from mock_server.core.sources import load_repository
from mock_server.faults import FaultHook, FaultPlan
from mock_server.faults.injector import FaultInjector
from mock_server.grpc_api.endpoint import GrpcEndpoint
from mock_server.grpc_api.service import InferenceService
from mock_server.model.declaration import Model, ModelFunction, TensorSpec
from mock_server.profiles import DEFAULT_PROFILE, Profile, profile_of
from sonic_base import Secret

logger = logging.getLogger(__name__)

FunctionT = TypeVar("FunctionT", bound=ModelFunction)


MAX_MESSAGE_BYTES = 256 * 1024**2
"""Largest request and answer unless another limit is given. An event with 200
interactions at once has some 2 MB, and a batch of the client 8 MiB."""


class MockServer:
    """Serves Python callables to any Triton client, over gRPC and HTTP, on loopback.

    A context manager; leaving it cancels the requests in flight, waits for the model
    functions that are running, and closes all threads and ports. A function that does
    not return within seconds is left behind in its daemon thread. The server may be
    started again, with the same models and their counters.

    Parameters
    ----------
    models : iterable of Model
        More can be added at any time, by `add` or `model`.
    repository : Path, optional
        Directory of further models, in Triton's layout: see `load_repository`.
    model_control : {"none", "explicit"}
        ``none``: `start` loads all of them; ``explicit``: it loads `load_models`, and
        clients load and unload.
    load_models : iterable of str
        Names; ``*`` means all.
    host : str
        Address to listen on.
    grpc_port : int
        0 takes a free one: see `url`.
    http_port : int, optional
        For KServe's REST protocol: see `http_url`. None, the default, means no port,
        which saves a thread; the same holds for `metrics_port`. Both need aiohttp.
    metrics_port : int, optional
        For Prometheus: see `metrics_url`.
    faults : FaultPlan or callable, optional
        The planned faults; or a function called with each inference request's `Arrival`
        before anything of it is looked at.
    max_message_bytes : int
        Larger gRPC messages and HTTP bodies are refused, with RESOURCE_EXHAUSTED and
        413; 256 MiB by default. Triton has no limit but that of protobuf, 2 GiB.
    record : RequestRecord, optional
        Told of each inference request: see `MockTriton`.
    token : str or Secret, optional
        Requests without ``authorization: Bearer <token>`` are refused, UNAUTHENTICATED
        and 401. Loopback alone keeps nobody of this machine out.
    profile : str or Profile
        Release of Triton whose behaviour it has, as its container is called: by
        default ``24.10``, Triton 2.51. ``mlserver`` is a server without Triton's
        extensions. See `profile_of`, and ``docs/testing.md``.

    Raises
    ------
    ConfigError
        If there is no such profile.

    Examples
    --------
    >>> def double(tensors):
    ...     return {"Y": 2 * tensors["X"]}
    >>> x, y = TensorSpec("X", "FP32", (-1,)), TensorSpec("Y", "FP32", (-1,))
    >>> with MockServer([Model("double", [x], [y], double)]) as server:
    ...     client = InferenceServerClient(server.url.removeprefix("grpc://"))
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        repository: Path | str | None = None,
        model_control: ModelControl = "none",
        load_models: Iterable[str] = (),
        host: str = "127.0.0.1",
        grpc_port: int = 0,
        http_port: int | None = None,
        metrics_port: int | None = None,
        faults: FaultPlan | FaultHook | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        record: RequestRecord | None = None,
        token: str | Secret | None = None,
        profile: str | Profile = DEFAULT_PROFILE,
    ) -> None:
        profile = self._profile = profile_of(profile)
        self._repository = Repository(
            models,
            sources=() if repository is None else load_repository(Path(repository)),
            control=model_control,
            load=load_models,
            profile=profile,
        )
        if faults is not None and not isinstance(faults, FaultPlan):
            faults = FaultPlan().on().call(faults)
        self._faults = None if faults is None else FaultInjector(faults, self.restart)
        token = Secret(token) if isinstance(token, str) else token
        self._core = InferenceCore(
            self._repository, self._faults, record, profile, token
        )
        self._service = InferenceService(self._core)
        self._host = host
        self._max_message_bytes = max_message_bytes
        openers: dict[str, tuple[Opener, int]] = {"grpc": (self._open_grpc, grpc_port)}
        if http_port is not None:
            openers["http"] = self._open_http, http_port
        if metrics_port is not None:
            openers["metrics"] = self._open_metrics, metrics_port
        self._endpoints = Endpoints(openers)

    @property
    def url(self) -> str:
        """Address of the gRPC protocol: ``grpc://127.0.0.1:PORT``.

        Raises
        ------
        RuntimeError
            If the server is not running.
        """
        return self._url("grpc")

    @property
    def http_url(self) -> str:
        """Address of the REST protocol: ``http://127.0.0.1:PORT``.

        Raises
        ------
        RuntimeError
            If the server is not running, or was made without `http_port`.
        """
        return self._url("http")

    @property
    def metrics_url(self) -> str:
        """Address for Prometheus: ``http://127.0.0.1:PORT/metrics``.

        Raises
        ------
        RuntimeError
            If the server is not running, or was made without `metrics_port`.
        """
        return f"{self._url('metrics')}/metrics"

    def add(self, model: Model) -> None:
        """Serve one more model, at once if the server is running.

        Raises
        ------
        ValueError
            If this version of the model is served already.
        """
        self._repository.add(model)

    # Any: what `Model` takes, which checks it.
    def model(
        self,
        *,
        inputs: Iterable[TensorSpec],
        outputs: Iterable[TensorSpec],
        name: str | None = None,
        **options: Any,
    ) -> Callable[[FunctionT], FunctionT]:
        """Serve the decorated function, which is returned unchanged.

        The name is the function's unless given; inputs, outputs and further options
        are the fields of `Model`.
        """

        def serve(function: FunctionT) -> FunctionT:
            self.add(
                Model(
                    name=function.__name__ if name is None else name,
                    inputs=tuple(inputs),
                    outputs=tuple(outputs),
                    function=function,
                    **options,
                )
            )
            return function

        return serve

    @classmethod
    # Any: the options of the constructor, which are checked there.
    def replay(cls, folder: Path | str, **options: Any) -> Self:
        """Return a server of the models and answers that `sonic record` has written.

        Parameters
        ----------
        folder : path
            A cassette.
        **options
            Of the constructor: ports, faults.

        Raises
        ------
        CassetteError
            If the folder cannot be used.
        """
        from mock_server.cassette import Cassette, replayed_models  # noqa: PLC0415

        return cls(replayed_models(Cassette.load(Path(folder))), **options)

    def start(self) -> None:
        """Listen; returns when clients can connect.

        Raises
        ------
        OSError
            If the address cannot be listened on.
        RuntimeError
            If the server is running already.
        ModelLoadError
            If a model of the start cannot be loaded; one line says why.
        """
        if self._endpoints.urls:
            raise RuntimeError(f"the mock server is running already at {self.url}")
        self._repository.start()
        if self._faults is not None:
            self._faults.server_started()
        self._endpoints.start()
        logger.info("mock server listens at %s", self._urls_text())

    def restart(self, down_s: float = 0.0) -> None:
        """Go down with all requests in flight, and come back at the same ports.

        Returns at once; does nothing if the server is stopped, or restarting already.
        The models and their counters are kept.

        Parameters
        ----------
        down_s : float
            How long nothing listens, in seconds.
        """
        self._endpoints.restart(down_s)

    def stop(self) -> None:
        """Stop listening, and wait a bounded time for the models that are running.

        Does nothing if the server is not running.
        """
        if self._endpoints.urls:
            urls = self._urls_text()
            self._endpoints.stop()
            self._core.close()
            logger.info("mock server at %s has stopped", urls)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _url(self, name: str) -> str:
        urls = self._endpoints.urls
        if not urls:
            raise RuntimeError("the mock server is not running: start it first")
        if name not in urls:
            raise RuntimeError(
                f"the mock server has no {name} port: make it with {name}_port=0"
            )
        return urls[name]

    def _urls_text(self) -> str:
        return ", ".join(self._endpoints.urls.values())

    def _open_grpc(self, port: int) -> Endpoint:
        return GrpcEndpoint(
            self._service,
            self._host,
            port,
            max_message_bytes=self._max_message_bytes,
            faults=self._faults,
        )

    def _open_http(self, port: int) -> Endpoint:
        # aiohttp takes longer to load than all the rest, and few servers need it.
        from mock_server.http_api.endpoint import HttpEndpoint  # noqa: PLC0415
        from mock_server.http_api.service import HttpService  # noqa: PLC0415

        limit = self._max_message_bytes
        service = HttpService(self._core, self._faults, max_body_bytes=limit)
        return HttpEndpoint(
            service.answer,
            self._host,
            port,
            max_body_bytes=limit,
            on_close=service.close,
        )

    def _open_metrics(self, port: int) -> Endpoint:
        from mock_server.http_api.endpoint import HttpEndpoint  # noqa: PLC0415
        from mock_server.metrics import MetricsService  # noqa: PLC0415

        return HttpEndpoint(
            MetricsService(self._repository, self._profile).answer,
            self._host,
            port,
            max_body_bytes=0,
            name="mock-server-metrics",
        )


class MockTriton(MockServer):
    """A `MockServer` for tests, at free ports, with a record of its requests.

    Parameters
    ----------
    models : iterable of Model
        The test can add more, by `add` or `model`.
    faults : FaultPlan or callable, optional
    http, metrics : bool
        Whether it has these ports.
    keep_inputs : bool
        Whether `received` holds the arrays.
    max_requests : int
        Length of the record.
    profile : str or Profile
        As of `MockServer`.
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        faults: FaultPlan | FaultHook | None = None,
        http: bool = False,
        metrics: bool = False,
        keep_inputs: bool = True,
        max_requests: int = 1000,
        profile: str | Profile = DEFAULT_PROFILE,
    ) -> None:
        self._record = RequestRecord(max_requests, keep_inputs=keep_inputs)
        super().__init__(
            models,
            http_port=0 if http else None,
            metrics_port=0 if metrics else None,
            faults=faults,
            record=self._record,
            profile=profile,
        )

    @property
    def received(self) -> tuple[ReceivedRequest, ...]:
        """Requests for inference, in the order of arrival; each try counts as one."""
        return self._record.requests()

    def forget(self) -> None:
        """Empty the record."""
        self._record.clear()

    def assert_received(
        self,
        model: str | None = None,
        *,
        id: str | None = None,
        times: int | None = None,
    ) -> tuple[ReceivedRequest, ...]:
        """Return the requests of this model and id: `times` of them, or at least one.

        Raises
        ------
        AssertionError
            If there were not as many; the message lists all requests.
        """
        found = tuple(
            request
            for request in self.received
            if model in (None, request.model_name) and id in (None, request.id)
        )
        if (len(found) != times) if times is not None else not found:
            wanted = "at least one" if times is None else str(times)
            what = "".join(
                f" {key} {value!r}"
                for key, value in (("of model", model), ("with id", id))
                if value is not None
            )
            raise AssertionError(
                f"expected {wanted} request(s){what}, got {len(found)}. {self._all()}"
            )
        return found

    def assert_nothing_received(self) -> None:
        """Check that no request for inference has arrived.

        Raises
        ------
        AssertionError
            If one has.
        """
        if self._record.count:
            raise AssertionError(f"expected no request. {self._all()}")

    def _all(self) -> str:
        known = self.received
        lines = [f"  {request}" for request in known[-20:]]
        return "\n".join([f"Received in all: {self._record.count}", *lines])
