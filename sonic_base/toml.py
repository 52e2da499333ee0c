"""Frozen dataclasses out of TOML files, with errors that speak of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sonic_base.errors import ConfigError, nearest_names
from sonic_base.secrets import Secret

__all__ = ["config_from_mapping", "config_from_toml", "toml_content", "toml_table"]

ConfigT = TypeVar("ConfigT")


def config_from_toml(kind: type[ConfigT], path: Path | str, *, table: str) -> ConfigT:
    """Build a config dataclass from one table of a TOML file.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are str, int, float, bool, Literal, Path, Secret,
        mappings of str to str, tuples of these, or such dataclasses (sub-tables). Of
        a union the first member is what a file may give. A list of one may
        be given as its item, and a table of one text as this text, if it is for the
        first field.
    path : path
        The file. Its other tables are not looked at.
    table : str
        Name of the table; dots lead to sub-tables.

    Raises
    ------
    ConfigError
        If the file cannot be read or parsed, has no such table, or the table
        has an unknown, missing or wrong entry.
    """
    values = toml_table(path, table)
    return config_from_mapping(kind, values, where=f"{path}: [{table}]")


# Any: values of a TOML file are of any type.
def toml_table(path: Path | str, table: str) -> Mapping[str, Any]:
    """Return one table of a TOML file; dots lead to sub-tables.

    Raises
    ------
    ConfigError
        If the file cannot be read or parsed, or has no such table.
    """
    content: Any = toml_content(path)
    for name in table.split("."):
        if not isinstance(content, dict) or name not in content:
            raise ConfigError(f"{path}: no table [{table}]")
        content = content[name]
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: [{table}]: expected a table, got {content!r}")
    return content


def toml_content(path: Path | str) -> dict[str, Any]:
    """Return all of a TOML file.

    Raises
    ------
    ConfigError
        If it cannot be read or parsed.
    """
    import tomllib  # noqa: PLC0415 - slow to import

    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read: {error.strerror}") from error
    except ValueError as error:  # bad TOML or bad UTF-8
        raise ConfigError(f"{path}: not a TOML file: {error}") from error


def config_from_mapping(
    kind: type[ConfigT], values: Mapping[str, object], *, where: str
) -> ConfigT:
    """Build a config dataclass from plain values, nested as the fields are.

    Raises
    ------
    ConfigError
        If a value is unknown, missing, of the wrong type or out of its range;
        the message starts with `where`.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a table, got {values!r}")
    types = get_type_hints(kind)
    # Any: `fields` wants a dataclass, which a plain type variable cannot promise.
    known: dict[str, Field[Any]] = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(
                f"{where}: unknown key {name!r}, {nearest_names(name, known)}"
            )
    for name, entry in known.items():
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and name not in values:
            raise ConfigError(f"{where}: key {name!r} is missing")
    converted = {
        # A field that converts what it is given says what a file may give it.
        name: _convert(
            getattr(types[name], "toml_type", types[name]),
            value,
            where=f"{where} {name}",
        )
        for name, value in values.items()
    }
    try:
        return kind(**converted)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


# Any: types are values here.
def _convert(  # noqa: PLR0911 - one return per kind of type
    kind: Any, value: object, *, where: str
) -> object:
    if is_dataclass(kind):
        return config_from_mapping(kind, _as_table(kind, value), where=where)  # type: ignore[arg-type]
    origin, choices = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in choices:
            raise ConfigError(f"{where}: expected one of {choices}, got {value!r}")
        return value
    if origin in (Union, UnionType):
        return _convert(choices[0], value, where=where)
    if kind is Secret or origin is Mapping:
        return _without_showing(kind, value, where=where)
    if origin is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_convert(choices[0], item, where=where) for item in items)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) is int:
        return float(value)
    # `type`, not isinstance: TOML's true is no number, though Python's is.
    if type(value) is not kind:
        raise ConfigError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value


def _without_showing(kind: Any, value: object, *, where: str) -> object:
    """Take a text, or a table of texts, that no message may quote."""
    if kind is Secret:
        if not isinstance(value, str):
            raise ConfigError(f"{where}: expected a text")
        return Secret(value)
    if not isinstance(value, Mapping) or not all(
        isinstance(item, str) for item in value.values()
    ):
        raise ConfigError(f"{where}: expected a table of texts")
    return value


def _as_table(kind: Any, value: object) -> object:
    """Read a text in the place of a table as its first key, such as a URL or a name."""
    return {fields(kind)[0].name: value} if isinstance(value, str) else value
