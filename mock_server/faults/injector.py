"""Does to each request of a server what the plan says."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import NoReturn

import grpc

from mock_server.core.planned_faults import INFER, NotReadyError
from mock_server.errors import ModelError
from mock_server.faults.answers import AnswerFault, CutAnswer, DuplicateAnswer
from mock_server.faults.kinds import (
    Call,
    Delay,
    DropConnection,
    Fault,
    Hang,
    Refuse,
    RefuseAsTooLarge,
    RequireToken,
    RestartServer,
    RunOutOfMemory,
    StartSlowly,
)
from mock_server.faults.plan import FaultPlan
from mock_server.faults.selection import Arrival
from mock_server.wire.inference import (
    Cancellation,
    InferenceRequest,
    InferenceResponse,
    Respond,
)

_LIVENESS = "ServerLive"
_CLOSING_S = 5.0
"""The end of a connection is noticed within milliseconds; this only bounds the wait."""


class FaultInjector:
    """The counts of one server, and the doing of its plan; used from any thread.

    Parameters
    ----------
    plan : FaultPlan
    restart : callable
        Takes the server down for so many seconds, without waiting for it.
    """

    def __init__(self, plan: FaultPlan, restart: Callable[[float], None]) -> None:
        self.plan = plan
        self._restart = restart
        self._lock = threading.Lock()
        self._n_requests: Counter[str] = Counter()
        self._n_requests_of: Counter[tuple[str, str]] = Counter()
        self._n_accepted = 0
        self._n_unready = itertools.count(1)
        self._started_s = time.monotonic()
        self._at_door = [
            rule.fault
            for rule in plan.rules
            if isinstance(rule.fault, RequireToken | StartSlowly)
        ]

    def server_started(self) -> None:
        """Let a slow start begin now."""
        self._started_s = time.monotonic()

    def check_access(self, rpc: str, authorization: str | None) -> None:
        """Let a request of any kind in, or not.

        Parameters
        ----------
        rpc : str
            gRPC's name of it, whatever the protocol.
        authorization : str, optional
            Value of that header.

        Raises
        ------
        ModelError
            UNAUTHENTICATED, or `NotReadyError`.
        """
        for fault in self._at_door:
            if isinstance(fault, RequireToken):
                self._check_token(fault, authorization)
            elif rpc != _LIVENESS:
                self._check_started(fault)

    def apply_to_call(
        self,
        rpc: str,
        *,
        model_name: str = "",
        cancellation: Cancellation,
        drop_connection: Callable[[], object],
    ) -> None:
        """Do to a request that is no inference what is planned; blocks as planned.

        Raises
        ------
        ModelError
            Instead of an answer.
        """
        arrival = self._arrival(rpc, model_name=model_name, request_id="", size_bytes=0)
        for fault, draw in self.plan.befalling(arrival):
            self._befall(fault, draw, arrival, cancellation, drop_connection)

    def apply_to_inference(
        self, request: InferenceRequest, respond: Respond
    ) -> Respond:
        """Do to an inference what is planned before it runs; blocks as planned.

        Returns
        -------
        Respond
            To be given to the model instead of `respond`: it changes the answers.

        Raises
        ------
        ModelError
            Instead of running the model.
        """
        arrival = self._arrival(
            INFER,
            model_name=request.model_name,
            request_id=request.id,
            size_bytes=sum(len(tensor.data) for tensor in request.inputs),
        )
        changes: list[AnswerFault] = []
        is_doubled = False
        for fault, draw in self.plan.befalling(arrival):
            if isinstance(fault, DuplicateAnswer) and request.is_streamed:
                is_doubled = True
            elif isinstance(fault, AnswerFault):
                changes.append(fault)
            elif isinstance(fault, DropConnection) and fault.after_model:
                respond = _dropping(respond, request.drop_connection)
            else:
                self._befall(
                    fault, draw, arrival, request.cancellation, request.drop_connection
                )
        # Stable: all others first, for they need whole data.
        changes.sort(key=lambda fault: isinstance(fault, CutAnswer))
        if changes or is_doubled:
            return _changing(respond, changes, is_doubled=is_doubled)
        return respond

    def _arrival(
        self, rpc: str, *, model_name: str, request_id: str, size_bytes: int
    ) -> Arrival:
        with self._lock:
            self._n_requests[rpc] += 1
            self._n_requests_of[rpc, model_name] += 1
            return Arrival(
                number=self._n_requests[rpc],
                model_name=model_name,
                request_id=request_id,
                model_number=self._n_requests_of[rpc, model_name],
                size_bytes=size_bytes,
                rpc=rpc,
            )

    def _befall(
        self,
        fault: Fault,
        draw: Random,
        arrival: Arrival,
        cancellation: Cancellation,
        drop_connection: Callable[[], object],
    ) -> None:
        match fault:
            case Delay():
                _wait(cancellation, fault.drawn_s(draw.random))
            case Hang():
                _wait(cancellation, None)
            case Call():
                fault.hook(arrival)
            case Refuse():
                raise fault.error()
            case RefuseAsTooLarge():
                raise fault.error(arrival.size_bytes)
            case RunOutOfMemory():
                raise fault.error(arrival.model_name)
            case DropConnection():
                drop_connection()
                _end_by_connection(cancellation)
            case RestartServer():
                self._restart(fault.down_s)
                _end_by_connection(cancellation)

    def _check_token(self, fault: RequireToken, authorization: str | None) -> None:
        with self._lock:
            problem = fault.problem(authorization, self._n_accepted)
            if problem is None:
                self._n_accepted += 1
        if problem is not None:
            raise problem

    def _check_started(self, fault: StartSlowly) -> None:
        if time.monotonic() - self._started_s < fault.seconds:
            raise NotReadyError
        if fault.requests and next(self._n_unready) <= fault.requests:
            raise NotReadyError


def _wait(cancellation: Cancellation, seconds: float | None) -> None:
    """Wait so long, or for ever: until the client leaves, or the server stops."""
    gone = threading.Event()
    cancellation.when_cancelled(gone.set)
    if gone.wait(seconds):
        raise ModelError(grpc.StatusCode.CANCELLED, "the client has left")


def _end_by_connection(cancellation: Cancellation) -> NoReturn:
    _wait(cancellation, _CLOSING_S)
    raise ModelError(grpc.StatusCode.UNAVAILABLE, "connection closed by a fault plan")


def _dropping(respond: Respond, drop_connection: Callable[[], object]) -> Respond:
    def dropped(response: InferenceResponse | None, is_final: bool) -> None:
        drop_connection()
        respond(response, is_final)

    return dropped


def _changing(
    respond: Respond, changes: Sequence[AnswerFault], *, is_doubled: bool
) -> Respond:

    def changed(response: InferenceResponse | None, is_final: bool) -> None:
        if response is None or response.error is not None:
            respond(response, is_final)
            return
        outputs = response.outputs
        for change in changes:
            outputs = tuple(change.change(outputs))
        new = replace(response, outputs=outputs)
        if is_doubled:
            respond(new, False)
        respond(new, is_final)

    return changed
