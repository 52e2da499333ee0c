"""One batch on its way: joined, sent, repeated, taken apart, or bisected."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

from sonic_base.errors import SonicError
from sonic_client.answers import AnswerChecker, EventOutputs
from sonic_client.batching import (
    BatchingLayout,
    CheckedRequest,
    Load,
    MessageLimits,
    plan_messages,
)
from sonic_client.config import ClientConfig
from sonic_client.errors import (
    AccessDeniedError,
    InvalidAnswerError,
    ModelNotFoundError,
    RejectedRequestError,
    TlsError,
    WrongPortError,
)
from sonic_client.parts import outcome_of_parts
from sonic_client.report.observer import (
    MessageAnswered,
    MessageEnded,
    MessageSent,
    Observers,
)
from sonic_client.retry import Timing
from sonic_client.route import Delivery, Route
from sonic_client.router import Router
from sonic_client.transport.base import InferCall, InferReply
from sonic_client.types import (
    Answer,
    Failure,
    Outcome,
    payload_bytes,
)

__all__ = ["Dispatcher"]

logger = logging.getLogger(__name__)


class Dispatcher:
    """Sends batches, and gives every request exactly one outcome.

    Parameters
    ----------
    config : ClientConfig
    layout : BatchingLayout
    limits : MessageLimits
        Of its messages; what a refusal says about them is added.
    checker : AnswerChecker
        Takes the answers apart.
    router : Router
        Carries messages to a server, and answers back.
    observer : Observers
        Are told of messages and answers.
    timing : Timing
    """

    def __init__(
        self,
        config: ClientConfig,
        layout: BatchingLayout,
        limits: MessageLimits,
        checker: AnswerChecker,
        *,
        router: Router,
        observer: Observers,
        timing: Timing,
    ) -> None:
        self._config = config
        self._layout, self._limits = layout, limits
        self._checker = checker
        self._router = router
        self._observer = observer
        self._timing = timing
        self._numbers = count(1)

    async def send(self, batch: Sequence[CheckedRequest]) -> list[Outcome]:
        """Return the outcomes of requests that passed their check, in order.

        Errors are outcomes; only cancellation, and bugs, pass through.
        """
        deadline = self._timing.clock() + self._config.deadline_s
        if len(batch) == 1 and not self._limits.max_batch_size:
            return await self._send_joined(batch, deadline)  # nothing to plan
        return await self._send_planned(batch, deadline)

    async def _send_planned(
        self, batch: Sequence[CheckedRequest], deadline: float
    ) -> list[Outcome]:
        """Send a batch in the messages that the bounds allow, one after the other.

        In sequence, because the window counts this batch as one message.
        """
        outcomes: dict[int, Outcome] = {}
        for places in plan_messages(batch, self._limits):
            message = [batch[place] for place in places]
            sent = await self._send_message(message, deadline)
            outcomes.update(zip(places, sent, strict=True))
        return [outcomes[place] for place in range(len(batch))]

    async def _send_message(
        self, message: Sequence[CheckedRequest], deadline: float
    ) -> list[Outcome]:
        if self._limits.is_over_batch_size(Load.of(message)):
            (item,) = message  # several would have been planned apart
            parts = self._layout.cut(item, self._limits.max_batch_size)
            if len(parts) > 1:
                return [outcome_of_parts(await self._send_planned(parts, deadline))]
        return await self._send_joined(message, deadline)

    async def _send_joined(
        self, batch: Sequence[CheckedRequest], deadline: float
    ) -> list[Outcome]:
        call = InferCall(
            model_name=self._config.model_name,
            model_version=self._config.model_version,
            request_id=_wire_id(batch),
            inputs=self._layout.join(batch),
        )
        route = Route(self._router, next(self._numbers))
        deliver = (
            self._deliver_announced
            if self._observer.follows_messages
            else self._deliver
        )
        try:
            delivery, latency_s = await deliver(route, call, batch, deadline)
        except SonicError as error:
            if isinstance(error, RejectedRequestError):
                if self._limits.learn(error, batch):
                    return await self._send_planned(batch, deadline)
                if len(batch) > 1 and _may_be_one_request(error):
                    return await self._bisect(batch, deadline, error)
            servers = tuple(dict.fromkeys(route.servers))
            return _failures(batch, error, servers=servers, tries=route.tries)
        outcomes: list[Outcome] = [
            _failures([item], part, servers=(delivery.server,), tries=route.tries)[0]
            if isinstance(part, InvalidAnswerError)
            else Answer(
                request_id=item.request.request_id,
                outputs=part,
                server=delivery.server,
                model_version=delivery.reply.model_version,
                tries=route.tries,
                latency_s=latency_s,
                is_fallback=delivery.is_fallback,
            )
            for item, part in zip(batch, delivery.result, strict=True)
        ]
        if len(batch) > 1 and self._router.may_go_elsewhere(delivery.server):
            for place, outcome in enumerate(outcomes):
                if isinstance(outcome, Failure):  # alone it may be answered elsewhere
                    message = batch[place : place + 1]
                    (outcomes[place],) = await self._send_joined(message, deadline)
        return outcomes

    async def _deliver(
        self,
        route: Route,
        call: InferCall,
        batch: Sequence[CheckedRequest],
        deadline: float,
    ) -> tuple[Delivery[Sequence[EventOutputs]], float]:
        """Return a message's answer, and the seconds until it came."""

        def take_apart(reply: InferReply, server: str) -> Sequence[EventOutputs]:
            return self._checker.take_apart(reply.outputs, batch, server=server)

        started = self._timing.clock()
        delivery = await route.deliver(
            call, take_apart, deadline=deadline, events=len(batch)
        )
        latency_s = self._timing.clock() - started
        self._observer.message_answered(
            MessageAnswered(
                message=route.message,
                server=delivery.server,
                latency_s=latency_s,
                bytes_sent=_bytes_of(batch),
                bytes_received=payload_bytes(delivery.reply.outputs),
                event_ids=tuple([item.request.request_id for item in batch]),
                is_fallback=delivery.is_fallback,
            )
        )
        return delivery, latency_s

    async def _deliver_announced(
        self,
        route: Route,
        call: InferCall,
        batch: Sequence[CheckedRequest],
        deadline: float,
    ) -> tuple[Delivery[Sequence[EventOutputs]], float]:
        """Also tell that the message is sent, and in the end how it ended."""
        self._observer.message_sent(
            MessageSent(
                message=route.message,
                request_id=call.request_id,
                model=call.model_name,
                events=len(batch),
                n_bytes=_bytes_of(batch),
            )
        )
        error = ""
        try:
            if headers := self._observer.headers(route.message):
                call = replace(call, headers=headers)
            return await self._deliver(route, call, batch, deadline)
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            self._observer.message_ended(
                MessageEnded(message=route.message, error=error)
            )

    async def _bisect(
        self, batch: Sequence[CheckedRequest], deadline: float, error: SonicError
    ) -> list[Outcome]:
        """Send both halves, one after the other, so that only the bad ones fail."""
        logger.info("sending %d requests in two halves: %s", len(batch), error)
        middle = len(batch) // 2
        return [
            *await self._send_joined(batch[:middle], deadline),
            *await self._send_joined(batch[middle:], deadline),
        ]


def _may_be_one_request(error: RejectedRequestError) -> bool:
    """Whether the rejection may be about some requests of the batch only."""
    about_all = ModelNotFoundError | AccessDeniedError | TlsError | WrongPortError
    return not isinstance(error, about_all) and error.status != "UNIMPLEMENTED"


def _failures(
    batch: Iterable[CheckedRequest],
    error: SonicError,
    *,
    servers: tuple[str, ...] = (),
    tries: int = 0,
) -> list[Outcome]:
    return [
        Failure(
            request_id=item.request.request_id,
            error=error,
            servers=servers,
            tries=tries,
        )
        for item in batch
    ]


def _bytes_of(batch: Sequence[CheckedRequest]) -> int:
    return sum([item.n_bytes for item in batch])


def _wire_id(batch: Sequence[CheckedRequest]) -> str:
    """Return the id by which the server's log can be matched with the requests."""
    first = str(batch[0].request.request_id)
    return first if len(batch) == 1 else f"{first}+{len(batch) - 1}"
