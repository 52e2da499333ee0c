"""The report at the end of a job; reports of several workers add up to one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sonic_client.statistics import ClientStatistics

__all__ = ["JobSummary", "ServerCounters", "ServerInterval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounters:
    """What a server counted for a model, for all its clients, since it started.

    Attributes
    ----------
    requests, failed_requests : int
        Requests that succeeded and failed.
    inferences : int
        Elements of batches; as many as requests if the model does not batch.
    executions : int
        Runs of the model; inferences / executions is the mean dynamic batch.
    queue_s, compute_input_s, compute_infer_s, compute_output_s : float
        Summed seconds of successful requests: waiting, and before, in and after
        the model.
    """

    requests: int = 0
    failed_requests: int = 0
    inferences: int = 0
    executions: int = 0
    queue_s: float = 0.0
    compute_input_s: float = 0.0
    compute_infer_s: float = 0.0
    compute_output_s: float = 0.0

    def __sub__(self, earlier: ServerCounters) -> ServerCounters:
        # Counters fall only if the server was started anew in between.
        if self.requests < earlier.requests:
            return self
        values = {
            f.name: max(0, getattr(self, f.name) - getattr(earlier, f.name))
            for f in fields(self)
        }
        return ServerCounters(**values)

    @property
    def total_s(self) -> float:
        """Summed seconds in the server, waiting included."""
        return (
            self.queue_s
            + self.compute_input_s
            + self.compute_infer_s
            + self.compute_output_s
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInterval:
    """A server's counters at the start and at the end of a job."""

    first: ServerCounters
    last: ServerCounters

    @property
    def spent(self) -> ServerCounters:
        """What was counted in between, for all clients of the server."""
        return self.last - self.first

    def __or__(self, other: ServerInterval) -> ServerInterval:
        """Cover both intervals.

        The counters are the server's, so overlapping intervals of two workers
        must not be summed.
        """
        return ServerInterval(
            first=min(self.first, other.first, key=lambda counters: counters.requests),
            last=max(self.last, other.last, key=lambda counters: counters.requests),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """What a job asked of its servers, and how long it took them.

    ``first + second`` is the summary of both workers together.

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
    """

    models: tuple[str, ...]
    started_at_s: float
    ended_at_s: float
    client: ClientStatistics
    servers: Mapping[str, ServerInterval] = field(default_factory=dict)

    @property
    def elapsed_s(self) -> float:
        """Seconds from the first start to the last end."""
        return self.ended_at_s - self.started_at_s

    @property
    def events_per_s(self) -> float:
        """Outcomes per second; 0 if no time passed."""
        return self.client.events / self.elapsed_s if self.elapsed_s > 0.0 else 0.0

    def shares(self) -> dict[str, float]:
        """Return the fraction of answered messages by server address."""
        counts = self.client.servers
        total = sum(counts.values())
        return {server: count / total for server, count in counts.items()}

    def __add__(self, other: JobSummary) -> JobSummary:
        servers = dict(self.servers)
        for server, interval in other.servers.items():
            known = servers.get(server)
            servers[server] = interval if known is None else known | interval
        return JobSummary(
            models=tuple(dict.fromkeys(self.models + other.models)),
            started_at_s=min(self.started_at_s, other.started_at_s),
            ended_at_s=max(self.ended_at_s, other.ended_at_s),
            client=self.client + other.client,
            servers=servers,
        )

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values for JSON; unknown times are None."""
        client, latency = self.client, self.client.latency
        return {
            "models": list(self.models),
            "elapsed_s": self.elapsed_s,
            "events_per_s": self.events_per_s,
            "events": client.events,
            "failed_events": client.failed_events,
            "requests": client.requests,
            "points": client.points,
            "bytes_sent": client.bytes_sent,
            "bytes_received": client.bytes_received,
            "tries": dict(client.tries),
            "latency_s": {
                "mean": _finite(latency.mean_s),
                "p50": _finite(latency.quantile_s(0.5)),
                "p90": _finite(latency.quantile_s(0.9)),
                "p99": _finite(latency.quantile_s(0.99)),
                "max": latency.max_s,
            },
            "server_shares": self.shares(),
            "servers_all_clients": {
                server: asdict(interval.spent)
                for server, interval in self.servers.items()
            },
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the summary as label and value, ready for a table."""
        client, latency = self.client, self.client.latency
        rows = [
            ("model", ", ".join(self.models)),
            ("events", f"{client.events} ({client.failed_events} failed)"),
            ("elapsed", f"{self.elapsed_s:.2f} s ({self.events_per_s:.1f} events/s)"),
            ("requests", str(client.requests)),
            ("points", str(client.points)),
            ("sent", _size(client.bytes_sent)),
            ("received", _size(client.bytes_received)),
            ("tries", _counts(client.tries)),
        ]
        if latency.n_entries:
            quantiles = (latency.quantile_s(q) for q in (0.5, 0.9, 0.99))
            rows.append(("latency p50 / p90 / p99", _seconds(*quantiles)))
        for server, share in self.shares().items():
            rows.append((f"share of {server}", f"{100.0 * share:.1f} %"))
        for server, interval in self.servers.items():
            rows.extend(_server_rows(server, interval.spent))
        return rows


def _server_rows(server: str, spent: ServerCounters) -> list[tuple[str, str]]:
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


def _seconds(*durations_s: float) -> str:
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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
