"""Which server gets a request: pure planning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sonic_client.servers.health import Health

__all__ = ["Candidate", "choose_server"]

# A server that fails more often than this is used only when no other is there.
_DEGRADED_ERROR_RATE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The facts about a server that the choice depends on.

    Attributes
    ----------
    is_usable : bool
        Whether it may be asked at all.
    saturated_s : float
        Seconds for which it is taken to be full, because it refused work; 0 if it has
        room.
    in_flight : int
        Requests of this client that it has not answered yet.
    """

    name: str
    is_usable: bool = True
    is_preferred: bool = False
    saturated_s: float = 0.0
    in_flight: int = 0
    health: Health = field(default_factory=Health)


def choose_server(
    candidates: Sequence[Candidate], tried: Sequence[str] = ()
) -> str | None:
    """Return the name of the server to ask next, or None if there is none.

    Parameters
    ----------
    candidates : sequence of Candidate
        In the order of the configuration, which decides between equals.
    tried : sequence of str
        Servers that this request failed at, oldest try first. They come last, the one
        tried longest ago first.

    Notes
    -----
    The order is: servers with room, of full ones those that soon have some; preferred
    ones; those that rarely fail; and the least expected wait, which is the latency
    times the requests in flight, this one included ("peak EWMA": twitter/finagle). An
    unknown latency counts as zero, so that a new server gets its first requests soon.
    """
    last_try = {name: number for number, name in enumerate(tried, start=1)}

    def order(candidate: Candidate) -> tuple[float, ...]:
        health = candidate.health
        return (
            last_try.get(candidate.name, 0),
            candidate.saturated_s,
            not candidate.is_preferred,
            health.error_rate > _DEGRADED_ERROR_RATE,
            health.latency_s * (candidate.in_flight + 1),
            candidate.in_flight,
        )

    usable = [candidate for candidate in candidates if candidate.is_usable]
    return min(usable, key=order).name if usable else None
