"""The dask cluster of a job: a local one, or one that runs already."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

import dask
from distributed import Client as DaskClient
from distributed import LocalCluster
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from sonic_base import SonicError
from sonic_tracking.errors import MAIN_GUARD

__all__ = ["ClusterError", "cluster_client"]

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0
"""Limit for the scheduler's answer, and for the first worker to appear."""


class ClusterError(SonicError):
    """The cluster cannot be reached, or its workers die."""


@contextmanager
def cluster_client(scheduler: str | None, workers: int | None) -> Iterator[DaskClient]:
    """Connect to a cluster and wait for its workers; a local one ends with the block.

    Parameters
    ----------
    scheduler : str or None
        Address of a dask scheduler, such as ``tcp://host:8786``.
    workers : int or None
        Without a scheduler, the number of processes of a local cluster.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, or no worker appears.
    """
    if scheduler is not None and not scheduler.startswith("tls://"):
        logger.warning(
            "dask cluster %s has no authentication: whoever reaches it can run code as "
            "the user of its workers; start it with certificates (tls://), see dask's "
            "distributed.comm.tls",
            scheduler,
        )
    with ExitStack() as stack:
        # A worker that dies is restarted and its task repeated: no news for users.
        stack.enter_context(_quiet("distributed"))
        try:
            # Removed after the workers, which may still write as they end.
            folder = stack.enter_context(
                TemporaryDirectory(prefix="sonic-dask-", ignore_cleanup_errors=True)
            )
            address = scheduler or stack.enter_context(
                _local_cluster(workers or 1, folder)
            )
            client = DaskClient(address, timeout=START_TIMEOUT_S, set_as_default=False)
            stack.enter_context(client)
            client.wait_for_workers(workers or 1, timeout=START_TIMEOUT_S)
        # TypeError: tls without certificates in the configuration of dask.
        except (OSError, RuntimeError, TimeoutError, TypeError, ValueError) as error:
            where = scheduler or f"{workers} workers on this machine"
            hint = "" if scheduler else f"; {MAIN_GUARD}"
            raise ClusterError(f"dask cluster {where}: {error}{hint}") from error
        yield client


def _local_cluster(n_workers: int, folder: str) -> LocalCluster:
    with dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}):
        return LocalCluster(
            n_workers=n_workers,
            # One thread sends, with many requests in flight; the other does the I/O.
            threads_per_worker=2,
            processes=True,
            host="127.0.0.1",
            # Whoever reaches a scheduler runs code as its user, and every user of this
            # machine reaches loopback: a certificate made for this cluster keeps out
            # all who do not have it.
            protocol="tls",
            security=Security.temporary(),
            dashboard_address=None,
            # The scheduler serves HTTP even without a dashboard: take a free port.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=MEMORY_LIMIT // n_workers,
            preload=["sonic_tracking.distributed.worker"],
            silence_logs=logging.CRITICAL,
            # Workers unpickle what they have written there. By itself, dask takes a
            # folder of a fixed name, which another user may have made beforehand.
            local_directory=folder,
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
