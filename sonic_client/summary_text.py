"""The summary of a job as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sonic_client.server_counters import ServerCounters
from sonic_client.statistics import ClientStatistics

__all__ = ["client_rows", "degraded_rows", "seconds", "server_rows", "table_of"]

_MAX_SHOWN_IDS = 10


def client_rows(client: ClientStatistics) -> list[tuple[str, str]]:
    """Return what was sent, and how long the answers took."""
    rows = [
        ("requests", str(client.requests)),
        ("points", str(client.points)),
        ("sent", _size(client.bytes_sent)),
        ("received", _size(client.bytes_received)),
        ("tries", _counts(client.tries)),
    ]
    if client.latency.n_entries:
        quantiles = (client.latency.quantile_s(q) for q in (0.5, 0.9, 0.99))
        rows.append(("latency p50 / p90 / p99", seconds(*quantiles)))
    return rows


def degraded_rows(client: ClientStatistics) -> list[tuple[str, str]]:
    """Return what the user must not overlook; empty if all went well."""
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
    for change, n_times in sorted(client.server_changes.items()):
        server, _, state = change.rpartition(" ")
        if state != "healthy":
            rows.append((f"{server} became {state}", f"{n_times} times"))
    return rows


def table_of(rows: Sequence[tuple[str, str]]) -> str:
    """Return labels and values in two columns, one row a line."""
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def server_rows(server: str, spent: ServerCounters) -> list[tuple[str, str]]:
    """Return what a server counted of itself; empty if it counted nothing."""
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
            seconds(
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


def seconds(*durations_s: float) -> str:
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
