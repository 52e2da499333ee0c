"""The headers of every call to one server, including its token."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from sonic_base import ConfigError, Secret, SecretMapping, hide
from sonic_client.config import ServerConfig, TokenProvider, is_header_value
from sonic_client.errors import AccessDeniedError

__all__ = ["CallHeaders", "Headers"]

ReplyT = TypeVar("ReplyT")

logger = logging.getLogger(__name__)


class Headers:
    """The headers of one call; the repr shows none of their values.

    Parameters
    ----------
    plain : mapping of str to str
        Headers that may be shown.
    secret : mapping of str to str
        Headers that may not; `plain` goes before it.
    token : Secret, optional
        Sent as ``authorization``.
    """

    __slots__ = ("_plain", "_secret", "_token")

    def __init__(
        self,
        plain: Mapping[str, str],
        secret: SecretMapping | None = None,
        token: Secret | None = None,
    ) -> None:
        self._plain, self._secret, self._token = plain, secret, token

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return names and values, to be sent and kept nowhere."""
        pairs = {**(self._secret or {}), **self._plain}
        if self._token is not None:
            pairs["authorization"] = f"Bearer {self._token.reveal()}"
        return tuple(pairs.items())

    def hide(self, text: str) -> str:
        """Return a server's text without the secrets that it may have echoed."""
        secrets = list((self._secret or {}).values())
        if self._token is not None:
            secrets.append(self._token.reveal())
        return hide(text, secrets)

    def cause(self, error: Exception) -> Exception | None:
        """Return a library's error as a cause to keep; None if it holds a secret.

        It has no traceback: the frames in there hold the headers, and keep the
        connection.
        """
        errors: list[BaseException | None] = [error]
        while errors:
            if each := errors.pop():
                each.with_traceback(None)
                held = f"{each!r} {each} {each.args} {getattr(each, '__dict__', '')}"
                if self.hide(held) != held:
                    return None
                errors += each.__cause__, each.__context__
        return error


class CallHeaders:
    """Adds the configured headers and the token, which it renews once if refused.

    Parameters
    ----------
    server : ServerConfig

    Notes
    -----
    Belongs to one event loop. The token is read in a thread, when first needed.
    """

    def __init__(self, server: ServerConfig) -> None:
        self._server = server
        self._static = SecretMapping(server.headers) if server.headers else None
        self._read = _token_source(server)
        self._token: Secret | None = None
        self._reading = asyncio.Lock()

    async def authorised(
        self,
        attempt: Callable[[Headers], Awaitable[ReplyT]],
        extra: Mapping[str, str],
    ) -> ReplyT:
        """Await an attempt with all headers, and once more with a new token.

        Parameters
        ----------
        attempt : callable
            Makes one call with the given headers.
        extra : mapping of str to str
            Headers of this call; replace configured ones of the same name.

        Raises
        ------
        AccessDeniedError
            The renewed token was refused too, or there is no token.
        ConfigError
            The token cannot be read.
        """
        if self._read is None:
            return await attempt(Headers(extra, self._static))
        used = self._token or await self._renewed(None)
        try:
            return await attempt(Headers(extra, self._static, used))
        except AccessDeniedError as refusal:
            if refusal.status != "UNAUTHENTICATED":
                raise
        renewed = await self._renewed(used)
        return await attempt(Headers(extra, self._static, renewed))

    async def _renewed(self, stale: Secret | None) -> Secret:
        """Read the token, unless another call has done so in the meantime."""
        assert self._read is not None  # or else no token was used
        async with self._reading:
            if self._token is None or self._token is stale:
                self._token = await asyncio.to_thread(_read, self._read, self._server)
            return self._token


def _token_source(server: ServerConfig) -> TokenProvider | None:
    token = server.token
    if isinstance(token, Secret):
        return token.reveal
    if callable(token):
        return token
    if server.token_file is not None or server.token_env is not None:
        return lambda: _token_from_outside(server)
    return None


def _token_from_outside(server: ServerConfig) -> str:
    if server.token_file is not None:
        try:
            with server.token_file.open(encoding="utf-8") as file:
                _warn_of_readers(server.token_file, os.fstat(file.fileno()).st_mode)
                return file.read().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
        # Raised outside of the handler: a decoding error quotes the file's content.
        raise ConfigError(
            f"server {server.url}: cannot read token_file {server.token_file}: {reason}"
        )
    name = server.token_env or ""
    if name not in os.environ:
        raise ConfigError(
            f"server {server.url}: the environment has no {name}, which token_env names"
        )
    return os.environ[name].strip()


@cache  # a file is read often, and this is said once
def _warn_of_readers(path: Path, mode: int) -> None:
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        logger.warning(
            "token_file %s can be read by other users, its mode is %o: chmod 600 %s",
            *(path, stat.S_IMODE(mode), path),
        )


def _read(source: TokenProvider, server: ServerConfig) -> Secret:
    """Return the token, never as a text that a traceback or a future could show."""
    token = Secret(source())
    text: object = token.reveal()  # a function may return anything
    is_valid = bool(text) and is_header_value(text)
    del text
    if not is_valid:
        raise ConfigError(
            f"server {server.url}: the token is empty or not printable ASCII text"
        )
    return token
