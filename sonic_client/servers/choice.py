"""Which server gets a request: pure planning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sonic_client.servers.health import Health

__all__ = ["Candidate", "choose_server"]

# A server that fails more often than this is used when the others are not there.
_DEGRADED_ERROR_RATE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is known of a server when one is to be chosen.

    Attributes
    ----------
    name : str
    is_usable : bool
        Whether it may be asked at all.
    is_preferred : bool
    is_saturated : bool
        Whether it lately refused work for want of room.
    in_flight : int
        Requests of this client that it is working on.
    health : Health
    """

    name: str
    is_usable: bool = True
    is_preferred: bool = False
    is_saturated: bool = False
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
        Servers that this request tried, oldest try first. They come last; among
        them the one tried longest ago is first.

    Notes
    -----
    Then, in this order: those with room, preferred ones, those that rarely fail,
    and the least expected wait, which is latency times the requests in flight
    with this one ("peak EWMA": twitter/finagle). A server without a known latency
    has none, so it gets its first requests soon.
    """
    last_try = {name: number for number, name in enumerate(tried, start=1)}

    def order(candidate: Candidate) -> tuple[float, ...]:
        health = candidate.health
        return (
            last_try.get(candidate.name, 0),
            candidate.is_saturated,
            not candidate.is_preferred,
            health.error_rate > _DEGRADED_ERROR_RATE,
            health.latency_s * (candidate.in_flight + 1),
            candidate.in_flight,
        )

    usable = [candidate for candidate in candidates if candidate.is_usable]
    return min(usable, key=order).name if usable else None
