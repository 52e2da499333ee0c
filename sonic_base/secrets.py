"""Texts that must not be shown: tokens, and headers that may contain one."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

__all__ = ["MASK", "Secret", "SecretMapping"]

MASK = "***"
"""Shown in place of a secret."""


class Secret:
    """A text that repr, str and pickle do not show; `reveal` returns it.

    The pickle contains it in base64. Anyone who has the pickle has the secret, but it
    is not visible where pickles are printed or searched.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> tuple[object, ...]:
        return _unmask, (base64.b64encode(self._text.encode()),)


def _unmask(masked: bytes) -> Secret:
    return Secret(base64.b64decode(masked).decode())


class SecretMapping(Mapping[str, str]):
    """An immutable mapping whose repr and pickle show its keys but no value."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str]) -> None:
        self._items = {key: Secret(value) for key, value in items.items()}

    def __getitem__(self, key: str) -> str:
        return self._items[key].reveal()

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __reduce__(self) -> tuple[object, ...]:
        return _masked_mapping, (self._items,)


def _masked_mapping(items: Mapping[str, Secret]) -> SecretMapping:
    return SecretMapping({key: secret.reveal() for key, secret in items.items()})
