"""The protocol of a fallback server, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self, TypeGuard, runtime_checkable

from sonic_base import ConfigError, nearest_names

__all__ = [
    "ENTRY_POINT_GROUP",
    "FallbackServer",
    "fallback_server",
    "is_fallback_server",
]

ENTRY_POINT_GROUP = "sonic_client.fallback"
"""Packages offer fallback servers as entry points of this group: functions of the
model's name and of options (a mapping of str to str) that return a `FallbackServer`
which is not started."""


@runtime_checkable
class FallbackServer(Protocol):
    """A server that the caller's own process can start and stop.

    The in-process server satisfies it. The client is given it as an object, so that
    it depends on no server. It may have an attribute ``token``, a `sonic_base.Secret`
    that each call must carry.
    """

    @property
    def url(self) -> str:
        """Address as `ClientConfig.servers` takes it; valid once started."""
        ...

    def start(self) -> None:
        """Serve; returns when calls are accepted."""
        ...

    def stop(self) -> None:
        """Stop serving and release the port; without effect if not started."""
        ...

    def __enter__(self) -> Self:
        """Start."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        ...


def is_fallback_server(candidate: object) -> TypeGuard[FallbackServer]:
    """Whether it is a server, started or not, rather than a function."""
    # `isinstance` would read `url`, which may raise before the start.
    return all(
        callable(getattr(type(candidate), name, None)) for name in ("start", "stop")
    )


def fallback_server(
    name: str, model_name: str, options: Mapping[str, str]
) -> FallbackServer:
    """Return the fallback server with this name, not started.

    Raises
    ------
    ConfigError
        If no installed package offers it, or what it offers is no such server.
    """
    # Imported here because it takes as long as most of this package.
    from importlib.metadata import entry_points  # noqa: PLC0415

    offered = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in offered:
        known = nearest_names(name, offered) or "none is installed"
        raise ConfigError(f"unknown fallback {name!r}, {known}")
    make: Callable[[str, Mapping[str, str]], FallbackServer] = offered[name].load()
    server = make(model_name, options)
    if not is_fallback_server(server):
        raise ConfigError(
            f"fallback {name!r}: {offered[name].value} returned {server!r}, "
            "expected a FallbackServer"
        )
    return server
