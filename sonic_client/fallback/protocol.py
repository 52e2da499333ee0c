"""The seam for a server that runs beside the client when no other one is named."""

from types import TracebackType
from typing import Protocol, Self, TypeGuard, runtime_checkable

__all__ = ["FallbackServer", "is_fallback_server"]


@runtime_checkable
class FallbackServer(Protocol):
    """A server that the caller's own process can start and stop.

    The in-process server satisfies it. It is passed in as an object, so the
    client depends on no server.
    """

    @property
    def url(self) -> str:
        """Address as `ClientConfig.servers` takes it; valid once started."""
        ...

    def start(self) -> None:
        """Serve; returns when calls are accepted."""
        ...

    def stop(self) -> None:
        """Stop serving and release the port; without effect if not started."""
        ...

    def __enter__(self) -> Self:
        """Start."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        ...


def is_fallback_server(candidate: object) -> TypeGuard[FallbackServer]:
    """Whether it is a server, started or not, rather than a function."""
    # `isinstance` would read `url`, which may raise before the start.
    return all(
        callable(getattr(type(candidate), name, None)) for name in ("start", "stop")
    )
