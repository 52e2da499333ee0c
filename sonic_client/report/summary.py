"""The summary of a job, as values and as text; those of several workers add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from typing import Any, Self, TypeAlias

from sonic_client.report.statistics import ClientStatistics, LatencyHistogram
from sonic_client.transport import CompressionReport, ServerCounters

__all__ = ["JobSummary", "LatencySplit", "ServerInterval"]

JsonTable: TypeAlias = dict[str, Any]  # Any: JSON values

_MAX_SHOWN_IDS = 10
# Users need not know the terms of circuit breakers.
_STATE_WORDS = {
    "open": "was left alone",
    "half_open": "was tried again",
    "fallback": "took over",
}
# All counters but the histogram are copied to a summary as they are.
_COUNTERS = tuple(f.name for f in fields(ClientStatistics) if f.name != "latency")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInterval:
    """A server's counters at the start and at the end of a job."""

    first: ServerCounters
    last: ServerCounters

    @property
    def spent(self) -> ServerCounters:
        """The counters of the time in between, for all clients of the server."""
        return self.last - self.first

    def __or__(self, other: ServerInterval) -> ServerInterval:
        """Return the interval from the earlier start to the later end.

        Not a sum: the counters are the server's, and the intervals of two workers
        overlap.
        """
        return ServerInterval(
            first=min(self.first, other.first, key=astuple),
            last=max(self.last, other.last, key=astuple),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySplit:
    """Mean seconds that a call spends in each place; the names are perf_analyzer's.

    Attributes
    ----------
    overhead_s : float
        Outside of the server: encoding, the network, gRPC.
    queue_s, compute_input_s, compute_infer_s, compute_output_s : float
        In the server, which counts them for all its clients while the job runs.
    """

    overhead_s: float
    queue_s: float
    compute_input_s: float
    compute_infer_s: float
    compute_output_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """The requests, servers, times and failures of a job.

    ``first + second`` is the summary of both workers together, in any order.

    Attributes
    ----------
    models : tuple of str
        Names of the models that were asked.
    started_at_s, ended_at_s : float
        Seconds since the epoch.
    client : ClientStatistics
        Counted by the client.
    servers : mapping of str to ServerInterval
        Counted by the servers, for all clients; servers without statistics are left
        out.
    compression : mapping of str to CompressionReport
        Savings by compressing the requests, by server; without servers that got no
        compressed request.
    """

    models: tuple[str, ...]
    started_at_s: float
    ended_at_s: float
    client: ClientStatistics
    servers: Mapping[str, ServerInterval] = field(default_factory=dict)
    compression: Mapping[str, CompressionReport] = field(default_factory=dict)

    @property
    def elapsed_s(self) -> float:
        """Seconds from the first start to the last end."""
        return self.ended_at_s - self.started_at_s

    @property
    def events_per_s(self) -> float:
        """Outcomes per second; 0 if no time passed."""
        return self.client.events / self.elapsed_s if self.elapsed_s > 0.0 else 0.0

    @property
    def fallback_share(self) -> float:
        """Fraction of answered messages that the fallback answered."""
        requests = self.client.requests
        return self.client.fallback_requests / requests if requests else 0.0

    def shares(self) -> dict[str, float]:
        """Return the fraction of answered messages by server address."""
        counts = self.client.servers
        total = sum(counts.values())
        return {server: count / total for server, count in counts.items()}

    def split(self) -> LatencySplit | None:
        """Return where the time of a call went; None if no server has statistics.

        The overhead is the client's mean less the servers' mean. It is an estimate if
        the servers have other clients.
        """
        spent = [interval.spent for interval in self.servers.values()]
        n_requests = sum(counters.requests for counters in spent)
        n_calls = self.client.tries.get("OK", 0)
        if not n_requests or not n_calls:
            return None

        def mean_s(part: str) -> float:
            total_s: float = math.fsum(getattr(each, part) for each in spent)
            return total_s / n_requests

        return LatencySplit(
            overhead_s=max(0.0, self.client.calls_s / n_calls - mean_s("total_s")),
            queue_s=mean_s("queue_s"),
            compute_input_s=mean_s("compute_input_s"),
            compute_infer_s=mean_s("compute_infer_s"),
            compute_output_s=mean_s("compute_output_s"),
        )

    def __add__(self, other: JobSummary) -> JobSummary:
        servers = dict(self.servers)
        for server, interval in other.servers.items():
            known = servers.get(server)
            servers[server] = interval if known is None else known | interval
        compression = dict(self.compression)
        for server, report in other.compression.items():
            compression[server] = compression.get(server, CompressionReport()) + report
        return JobSummary(
            models=tuple(sorted({*self.models, *other.models})),
            started_at_s=min(self.started_at_s, other.started_at_s),
            ended_at_s=max(self.ended_at_s, other.ended_at_s),
            client=self.client + other.client,
            servers=servers,
            compression=compression,
        )

    def to_dict(self) -> JsonTable:
        """Return the summary as plain values for JSON; unknown times are None.

        `from_dict` reads them.
        """
        latency, split = self.client.latency, self.split()
        counters = {name: getattr(self.client, name) for name in _COUNTERS}
        return {
            "models": list(self.models),
            "started_at_s": self.started_at_s,
            "ended_at_s": self.ended_at_s,
            "elapsed_s": self.elapsed_s,
            "events_per_s": self.events_per_s,
            **{
                name: list(value) if isinstance(value, tuple) else value
                for name, value in counters.items()
            },
            "latency_s": {
                "mean": _finite(latency.mean_s),
                "p50": _finite(latency.quantile_s(0.5)),
                "p90": _finite(latency.quantile_s(0.9)),
                "p99": _finite(latency.quantile_s(0.99)),
                "min": _finite(latency.min_s),
                "max": latency.max_s,
                "total": latency.total_s,
                "bins": {str(number): n for number, n in latency.counts.items()},
            },
            "mean_s_of_a_call": None if split is None else asdict(split),
            "server_shares": self.shares(),
            "fallback_share": self.fallback_share,
            "servers_all_clients": {
                server: asdict(interval.spent)
                for server, interval in self.servers.items()
            },
            "server_counters": {
                server: asdict(interval) for server, interval in self.servers.items()
            },
            "compression": {
                server: asdict(report) for server, report in self.compression.items()
            },
        }

    @classmethod
    def from_dict(cls, values: JsonTable) -> Self:
        """Return the summary that `to_dict` wrote, such as another worker's.

        Raises
        ------
        KeyError
            If a value is missing.
        """
        latency = values["latency_s"]
        counters: JsonTable = {name: values[name] for name in _COUNTERS}
        for name in ("failed_ids", "fallback_ids"):
            counters[name] = tuple(counters[name])
        histogram = LatencyHistogram(
            counts={int(number): n for number, n in latency["bins"].items()},
            total_s=latency["total"],
            min_s=math.inf if latency["min"] is None else latency["min"],
            max_s=latency["max"],
        )
        return cls(
            models=tuple(values["models"]),
            started_at_s=values["started_at_s"],
            ended_at_s=values["ended_at_s"],
            client=ClientStatistics(latency=histogram, **counters),
            servers={
                server: ServerInterval(
                    first=ServerCounters(**interval["first"]),
                    last=ServerCounters(**interval["last"]),
                )
                for server, interval in values["server_counters"].items()
            },
            compression={
                server: CompressionReport(**report)
                for server, report in values["compression"].items()
            },
        )

    def rows(self) -> list[tuple[str, str]]:
        """Return labels and values for a table; failures only if there were any."""
        client = self.client
        rows = [
            ("model", ", ".join(self.models)),
            ("events", f"{client.events} ({client.failed_events} failed)"),
            ("elapsed", f"{self.elapsed_s:.2f} s ({self.events_per_s:.1f} events/s)"),
            *_client_rows(client),
        ]
        if split := self.split():
            rows.append(("mean overhead of a call", _seconds(split.overhead_s)))
        for server, share in self.shares().items():
            rows.append((f"share of {server}", f"{100.0 * share:.1f} %"))
        for server, interval in self.servers.items():
            rows.extend(_server_rows(server, interval.spent))
        for server, report in self.compression.items():
            rows.append((f"compression to {server}", str(report)))
        return [*rows, *_degraded_rows(client)]

    def __str__(self) -> str:
        return _table_of(self.rows())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _client_rows(client: ClientStatistics) -> list[tuple[str, str]]:
    """Return rows on what was sent and how long the answers took."""
    rows = [
        ("requests", str(client.requests)),
        ("points", str(client.points)),
        ("sent", _size(client.bytes_sent)),
        ("received", _size(client.bytes_received)),
        ("tries", _counts(client.tries)),
    ]
    if client.hedges:
        words = f"{client.hedges} sent, {client.hedges_won} answered first"
        rows.append(("hedges", words))
    if client.latency.n_entries:
        quantiles = (client.latency.quantile_s(q) for q in (0.5, 0.9, 0.99))
        rows.append(("latency p50 / p90 / p99", _seconds(*quantiles)))
    return rows


def _degraded_rows(client: ClientStatistics) -> list[tuple[str, str]]:
    """Return rows that the user must not overlook; none if all went well."""
    rows = []
    if client.cached_events:
        rows.append(("from the cache", f"{client.cached_events} events"))
    if client.fallback_requests:
        share = 100.0 * client.fallback_requests / client.requests
        rows.append(("FALLBACK", f"{share:.1f} % of the requests"))
        ids = _ids(client.fallback_ids, client.fallback_events)
        rows.append(("events of the fallback", ids))
    if client.failed_events:
        rows.append(("FAILED events", _ids(client.failed_ids, client.failed_events)))
    for output, n_values in sorted(client.nonfinite.items()):
        rows.append((f"NaN or infinite in {output}", f"{n_values} values"))
    for server, n_refusals in sorted(client.refusals.items()):
        times = "call" if n_refusals == 1 else "calls"
        rows.append((f"{server} was full", f"refused {n_refusals} {times}"))
    for change, n_times in sorted(client.server_changes.items()):
        server, _, state = change.rpartition(" ")
        if state not in ("healthy", "saturated"):
            words = _STATE_WORDS.get(state, f"became {state}")
            times = "once" if n_times == 1 else f"{n_times} times"
            rows.append((f"{server} {words}", times))
    return rows


def _table_of(rows: Sequence[tuple[str, str]]) -> str:
    """Return labels and values in two columns, one row per line."""
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _server_rows(server: str, spent: ServerCounters) -> list[tuple[str, str]]:
    """Return rows on a server's own counters; none if it counted nothing."""
    if not spent.requests:
        return []
    n = spent.requests
    return [
        (
            f"{server}, all clients",
            f"{n} requests in {spent.executions} executions, "
            f"{spent.failed_requests} failed",
        ),
        (
            "mean queue + compute input / infer / output",
            _seconds(
                spent.queue_s / n,
                spent.compute_input_s / n,
                spent.compute_infer_s / n,
                spent.compute_output_s / n,
            ),
        ),
    ]


def _ids(ids: Iterable[str | int], n_events: int) -> str:
    shown = [str(each) for each in ids][:_MAX_SHOWN_IDS]
    rest = n_events - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _seconds(*durations_s: float) -> str:
    """Return durations with three digits."""
    return " / ".join(f"{value:.3g}" for value in durations_s) + " s"


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1e3:
            return f"{n_bytes:.4g} {unit}"
        n_bytes /= 1e3
    return f"{n_bytes:.4g} TB"


def _counts(counts: Mapping[str, int]) -> str:
    if not counts:
        return "none"
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
