"""What all messages of a client share on their ways to an answer."""

from __future__ import annotations

from sonic_client.adaptive import AdaptiveTimeout
from sonic_client.config import ClientConfig
from sonic_client.fallback import Standby
from sonic_client.report.observer import Observers
from sonic_client.retry import RetryBudget, Timing
from sonic_client.servers import ServerPool

__all__ = ["Router"]


class Router:
    """What all messages of a client share on their ways.

    Parameters
    ----------
    config : ClientConfig
    pool : ServerPool
    standby : Standby or None
        The fallback.
    observer : Observers
        Are told of every try.
    timing : Timing
    adaptive_timeout : AdaptiveTimeout or None
        Says how long a try may take, if the configuration does not.
    """

    def __init__(
        self,
        config: ClientConfig,
        pool: ServerPool,
        standby: Standby | None,
        *,
        observer: Observers,
        timing: Timing,
        adaptive_timeout: AdaptiveTimeout | None = None,
    ) -> None:
        self.config, self.pool, self.standby = config, pool, standby
        self.observer, self.timing = observer, timing
        self.adaptive_timeout = adaptive_timeout
        self.budget = RetryBudget(config.retry, timing.clock)
        self.has_fallback = standby is not None and "fallback" in config.retry.chain
        self._events_to_compare = config.fallback.compare_events if standby else 0

    def take_comparison(self, events: int) -> bool:
        """Return whether a new message of so many events is among the first ones."""
        is_early = self._events_to_compare > 0
        self._events_to_compare -= events if is_early else 0
        return is_early

    def may_go_elsewhere(self, server: str) -> bool:
        """Whether someone other than this server may answer now or soon."""
        return self.has_fallback or self.pool.may_have_other({server})
