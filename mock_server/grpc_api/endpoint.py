"""An open gRPC port with its threads."""

from __future__ import annotations

import threading
from typing import Any

import grpc

from mock_server.core.endpoints import in_url
from mock_server.core.planned_faults import PlannedFaults
from mock_server.grpc_api.handlers import (
    health_handler,
    inference_handler,
    is_health,
    refusing_handler,
)
from mock_server.grpc_api.service import InferenceService
from mock_server.scheduling import threads

MAX_REQUESTS_IN_FLIGHT = 256
"""Requests held at once, running or waiting for an instance: one thread each, created
on demand. Further ones wait inside gRPC, with some KiB of their message each."""

MAX_REQUESTS_WAITING = 4096
"""Beyond them: further ones are refused, RESOURCE_EXHAUSTED."""

MAX_CONNECTIONS = 512
"""Open at once: each holds a descriptor, of which a process has 1024 or so."""

MAX_HEALTH_CALLS = 16
"""Threads, created on demand, for the RPCs that tell whether the server is live: they
are answered even while all others are held."""


class _Entrance(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Refuses requests while too many wait for a thread; health is always told."""

    def __init__(
        self,
        handler: grpc.GenericRpcHandler,
        workers: threads.RequestThreads,
        health_threads: threads.ReservedThreads,
    ) -> None:
        self._handler, self._workers = handler, workers
        self._refusal = refusing_handler(
            f"{MAX_REQUESTS_WAITING} requests wait already, and that is the most",
            health_threads,
        )

    # Any: a handler of gRPC has no type.
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return what answers a call."""
        handler = self._handler.service(handler_call_details)
        if self._workers.n_waiting < MAX_REQUESTS_WAITING or is_health(handler):
            return handler
        return self._refusal


class GrpcEndpoint:
    """Listens from construction to `close`.

    Parameters
    ----------
    service : InferenceService
    host : str
    port : int
        0 takes a free one.
    max_message_bytes : int
        Larger requests and responses are refused with RESOURCE_EXHAUSTED.
    faults : PlannedFaults, optional
        Applied to each RPC before the service.

    Raises
    ------
    OSError
        If the address cannot be listened on.

    Notes
    -----
    gRPC's threaded server, not ``grpc.aio``: the latter shares one poller between all
    event loops of a process, so a server would disturb an asyncio client beside it
    (grpc/grpc issue 25364).
    """

    def __init__(
        self,
        service: InferenceService,
        host: str,
        port: int,
        *,
        max_message_bytes: int,
        faults: PlannedFaults | None = None,
    ) -> None:
        self._workers = threads.RequestThreads(MAX_REQUESTS_IN_FLIGHT, "mock-server")
        self._health_threads = threads.ReservedThreads(
            MAX_HEALTH_CALLS, "mock-server-health"
        )
        self._server = grpc.server(
            self._workers,
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
                ("grpc.so_reuseport", 0),  # a port in use must be an error
            ],
        )
        self._server.add_generic_rpc_handlers(
            (
                _Entrance(
                    inference_handler(service, faults, self._health_threads),
                    self._workers,
                    self._health_threads,
                ),
                health_handler(self._health_threads),
            )
        )
        try:
            self.port = self._server.add_insecure_port(f"{in_url(host)}:{port}")
        except RuntimeError as exc:
            self._workers.shutdown()
            self._health_threads.shutdown()
            raise OSError(
                f"cannot listen on {host}:{port}: the port is in use, or the address "
                "is not one of this machine"
            ) from exc
        self.url = f"grpc://{in_url(host)}:{self.port}"
        others = set(threading.enumerate())
        self._server.start()
        self._pollers = [
            thread
            for thread in set(threading.enumerate()) - others
            if thread.name.endswith("(_serve)")
        ]

    def close(self) -> None:
        """Cancel the requests in flight, stop listening, wait for what is running.

        Each wait is bounded: a model function that never returns is left behind.
        """
        self._server.stop(grace=None).wait(threads.STOP_WAIT_S)
        self._workers.shutdown(cancel_futures=True)
        self._health_threads.shutdown(cancel_futures=True)
        # gRPC keeps its polling thread to itself and lets it run on for a moment. It
        # may also belong to a server that was started at the same time.
        for thread in self._pollers:
            thread.join(timeout=1.0)
