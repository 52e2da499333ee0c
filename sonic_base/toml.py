"""TOML files into frozen dataclasses and back, with errors that name the place.

Every package reads its configuration through this module. A field of such a dataclass
is one of

- str, int, float, bool, `Path`, `Secret`, or a `Literal` of texts;
- a mapping of str to str;
- a tuple of these, written as a list; a list of one may be written as its item;
- another such dataclass, written as a sub-table; where its other fields have defaults,
  a text stands for a table that sets its first field, such as a URL or a name;
- a union of these. A table becomes the dataclass that knows most of its keys, and any
  other value becomes the first member that accepts it. ``X | None`` marks an entry that
  may be left out.

A field whose descriptor has an attribute ``toml_type`` is read as that type.

The texts of an entry named ``token`` or ``headers`` are read as `Secret`, so that no
message or traceback shows them. Their pickle holds the place in the file instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from sonic_base.errors import ConfigError, nearest_names
from sonic_base.secrets import Secret, SecretMapping

__all__ = [
    "TomlTable",
    "check_keys",
    "config_from_mapping",
    "config_from_toml",
    "config_to_mapping",
    "toml_content",
    "toml_table",
    "value_from_toml",
]

ConfigT = TypeVar("ConfigT")

TomlTable: TypeAlias = dict[str, Any]  # Any: TOML values are of any type
_Type: TypeAlias = Any  # a type as a value: a class, a union, a Literal, ...

_SECRET_ENTRIES = ("token", "headers")


def config_from_toml(kind: type[ConfigT], path: Path | str, *, table: str) -> ConfigT:
    """Build a config dataclass from one table of a TOML file.

    Parameters
    ----------
    kind : type
        A dataclass; the module's documentation lists the types of its fields.
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


def toml_table(path: Path | str, table: str) -> TomlTable:
    """Return one table of a TOML file; dots lead to sub-tables.

    Raises
    ------
    ConfigError
        If the file cannot be read or parsed, or has no such table.
    """
    content: Any = toml_content(path)
    for name in table.split("."):
        if not isinstance(content, dict) or name not in content:
            known = list(content) if isinstance(content, dict) else []
            nearest = nearest_names(name, known) or "it is empty"
            raise ConfigError(f"{path}: no table [{table}], {nearest}")
        content = content[name]
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: [{table}]: expected a table, got {content!r}")
    table_content: TomlTable = content
    return table_content


def toml_content(path: Path | str) -> TomlTable:
    """Return all of a TOML file.

    Raises
    ------
    ConfigError
        If it cannot be read or parsed.
    """
    import tomllib  # noqa: PLC0415 - slow to import

    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        masked: TomlTable = _with_secrets(content, file=Path(path).absolute())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read: {error.strerror}") from error
    # Bad TOML, bad UTF-8, or tables nested too deep.
    except (ValueError, RecursionError) as error:
        problem = str(error)
    else:
        return masked
    # Raised outside of the handler: the error and its traceback hold the whole file,
    # with its secrets.
    raise ConfigError(f"{path}: not a TOML file: {problem}")


class _TomlEntry(NamedTuple):
    """The place of a secret in a TOML file: the keys and indices that lead to it."""

    file: Path
    keys: tuple[str | int, ...]

    def read(self) -> str:
        """Return the text.

        Raises
        ------
        ConfigError
            If the file or the entry is not there.
        """
        value: Any = toml_content(self.file)
        try:
            for key in self.keys:
                value = value[key]
            text: str = value.reveal()
        except (LookupError, TypeError, AttributeError):
            entry = ".".join(map(str, self.keys))
            raise ConfigError(f"{self.file}: no text at {entry}") from None
        return text


