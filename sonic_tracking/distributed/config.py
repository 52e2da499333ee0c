"""Which cluster does a job; named without loading dask."""

from __future__ import annotations

from dataclasses import dataclass

from sonic_base.errors import ConfigError

__all__ = ["ClusterConfig", "cluster_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """Which cluster: exactly one of the two is given.

    Attributes
    ----------
    scheduler : str, optional
        Address of a dask scheduler, such as ``tcp://host:8786``.
    workers : int, optional
        Processes of a cluster on this machine, for this job alone.
    """

    scheduler: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if (self.scheduler is None) == (self.workers is None):
            raise ConfigError("--dask and --workers exclude one another")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers must be at least 1, got {self.workers}")


def cluster_of(scheduler: str | None, workers: int | None) -> ClusterConfig | None:
    """Return the cluster that the options ask for; None if they name none.

    Raises
    ------
    ConfigError
        If both are given.
    """
    if scheduler is None and workers is None:
        return None
    return ClusterConfig(scheduler=scheduler, workers=workers)
