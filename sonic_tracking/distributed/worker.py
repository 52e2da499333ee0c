"""The code on the workers: one client per process, and the task of a part."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Worker, WorkerPlugin, get_worker

from producers import (
    ChunkResult,
    EventChunk,
    EventFile,
    EventLoop,
    EventSource,
    FailurePolicy,
    TrackBlock,
    TrackFindingProducer,
)
from producers.io import iterating
from sonic_client import Client, ClientConfig, SonicError
from sonic_tracking.distributed.parts import Part, PartReport, read_report, write_part
from sonic_tracking.memory import peak_memory_bytes

__all__ = ["ClientOfWorker", "PartTask", "connect", "dask_setup"]


class ClientOfWorker(WorkerPlugin):
    """One open client in each worker process, as long as the job lasts.

    It connects in the first task, because only a task can report a failure. A worker
    that is restarted after its process died gets a new client.

    Parameters
    ----------
    config : ClientConfig

    Attributes
    ----------
    turn : Lock
        Its holder may send requests: a thread reads and writes a part while another
        thread sends, and there is one window of requests for all threads.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        # Unique, because a cluster may serve several jobs.
        self.name = f"sonic-client-{uuid4().hex}"

    def setup(self, worker: Worker) -> None:
        """Set up in the process of a worker."""
        self.identity = uuid4().hex
        self._lock = threading.Lock()
        self.turn = threading.Lock()
        self._client: Client | None = None

    def teardown(self, worker: Worker) -> None:
        """Close the client when the job or the worker ends."""
        if self._client is not None:
            with suppress(SonicError):  # nobody is left to handle it
                self._client.__exit__(None, None, None)

    def client(self) -> Client:
        """Return the client of this process, open.

        Raises
        ------
        SonicError
            If no server can be reached.
        """
        with self._lock:
            if self._client is None:
                self._client = Client(self.config).__enter__()
            return self._client


# Any, here and below: distributed does not know the types of plugins.
async def connect(plugin: str, dask_worker: Worker) -> None:
    """Open the client of a worker now instead of in its first task.

    Raises
    ------
    SonicError
        If no server can be reached from the worker.
    """
    own: Any = dask_worker.plugins[plugin]
    # In a thread, because the worker's heartbeats must go on: a server may take minutes
    # to load its model.
    await asyncio.to_thread(own.client)


class _Begun:
    """A source that reads its first chunk when it is created.

    Attributes
    ----------
    read_s : float
        Seconds for the first chunk.
    """

    def __init__(self, source: EventSource) -> None:
        began_s = time.perf_counter()
        self._chunks = iter(source)
        self._first = tuple(islice(self._chunks, 1))
        self.read_s = time.perf_counter() - began_s

    def __iter__(self) -> Iterator[EventChunk]:
        with iterating(self._chunks) as others:
            yield from self._first
            yield from others


class _Blocks:
    """A sink that keeps the tracks of a part in memory."""

    def __init__(self) -> None:
        self.blocks: list[TrackBlock] = []

    def write_result(self, result: ChunkResult) -> None:
        self.blocks.append(TrackBlock.of(result))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTask:
    """Finds the tracks of one part, called on a worker.

    Attributes
    ----------
    part : Part
    file : EventFile
        The file of the part.
    producer : TrackFindingProducer
    on_failure : {"raise", "skip", "fill"}
    folder : Path
        Folder for the part's file; all workers and the job must see it.
    plugin : str
        Name of the `ClientOfWorker`.
    """

    part: Part
    file: EventFile
    producer: TrackFindingProducer
    on_failure: FailurePolicy
    folder: Path
    plugin: str

    def __call__(self) -> PartReport:
        """Find the tracks, unless the part is finished already; return the report.

        Raises
        ------
        DataError, EventFailedError
            As the event loop.
        OutputError
            If the file of the part cannot be written.
        """
        path = self.folder / f"{self.part.name}.npz"
        if path.exists():  # written by a worker that died before it reported
            return read_report(path)
        plugin: Any = get_worker().plugins[self.plugin]
        client, sink = plugin.client(), _Blocks()
        source = _Begun(
            EventSource((self.file,)).between(self.part.start, self.part.stop)
        )
        loop = EventLoop(
            source, self.producer, client, sink=sink, on_failure=self.on_failure
        )
        with plugin.turn:
            times, summary = loop.process(), client.summary()
        report = PartReport(
            path=path,
            client=plugin.identity,
            summary=summary,
            times=times._replace(read_s=times.read_s + source.read_s),
            peak_memory_bytes=peak_memory_bytes(),
        )
        write_part(TrackBlock.joined(sink.blocks), report)
        return report


def dask_setup(worker: Worker) -> None:
    """Leave Ctrl-C to the job; dask calls this in a worker of the job's own cluster.

    A terminal sends Ctrl-C to all processes. Workers would die with tracebacks, before
    the job has received their reports.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
