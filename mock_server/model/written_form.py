"""How a declaration prints: as the call that makes it, without what is left out."""

from dataclasses import MISSING, fields
from typing import Any


def as_written(declared: Any) -> str:
    """``Class(field=value)`` of a dataclass: fields at their default are left out.

    Functions print as their names.
    """
    written = []
    for each in fields(declared):
        value = getattr(declared, each.name)
        if value == each.default or (
            each.default_factory is not MISSING and value == each.default_factory()
        ):
            continue
        is_function = callable(value) and hasattr(value, "__qualname__")
        text = value.__qualname__ if is_function else repr(value)
        written.append(f"{each.name}={text}")
    return f"{type(declared).__name__}({', '.join(written)})"
