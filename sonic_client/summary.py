"""The report at the end of a job; reports of several workers add up to one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from sonic_client.compression_report import CompressionReport
from sonic_client.latency import LatencyHistogram
from sonic_client.server_counters import ServerCounters, ServerInterval
from sonic_client.statistics import ClientStatistics
from sonic_client.summary_text import (
    client_rows,
    degraded_rows,
    seconds,
    server_rows,
    table_of,
)

__all__ = ["JobSummary", "LatencySplit", "ServerCounters", "ServerInterval"]

# Counters that stand in a summary as they are: all but the histogram.
_COUNTERS = tuple(f.name for f in fields(ClientStatistics) if f.name != "latency")


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySplit:
    """Where a call's time goes, in perf_analyzer's words: mean seconds a request.

    Attributes
    ----------
    overhead_s : float
        Outside of the model's server: encoding, the network, gRPC.
    queue_s, compute_input_s, compute_infer_s, compute_output_s : float
        In it, as it counted for all its clients while the job ran.
    """

    overhead_s: float
    queue_s: float
    compute_input_s: float
    compute_infer_s: float
    compute_output_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """What a job asked of its servers, and how long it took them.

    ``first + second`` is the summary of both workers together, in any order.

    Attributes
    ----------
    models : tuple of str
        Names of the models that were asked.
    started_at_s, ended_at_s : float
        Seconds since the epoch.
    client : ClientStatistics
        Counted here.
    servers : mapping of str to ServerInterval
        Counted by the servers, for all clients; without those that do not say.
    compression : mapping of str to CompressionReport
        What compressing the requests saved, by server; without those that got none.
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
        """Return where the time of a call went; None if no server said.

        The overhead is what the client measured less what the servers did, each
        as a mean: with other clients on the servers, it is an estimate.
        """
        spent = [interval.spent for interval in self.servers.values()]
        n_requests = sum(counters.requests for counters in spent)
        n_calls = self.client.tries.get("OK", 0)
        if not n_requests or not n_calls:
            return None

        def mean_s(part: str) -> float:
            return math.fsum(getattr(each, part) for each in spent) / n_requests

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

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values for JSON; unknown times are None.

        `from_dict` makes the summary of it again.
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
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the summary that `to_dict` wrote, such as another worker's.

        Raises
        ------
        KeyError
            If it is none.
        """
        latency = values["latency_s"]
        # Any: counts, seconds, mappings and tuples.
        counters: dict[str, Any] = {name: values[name] for name in _COUNTERS}
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
        """Return the summary as label and value, ready for a table.

        What did not happen has no row.
        """
        client = self.client
        rows = [
            ("model", ", ".join(self.models)),
            ("events", f"{client.events} ({client.failed_events} failed)"),
            ("elapsed", f"{self.elapsed_s:.2f} s ({self.events_per_s:.1f} events/s)"),
            *client_rows(client),
        ]
        if split := self.split():
            rows.append(("mean overhead of a call", seconds(split.overhead_s)))
        for server, share in self.shares().items():
            rows.append((f"share of {server}", f"{100.0 * share:.1f} %"))
        for server, interval in self.servers.items():
            rows.extend(server_rows(server, interval.spent))
        for server, report in self.compression.items():
            rows.append((f"compression to {server}", str(report)))
        return [*rows, *degraded_rows(client)]

    def __str__(self) -> str:
        return table_of(self.rows())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
