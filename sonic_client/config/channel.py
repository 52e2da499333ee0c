"""How connections to a server are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sonic_base.errors import ConfigError, nearest_names

__all__ = ["Balancing", "ChannelConfig"]

Balancing: TypeAlias = Literal["round_robin", "pick_first"]

_MIN_KEEPALIVE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """Connections of one client to one server; few, because a proxy may ration them.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    connections: int = 1
    """Number of gRPC channels, used in turn; for HTTP the most that are open at once,
    where 1 stands for as many as there are requests in flight."""

    keepalive_s: float = 600.0
    """Seconds of silence, with calls in flight, after which the connection is tested.

    A server that was not told otherwise tolerates one test in 300 s and hangs up on
    who tests more often (``too_many_pings``); gRPC then doubles this time. At least
    10 s."""

    keepalive_timeout_s: float = 20.0
    """Seconds in which the test must be answered."""

    balancing: Balancing = "round_robin"
    """Over the addresses that the host's DNS name has: ``round_robin`` uses all of
    them, ``pick_first`` one. A name with one address is the same either way. gRPC
    only."""

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise ConfigError(f"connections must be at least 1, got {self.connections}")
        if not self.keepalive_s >= _MIN_KEEPALIVE_S:
            raise ConfigError(
                f"keepalive_s must be at least {_MIN_KEEPALIVE_S:g} s, "
                f"got {self.keepalive_s} s"
            )
        if not self.keepalive_timeout_s > 0.0:
            raise ConfigError(
                f"keepalive_timeout_s must be positive, got {self.keepalive_timeout_s}"
            )
        if self.balancing not in get_args(Balancing):
            raise ConfigError(
                f"unknown balancing {self.balancing!r}, "
                f"{nearest_names(self.balancing, get_args(Balancing))}"
            )
