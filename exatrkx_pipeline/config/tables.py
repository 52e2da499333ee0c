"""Configurations as plain values and back, as TOML files hold them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from exatrkx_pipeline.config.checks import require
from exatrkx_pipeline.errors import PipelineConfigError

ConfigT = TypeVar("ConfigT")


def config_from_dict(
    cls: type[ConfigT], table: dict[str, Any], where: str = ""
) -> ConfigT:
    """Build a configuration from plain values, as a TOML file gives them.

    Raises
    ------
    PipelineConfigError
        If a key is missing, unknown, or has a value of the wrong kind; the message
        names the key with its table.
    """
    hints = get_type_hints(cls)
    unknown = sorted(set(table) - set(hints))
    require(
        not unknown,
        f"unknown keys in [{where or 'top level'}]: {', '.join(unknown)}; "
        f"known are {', '.join(hints)}",
    )
    values: dict[str, Any] = {}
    for name, hint in hints.items():
        path = f"{where}.{name}" if where else name
        if name not in table:
            continue
        value = table[name]
        kind = _form_of(hint, value) if isinstance(hint, UnionType) else hint
        if is_dataclass(kind):
            require(isinstance(value, dict), f"[{path}] must be a table")
            value = config_from_dict(kind, value, path)  # type: ignore[arg-type]  # a class, checked
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    try:
        return cls(**values)
    except TypeError as exc:
        raise PipelineConfigError(f"[{where or 'config'}]: {exc}") from exc


def _form_of(union: UnionType, value: Any) -> Any:
    """Of a network's two forms the one that the table describes.

    Of a part that may be left out, the part.
    """
    built, scripted = get_args(union)
    if scripted is type(None):
        return built
    is_scripted = isinstance(value, dict) and "torchscript" in value
    return scripted if is_scripted else built


def config_to_dict(config: Any) -> dict[str, Any]:
    """Plain values of a configuration, ready for TOML."""
    table = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if value is None:  # TOML has no word for it
            continue
        if is_dataclass(value):
            value = config_to_dict(value)
        table[item.name] = list(value) if isinstance(value, tuple) else value
    return table
