"""One batch on its way: joined, sent, repeated, taken apart, or bisected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from sonic_client.batching import BatchingLayout, CheckedRequest
from sonic_client.config import ClientConfig
from sonic_client.errors import (
    AccessDeniedError,
    InvalidAnswerError,
    ModelNotFoundError,
    RejectedRequestError,
    ServerError,
    SonicError,
)
from sonic_client.retry import Timing, call_with_retry
from sonic_client.statistics import StatisticsRecorder
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
    transport : Transport
        Open.
    recorder : StatisticsRecorder
        Counts tries, answers and outcomes.
    timing : Timing
    """

    def __init__(
        self,
        config: ClientConfig,
        metadata: ModelMetadata,
        layout: BatchingLayout,
        *,
        transport: Transport,
        recorder: StatisticsRecorder,
        timing: Timing,
    ) -> None:
        self._config = config
        self._metadata = metadata
        self._layout = layout
        self._transport = transport
        self._recorder = recorder
        self._timing = timing

    async def send(self, batch: Sequence[CheckedRequest]) -> list[Outcome]:
        """Return the outcomes of a batch's requests, in order.

        Requests that failed their check are not sent. Errors are outcomes; only
        cancellation, and bugs, pass through.
        """
        deadline = self._timing.clock() + self._config.deadline_s
        sound = [item for item in batch if item.error is None]
        sent = iter(await self._send_joined(sound, deadline) if sound else ())
        outcomes: list[Outcome] = [
            next(sent) if item.error is None else _failures([item], item.error)[0]
            for item in batch
        ]
        answered = [isinstance(outcome, Answer) for outcome in outcomes]
        self._recorder.finished(
            events=len(batch),
            failed_events=answered.count(False),
            points=sum(
                item.n_rows for item, ok in zip(batch, answered, strict=True) if ok
            ),
        )
        return outcomes

    async def _send_joined(
        self, batch: Sequence[CheckedRequest], deadline: float
    ) -> list[Outcome]:
        flight = _Flight(self._transport, self._recorder)
        started = self._timing.clock()
        try:
            call = InferCall(
                model_name=self._config.model_name,
                model_version=self._config.model_version,
                request_id=_wire_id(batch),
                inputs=self._layout.join(batch),
            )
            reply = await call_with_retry(
                lambda timeout_s: flight.infer(call, timeout_s=timeout_s),
                retry=self._config.retry,
                deadline_s=deadline - started,
                timing=self._timing,
            )
            outputs = self._take_apart(reply, batch)
        except SonicError as error:
            if len(batch) > 1 and _may_be_one_request(error):
                return await self._bisect(batch, deadline, error)
            servers = (self._transport.server,)
            return _failures(batch, error, servers=servers, tries=flight.tries)
        latency_s = self._timing.clock() - started
        self._recorder.answered(
            server=self._transport.server,
            latency_s=latency_s,
            bytes_sent=sum(item.n_bytes for item in batch),
            bytes_received=payload_bytes(reply.outputs),
        )
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
        """Send both halves, one after the other, so that only the bad ones fail.

        In sequence, because the window counts this batch as one message.
        """
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
    """The tries of one message, counted by their status."""

    def __init__(self, transport: Transport, recorder: StatisticsRecorder) -> None:
        self._transport, self._recorder = transport, recorder
        self.tries = 0

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Try once."""
        self.tries += 1
        status = "OK"
        try:
            return await self._transport.infer(call, timeout_s=timeout_s)
        except ServerError as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            status = "LOCALLY_CANCELLED"
            raise
        finally:
            self._recorder.tried(status)


def _may_be_one_request(error: SonicError) -> bool:
    """Whether the rejection may be about some requests of the batch only."""
    about_all = ModelNotFoundError | AccessDeniedError
    return (
        isinstance(error, RejectedRequestError)
        and not isinstance(error, about_all)
        and error.status != "UNIMPLEMENTED"
    )


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
