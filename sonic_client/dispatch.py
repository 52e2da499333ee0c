"""One batch on its way: joined, sent, repeated, taken apart, or bisected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

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
    ServerError,
    SonicError,
)
from sonic_client.observer import (
    EventsFinished,
    MessageAnswered,
    MessageEnded,
    MessageSent,
    Observer,
    TryEnded,
)
from sonic_client.parts import outcome_of_parts
from sonic_client.retry import Timing, call_with_retry
from sonic_client.tensor_checks import find_output_mismatches
from sonic_client.transport.base import InferCall, InferReply, Transport
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
    """Gives every request of a batch exactly one outcome.

    Parameters
    ----------
    config : ClientConfig
    metadata : ModelMetadata
        Of the model; answers are compared with it.
    layout : BatchingLayout
    limits : MessageLimits
        Of its messages; what a refusal says about them is added.
    transport : Transport
        Open.
    observer : Observer
        Is told of tries, answers and outcomes.
    timing : Timing
    """

    def __init__(
        self,
        config: ClientConfig,
        metadata: ModelMetadata,
        layout: BatchingLayout,
        limits: MessageLimits,
        *,
        transport: Transport,
        observer: Observer,
        timing: Timing,
    ) -> None:
        self._config = config
        self._metadata = metadata
        self._layout, self._limits = layout, limits
        self._transport = transport
        self._observer = observer
        self._timing = timing
        self._numbers = count(1)

    async def send(self, batch: Sequence[CheckedRequest]) -> list[Outcome]:
        """Return the outcomes of a batch's requests, in order.

        Requests that failed their check are not sent. Errors are outcomes; only
        cancellation, and bugs, pass through.
        """
        deadline = self._timing.clock() + self._config.deadline_s
        sound = [item for item in batch if item.error is None]
        sent = iter(await self._send_planned(sound, deadline))
        outcomes: list[Outcome] = [
            next(sent) if item.error is None else _failures([item], item.error)[0]
            for item in batch
        ]
        self._observer.events_finished(
            EventsFinished(
                events=len(batch),
                failed_ids=tuple(
                    each.request_id for each in outcomes if isinstance(each, Failure)
                ),
                points=sum(
                    item.n_rows
                    for item, outcome in zip(batch, outcomes, strict=True)
                    if isinstance(outcome, Answer)
                ),
            )
        )
        return outcomes

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
        flight = _Flight(
            next(self._numbers), self._transport, self._observer, self._timing
        )
        started = self._timing.clock()
        n_bytes = sum(item.n_bytes for item in batch)
        try:
            with flight.announced(call, events=len(batch), n_bytes=n_bytes):
                reply = await call_with_retry(
                    lambda timeout_s: flight.infer(call, timeout_s=timeout_s),
                    retry=self._config.retry,
                    deadline_s=deadline - started,
                    timing=self._timing,
                )
                outputs = self._take_apart(reply, batch)
                latency_s = self._timing.clock() - started
                self._observer.message_answered(
                    MessageAnswered(
                        message=flight.message,
                        server=self._transport.server,
                        latency_s=latency_s,
                        bytes_sent=n_bytes,
                        bytes_received=payload_bytes(reply.outputs),
                        event_ids=tuple(item.request.request_id for item in batch),
                    )
                )
        except SonicError as error:
            if isinstance(error, RejectedRequestError):
                if self._limits.learn(error, batch):
                    return await self._send_planned(batch, deadline)
                if len(batch) > 1 and _may_be_one_request(error):
                    return await self._bisect(batch, deadline, error)
            servers = (self._transport.server,)
            return _failures(batch, error, servers=servers, tries=flight.tries)
        return [
            Answer(
                request_id=item.request.request_id,
                outputs=tensors,
                server=self._transport.server,
                model_version=reply.model_version,
                tries=flight.tries,
                latency_s=latency_s,
            )
            for item, tensors in zip(batch, outputs, strict=True)
        ]

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

    def _take_apart(
        self, reply: InferReply, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        specs = self._metadata.outputs
        mismatches = find_output_mismatches(reply.outputs, specs)
        if not mismatches:
            outputs = {spec.name: reply.outputs[spec.name] for spec in specs}
            mismatches = self._layout.find_row_mismatches(outputs, batch)
        if mismatches:
            raise InvalidAnswerError(
                model=self._metadata.name,
                server=self._transport.server,
                mismatches=mismatches,
            )
        return self._layout.split(outputs, batch)


class _Flight:
    """The tries of one message, each told to the observer."""

    def __init__(
        self, message: int, transport: Transport, observer: Observer, timing: Timing
    ) -> None:
        self.message = message
        self._transport, self._observer = transport, observer
        self._timing = timing
        self.tries = 0

    @contextmanager
    def announced(
        self, call: InferCall, *, events: int, n_bytes: int
    ) -> Iterator[None]:
        """Tell that the message is sent, and in the end how it ended."""
        sent = MessageSent(
            message=self.message,
            request_id=call.request_id,
            model=call.model_name,
            events=events,
            n_bytes=n_bytes,
        )
        self._observer.message_sent(sent)
        error = ""
        try:
            yield
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            self._observer.message_ended(
                MessageEnded(message=self.message, error=error)
            )

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Try once."""
        self.tries += 1
        status = "OK"
        started = self._timing.clock()
        try:
            return await self._transport.infer(call, timeout_s=timeout_s)
        except ServerError as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            status = "LOCALLY_CANCELLED"
            raise
        finally:
            self._observer.try_ended(
                TryEnded(
                    server=self._transport.server,
                    status=status,
                    duration_s=self._timing.clock() - started,
                    message=self.message,
                    request_id=call.request_id,
                    number=self.tries,
                )
            )


def _may_be_one_request(error: RejectedRequestError) -> bool:
    """Whether the rejection may be about some requests of the batch only."""
    about_all = ModelNotFoundError | AccessDeniedError
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


def _wire_id(batch: Sequence[CheckedRequest]) -> str:
    """Return the id by which the server's log can be matched with the requests."""
    first = str(batch[0].request.request_id)
    return first if len(batch) == 1 else f"{first}+{len(batch) - 1}"
