"""How a server proves who it is, and the client in turn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sonic_base.errors import ConfigError

__all__ = ["TlsConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """Certificates of an encrypted connection; the files are read when it is opened.

    Raises
    ------
    ConfigError
        If a certificate is given without its key, or the other way round.
    """

    roots: Path | None = None
    """PEM file of the authorities to trust; the system's own if None."""

    certificate: Path | None = None
    """PEM file of the client's certificate chain, where the server asks for one."""

    key: Path | None = None
    """PEM file of its private key."""

    server_name: str | None = None
    """Name that the server's certificate must bear, if that is not its host."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("tls: certificate and key must be given together")
