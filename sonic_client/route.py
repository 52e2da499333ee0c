"""The way of one message to an answer: tried, tried again, elsewhere, or at home."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from sonic_base.errors import SonicError
from sonic_client.errors import (
    DeadlineExceededError,
    FallbackDriftError,
    ServerError,
    ServerOverloadedError,
    TransientError,
)
from sonic_client.fallback import find_drift
from sonic_client.report.observer import TryEnded
from sonic_client.retry import (
    Disposition,
    RetryChain,
    RetryStep,
    Situation,
    disposition_of,
)
from sonic_client.router import Router
from sonic_client.servers import Lease
from sonic_client.transport.base import InferCall, InferReply

__all__ = ["Delivery", "Route"]

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

# A try whose own timer rang may be back this much before the deadline.
_TIMER_SLACK_S = 0.005

_FIRST_STEP = RetryStep("any_server")


class Delivery(NamedTuple, Generic[ResultT]):
    """An answer, and what was made of it.

    Attributes
    ----------
    reply : InferReply
    result : object
        What the caller read in the reply.
    server : str
        Name of the server that answered.
    is_fallback : bool
    """

    reply: InferReply
    result: ResultT
    server: str
    is_fallback: bool = False


class Route:
    """The tries of one message.

    Parameters
    ----------
    router : Router
    message : int
        Its number.

    Attributes
    ----------
    message : int
    tries : int
        Calls so far, those to the fallback included.
    servers : list of str
        Whom they went to, one a call.
    """

    def __init__(self, router: Router, message: int) -> None:
        self.message = message
        self.tries = 0
        self.servers: list[str] = []
        self._ruled_out: set[str] = set()
        self._router, self._pool = router, router.pool
        self._clock = router.timing.clock
        self._retry = router.config.retry

    @cached_property
    def _chain(self) -> RetryChain:
        """What comes after a failed try; most messages do without."""
        return RetryChain(self._retry, self._router.timing.jitter)

    async def deliver(
        self,
        call: InferCall,
        read: Callable[[InferReply, str], ResultT],
        *,
        deadline: float,
        events: int = 1,
    ) -> Delivery[ResultT]:
        """Return the first answer that can be read.

        Parameters
        ----------
        read : callable
            Is given a reply and the server's name; raises `InvalidAnswerError`, if
            it is not what the model declares.
        deadline : float
            On the clock; covers all tries and waits.
        events : int
            How many of the caller's requests are in the message.

        Raises
        ------
        SonicError
            The error that no other try can repair.
        TriesExhaustedError
            Every allowed try failed.
        DeadlineExceededError
            The time is over, or would be before the next try.
        NoServerError
            No server is left, and none came back in time.

        Notes
        -----
        Cancelling the caller cancels the try in flight and starts no other.
        """
        self._router.budget.deposit()
        given_s = deadline - self._clock()
        # Decided here, where messages come in order: answers do not.
        is_compared = self._router.take_comparison(events)
        step = _FIRST_STEP
        while step.target != "fallback":
            lease = await self._lease(step, deadline)
            if lease is None:
                break
            try:
                delivery = await self._try(lease, call, read, deadline=deadline)
            except SonicError as error:
                # What is kept of a failure must not keep this message's tensors.
                failure = error.with_traceback(None)
            else:
                if is_compared:
                    await self._compare(call, delivery, deadline=deadline)
                return delivery
            step = self._next_step(failure, deadline=deadline, given_s=given_s)
            if step.wait_s > 0.0:
                await self._router.timing.sleep(step.wait_s)
        return await self._fall_back(call, read, deadline=deadline)

    async def _lease(self, step: RetryStep, deadline: float) -> Lease | None:
        """Return a server, waiting for one to come back; None for the fallback."""
        only = self.servers[-1] if step.target == "same_server" else ""
        ruled_out = self._ruled_out
        patient_until = self._clock() + self._retry.patience_s
        while True:
            now, failures = self._clock(), self._chain.failures
            # A wait may have ended later than it was to: no try begins too late.
            is_late = now + _TIMER_SLACK_S >= deadline
            if not (is_late and failures):
                lease = self._pool.lease(self.servers, only=only, ruled_out=ruled_out)
                if lease is not None:
                    return lease
            if self._router.has_fallback and not is_late:
                return None
            if ruled_out and (
                now >= patient_until or not self._pool.may_have_other(ruled_out)
            ):
                raise failures[-1]
            if self._pool.is_hopeless:
                raise self._pool.failure(failures)
            if is_late:
                no_server = self._pool.failure(failures)
                raise DeadlineExceededError(
                    deadline_s=self._router.config.deadline_s,
                    failures=[*failures, no_server],
                ) from no_server
            until = min(deadline, patient_until) if ruled_out else deadline
            await self._pool.wait_patiently(until=until)

    async def _try(
        self,
        lease: Lease,
        call: InferCall,
        read: Callable[[InferReply, str], ResultT],
        *,
        deadline: float,
    ) -> Delivery[ResultT]:
        member, started = lease.member, self._clock()
        timeout_s = self._timeout_s(member.name, deadline - started)
        with lease:
            try:
                reply = await self._told(
                    member.name, member.transport.infer, call, timeout_s
                )
                result = read(reply, member.name)
            except SonicError as error:
                self._pool.judge(lease, error, self._clock() - started)
                raise
            self._pool.judge(lease, None, self._clock() - started)
            self._pool.note_version(lease, reply.model_version)
        return Delivery(reply, result, member.name)

    def _timeout_s(self, server: str, left_s: float) -> float:
        if self._retry.try_timeout_s is not None:
            return min(left_s, self._retry.try_timeout_s)
        adaptive = self._router.adaptive_timeout
        if adaptive is not None and (known_s := adaptive.seconds()) is not None:
            return min(left_s, known_s)
        may_go_on = self._router.has_fallback or self._pool.may_have_other(
            (*self.servers, server)
        )
        return left_s / 2 if may_go_on else left_s

    def _next_step(
        self, error: SonicError, *, deadline: float, given_s: float
    ) -> RetryStep:
        router, now = self._router, self._clock()
        failures = [*self._chain.failures, error]
        if isinstance(error, TransientError) and now + _TIMER_SLACK_S >= deadline:
            raise DeadlineExceededError(
                deadline_s=given_s, failures=failures
            ) from error
        if disposition_of(error) is Disposition.ELSEWHERE_ONLY:
            self._ruled_out.add(self.servers[-1])
        situation = Situation(
            same_server=self._pool.is_usable(self.servers[-1]),
            other_server=self._pool.has_other(self.servers),
            any_server=self._pool.may_have_other(self._ruled_out),
            fallback=router.has_fallback,
        )
        step = self._chain.after(error, situation)
        if step.target == "fallback":
            return step
        wait_s = max(step.wait_s, router.budget.take())
        if now + wait_s < deadline:
            return RetryStep(step.target, wait_s)
        router.budget.give_back()
        if router.has_fallback:
            return RetryStep("fallback")
        raise DeadlineExceededError(deadline_s=given_s, failures=failures) from error

    async def _fall_back(
        self,
        call: InferCall,
        read: Callable[[InferReply, str], ResultT],
        *,
        deadline: float,
    ) -> Delivery[ResultT]:
        standby = self._router.standby
        assert standby is not None  # no step leads here without one
        why = self._pool.failure(self._chain.failures)
        self._pool.announcements.tell(standby.name, "fallback", str(why))
        reply = await self._told(
            standby.name, standby.infer, call, deadline - self._clock()
        )
        return Delivery(reply, read(reply, standby.name), standby.name, True)

    async def _compare(
        self,
        call: InferCall,
        delivery: Delivery[ResultT],
        *,
        deadline: float,
    ) -> None:
        """Compute the message with the fallback, too."""
        standby, config = self._router.standby, self._router.config.fallback
        assert standby is not None  # there would be nothing to compare with
        try:
            reply = await standby.infer(call, timeout_s=deadline - self._clock())
        except ServerError as error:
            logger.warning("%s cannot be compared with: %s", standby.name, error)
            return
        differences = find_drift(delivery.reply.outputs, reply.outputs, config)
        if not differences:
            return
        drift = FallbackDriftError(
            server=delivery.server, fallback=standby.name, differences=differences
        )
        if config.on_drift == "raise":
            raise drift
        logger.warning("request %s: %s", call.request_id, drift)

    async def _told(
        self,
        server: str,
        infer: Callable[..., Awaitable[InferReply]],
        call: InferCall,
        timeout_s: float,
    ) -> InferReply:
        """Try once, and tell the observer how it ended."""
        self.tries += 1
        self.servers.append(server)
        status, started = "OK", self._clock()
        is_overload = False
        try:
            return await infer(call, timeout_s=timeout_s)
        except ServerError as error:
            status = error.status
            is_overload = isinstance(error, ServerOverloadedError)
            raise
        except asyncio.CancelledError:
            status = "LOCALLY_CANCELLED"
            raise
        finally:
            self._router.observer.try_ended(
                TryEnded(
                    server=server,
                    status=status,
                    duration_s=self._clock() - started,
                    message=self.message,
                    request_id=call.request_id,
                    number=self.tries,
                    is_overload=is_overload,
                )
            )
