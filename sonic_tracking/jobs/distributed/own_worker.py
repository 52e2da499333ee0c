"""Preloaded by the worker processes of a job's own cluster; dask calls `dask_setup`."""

from __future__ import annotations

import signal

from distributed import Worker

__all__ = ["dask_setup"]


def dask_setup(worker: Worker) -> None:
    """Leave Ctrl-C to the job.

    A terminal sends it to all processes: workers that die of it would do so with
    tracebacks, and before the job has heard what they did.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
