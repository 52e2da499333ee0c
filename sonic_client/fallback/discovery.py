"""Fallback servers by name: packages offer them as entry points."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sonic_base.errors import ConfigError, nearest_names
from sonic_client.fallback.protocol import FallbackServer, is_fallback_server

__all__ = ["ENTRY_POINT_GROUP", "fallback_server"]

ENTRY_POINT_GROUP = "sonic_client.fallback"
"""Its entry points are functions of the model's name and of options (a mapping of str
to str), which return a `FallbackServer` that is not started."""


def fallback_server(
    name: str, model_name: str, options: Mapping[str, str]
) -> FallbackServer:
    """Return the fallback of this name, not started.

    Raises
    ------
    ConfigError
        If no installed package offers it, or it returns something else.
    """
    # Imported when needed: it takes as long as most of this package.
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
