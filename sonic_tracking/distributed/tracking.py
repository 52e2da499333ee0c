"""A tracking job on a cluster: its tasks, and their tracks merged in input order."""

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
    """Give each worker a client, now and later; yield the name of its plugin.

    Present workers import the modules of the tasks and connect at once, so that errors
    show before any work.

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
    """Find the tracks of the remaining events, and write them in input order.

    Each task writes a file of its own, completely or not at all, so that a repeated
    task writes nothing twice. The files are deleted when the output is complete. A
    resumed job uses those that exist, even if the first part failed and nothing could
    be written yet.

    Parameters
    ----------
    cluster : distributed.Client
    plugin : str
        As `client_on_workers` gave it.
    source : EventSource
        All events of the job.
    producer : TrackFindingProducer
    writer : TrackWriter
        Open.
    merge : PartMerge
        Made for `source`; counts what was done, also if the job ends early.
    on_failure : {"raise", "skip", "fill"}
    on_events : callable
        Called with the number of events done, in the order in which they end.

    Raises
    ------
    EventFailedError, DataError, SonicError
        As the tasks; the events before the failed one are written.
    ClusterError
        If workers die repeatedly, or the scheduler dies.
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
        # Not pure: dask must not reuse the result of another job.
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
        if future.status == "finished":  # otherwise it raises in input order
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
            f"workers died repeatedly at {error.task}, the last of them "
            f"{error.last_worker.address}; is there enough memory?"
        ) from error
    except CancelledError as error:
        raise ClusterError(
            "the dask scheduler has ended, and its tasks with it"
        ) from error
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterWork:
    """The work of all workers together.

    Attributes
    ----------
    summary : JobSummary or None
        All their clients; None if no part is done.
    times : LoopTimes
        Summed over the parts: seconds of several workers are added.
    peak_memory_bytes : int
        That of the largest worker.
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
        """Add the work of a part; parts may end in any order."""
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
        """Return the work of all parts that were counted so far."""
        summaries = list(self._clients.values())
        if not summaries:
            return self._work
        return replace(self._work, summary=sum(summaries[1:], start=summaries[0]))

    def block(self, part: Part, report: PartReport) -> TrackBlock:
        """Return the tracks of the next part in input order.

        Raises
        ------
        InvalidEventError
            If its file has two events of the same number.
        UnreadableFileError
            If the file of the part is damaged.
        """
        block = read_part(report.path)
        self._require_new(part, block)
        return block

    def _require_new(self, part: Part, block: TrackBlock) -> None:
        """Refuse a number that a file has twice: a task sees only its own part."""
        if part.file != self._file:
            self._file, self._seen = part.file, self._seen[:0]
        ids = block.event_ids
        again = _is_again(ids, self._seen)
        self._seen = np.concatenate((self._seen, ids))
        if again.any():
            index = int(np.flatnonzero(again)[0])
            raise InvalidEventError.repeated(
                Path(self._source.names[part.file]),
                event_id=int(ids[index]),
                entry=part.start + index,
            )


def _is_again(ids: NDArray[np.int64], seen: NDArray[np.int64]) -> NDArray[np.bool_]:
    # The numbers almost always rise: no search is needed.
    if not ids.size or not seen.size or ids.min() > seen.max():
        return np.zeros(len(ids), dtype=np.bool_)
    return np.isin(ids, seen)
