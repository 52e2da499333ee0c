"""Connections that end as planned: the call is made again, unseen by all above.

A proxy ends a connection after so many requests, when it is reloaded, or after so many
seconds. That says nothing about the request, nor about the server. Calls whose streams
the server never processed are repeated by gRPC itself, once; what is left, and all of
HTTP's, is repeated here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sonic_client.errors import ConnectionEndedError

__all__ = ["PLANNED_END_REMEDY", "past_planned_ends"]

logger = logging.getLogger(__name__)

ArgumentT = TypeVar("ArgumentT")
ReplyT = TypeVar("ReplyT")

# Bounded because a server may say so of every connection. The waits add up to 0.5 s.
_MAX_REPEATS = 10
_FIRST_WAIT_S = 0.001

PLANNED_END_REMEDY = (
    f"{_MAX_REPEATS + 1} times in a row: raise the server's or its proxy's limit of "
    "requests, or of seconds, for one connection"
)


async def past_planned_ends(
    attempt: Callable[[ArgumentT], Awaitable[ReplyT]], argument: ArgumentT
) -> ReplyT:
    """Await ``attempt(argument)``, again as long as its connection ends as planned.

    Raises
    ------
    ConnectionEndedError
        `_MAX_REPEATS` repetitions in a row met the end of their connection, too.
    """
    wait_s = 0.0  # the first time, at once
    for _ in range(_MAX_REPEATS):
        try:
            return await attempt(argument)
        except ConnectionEndedError as end:
            logger.debug("%s", end.details)
        await asyncio.sleep(wait_s)
        wait_s = wait_s * 2 or _FIRST_WAIT_S
    return await attempt(argument)
