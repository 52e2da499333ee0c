"""Applies a fault plan to the requests of one server."""

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
from mock_server.faults.kinds import (
    AnswerFault,
    Arrival,
    Call,
    CutAnswer,
    Delay,
    DropConnection,
    DuplicateAnswer,
    Fault,
    Hang,
    LoseStub,
    Refuse,
    RefuseAsTooLarge,
    RequireToken,
    RestartServer,
    RunOutOfMemory,
    StartSlowly,
)
from mock_server.faults.plan import FaultPlan
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
    """The `PlannedFaults` of one server, with its counts; used from any thread.

    Parameters
    ----------
    plan : FaultPlan
    restart : callable
        Takes the server down for a number of seconds; returns at once.
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
        self._server_faults = [
            rule.fault
            for rule in plan.rules
            if isinstance(rule.fault, RequireToken | StartSlowly)
        ]

    def server_started(self) -> None:
        """Begin the time of a slow start."""
        self._started_s = time.monotonic()

    def check_access(self, rpc: str, authorization: str | None) -> None:
        """Check the token and readiness: see `PlannedFaults`."""
        for fault in self._server_faults:
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
        """Apply the faults of any other request: see `PlannedFaults`."""
        arrival = self._arrival(rpc, model_name=model_name, request_id="", size_bytes=0)
        for fault, draw in self.plan.faults_of(arrival):
            self._apply(fault, draw, arrival, cancellation, drop_connection)

    def apply_to_inference(
        self, request: InferenceRequest, respond: Respond
    ) -> Respond:
        """Apply the faults of an inference: see `PlannedFaults`."""
        arrival = self._arrival(
            INFER,
            model_name=request.model_name,
            request_id=request.id,
            size_bytes=sum(len(tensor.data) for tensor in request.inputs),
        )
        changes: list[AnswerFault] = []
        is_doubled = False
        for fault, draw in self.plan.faults_of(arrival):
            if isinstance(fault, DuplicateAnswer) and request.is_streamed:
                is_doubled = True
            elif isinstance(fault, AnswerFault):
                changes.append(fault)
            elif isinstance(fault, DropConnection) and fault.after_model:
                respond = _dropping(respond, request.drop_connection)
            else:
                self._apply(
                    fault, draw, arrival, request.cancellation, request.drop_connection
                )
        # A stable sort: the other changes come first, because they need whole data.
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

    def _apply(
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
            case LoseStub() | RunOutOfMemory():
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
    """Wait until the client leaves or the server stops, at most `seconds`."""
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
