"""Every request of a batch has one outcome: from here, or from a server."""

from __future__ import annotations

from collections.abc import Sequence

from sonic_base.errors import SonicError
from sonic_client.answers import AnswerChecker
from sonic_client.batching import CheckedRequest
from sonic_client.cache import AnswerCache
from sonic_client.dispatch import Dispatcher
from sonic_client.report.observer import EventsFinished, Observer
from sonic_client.types import Answer, Failure, ModelMetadata, Outcome, Tensors

__all__ = ["Answering"]


class Answering:
    """Sends only what needs a server, and tells the observer of all outcomes.

    Parameters
    ----------
    dispatcher : Dispatcher
    checker : AnswerChecker
        Answers events without rows.
    cache : AnswerCache or None
        Of earlier answers.
    metadata : ModelMetadata
    observer : Observer
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        checker: AnswerChecker,
        cache: AnswerCache | None,
        *,
        metadata: ModelMetadata,
        observer: Observer,
    ) -> None:
        self._version = metadata.version
        self._dispatcher, self._checker = dispatcher, checker
        self._cache, self._observer = cache, observer

    async def send(self, batch: Sequence[CheckedRequest]) -> list[Outcome]:
        """Return the outcomes of a batch's requests, in order.

        Requests that failed their check are not sent. Errors are outcomes; only
        cancellation, and bugs, pass through.
        """
        outcomes: dict[int, Outcome] = {}
        for place, item in enumerate(batch):
            if item.error is not None:
                outcomes[place] = _failure(item, item.error)
            elif (outputs := self._checker.empty_outputs(item)) is not None:
                outcomes[place] = self._answer(item, outputs, "")
        if not outcomes and self._cache is None:  # the ordinary case
            sent = await self._dispatcher.send(batch)
            self._tell(batch, sent, 0)
            return sent
        left = [place for place in range(len(batch)) if place not in outcomes]
        n_cached = 0
        if self._cache is not None:
            found = await self._found(self._cache, batch, left)
            outcomes |= found
            n_cached = len(found)
            left = [place for place in left if place not in found]
        if left:
            items = [batch[place] for place in left]
            sent = await self._dispatcher.send(items)
            outcomes.update(zip(left, sent, strict=True))
            if self._cache is not None:
                await _keep(self._cache, items, sent)
        in_order = [outcomes[place] for place in range(len(batch))]
        self._tell(batch, in_order, n_cached)
        return in_order

    async def _found(
        self,
        cache: AnswerCache,
        batch: Sequence[CheckedRequest],
        places: Sequence[int],
    ) -> dict[int, Outcome]:
        found: dict[int, Outcome] = {}
        for place in places:
            item = batch[place]
            if (outputs := await cache.find(cache.key_of(item))) is not None:
                found[place] = self._answer(item, outputs, "cache")
        return found

    def _answer(self, item: CheckedRequest, outputs: Tensors, server: str) -> Answer:
        return Answer(
            request_id=item.request.request_id,
            outputs=outputs,
            server=server,
            model_version=self._version,
            tries=0,
            latency_s=0.0,
        )

    def _tell(
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


def _failure(item: CheckedRequest, error: SonicError) -> Failure:
    return Failure(request_id=item.request.request_id, error=error, servers=(), tries=0)


async def _keep(
    cache: AnswerCache, items: Sequence[CheckedRequest], outcomes: Sequence[Outcome]
) -> None:
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, Answer):
            await cache.keep(cache.key_of(item), outcome.outputs)
