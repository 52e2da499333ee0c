"""Texts that must not be shown: tokens, and headers that may contain one."""

from __future__ import annotations

import atexit
import base64
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, Self
from urllib.parse import quote

from sonic_base.errors import ConfigError

__all__ = ["MASK", "Secret", "SecretMapping", "SecretSource", "hide", "new_token"]

MASK = "***"
"""Shown in place of a secret."""

# Shorter words are not hidden: words such as "true" are no secrets.
_SHORTEST_HIDDEN = 8


class SecretSource(Protocol):
    """A place that a secret can be read from; it pickles in place of the secret."""

    def read(self) -> str:
        """Return the text.

        Raises
        ------
        ConfigError
            If it is not there.
        """


class Secret:
    """A text that repr, str and pickle do not show; `reveal` returns it.

    The pickle holds the source in place of the text, so it gives the secret to no one
    who cannot read the source. The source of a text that was given in Python is this
    process: other processes of the same user on the same machine can read it while
    this process lives, which includes dask's local workers.

    Parameters
    ----------
    text : str
    source : SecretSource, optional
        The place that it was read from, such as an entry of a file.

    Notes
    -----
    A secret is immutable, so copies are the secret itself.
    """

    __slots__ = ("_problem", "_source", "_text")

    def __init__(self, text: str, source: SecretSource | None = None) -> None:
        self._text, self._source, self._problem = text, source, ""

    @classmethod
    def _from(cls, source: SecretSource) -> Self:
        """Read an unpickled secret; a problem is told to the one who needs the text."""
        text, problem = "", ""
        try:
            text = source.read()
        except ConfigError as error:
            problem = str(error)
        # A text from another process is lent by this one from now on.
        is_lent = isinstance(source, _Lent) and not problem
        secret = cls(text, None if is_lent else source)
        secret._problem = problem
        return secret

    def reveal(self) -> str:
        """Return the text.

        Raises
        ------
        ConfigError
            If it was unpickled where its source cannot be read.
        """
        if self._problem:
            raise ConfigError(self._problem)
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text or self._problem)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return Secret._from, (self._source or _lend(self._text),)


class _Lent(NamedTuple):
    """A secret that a process keeps in a file which ends with the process."""

    path: str
    name: str
    host: str
    pid: int

    def read(self) -> str:
        """Return the text.

        Raises
        ------
        ConfigError
            If the process has ended, or runs elsewhere.
        """
        try:
            # The path may be that of another file: of another host's process, or of a
            # later one. Only the right one has the name.
            if self.name not in os.path.realpath(self.path):
                raise FileNotFoundError
            return Path(self.path).read_text(encoding="utf-8")
        except (OSError, ValueError):
            pass
        raise ConfigError(
            "a token or header was given as text, which is never pickled: it can only "
            f"be read on {self.host}, while process {self.pid} runs there; give "
            "token_file or token_env, or write it into the table [client] of a file "
            "that workers can read"
        )


# One for each secret, so that equal configurations have equal pickles.
_lent: dict[tuple[int, str], _Lent] = {}


def _lend(text: str) -> _Lent:
    """Keep a text where other processes of this user, on this machine, can read it."""
    pid = os.getpid()
    if (pid, text) not in _lent:
        name = f"sonic-{os.urandom(16).hex()}"
        if hasattr(os, "memfd_create"):  # Linux: a file in memory, until it is closed
            file = os.memfd_create(name)
            path = f"/proc/{pid}/fd/{file}"
        else:
            import tempfile  # noqa: PLC0415 - slow to import

            file, path = tempfile.mkstemp(prefix=name)
            atexit.register(os.unlink, path)
        os.write(file, text.encode())
        _lent[pid, text] = _Lent(path, name, os.uname().nodename, pid)
    return _lent[pid, text]


def new_token() -> Secret:
    """Return a token that nobody can guess, for a server of this process."""
    return Secret(os.urandom(24).hex())


class SecretMapping(Mapping[str, str]):
    """An immutable mapping whose repr and pickle show its keys but no value."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str | Secret]) -> None:
        # The secrets of another mapping know their sources.
        known: Mapping[str, str | Secret] = getattr(items, "_items", items)
        self._items: dict[str, Secret] = {
            key: value if isinstance(value, Secret) else Secret(value)
            for key, value in known.items()
        }

    def renamed(self, name: Callable[[str], str]) -> Self:
        """Return it with other keys."""
        return type(self)({name(key): value for key, value in self._items.items()})

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

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return SecretMapping, (self._items,)


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets that it may contain.

    Their words of at least 8 characters are hidden, as they are and in the encodings
    that servers and libraries show: JSON, percent-encoding and base64.
    """
    words = (word for secret in secrets for word in secret.split())
    forms = (_forms(word) for word in words if len(word) >= _SHORTEST_HIDDEN)
    # Long forms first, because one may be a part of another.
    for form in sorted(itertools.chain(*forms), key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _forms(word: str) -> Iterator[str]:
    yield word
    yield json.dumps(word)[1:-1]
    yield json.dumps(word)[1:-1].replace("/", "\\/")
    yield quote(word, safe="")
    for shift in range(3):
        # The characters that do not depend on what stands before and after it.
        encoded = base64.b64encode(b"\0" * shift + word.encode()).decode()
        inner = encoded[-(-8 * shift // 6) : 8 * (shift + len(word)) // 6]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))
