"""Settings of request tracing: kept and checked as Triton does; nothing is traced.

Checks and texts: ``TraceSetting`` in triton-inference-server/server,
``src/grpc/grpc_server.cc`` and ``src/tracer.cc``.
"""

import re
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import grpc

from mock_server.errors import ModelError, invalid

Values = tuple[str, ...]

DEFAULTS: Mapping[str, Values] = MappingProxyType(
    {
        "log_frequency": ("0",),
        "trace_count": ("-1",),
        "trace_file": ("",),
        "trace_level": ("OFF",),
        "trace_mode": ("triton",),
        "trace_rate": ("1000",),
    }
)

_LEVELS = ("TIMESTAMPS", "TENSORS")
_RANGES = {
    "trace_rate": (0, 2**32 - 1),
    "trace_count": (-1, 2**31 - 1),
    "log_frequency": (0, 2**32 - 1),
}


class TraceSettings:
    """Settings of the server, and of models where they differ from those."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_server: dict[str, Values] = {}
        self._of_models: dict[str, dict[str, Values]] = {}

    def of(self, model_name: str = "") -> dict[str, Values]:
        """Settings in force for a model, or for the server if no name is given."""
        own = self._of_models.get(model_name, {})
        return {**DEFAULTS, **self._of_server, **own}

    def update(
        self, settings: Mapping[str, Sequence[str]], model_name: str = ""
    ) -> None:
        """Change what is named; no values: back to the server's, or to the default.

        Unknown names are ignored.

        Raises
        ------
        ModelError
            UNIMPLEMENTED for the file; INVALID_ARGUMENT for a value that cannot be.
            Nothing is changed then.
        """
        if "trace_file" in settings:
            raise ModelError(
                grpc.StatusCode.UNIMPLEMENTED,
                "trace file location can not be updated through network protocol",
            )
        new: dict[str, Values | None] = {}
        if "trace_level" in settings:
            new["trace_level"] = _levels(settings["trace_level"])
        for name in ("trace_rate", "trace_count", "log_frequency"):
            if name in settings:
                new[name] = _number(name, settings[name])
        if new.get("trace_level") not in (None, ("OFF",), ()):
            raise invalid(
                "Attempting to set invalid trace setting :trace file name is not given"
            )
        with self._lock:
            target = (
                self._of_models.setdefault(model_name, {})
                if model_name
                else self._of_server
            )
            for name, values in new.items():
                if values is None:
                    target.pop(name, None)
                else:
                    target[name] = values


def _levels(values: Sequence[str]) -> Values | None:
    if not values:
        return None
    if "OFF" in values:
        if len(values) > 1:
            raise invalid("Expect only one trace level 'OFF' is specified")
        return ("OFF",)
    return tuple(value for value in values if value in _LEVELS) or ("OFF",)


def _number(name: str, values: Sequence[str]) -> Values | None:
    """One integer, read as C++ ``std::stoi`` and its like do."""
    if not values:
        return None
    if len(values) != 1:
        raise invalid(f"expect only 1 value for '{name}'")
    match = re.match(r"\s*([+-]?\d+)", values[0])
    if match is None:
        raise invalid(f"Unable to parse '{name}', got: {values[0]}")
    number = int(match[1])
    least, most = _RANGES[name]
    if name == "trace_count" and -(2**31) <= number < least:
        raise invalid(
            f"Unable to parse '{name}'. Expecting value >= {least}, got: {values[0]}"
        )
    if not -(2**31) <= number <= most:
        raise invalid(
            f"Unable to parse '{name}', value is out of range [ {least}, {most} ], "
            f"got: {values[0]}"
        )
    # Negative rates and frequencies are kept as what they are when read as unsigned.
    return (str(number if name == "trace_count" else number % 2**32),)
