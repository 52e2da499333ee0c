"""A server in the foreground, until it is told to end."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from sonic_client import ConfigError
from sonic_tracking.commands.printing import print_rows, print_warning
from sonic_tracking.engines.choice import EngineName, engine
from sonic_tracking.engines.settings import EngineSettings
from sonic_tracking.engines.triton_command import ServerTls

__all__ = ["serve_in_foreground", "server_tls", "token_in"]

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


def server_tls(
    certificate: Path | None, key: Path | None, client_roots: Path | None
) -> ServerTls | None:
    """TLS of the server, if its files are named.

    Raises
    ------
    ConfigError
        If one is missing: only both make a server that speaks TLS.
    """
    if certificate is None and key is None and client_roots is None:
        return None
    if certificate is None or key is None:
        raise ConfigError(
            "--tls-certificate and --tls-key are needed together, and with "
            "--tls-client-roots"
        )
    for file in filter(None, (certificate, key, client_roots)):
        if not file.is_file():
            raise ConfigError(f"{file}: no such file")
    return ServerTls(certificate=certificate, key=key, client_roots=client_roots)


def token_in(file: Path) -> str:
    """The token that a file holds.

    Raises
    ------
    ConfigError
        If it cannot be read, or is empty.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {file}: cannot read: {error}") from error
    if not token or len(token.split()) != 1:
        raise ConfigError(f"--token-file {file}: expected one token")
    return token
