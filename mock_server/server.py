"""A KServe v2 endpoint in this process."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import grpc
from tritonclient.grpc import service_pb2_grpc

from mock_server.faults import FaultHook
from mock_server.grpc_service import InferenceService
from mock_server.models import Model, ModelFunction, TensorSpec
from mock_server.repository import Repository

logger = logging.getLogger(__name__)

FunctionT = TypeVar("FunctionT", bound=ModelFunction)

MAX_REQUESTS_IN_FLIGHT = 256
"""Requests held at once, running or waiting for an instance: a thread each, made when
needed. Further ones wait inside gRPC."""


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
    faults : callable, optional
        Called before each inference request is looked at, such as a `FaultPlan`.
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

    Notes
    -----
    gRPC's threaded server, not ``grpc.aio``: the latter shares one poller between all
    event loops of a process, so a server would disturb an asyncio client beside it
    (grpc/grpc issue 25364).
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        host: str = "127.0.0.1",
        grpc_port: int = 0,
        faults: FaultHook | None = None,
        max_message_bytes: int | None = None,
    ) -> None:
        self._repository = Repository(models)
        self._service = InferenceService(self._repository, faults)
        self._host = host
        self._grpc_port = grpc_port
        self._max_message_bytes = max_message_bytes
        self._endpoint: _Endpoint | None = None

    @property
    def url(self) -> str:
        """Where it listens: ``grpc://127.0.0.1:PORT``.

        Raises
        ------
        RuntimeError
            If the server is not running.
        """
        if self._endpoint is None:
            raise RuntimeError("the mock server is not running: start it first")
        return f"grpc://{self._endpoint.address}"

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
        if self._endpoint is not None:
            raise RuntimeError(f"the mock server is running already at {self.url}")
        self._endpoint = _Endpoint(
            self._service, self._host, self._grpc_port, self._max_message_bytes
        )
        logger.info("mock server listens at %s", self.url)

    def stop(self) -> None:
        """Stop listening and wait for what is running; nothing if not started."""
        if self._endpoint is not None:
            endpoint, self._endpoint = self._endpoint, None
            endpoint.close()
            logger.info("mock server at %s has stopped", endpoint.address)

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


class _Endpoint:
    """One open port with its threads, from construction to `close`."""

    def __init__(
        self,
        service: InferenceService,
        host: str,
        port: int,
        max_message_bytes: int | None,
    ) -> None:
        limit = -1 if max_message_bytes is None else max_message_bytes
        self._workers = ThreadPoolExecutor(
            MAX_REQUESTS_IN_FLIGHT, thread_name_prefix="mock-server"
        )
        self._server = grpc.server(
            self._workers,
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.so_reuseport", 0),  # a port in use must be an error
            ],
        )
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            service, self._server
        )
        try:
            bound = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as exc:
            self._workers.shutdown()
            raise OSError(
                f"cannot listen on {host}:{port}: the port is in use, or the address "
                "is not one of this machine"
            ) from exc
        self.address = f"{host}:{bound}"
        others = set(threading.enumerate())
        self._server.start()
        self._pollers = [
            thread
            for thread in set(threading.enumerate()) - others
            if thread.name.endswith("(_serve)")
        ]

    def close(self) -> None:
        self._server.stop(grace=None).wait()
        self._workers.shutdown(cancel_futures=True)
        # gRPC keeps its polling thread to itself, and lets it run on for a moment.
        # Bounded, for it may be that of a server started at the same time.
        for thread in self._pollers:
            thread.join(timeout=1.0)
