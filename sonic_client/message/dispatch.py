"""A batch of requests becomes messages, and each request gets exactly one outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from sonic_base import SonicError
from sonic_client.batching import (
    BatchingLayout,
    CheckedRequest,
    Load,
    MessageLimits,
    plan_messages,
)
from sonic_client.errors import (
    AccessDeniedError,
    FailsEverywhereError,
    InvalidAnswerError,
    ModelNotFoundError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerFaultError,
    TlsError,
    WrongPortError,
)
from sonic_client.message.answers import AnswerChecker, EventOutputs
from sonic_client.message.attempts import Attempts, Backends, Delivery
from sonic_client.message.cache import AnswerCache
from sonic_client.report.observer import (
    EventsFinished,
    MessageAnswered,
    MessageEnded,
    MessageSent,
)
from sonic_client.transport.base import InferCall
from sonic_client.types import (
    Answer,
    Failure,
    ModelMetadata,
    Outcome,
    Tensors,
    payload_bytes,
)

__all__ = ["Dispatcher"]

logger = logging.getLogger(__name__)


class Dispatcher:
    """Sends batches, and gives every request exactly one outcome.

    Parameters
    ----------
    backends : Backends
        Where messages are sent.
    limits : MessageLimits
        Bounds of a message; the bounds that a refusal names are added.
    cache : AnswerCache or None
        Earlier answers.
    """

    def __init__(
        self,
        backends: Backends,
        metadata: ModelMetadata,
        layout: BatchingLayout,
        limits: MessageLimits,
        *,
        checker: AnswerChecker,
        cache: AnswerCache | None,
    ) -> None:
        self._backends, self._version = backends, metadata.version
        self._declared = {spec.name: spec for spec in metadata.outputs}
        self._config, self._observer = backends.config, backends.observer
        self._clock = backends.timing.clock
        self._layout, self._limits = layout, limits
        self._checker, self._cache = checker, cache
        self._numbers = count(1)

    async def send(self, batch: Sequence[CheckedRequest]) -> list[Outcome]:
        """Return the outcomes of a batch's requests, in order.

        Requests that failed their check, have no rows, or are in the cache are not
        sent. Errors are outcomes; only cancellation, and bugs, pass through.
        """
        outcomes: dict[int, Outcome] = {}
        for index, item in enumerate(batch):
            if item.error is not None:
                (outcomes[index],) = _failures([item], item.error)
            elif (outputs := self._checker.empty_outputs(item)) is not None:
                outcomes[index] = self._local_answer(item, outputs, "")
        if not outcomes and self._cache is None:  # the ordinary case
            sent = await self._send_in_time(batch)
            self._tell_finished(batch, sent, 0)
            return sent
        n_cached = 0
        if self._cache is not None:
            for index, item in enumerate(batch):
                if index in outcomes:
                    continue
                found = await self._cache.find(self._cache.key_of(item))
                if found is not None:
                    outcomes[index] = self._local_answer(item, found, "cache")
                    n_cached += 1
        left = [index for index in range(len(batch)) if index not in outcomes]
        if left:
            sent = await self._send_in_time([batch[index] for index in left])
            for index, outcome in zip(left, sent, strict=True):
                outcomes[index] = outcome
                if self._cache is not None and isinstance(outcome, Answer):
                    key = self._cache.key_of(batch[index])
                    await self._cache.keep(key, outcome.outputs)
        in_order = [outcomes[index] for index in range(len(batch))]
        self._tell_finished(batch, in_order, n_cached)
        return in_order

    def _local_answer(
        self, item: CheckedRequest, outputs: Tensors, server: str
    ) -> Answer:
        return Answer(
            request_id=item.request.request_id,
            outputs=outputs,
            server=server,
            model_version=self._version,
            tries=0,
            latency_s=0.0,
        )

    def _tell_finished(
        self,
        batch: Sequence[CheckedRequest],
        outcomes: Sequence[Outcome],
        n_cached: int,
    ) -> None:
        n_rows, failed_ids = 0, []
        for item, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Answer):
                n_rows += item.n_rows
            else:
                failed_ids.append(outcome.request_id)
        self._observer.events_finished(
            EventsFinished(
                events=len(batch),
                failed_ids=tuple(failed_ids),
                points=n_rows,
                cached_events=n_cached,
            )
        )

    async def _send_in_time(self, batch: Sequence[CheckedRequest]) -> list[Outcome]:
        """Return the outcomes of requests that a server must answer, in order."""
        deadline = self._clock() + self._config.deadline_s
        if len(batch) == 1 and not self._limits.max_batch_size:
            return await self._send_message(batch, deadline)  # nothing to plan
        return await self._send_planned(batch, deadline)

    async def _send_planned(
        self, batch: Sequence[CheckedRequest], deadline: float
    ) -> list[Outcome]:
        """Send a batch in the messages that the bounds allow, one after the other.

        One after the other because the window counts this batch as one message.
        """
        outcomes: dict[int, Outcome] = {}
        for indices in plan_messages(batch, self._limits):
            message = [batch[index] for index in indices]
            sent = await self._send_parts(message, deadline)
            outcomes.update(zip(indices, sent, strict=True))
        return [outcomes[index] for index in range(len(batch))]

    async def _send_parts(
        self, message: Sequence[CheckedRequest], deadline: float
    ) -> list[Outcome]:
        """Send a message; cut its only request in parts if it exceeds a batch."""
        if self._limits.is_over_batch_size(Load.of(message)):
            (item,) = message  # several would have been planned apart
            parts = self._layout.cut(item, self._limits.max_batch_size)
            if len(parts) > 1:
                return [_join_parts(await self._send_planned(parts, deadline))]
        return await self._send_message(message, deadline)

    async def _send_message(
        self, batch: Sequence[CheckedRequest], deadline: float
    ) -> list[Outcome]:
        """Send requests as one message; in smaller ones if it is refused."""
        call = InferCall(
            model_name=self._config.model_name,
            model_version=self._config.model_version,
            request_id=_wire_id(batch),
            inputs=self._layout.join(batch),
            declared=self._declared,
        )

        def read(outputs: Tensors, server: str) -> Sequence[EventOutputs]:
            return self._checker.split(outputs, batch, server=server)

        attempts = Attempts(
            self._backends,
            next(self._numbers),
            read,
            deadline=deadline,
            n_events=len(batch),
            too_small=self._limits.servers_below(batch),
        )
        deliver = (
            self._deliver_announced
            if self._observer.follows_messages
            else self._deliver
        )
        try:
            delivery, latency_s = await deliver(attempts, call, batch)
        except SonicError as error:
            if self._learn(attempts, error, batch):
                return await self._send_planned(batch, deadline)
            if len(batch) > 1:
                if isinstance(error, FailsEverywhereError | ServerFaultError):
                    return await self._send_one_by_one(batch, deadline, error)
                if isinstance(error, RejectedRequestError) and _may_be_one_request(
                    error
                ):
                    return await self._bisect(batch, deadline, error)
            servers = tuple(dict.fromkeys(attempts.servers))
            return _failures(batch, error, servers=servers, tries=attempts.tries)
        if attempts.too_large:
            self._learn(attempts, None, batch)
        server = delivery.server
        outcomes: list[Outcome] = [
            _failures([item], outputs, servers=(server,), tries=attempts.tries)[0]
            if isinstance(outputs, InvalidAnswerError)
            else Answer(
                request_id=item.request.request_id,
                outputs=outputs,
                server=server,
                model_version=delivery.reply.model_version,
                tries=attempts.tries,
                latency_s=latency_s,
                is_fallback=delivery.is_fallback,
            )
            for item, outputs in zip(batch, delivery.outputs, strict=True)
        ]
        if len(batch) > 1 and self._backends.may_have_other(server):
            for index, outcome in enumerate(outcomes):
                if isinstance(outcome, Failure):  # another server may answer it alone
                    message = batch[index : index + 1]
                    (outcomes[index],) = await self._send_message(message, deadline)
        return outcomes

    async def _deliver(
        self, attempts: Attempts, call: InferCall, batch: Sequence[CheckedRequest]
    ) -> tuple[Delivery, float]:
        """Return a message's answer, and the seconds until it came."""
        started = self._clock()
        delivery = await attempts.deliver(call)
        latency_s = self._clock() - started
        self._observer.message_answered(
            MessageAnswered(
                message=attempts.message,
                server=delivery.server,
                latency_s=latency_s,
                bytes_sent=_bytes_of(batch),
                bytes_received=payload_bytes(delivery.reply.outputs),
                event_ids=tuple([item.request.request_id for item in batch]),
                is_fallback=delivery.is_fallback,
                is_hedge=delivery.is_hedge,
            )
        )
        return delivery, latency_s

    async def _deliver_announced(
        self, attempts: Attempts, call: InferCall, batch: Sequence[CheckedRequest]
    ) -> tuple[Delivery, float]:
        """Deliver, and tell the observer when the message is sent and how it ended."""
        self._observer.message_sent(
            MessageSent(
                message=attempts.message,
                request_id=call.request_id,
                model=call.model_name,
                events=len(batch),
                n_bytes=_bytes_of(batch),
            )
        )
        error = ""
        try:
            if headers := self._observer.headers(attempts.message):
                call = replace(call, headers=headers)
            return await self._deliver(attempts, call, batch)
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            self._observer.message_ended(
                MessageEnded(message=attempts.message, error=error)
            )

    def _learn(
        self,
        attempts: Attempts,
        error: SonicError | None,
        batch: Sequence[CheckedRequest],
    ) -> bool:
        """Apply the bounds that refusals named.

        Returns
        -------
        bool
            Whether the batch, which `error` ended, can now be sent in another way.
        """
        is_other = False
        for server, refusal in attempts.too_large:
            is_other |= self._limits.learn_bytes(refusal, batch, server=server)
        if isinstance(error, RequestTooLargeError):
            return is_other
        if isinstance(error, RejectedRequestError):
            return self._limits.learn_batch_size(error, batch)
        return False

    async def _send_one_by_one(
        self, batch: Sequence[CheckedRequest], deadline: float, error: SonicError
    ) -> list[Outcome]:
        """Send each request alone, so that only the one that breaks servers fails.

        Not in halves: each message with that request may cost a server its process.
        """
        logger.info("sending %d requests one by one: %s", len(batch), error)
        return [
            outcome
            for item in batch
            for outcome in await self._send_message([item], deadline)
        ]

    async def _bisect(
        self, batch: Sequence[CheckedRequest], deadline: float, error: SonicError
    ) -> list[Outcome]:
        """Send both halves, one after the other, so that only the bad ones fail."""
        logger.info("sending %d requests in two halves: %s", len(batch), error)
        middle = len(batch) // 2
        return [
            *await self._send_message(batch[:middle], deadline),
            *await self._send_message(batch[middle:], deadline),
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


def _join_parts(parts: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a request from those of its parts, in order.

    The outputs are joined along the first axis. If a part failed, so did the request.
    """
    tries = sum(part.tries for part in parts)
    answers = []
    for part in parts:
        if isinstance(part, Failure):
            return replace(part, tries=tries)
        answers.append(part)
    outputs = {
        name: np.concatenate([answer.outputs[name] for answer in answers])
        for name in answers[0].outputs
    }
    for array in outputs.values():
        array.flags.writeable = False  # as in every answer
    return replace(
        answers[-1],
        outputs=outputs,
        tries=tries,
        latency_s=sum(answer.latency_s for answer in answers),
    )


def _bytes_of(batch: Sequence[CheckedRequest]) -> int:
    return sum([item.n_bytes for item in batch])


def _wire_id(batch: Sequence[CheckedRequest]) -> str:
    """Return the id by which the server's log can be matched with the requests."""
    first = str(batch[0].request.request_id)
    return first if len(batch) == 1 else f"{first}+{len(batch) - 1}"
