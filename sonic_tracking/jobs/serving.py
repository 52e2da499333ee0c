"""A server in the foreground, until it is told to end."""

from __future__ import annotations

from ipaddress import ip_address

from sonic_tracking.engines.choice import EngineName, engine
from sonic_tracking.engines.settings import EngineSettings
from sonic_tracking.tables import print_rows, print_warning

__all__ = ["serve_in_foreground"]

ENDPOINTS = {"gRPC": "url", "HTTP": "http_url", "metrics": "metrics_url"}


def serve_in_foreground(engine_name: EngineName, settings: EngineSettings) -> None:
    """Start it, print where it listens, and return after Ctrl-C or SIGTERM.

    Raises
    ------
    SonicError
        If it cannot be started, or ends by itself.
    """
    server = engine(engine_name, settings)
    if not _is_loopback(settings.host):
        print_warning(
            f"listening on {settings.host}: everybody who reaches this machine can use "
            "the server, and nothing checks who they are"
        )
    try:
        with server:
            found = {
                kind: getattr(server, attr, None) for kind, attr in ENDPOINTS.items()
            }
            rows = [(kind, url) for kind, url in found.items() if url is not None]
            print_rows(f"{engine_name} serves", rows)
            server.wait()
    except KeyboardInterrupt:
        return  # how a server is meant to end


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
