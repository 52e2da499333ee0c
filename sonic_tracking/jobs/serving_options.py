"""Options of `sonic serve` that are more than a value."""

from __future__ import annotations

from pathlib import Path

from sonic_client import ConfigError
from sonic_tracking.engines.triton_command import ServerTls

__all__ = ["server_tls", "token_in"]


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
