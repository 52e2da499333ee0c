"""Settings of the server's log: kept and checked as Triton does; nothing is logged."""

import threading
from collections.abc import Mapping
from types import MappingProxyType

import grpc

from mock_server.errors import ModelError, invalid

LogValue = bool | int | str

DEFAULTS: Mapping[str, LogValue] = MappingProxyType(
    {
        "log_file": "",
        "log_info": True,
        "log_warning": True,
        "log_error": True,
        "log_verbose_level": 0,
        "log_format": "default",
    }
)

_KINDS = {bool: "boolean", int: "int32", str: "string"}


class LogSettings:
    """Settings of the server; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = dict(DEFAULTS)

    def now(self) -> dict[str, LogValue]:
        """All settings, by name."""
        with self._lock:
            return dict(self._now)

    def update(self, settings: Mapping[str, LogValue | None]) -> None:
        """Change what is named. Unknown names are ignored.

        Raises
        ------
        ModelError
            UNIMPLEMENTED for the file; INVALID_ARGUMENT for a value of another type, or
            an unknown format. What comes before it is changed then, as in Triton.
        """
        if "log_file" in settings:
            raise ModelError(
                grpc.StatusCode.UNIMPLEMENTED,
                "log file location can not be updated through network protocol",
            )
        with self._lock:
            for name, default in DEFAULTS.items():
                if name in settings:
                    self._now[name] = _checked(name, settings[name], type(default))


def _checked(name: str, value: LogValue | None, kind: type[LogValue]) -> LogValue:
    if value is None or type(value) is not kind:
        raise invalid(f"expect {_KINDS[kind]} for '{name}'")
    if name == "log_format" and value not in {"default", "ISO8601"}:
        raise invalid(f"invalid argument for log_format, got: {value}")
    return value
