"""The machine of a measurement: its description, without a name, and its load."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from sonic_tracking.outputs import Json

__all__ = ["describe_machine", "measured_utilisation"]

PACKAGES = ("sonic-tracking", "numpy", "torch", "tritonclient", "grpcio")


def describe_machine() -> Json:
    """Return processor, cores, memory, load and versions, the context of a figure."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(logical=True),
        "memory_bytes": psutil.virtual_memory().total,
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@contextmanager
def measured_utilisation(server: int | None) -> Iterator[dict[str, float]]:
    """Fill the yielded mapping at the end of the block, with shares of all cores.

    Parameters
    ----------
    server : int, optional
        Process id of the server, whose children count as well; None if the server is
        in this process and so part of the client.

    Yields
    ------
    dict
        ``machine`` (all processes), ``client`` (this one) and ``server``.
    """
    shares: dict[str, float] = {}
    before, start = _cpu_seconds(server), time.perf_counter()
    yield shares
    elapsed_s = time.perf_counter() - start
    after = _cpu_seconds(server)
    available_s = elapsed_s * (psutil.cpu_count() or 1)
    if available_s > 0.0:
        shares |= {who: (after[who] - before[who]) / available_s for who in before}


def _cpu_seconds(server: int | None) -> Mapping[str, float]:
    all_cores = psutil.cpu_times()
    idle_s = all_cores.idle + getattr(all_cores, "iowait", 0.0)
    seconds = {
        "machine": sum(all_cores) - idle_s - getattr(all_cores, "guest", 0.0),
        "client": _spent_by(psutil.Process()),
    }
    if server is not None:
        parent = psutil.Process(server)
        tree = [parent, *parent.children(recursive=True)]
        seconds["server"] = sum(map(_spent_by, tree))
    return seconds


def _spent_by(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
