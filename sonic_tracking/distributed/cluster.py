"""The dask cluster of a job: one on this machine, or one that is there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dask
from distributed import Client as DaskClient
from distributed import LocalCluster
from distributed.system import MEMORY_LIMIT

from sonic_base.errors import SonicError
from sonic_tracking.distributed.config import ClusterConfig

__all__ = ["ClusterError", "cluster_client"]

START_TIMEOUT_S = 120.0
"""For the scheduler to answer, and a first worker to be there."""


class ClusterError(SonicError):
    """The cluster cannot be reached, or its workers die."""


@contextmanager
def cluster_client(config: ClusterConfig) -> Iterator[DaskClient]:
    """Connect to the cluster, with a worker at least; it ends if it is our own.

    Raises
    ------
    ClusterError
        If it cannot be reached, or no worker comes.
    """
    with ExitStack() as stack:
        # A worker that dies is started anew and its task repeated: no news for users.
        stack.enter_context(_quiet("distributed"))
        try:
            address = config.scheduler or stack.enter_context(_own(config.workers or 1))
            client = DaskClient(address, timeout=START_TIMEOUT_S, set_as_default=False)
            stack.enter_context(client)
            client.wait_for_workers(config.workers or 1, timeout=START_TIMEOUT_S)
        except (OSError, TimeoutError, ValueError) as error:
            where = config.scheduler or f"{config.workers} workers on this machine"
            raise ClusterError(f"dask cluster {where}: {error}") from error
        yield client


def _own(n_workers: int) -> LocalCluster:
    with dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}):
        return LocalCluster(
            n_workers=n_workers,
            # One sends, with many requests in flight, the other reads and writes.
            threads_per_worker=2,
            processes=True,
            host="127.0.0.1",
            protocol="tcp",
            dashboard_address=None,
            # The scheduler answers HTTP even without: at a port of its own.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=MEMORY_LIMIT // n_workers,
            preload=["sonic_tracking.distributed.worker"],
            silence_logs=logging.CRITICAL,
            local_directory=os.environ.get("TMPDIR"),
        )


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
