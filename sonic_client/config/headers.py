"""Headers that a user may set."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sonic_base.errors import ConfigError
from sonic_base.secrets import SecretMapping

__all__ = ["checked_headers", "is_header_value"]

_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")


def checked_headers(headers: Mapping[str, str]) -> SecretMapping:
    """Return the headers with lower-case names, which is all that HTTP/2 allows.

    Raises
    ------
    ConfigError
        If a name or a value cannot be sent; no value is shown.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    if len(lowered) < len(headers):
        raise ConfigError(f"headers: a name is given twice: {', '.join(headers)}")
    for name, value in lowered.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"headers: {name!r} is no name of a header")
        if name.startswith("grpc-") or name.endswith("-bin"):
            raise ConfigError(f"headers: {name!r} is reserved by gRPC")
        if not is_header_value(value):
            raise ConfigError(
                f"headers: the value of {name!r} is not printable ASCII text"
            )
    return SecretMapping(lowered)


def is_header_value(value: object) -> bool:
    """Whether it is a text that can be sent in a header."""
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None
