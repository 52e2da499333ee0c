"""Settings for failed calls: retries, the health of servers, the fallback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sonic_base import ConfigError
from sonic_client.config.checks import (
    check_at_least_one,
    check_choice,
    check_not_negative,
    check_seconds,
)

__all__ = [
    "FallbackConfig",
    "HealthConfig",
    "OnDrift",
    "RetryAction",
    "RetryConfig",
    "SameOutputs",
]

RetryAction: TypeAlias = Literal["same_server", "other_server", "fallback"]
OnDrift: TypeAlias = Literal["warn", "raise"]

SameOutputs: TypeAlias = Callable[
    [Mapping[str, NDArray[np.generic]], Mapping[str, NDArray[np.generic]]], bool
]
"""Whether the outputs of a server and those of the fallback are the same; must pickle
if the configuration is pickled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """Retries of a request that failed in transit.

    After a failure the first action of `chain` that can help is taken. The error
    decides which ones can: a request that a server rejected is not repeated.

    Raises
    ------
    ConfigError
        If a value is out of its range. Nothing is clamped silently.
    """

    allowed_tries: int = 5
    """Tries at servers in total, including the first one (CMSSW's ``allowedTries``).
    The fallback is not counted: it is asked when they are used up."""

    chain: tuple[RetryAction, ...] = ("same_server", "other_server", "fallback")
    """Ways to repeat, in the order in which they are tried. One left out is not
    used, except that the same server is asked again if there is no other way."""

    same_server_retries: int = 1
    """Retries at a server before the next way, each time around the chain."""

    first_wait_s: float = 0.1
    """Upper bound of the wait before the second try, in seconds.

    Each later bound is twice as long; the wait itself is drawn between zero and
    its bound, so that many clients do not come back together. There is no wait before
    a server that was not tried yet."""

    max_wait_s: float = 5.0
    """Upper bound of any single wait, in seconds."""

    fault_tries: int = 3
    """Tries of one request that may end in a fault of a server, such as a model's
    process that dies. More would take down one server after another if the request is
    the cause. The fallback is not counted."""

    try_timeout_s: float | None = None
    """Seconds for one try. By default a try gets half of what remains of the deadline
    while another server or the fallback could still answer, or else all of it."""

    patience_s: float = 30.0
    """Seconds that requests wait for a server to come back when none is left and
    there is no fallback; 0 fails them at once. A longer outage fails all at once."""

    full_patience_s: float = 30.0
    """Seconds that requests wait for room at full servers before the fallback is asked,
    but at most half of the time to the deadline. Without a fallback they wait until the
    deadline. Refusals of a full server are not counted as tries."""

    budget_ratio: float = 0.2
    """Retries per request that are always within the budget."""

    budget_retries_per_s: float = 10.0
    """Retries per second that are always within the budget. Retries above both bounds
    wait for their turn."""

    budget_burst: float = 100.0
    """Retries that may be saved up and made at once."""

    def __post_init__(self) -> None:
        for name in ("allowed_tries", "fault_tries"):
            check_at_least_one(getattr(self, name), name)
        if not 0.0 <= self.first_wait_s <= self.max_wait_s:
            raise ConfigError(
                "need 0 <= first_wait_s <= max_wait_s, "
                f"got {self.first_wait_s} s and {self.max_wait_s} s"
            )
        for action in self.chain:
            check_choice(action, get_args(RetryAction), "action in chain")
        if len(set(self.chain)) < len(self.chain):
            raise ConfigError(f"an action is in chain twice: {', '.join(self.chain)}")
        for name in (
            "same_server_retries",
            "patience_s",
            "full_patience_s",
            "budget_ratio",
        ):
            check_not_negative(getattr(self, name), name)
        if self.try_timeout_s is not None:
            check_seconds(self.try_timeout_s, "try_timeout_s")
        check_seconds(self.budget_retries_per_s, "budget_retries_per_s")
        check_at_least_one(self.budget_burst, "budget_burst")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """Limits above which a server is left alone, and when it is tried again.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    window_s: float = 60.0
    """Seconds that a call counts. An older failure is forgiven."""

    window_calls: int = 100
    """Largest number of calls that count: the latest ones."""

    open_after_failures: int = 3
    """Failures in a row after which a server is left alone."""

    open_above_error_rate: float = 0.5
    """Share of failed calls in the window above which it is left alone."""

    min_calls: int = 10
    """Calls in the window below which the share is not used."""

    first_pause_s: float = 1.0
    """Seconds until it is probed; twice as long after each probe that fails."""

    max_pause_s: float = 30.0
    """Longest time between two probes, in seconds."""

    probe_timeout_s: float = 5.0
    """Seconds that a probe waits for an answer."""

    def __post_init__(self) -> None:
        for name in ("window_calls", "open_after_failures", "min_calls"):
            check_at_least_one(getattr(self, name), name)
        for name in ("window_s", "max_pause_s", "probe_timeout_s"):
            check_seconds(getattr(self, name), name)
        if not 0.0 <= self.first_pause_s <= self.max_pause_s:
            raise ConfigError(
                "need 0 <= first_pause_s <= max_pause_s, "
                f"got {self.first_pause_s} s and {self.max_pause_s} s"
            )
        if not 0.0 < self.open_above_error_rate <= 1.0:
            raise ConfigError(
                "open_above_error_rate must be above 0 and at most 1, "
                f"got {self.open_above_error_rate}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConfig:
    """The fallback, which answers when no server does.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    name: str = ""
    """Entry point in the group ``sonic_client.fallback``, such as ``mock`` or
    ``triton``; empty for none, or for the one that the client is given."""

    options: Mapping[str, str] = field(default_factory=dict)
    """Options of the entry point, such as the directory of the weights."""

    max_concurrent: int = 1
    """Requests at once, if it is a function in this process."""

    start_timeout_s: float = 120.0
    """Seconds that it may take to start."""

    compare_events: int = 0
    """Number of events, from the first on, that both a server and the fallback
    compute."""

    rtol: float = 1e-5
    """Largest difference of two floating point outputs, relative to the server's."""

    atol: float = 1e-8
    """The same, absolute: the bounds add up. Other outputs must be equal."""

    same_outputs: SameOutputs | None = None
    """Replaces the comparison where equality is too strict: labels may be numbered
    differently."""

    on_drift: OnDrift = "warn"
    """Policy for outputs that differ; ``raise`` fails the event."""

    def __post_init__(self) -> None:
        check_at_least_one(self.max_concurrent, "max_concurrent")
        check_seconds(self.start_timeout_s, "start_timeout_s")
        for name in ("compare_events", "rtol", "atol"):
            check_not_negative(getattr(self, name), name)
        check_choice(self.on_drift, get_args(OnDrift), "on_drift")
