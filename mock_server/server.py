"""A KServe v2 server in this process."""

import logging
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from mock_server.core import InferenceCore
from mock_server.endpoints import Endpoint, Endpoints
from mock_server.faults import FaultHook, FaultPlan
from mock_server.faults.injector import FaultInjector
from mock_server.grpc_api.endpoint import GrpcEndpoint
from mock_server.grpc_api.interceptor import FaultInterceptor
from mock_server.grpc_api.service import InferenceService
from mock_server.models import Model, ModelFunction, TensorSpec
from mock_server.repository import Repository

logger = logging.getLogger(__name__)

FunctionT = TypeVar("FunctionT", bound=ModelFunction)


class MockServer:
    """Serves Python callables to any Triton client, over gRPC on loopback.

    A context manager; leaving it cancels the requests in flight, waits for the model
    functions that are running, and leaves no thread and no port behind. It may be
    started again, with the same models and their counters.

    Parameters
    ----------
    models : iterable of Model
        More can be added at any time, by `add` or `model`.
    host : str
        Address to listen on.
    grpc_port : int
        0 takes a free one: see `url`.
    faults : FaultPlan or callable, optional
        What goes wrong; or a function called with each inference request's `Arrival`
        before anything of it is looked at.
    max_message_bytes : int, optional
        Larger requests and answers are refused with RESOURCE_EXHAUSTED; by default
        there is no limit, as with Triton.

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
        host: str = "127.0.0.1",
        grpc_port: int = 0,
        faults: FaultPlan | FaultHook | None = None,
        max_message_bytes: int | None = None,
    ) -> None:
        self._repository = Repository(models)
        if faults is not None and not isinstance(faults, FaultPlan):
            faults = FaultPlan().on().call(faults)
        self._faults = None if faults is None else FaultInjector(faults, self.restart)
        self._core = InferenceCore(self._repository, self._faults)
        self._service = InferenceService(self._core)
        self._host = host
        self._max_message_bytes = max_message_bytes
        self._endpoints = Endpoints({"grpc": self._open_grpc}, {"grpc": grpc_port})

    @property
    def url(self) -> str:
        """Where it listens: ``grpc://127.0.0.1:PORT``.

        Raises
        ------
        RuntimeError
            If the server is not running.
        """
        return self._url("grpc")

    def add(self, model: Model) -> None:
        """Serve one more model, at once if the server is running.

        Raises
        ------
        ValueError
            If this version of the model is served already.
        """
        self._repository.add(model)

    def model(
        self,
        *,
        inputs: Iterable[TensorSpec],
        outputs: Iterable[TensorSpec],
        name: str | None = None,
        max_batch_size: int = 0,
        parameters: Mapping[str, str] | None = None,
        version: str = "1",
        instances: int = 1,
    ) -> Callable[[FunctionT], FunctionT]:
        """Serve the decorated function, which stays as it is.

        The name is the function's unless given; the rest is as in `Model`.
        """

        def serve(function: FunctionT) -> FunctionT:
            self.add(
                Model(
                    name=function.__name__ if name is None else name,
                    inputs=tuple(inputs),
                    outputs=tuple(outputs),
                    function=function,
                    max_batch_size=max_batch_size,
                    parameters=parameters or {},
                    version=version,
                    instances=instances,
                )
            )
            return function

        return serve

    def start(self) -> None:
        """Listen; returns when clients can connect.

        Raises
        ------
        OSError
            If the address cannot be listened on.
        RuntimeError
            If the server is running already.
        """
        if self._endpoints.urls:
            raise RuntimeError(f"the mock server is running already at {self.url}")
        if self._faults is not None:
            self._faults.server_started()
        self._endpoints.start()
        logger.info("mock server listens at %s", self._urls_text())

    def restart(self, down_s: float = 0.0) -> None:
        """Go down with all that is in flight, and come back at the same ports.

        Returns at once; does nothing if the server is stopped, or restarting already.
        The models and their counters are kept.

        Parameters
        ----------
        down_s : float
            How long nothing listens, in seconds.
        """
        self._endpoints.restart(down_s)

    def stop(self) -> None:
        """Stop listening and wait for what is running; nothing if not started."""
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
        return urls[name]

    def _urls_text(self) -> str:
        return ", ".join(self._endpoints.urls.values())

    def _open_grpc(self, port: int) -> Endpoint:
        faults = self._faults
        return GrpcEndpoint(
            self._service,
            self._host,
            port,
            max_message_bytes=self._max_message_bytes,
            interceptors=() if faults is None else (FaultInterceptor(faults),),
        )
