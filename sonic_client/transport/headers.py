"""The headers of every call to one server, including its token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, TypeVar

from sonic_base import MASK, ConfigError, Secret
from sonic_client.config import ServerConfig, TokenProvider, is_header_value
from sonic_client.errors import AccessDeniedError

__all__ = ["CallHeaders", "Headers"]

Headers: TypeAlias = tuple[tuple[str, str], ...]
ReplyT = TypeVar("ReplyT")

# Shorter header values are not hidden: words such as "true" are no secrets.
_SHORTEST_HIDDEN = 8


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
        self._static = dict(server.headers)
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
        headers = {**self._static, **extra}
        if self._read is None:
            return await attempt(tuple(headers.items()))
        used = self._token or await self._renewed(None)
        try:
            return await attempt(_with_token(headers, used))
        except AccessDeniedError as refusal:
            if refusal.status != "UNAUTHENTICATED":
                raise
        renewed = await self._renewed(used)
        return await attempt(_with_token(headers, renewed))

    def hide(self, text: str) -> str:
        """Return a server's text without the secrets that it may have echoed."""
        secrets = list(self._static.values())
        if self._token is not None:
            secrets.append(self._token.reveal())
        for secret in secrets:
            if len(secret) >= _SHORTEST_HIDDEN:
                text = text.replace(secret, MASK)
        return text

    async def _renewed(self, stale: Secret | None) -> Secret:
        """Read the token, unless another call has done so in the meantime."""
        assert self._read is not None  # or else no token was used
        async with self._reading:
            if self._token is None or self._token is stale:
                text = await asyncio.to_thread(self._read)
                self._token = _checked(text, self._server)
            return self._token


def _with_token(headers: Mapping[str, str], token: Secret) -> Headers:
    return (*headers.items(), ("authorization", f"Bearer {token.reveal()}"))


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
            return server.token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            # No cause: a decoding error quotes the file's content.
            raise ConfigError(
                f"server {server.url}: cannot read token_file {server.token_file}: "
                f"{getattr(error, 'strerror', None) or 'not UTF-8 text'}"
            ) from None
    name = server.token_env or ""
    if name not in os.environ:
        raise ConfigError(
            f"server {server.url}: the environment has no {name}, which token_env names"
        )
    return os.environ[name].strip()


def _checked(text: object, server: ServerConfig) -> Secret:
    if not text or not isinstance(text, str) or not is_header_value(text):
        raise ConfigError(
            f"server {server.url}: the token is empty or not printable ASCII text"
        )
    return Secret(text)