def _with_secrets(
    value: Any,
    *,
    file: Path | None = None,
    keys: tuple[str | int, ...] = (),
    is_secret: bool = False,
) -> Any:
    """Return a value of TOML with the texts of secret entries as `Secret`."""
    if isinstance(value, dict):
        return {
            key: _with_secrets(
                each,
                file=file,
                keys=(*keys, key),
                is_secret=is_secret or key in _SECRET_ENTRIES,
            )
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [
            _with_secrets(each, file=file, keys=(*keys, n), is_secret=is_secret)
            for n, each in enumerate(value)
        ]
    if is_secret and isinstance(value, str):
        return Secret(value, _TomlEntry(file, keys) if file else None)
    return value


def check_keys(values: Iterable[str], known: Iterable[str], *, where: str) -> None:
    """Refuse the first key that is not among the known ones.

    Raises
    ------
    ConfigError
        The message starts with `where` and names the nearest known keys.
    """
    known = list(known)
    for name in values:
        if name not in known:
            raise ConfigError(
                f"{where}: unknown key {name!r}, {nearest_names(name, known)}"
            )


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
    values = _with_secrets(dict(values))
    known = {entry.name: entry for entry in _fields(kind)}
    check_keys(values, known, where=where)
    for name, entry in known.items():
        if name not in values and _is_required(entry):
            raise ConfigError(f"{where}: key {name!r} is missing")
    types = get_type_hints(kind)
    converted = {
        name: value_from_toml(
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


def config_to_mapping(config: object) -> TomlTable:
    """Return a config dataclass as plain values, ready to be written as TOML.

    `config_from_mapping` builds an equal one from them. Fields that are None are left
    out, because TOML has no word for it.
    """
    entries = ((f.name, getattr(config, f.name)) for f in _fields(type(config)))
    return {name: _plain(value) for name, value in entries if value is not None}


def value_from_toml(kind: _Type, value: object, *, where: str) -> Any:
    """Return one value of a TOML file as the type of a field.

    Raises
    ------
    ConfigError
        If the type does not accept the value; the message starts with `where`.
    """
    origin: _Type = get_origin(kind)
    choices = get_args(kind)
    if is_dataclass(kind):
        return config_from_mapping(kind, _as_table(kind, value), where=where)  # type: ignore[arg-type]  # a class
    if origin in (Union, UnionType):
        return _from_union(choices, value, where=where)
    if origin is tuple:
        return _tuple(choices, value, where=where)
    if kind is Secret or origin is Mapping:
        return _without_showing(kind, value, where=where)
    if origin is Literal:
        if value not in choices:
            raise ConfigError(f"{where}: expected one of {choices}, got {value!r}")
        return value
    return _scalar(kind, value, where=where)


def _scalar(kind: _Type, value: object, *, where: str) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) is int:
        return float(value)
    # `type`, not isinstance: TOML's true is not a number, though Python's is.
    if type(value) is not kind:
        raise ConfigError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value


def _from_union(members: tuple[_Type, ...], value: object, *, where: str) -> object:
    if value is None and NoneType in members:
        return None
    forms = [member for member in members if is_dataclass(member)]
    if forms and isinstance(value, Mapping):
        # Of equals `max` takes the first.
        form = max(forms, key=lambda f: sum(e.name in value for e in _fields(f)))
        return value_from_toml(form, value, where=where)
    errors = []
    for member in members:
        try:
            return value_from_toml(member, value, where=where)
        except ConfigError as error:
            errors.append(error)
    raise errors[0]


def _tuple(items: tuple[_Type, ...], value: object, *, where: str) -> object:
    values = value if isinstance(value, list | tuple) else [value]
    if items[-1] is Ellipsis:
        items = items[:1] * len(values)
    elif len(values) != len(items):
        raise ConfigError(f"{where}: expected {len(items)} values, got {value!r}")
    pairs = zip(items, values, strict=True)
    return tuple(value_from_toml(kind, each, where=where) for kind, each in pairs)


def _without_showing(kind: _Type, value: object, *, where: str) -> object:
    """Convert a text, or a table of texts, that no message may quote."""
    if kind is Secret:
        if not isinstance(value, str | Secret):
            raise ConfigError(f"{where}: expected a text")
        return value if isinstance(value, Secret) else Secret(value)
    if not isinstance(value, Mapping) or not all(
        isinstance(item, str | Secret) for item in value.values()
    ):
        raise ConfigError(f"{where}: expected a table of texts")
    is_secret = any(isinstance(item, Secret) for item in value.values())
    return SecretMapping(value) if is_secret else value


def _as_table(kind: _Type, value: object) -> object:
    """Read a text in the place of a table as the value of its first key."""
    first, *others = _fields(kind)
    if isinstance(value, str) and not any(map(_is_required, others)):
        return {first.name: value}
    return value


def _fields(kind: _Type) -> tuple[Field[Any], ...]:
    return fields(kind)


def _is_required(entry: Field[Any]) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _plain(value: object) -> object:
    if is_dataclass(value):
        return config_to_mapping(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and not isinstance(value, SecretMapping):
        return dict(value)
    return str(value) if isinstance(value, Path) else value
