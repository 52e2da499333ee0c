"""A server for one try."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from sonic_client.servers.member import Member

__all__ = ["Lease"]


class Lease:
    """A server for one try; a context manager, so that its slot becomes free.

    Parameters
    ----------
    member : Member
    freed : callable
        Is called when a trial's place is free again, and others may wait for it.

    Attributes
    ----------
    member : Member
    is_trial : bool
        Whether the try decides on a half-open breaker.
    """

    def __init__(self, member: Member, freed: Callable[[], None]) -> None:
        self.member, self._freed = member, freed
        self.is_trial = member.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.member.release(is_trial=self.is_trial)
        if self.is_trial:
            self._freed()
