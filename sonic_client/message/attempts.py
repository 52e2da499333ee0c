"""The attempts of one message: at a server, again, at another one, at the fallback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from typing import NamedTuple

from sonic_base import SonicError
from sonic_client.config import ClientConfig
from sonic_client.errors import (
    DeadlineExceededError,
    FallbackDriftError,
    RequestTooLargeError,
    ServerError,
    ServerFaultError,
    ServerOverloadedError,
    TransientError,
)
from sonic_client.fallback import Standby, find_drift
from sonic_client.message.adaptive_timeout import AdaptiveTimeout
from sonic_client.message.answers import EventOutputs
from sonic_client.message.hedging import HedgePolicy, race
from sonic_client.report.observer import Observers, TryEnded
from sonic_client.retry import (
    Disposition,
    RetryBudget,
    RetryChain,
    RetryStep,
    Situation,
    Timing,
    disposition_of,
)
from sonic_client.servers import ServerPool, Slot
from sonic_client.transport.base import InferCall, InferReply
from sonic_client.types import Tensors

__all__ = ["Attempts", "Backends", "Delivery"]

logger = logging.getLogger(__name__)

# A try that its own timer ended may return this much before the deadline.
_TIMER_SLACK_S = 0.005

_FIRST_STEP = RetryStep("any_server")


class Backends:
    """The servers and the fallback of a client, and the retry budget of all messages.

    Parameters
    ----------
    standby : Standby or None
        The fallback.
    observer : Observers
        Are told of every try.
    adaptive_timeout : AdaptiveTimeout or None
        Says how long a try may take, unless the configuration does.
    """

    def __init__(
        self,
        config: ClientConfig,
        pool: ServerPool,
        standby: Standby | None,
        *,
        observer: Observers,
        timing: Timing,
        adaptive_timeout: AdaptiveTimeout | None = None,
    ) -> None:
        self.config, self.pool, self.standby = config, pool, standby
        self.observer, self.timing = observer, timing
        self.adaptive_timeout = adaptive_timeout
        self.budget = RetryBudget(config.retry, timing.clock)
        self.hedging = HedgePolicy(config.hedge) if config.hedge.enabled else None
        if self.hedging is not None and len(config.servers) == 1:
            self.hedging = None
            logger.warning("hedging needs a second server: there is only one")
        self.has_fallback = standby is not None and "fallback" in config.retry.chain
        self._events_to_compare = config.fallback.compare_events if standby else 0

    def is_to_compare(self, n_events: int) -> bool:
        """Whether a new message of `n_events` events is also given to the fallback."""
        is_early = self._events_to_compare > 0
        self._events_to_compare -= n_events if is_early else 0
        return is_early

    def may_have_other(self, server: str) -> bool:
        """Whether the fallback or another server may answer now or soon."""
        return self.has_fallback or self.pool.may_have_other({server})


class Delivery(NamedTuple):
    """A reply that was accepted.

    Attributes
    ----------
    reply : InferReply
    outputs : sequence of EventOutputs
        Each event's part of the reply.
    server : str
        Name of the server that answered.
    is_fallback : bool
    is_hedge : bool
        Whether it came from a second server, while the first was slow.
    """

    reply: InferReply
    outputs: Sequence[EventOutputs]
    server: str
    is_fallback: bool = False
    is_hedge: bool = False


class Attempts:
    """The attempts of one message.

    Parameters
    ----------
    message : int
        Number of the message.
    read : callable
        Returns each event's part of a reply, given its outputs and the server's name;
        raises `InvalidAnswerError` if the reply is not what the model declares.
    deadline : float
        Time on the clock that bounds all tries and waits.
    n_events : int
        The caller's requests in the message.
    too_small : collection of str
        Names of servers that take no message of this size; asked if there is no other.

    Attributes
    ----------
    message : int
    tries : int
        Calls so far, those to the fallback included.
    servers : list of str
        The server of each call.
    too_large : list of (str, RequestTooLargeError)
        The servers that refused the message for its size.
    """

    def __init__(
        self,
        backends: Backends,
        message: int,
        read: Callable[[Tensors, str], Sequence[EventOutputs]],
        *,
        deadline: float,
        n_events: int,
        too_small: Collection[str] = (),
    ) -> None:
        self.message = message
        self.tries = 0
        self.servers: list[str] = []
        self.too_large: list[tuple[str, RequestTooLargeError]] = []
        self._too_small = too_small
        self._failed_at: list[str] = []
        self._ruled_out: set[str] = set()
        # Servers that refused the message as full since it last waited.
        self._full: set[str] = set()
        self._full_since: float | None = None
        self._request_id = ""
        self._backends, self._pool = backends, backends.pool
        self._clock = backends.timing.clock
        self._retry = backends.config.retry
        self._read, self._deadline, self._n_events = read, deadline, n_events

    @cached_property
    def _chain(self) -> RetryChain:
        """Plans what follows a failed try; made when one fails."""
        return RetryChain(
            self._retry, self._backends.timing.jitter, request_id=self._request_id
        )

    async def deliver(self, call: InferCall) -> Delivery:
        """Return the first reply that can be read.

        Raises
        ------
        SonicError
            The error that no other try can repair.
        TriesExhaustedError
            Every allowed try failed.
        FailsEverywhereError
            The message breaks the servers that it is sent to.
        DeadlineExceededError
            The time is over, or would be before the next try.
        NoServerError
            No server is left, and none came back in time.

        Notes
        -----
        Cancelling the caller cancels the try in flight and starts no other.
        """
        self._request_id = call.request_id
        hedging = self._backends.hedging
        self._backends.budget.deposit()
        if hedging is not None:
            hedging.deposit()
        # Decided here, because messages come in order and answers do not.
        is_compared = self._backends.is_to_compare(self._n_events)
        step = _FIRST_STEP
        while step.target != "fallback":
            slot = await self._slot(step)
            if slot is None:
                break
            try:
                with slot:
                    if hedging is None:
                        delivery = await self._ask(slot, call)
                    else:
                        delivery = await self._ask_in_time(slot, call, hedging)
            except SonicError as error:
                # The traceback would keep this message's tensors in memory.
                failure = error.with_traceback(None)
            else:
                if is_compared:
                    await self._compare(call, delivery)
                return delivery
            step = self._next_step(failure)
            if step.wait_s > 0.0 or step.is_for_recovery:
                await self._wait(step)
        return await self._fall_back(call)

    async def _wait(self, step: RetryStep) -> None:
        pool, failed_at = self._pool, self._failed_at
        if step.is_for_recovery:
            await pool.wait_for_first_probes(failed_at, until=self._deadline)
        if step.is_for_recovery and pool.has_other(failed_at):
            return
        # A server that may come back, and has not failed this message, is worth the
        # whole wait.
        if step.is_for_recovery and not pool.may_have_other(failed_at):
            await pool.wait_for_answer(wait_s=step.wait_s)
        elif self._full:
            refused = self._full.union(self._ruled_out)
            await pool.wait_for_room(refused, wait_s=step.wait_s)
        else:
            await self._backends.timing.sleep(step.wait_s)
        self._full.intersection_update(pool.asking_to_wait)

    async def _slot(self, step: RetryStep) -> Slot | None:
        """Return a slot, waiting for a server to come back; None for the fallback."""
        only = self.servers[-1] if step.target == "same_server" else ""
        ruled_out = self._ruled_out
        patient_until = self._clock() + self._retry.patience_s
        while True:
            now = self._clock()
            failures = self._chain.errors if self.servers else []
            # A wait may have ended late: no try begins after the deadline.
            is_late = now + _TIMER_SLACK_S >= self._deadline
            if not (is_late and failures):
                slot = self._pool.slot(
                    self._failed_at,
                    only=only,
                    ruled_out=ruled_out,
                    avoided=self._avoided(),
                )
                if slot is not None:
                    return slot
            if self._backends.has_fallback and not is_late:
                return None
            if ruled_out and (
                now >= patient_until or not self._pool.may_have_other(ruled_out)
            ):
                raise failures[-1]
            if self._pool.is_hopeless:
                raise self._pool.failure(failures)
            if is_late and failures and self._pool.has_other(ruled_out):
                raise self._too_late(failures) from failures[-1]
            if is_late:
                no_server = self._pool.failure(failures)
                raise self._too_late([*failures, no_server]) from no_server
            until = self._deadline
            if ruled_out:
                until = min(until, patient_until)
            await self._pool.wait_patiently(until=until)

    def _avoided(self) -> Collection[str]:
        """Return the names of servers to ask only if there is no other."""
        return self._full.union(self._too_small) if self._full else self._too_small

    async def _ask_in_time(
        self, slot: Slot, call: InferCall, hedging: HedgePolicy
    ) -> Delivery:
        """Return the answer of a server; if it is slow, perhaps that of a second one.

        Both calls have ended when this returns.
        """
        delay_s = hedging.delay_s()
        if delay_s is None:
            return await self._ask(slot, call)
        with ExitStack() as second_slot:

            def second() -> Callable[[], Awaitable[Delivery]] | None:
                other = self._second_slot(slot, hedging)
                if other is None:
                    return None
                second_slot.enter_context(other)
                return partial(self._ask, other, call, is_hedge=True)

            first = partial(self._ask, slot, call)
            outcome = await race(first, second, delay_s=delay_s)
        if isinstance(outcome, Delivery):
            return outcome
        # One step of the chain, which the later call's error decides.
        *earlier, latest = outcome
        for error in earlier:
            self._chain.keep(error)
            self._note(error, slot.server.name, self._clock())
        raise latest

    def _second_slot(self, slot: Slot, hedging: HedgePolicy) -> Slot | None:
        """Return a slot for a hedge, if time, budget and servers allow one."""
        is_late = self._clock() + _TIMER_SLACK_S >= self._deadline
        if is_late or not hedging.may_hedge:
            return None
        other = self._pool.slot_beside(
            self._ruled_out.union(
                [slot.server.name], self._failed_at, self._full, self._too_small
            )
        )
        if other is not None:
            hedging.take()
        return other

    async def _ask(
        self, slot: Slot, call: InferCall, *, is_hedge: bool = False
    ) -> Delivery:
        server, started = slot.server, self._clock()
        timeout_s = self._timeout_s(server.name, self._deadline - started)
        # Not for hedges: a request that is slow would count twice.
        hedging = None if is_hedge else self._backends.hedging
        try:
            reply = await self._call(
                server.name,
                server.transport.infer,
                call,
                timeout_s,
                is_hedge=is_hedge,
            )
            outputs = self._read(reply.outputs, server.name)
        except SonicError as error:
            self._pool.judge(
                slot,
                error,
                self._clock() - started,
                is_repeated=isinstance(error, ServerFaultError)
                and server.name in self._failed_at,
            )
            raise
        except asyncio.CancelledError:
            taken_s = self._clock() - started
            server.note_slow(taken_s)
            if hedging is not None:
                hedging.note(taken_s, is_answered=False)
            raise
        taken_s = self._clock() - started
        self._pool.judge(slot, None, taken_s)
        self._pool.note_version(slot, reply.model_version)
        if hedging is not None:
            hedging.note(taken_s, is_answered=True)
        return Delivery(reply, outputs, server.name, is_hedge=is_hedge)

    def _timeout_s(self, server: str, left_s: float) -> float:
        """Return the seconds of a try, given those that are left of the deadline."""
        if self._retry.try_timeout_s is not None:
            return min(left_s, self._retry.try_timeout_s)
        adaptive = self._backends.adaptive_timeout
        if adaptive is not None and (known_s := adaptive.seconds()) is not None:
            return min(left_s, known_s)
        may_go_on = self._backends.has_fallback or self._pool.may_have_other(
            (*self.servers, server)
        )
        return left_s / 2 if may_go_on else left_s

    def _next_step(self, error: SonicError) -> RetryStep:
        backends, now = self._backends, self._clock()
        failures = [*self._chain.failures, error]
        if isinstance(error, TransientError) and now + _TIMER_SLACK_S >= self._deadline:
            raise self._too_late(failures) from error
        self._note(error, self.servers[-1], now)
        patient_until = self._patient_until(now)
        situation = Situation(
            same_server=self._pool.is_usable(self.servers[-1]),
            other_server=self._pool.has_other(self._failed_at),
            any_server=self._pool.may_have_other(self._ruled_out),
            fallback=backends.has_fallback,
            room=self._pool.has_room(self._full.union(self._failed_at)),
            room_s=self._pool.asked_wait_s,
            is_patient=now < patient_until,
            can_split=self._n_events > 1,
        )
        step = self._chain.after(error, situation)
        if step.target == "fallback":
            return step
        is_full = isinstance(error, ServerOverloadedError)
        # Waiting for room is no retry: it does not take from the budget of others.
        wait_s = step.wait_s if is_full else max(step.wait_s, backends.budget.take())
        if is_full and backends.has_fallback:
            wait_s = min(wait_s, patient_until - now)
        elif is_full and self._pool.may_open:  # that one may have room sooner
            wait_s = min(wait_s, self._deadline - now - _TIMER_SLACK_S / 2)
        if now + wait_s < self._deadline:
            return replace(step, wait_s=wait_s)
        if not is_full:
            backends.budget.give_back()
        if backends.has_fallback:
            return RetryStep("fallback")
        raise self._too_late(failures) from error

    def _note(self, error: SonicError, server: str, now: float) -> None:
        """Keep what the end of a try says about this message at a server."""
        if isinstance(error, ServerOverloadedError):
            self._full.add(server)
            if self._full_since is None:
                self._full_since = now
            return
        has_looked_again = server in self._failed_at
        self._failed_at.append(server)
        disposition = disposition_of(error)
        if isinstance(error, RequestTooLargeError):
            self.too_large.append((server, error))
            self._ruled_out.add(server)
        elif disposition is Disposition.ELSEWHERE_ONLY or (
            disposition is Disposition.LOOK_AGAIN and has_looked_again
        ):
            self._ruled_out.add(server)

    def _patient_until(self, now: float) -> float:
        """Return when full servers have been waited for long enough, with a fallback.

        The patience begins with the first refusal of this message, or when no server
        had room any more, and leaves the fallback half of the time to the deadline.
        """
        began = now if self._full_since is None else self._full_since
        half = began + (self._deadline - began) / 2
        if (full_since := self._pool.full_since) is not None:
            began = min(began, full_since)
        return min(half, began + self._retry.full_patience_s)

    def _too_late(self, failures: Sequence[SonicError]) -> DeadlineExceededError:
        deadline_s = self._backends.config.deadline_s
        return DeadlineExceededError(deadline_s=deadline_s, failures=failures)

    async def _fall_back(self, call: InferCall) -> Delivery:
        standby = self._backends.standby
        assert standby is not None  # no step leads here without one
        errors = self._chain.errors
        self._pool.reports.falls_back(
            standby.name, errors[-1] if errors else self._pool.failure()
        )
        try:
            reply = await self._call(
                standby.name, standby.infer, call, self._deadline - self._clock()
            )
        except ServerFaultError as error:
            if not self._chain.has_fault:
                raise
            raise self._chain.fails_everywhere(error) from error
        outputs = self._read(reply.outputs, standby.name)
        return Delivery(reply, outputs, standby.name, is_fallback=True)

    async def _compare(self, call: InferCall, delivery: Delivery) -> None:
        """Let the fallback compute the message, too, and compare the outputs."""
        standby, config = self._backends.standby, self._backends.config.fallback
        assert standby is not None  # there would be nothing to compare with
        try:
            reply = await standby.infer(call, timeout_s=self._deadline - self._clock())
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

    async def _call(
        self,
        server: str,
        infer: Callable[..., Awaitable[InferReply]],
        call: InferCall,
        timeout_s: float,
        *,
        is_hedge: bool = False,
    ) -> InferReply:
        """Call once, and tell the observer how it ended."""
        self.tries += 1
        number = self.tries
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
            self._backends.observer.try_ended(
                TryEnded(
                    server=server,
                    status=status,
                    duration_s=self._clock() - started,
                    message=self.message,
                    request_id=call.request_id,
                    number=number,
                    is_overload=is_overload,
                    is_hedge=is_hedge,
                )
            )
