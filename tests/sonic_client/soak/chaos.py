"""What is done to the servers of a soak, and when, planned from a seed beforehand.

Time is counted in delivered events, so a plan is the same on a slow machine and a fast
one. It comes in rounds. Each round spares one server, so that every event can be
answered, and does something to each of the others. A round has undone all of it a while
before the next begins: `QUIET_EVENTS` are more than can be in flight, so no event meets
two rounds, in which all servers in turn might have lied to it.
"""

from __future__ import annotations

from random import Random
from typing import Literal, NamedTuple, TypeAlias

Trouble: TypeAlias = Literal["kill", "stall", "slow", "refuse", "lie"]
Verb: TypeAlias = Trouble | Literal["start", "resume", "behave"]

UNDONE_BY: dict[Trouble, Verb] = {
    "kill": "start",
    "stall": "resume",
    "slow": "behave",
    "refuse": "behave",
    "lie": "behave",
}

MAX_IN_FLIGHT = 8
"""The client's window: twice as many events may be read and not delivered."""

QUIET_EVENTS = 3 * MAX_IN_FLIGHT
ROUND_EVENTS = 60


class Act(NamedTuple):
    """Something done to a server when `at_event` events were delivered."""

    at_event: int
    server: int
    verb: Verb


def plan_chaos(n_events: int, *, n_servers: int, seed: int) -> list[Act]:
    """Acts in order, over all events; the last round is undone before the end."""
    chance = Random(seed)
    acts: list[Act] = []
    for first in range(1, n_events - ROUND_EVENTS, ROUND_EVENTS + QUIET_EVENTS):
        acts += _round(first, n_servers, chance)
    return acts


def _round(first: int, n_servers: int, chance: Random) -> list[Act]:
    spared = chance.randrange(n_servers)
    acts: list[Act] = []
    for server in range(n_servers):
        if server == spared:
            continue
        trouble = chance.choice(list(UNDONE_BY))
        begin, end = sorted(chance.sample(range(first, first + ROUND_EVENTS), 2))
        acts += [
            Act(begin, server, trouble),
            Act(end, server, UNDONE_BY[trouble]),
        ]
    return sorted(acts)
