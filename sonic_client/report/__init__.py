"""Events of a client for observers, statistics, and the summary of a job.

Inherit from `Observer` to be told of the events. `ProgressMeter`, `PrometheusObserver`
(needs the extra ``metrics``) and `TracingObserver` (needs the extra ``tracing``) are
observers. Give them to a client as ``Client(config, observers=[...])``.
"""

import typing as _typing

from sonic_client.report.observer import (
    EventsFinished,
    MessageAnswered,
    MessageEnded,
    MessageSent,
    NonFiniteFound,
    Observer,
    ServerChanged,
    ServerState,
    TryEnded,
)
from sonic_client.report.progress import Progress, ProgressMeter
from sonic_client.report.statistics import (
    ClientStatistics,
    LatencyHistogram,
)
from sonic_client.report.summary import JobSummary, LatencySplit, ServerInterval

if _typing.TYPE_CHECKING:
    from sonic_client.report.opentelemetry import TracingObserver
    from sonic_client.report.prometheus import PrometheusObserver

__all__ = [
    "ClientStatistics",
    "EventsFinished",
    "JobSummary",
    "LatencyHistogram",
    "LatencySplit",
    "MessageAnswered",
    "MessageEnded",
    "MessageSent",
    "NonFiniteFound",
    "Observer",
    "Progress",
    "ProgressMeter",
    "PrometheusObserver",
    "ServerChanged",
    "ServerInterval",
    "ServerState",
    "TracingObserver",
    "TryEnded",
]


# Any: classes. Both are imported when asked for, because they need further packages.
def __getattr__(name: str) -> _typing.Any:
    if name == "PrometheusObserver":
        from sonic_client.report.prometheus import PrometheusObserver  # noqa: PLC0415

        return PrometheusObserver
    if name == "TracingObserver":
        from sonic_client.report.opentelemetry import TracingObserver  # noqa: PLC0415

        return TracingObserver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
