"""The server of a job: the one that was named, or one in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sonic_base.errors import ConfigError
from sonic_tracking.errors import needs_extra
from sonic_tracking.progress import activity

if TYPE_CHECKING:
    from exatrkx_pipeline import StageClock

__all__ = ["ServerInUse", "tracking_server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInUse:
    """A server that takes requests.

    Attributes
    ----------
    url : str
    clock : StageClock or None
        Time per stage of the pipeline, if it runs in this process.
    """

    url: str
    clock: StageClock | None = None

    @property
    def is_own(self) -> bool:
        """Whether it runs in this process."""
        return self.clock is not None


@contextmanager
def tracking_server(
    server: str | None, weights: Path | None = None
) -> Iterator[ServerInUse]:
    """The server at an address, or without one an in-process server on loopback.

    Parameters
    ----------
    server : str, optional
    weights : Path, optional
        Directory for the in-process server; the bundled weights unless given.

    Raises
    ------
    ConfigError
        If both are given: the weights of a server are its own.
    MissingExtraError
        If torch is not installed, and no server is named.
    WeightsError
        If the weights cannot be used.
    """
    if server is not None:
        if weights is not None:
            raise ConfigError(
                f"--weights is for the in-process server, which {server} is not"
            )
        yield ServerInUse(url=server)
        return
    with needs_extra("pipeline"):
        from exatrkx_pipeline import StageClock, bundled_weights  # noqa: PLC0415
        from mock_server import MockServer  # noqa: PLC0415
        from mock_server.tracking import tracking_models  # noqa: PLC0415

        clock = StageClock()
        with activity("prepare the networks (the first time, compile them: a minute)"):
            # An event of a few thousand points is too small to keep two cores busy.
            models = tracking_models(
                weights or bundled_weights(), clock, instances=os.cpu_count() or 1
            )
    with MockServer(models) as own:
        yield ServerInUse(url=own.url, clock=clock)
