"""A tracking job on a cluster: tasks out, their tracks merged in input order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from distributed import Client as DaskClient
from distributed import Future, KilledWorker, as_completed
from numpy.typing import NDArray

from producers import (
    EventSource,
    FailurePolicy,
    InvalidEventError,
    LoopTimes,
    TrackBlock,
    TrackFindingProducer,
    TrackWriter,
)
from producers.io import output_errors
from sonic_client import ClientConfig, JobSummary
from sonic_tracking.distributed.cluster import ClusterError
from sonic_tracking.distributed.parts import Part, PartReport, plan_parts, read_part
from sonic_tracking.distributed.worker import ClientOfWorker, PartTask, connect

__all__ = ["ClusterWork", "PartMerge", "client_on_workers", "track_on_cluster"]


@contextmanager
def client_on_workers(cluster: DaskClient, config: ClientConfig) -> Iterator[str]:
    """Give each worker a client, also those to come; yield by what name tasks find it.

    Those that are there load what the tasks need and connect now, so that what is wrong
    is known before there is any work.

    Raises
    ------
    SonicError
        If a worker cannot reach a server.
    """
    plugin = ClientOfWorker(config)
    cluster.register_plugin(plugin)
    try:
        cluster.run(connect, plugin.name)
        yield plugin.name
    finally:
        with suppress(OSError, TimeoutError, CancelledError):  # the cluster is gone
            cluster.unregister_worker_plugin(plugin.name)


def track_on_cluster(
    cluster: DaskClient,
    plugin: str,
    source: EventSource,
    producer: TrackFindingProducer,
    writer: TrackWriter,
    *,
    merge: PartMerge,
    on_failure: FailurePolicy,
    on_events: Callable[[int], object],
) -> None:
    """Do the events that the writer does not have, and write them in input order.

    Each task leaves a file of its own beside what the writer keeps, whole or not at
    all, so that a task that is repeated writes nothing twice. The files go when the
    output is complete; a job that is resumed uses those that are there, also if the
    first part failed and nothing could be written yet.

    Parameters
    ----------
    cluster : distributed.Client
    plugin : str
        What `client_on_workers` gave.
    source : EventSource
        All events of the job.
    producer : TrackFindingProducer
    writer : TrackWriter
        Open.
    merge : PartMerge
        Of the source; counts what was done, also if the job ends before its time.
    on_failure : {"raise", "skip", "fill"}
    on_events : callable
        Called with the number of events done, in whatever order they end.

    Raises
    ------
    EventFailedError, DataError, SonicError
        As the tasks; the events before are written.
    ClusterError
        If workers die again and again, or the scheduler does.
    """
    parts = plan_parts(
        [file.n_events for file in source.files],
        start=writer.n_done,
        stop=len(source),
        n_workers=len(cluster.scheduler_info()["workers"]),
    )
    folder = writer.parts.resolve()
    with output_errors(writer.path):
        folder.mkdir(exist_ok=True)
    tasks = [
        PartTask(
            part=part,
            file=source.files[part.file],
            producer=producer,
            on_failure=on_failure,
            folder=folder,
            plugin=plugin,
        )
        for part in parts
    ]
    with _submitted(cluster, tasks) as futures:
        for part, report in _in_order(cluster, parts, futures, merge, on_events):
            writer.write_block(merge.block(part, report))


@contextmanager
def _submitted(
    cluster: DaskClient, tasks: Sequence[PartTask]
) -> Iterator[list[Future]]:
    futures = [
        # Not pure: dask must not think that it knows the result of another job.
        cluster.submit(task, pure=False, key=f"{task.plugin}-{task.part.name}")
        for task in tasks
    ]
    try:
        yield futures
    finally:
        with suppress(OSError, TimeoutError, CancelledError):
            cluster.cancel(futures)


def _in_order(
    cluster: DaskClient,
    parts: Sequence[Part],
    futures: Sequence[Future],
    merge: PartMerge,
    on_events: Callable[[int], object],
) -> Iterator[tuple[Part, PartReport]]:
    """Yield the parts in input order, each as soon as those before it are done."""
    numbers = {future.key: number for number, future in enumerate(futures)}
    waiting: dict[int, Future] = {}
    following = n_events = 0
    for future in as_completed(futures, loop=cluster.loop):
        number = numbers[future.key]
        waiting[number] = future
        if future.status == "finished":  # else it raises in its turn
            merge.count(_result(future))
        n_events += len(parts[number])
        on_events(n_events)
        while following in waiting:
            yield parts[following], _result(waiting.pop(following))
            following += 1


def _result(future: Future) -> PartReport:
    try:
        report: PartReport = future.result()
    except KilledWorker as error:
        raise ClusterError(
            f"workers died again and again at {error.task}, the last of them "
            f"{error.last_worker.address}; is there memory enough?"
        ) from error
    except CancelledError as error:
        raise ClusterError("the dask scheduler is gone, and its tasks") from error
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterWork:
    """What the workers did together.

    Attributes
    ----------
    summary : JobSummary or None
        Of all their clients; None if no part is done.
    times : LoopTimes
        Summed over the parts: seconds of several workers at once.
    peak_memory_bytes : int
        Of the largest worker.
    """

    summary: JobSummary | None = None
    times: LoopTimes = field(default_factory=LoopTimes)
    peak_memory_bytes: int = 0


class PartMerge:
    """Counts the parts as they end, and checks their tracks in input order.

    Parameters
    ----------
    source : EventSource
        All events of the job.
    """

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._clients: dict[str, JobSummary] = {}
        self._work = ClusterWork()
        self._file = -1
        self._seen: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def count(self, report: PartReport) -> None:
        """Add what a part took; parts may end in any order."""
        known = self._clients.get(report.client)
        # Clients count up.
        if known is None or known.client.events <= report.summary.client.events:
            self._clients[report.client] = report.summary
        work = self._work
        self._work = replace(
            work,
            times=LoopTimes._make(
                a + b for a, b in zip(work.times, report.times, strict=True)
            ),
            peak_memory_bytes=max(work.peak_memory_bytes, report.peak_memory_bytes),
        )

    def work(self) -> ClusterWork:
        """Return what all parts took that were counted until now."""
        summaries = list(self._clients.values())
        if not summaries:
            return self._work
        return replace(self._work, summary=sum(summaries[1:], start=summaries[0]))

    def block(self, part: Part, report: PartReport) -> TrackBlock:
        """Return the tracks of the next part in input order.

        Raises
        ------
        InvalidEventError
            If its file has an event of a number that was there before.
        UnreadableFileError
            If what the task left is damaged.
        """
        block = read_part(report.path)
        self._require_new(part, block)
        return block

    def _require_new(self, part: Part, block: TrackBlock) -> None:
        """Refuse a number that the file has twice: a task sees its own part only."""
        if part.file != self._file:
            self._file, self._seen = part.file, self._seen[:0]
        ids = block.event_ids
        again = _is_again(ids, self._seen)
        self._seen = np.concatenate((self._seen, ids))
        if again.any():
            index = int(np.flatnonzero(again)[0])
            raise InvalidEventError(
                Path(self._source.names[part.file]),
                event_id=int(ids[index]),
                entry=part.start + index,
                reason="there is another event of this number before it",
            )


def _is_again(ids: NDArray[np.int64], seen: NDArray[np.int64]) -> NDArray[np.bool_]:
    # Almost always the numbers rise, and there is nothing to look for.
    if not ids.size or not seen.size or ids.min() > seen.max():
        return np.zeros(len(ids), dtype=np.bool_)
    return np.isin(ids, seen)
