"""Many small events through nginx and haproxy, to servers that fail: prints a table.

    python -m tests.proxies.soak --events 1000000

The client sees four servers: nginx for gRPC and nginx for HTTP, each in front of one
mock, haproxy for gRPC in front of a third mock, and a black hole, which takes
connections and never answers. The mocks are slow, fail, are full and restart, as
`soak_server` plans; the third is killed, and started again later. nginx ends each
connection after 1,000 requests, and all proxies are reloaded in turn. Acts are counted
in answered events, so they are the same on any machine.

The exit status is 1 if an event was lost, doubled, reordered or answered wrongly, or if
memory grew.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import Self

import numpy as np
import psutil

from sonic_client import (
    Answer,
    BatchingConfig,
    Client,
    ClientConfig,
    ClientStatistics,
    HealthConfig,
    HedgeConfig,
    LatencyHistogram,
    Outcome,
    Request,
    RetryConfig,
    WindowConfig,
)

from .middleboxes import HAProxy, Nginx, free_port, haproxy_text, nginx_text

RELOAD_EVENTS = 2_000
KILL_EVENTS = 10_000
DOWN_EVENTS = 3_000
MAX_GROWTH_BYTES = 30e6


class ServerProcess:
    """A mock server in its own process, at the same ports whenever it is started."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ports = free_port(), free_port()
        self.grpc_address, self.http_address = (f"127.0.0.1:{p}" for p in self._ports)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._seed += 1
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.proxies.soak_server"),
                *map(str, (*self._ports, self._seed)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> None:
        """Wait until it is ready."""
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def kill(self) -> None:
        """End it at once, with all requests in flight."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()


class Examiner:
    """Looks at every outcome, and weighs this process now and then."""

    def __init__(self, n_events: int) -> None:
        self._weigh_every = max(1, n_events // 100)
        self._process = psutil.Process()
        self._sizes: list[int] = []
        self._seen = bytearray(n_events)
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.checksum = 0
        self.n_done = 0

    def see(self, outcome: Outcome) -> None:
        """Note an outcome; it must be the next event's."""
        number = int(outcome.request_id)
        self.counts["doubled"] += self._seen[number]
        self._seen[number] = 1
        self.counts["reordered"] += number != self.n_done
        self.checksum = zlib.crc32(b"%d," % number, self.checksum)
        if isinstance(outcome, Answer):
            labels = outcome.outputs["LABELS"]
            right = labels.shape == (n_rows_of(number),) and (labels == number).all()
            self.counts["wrong"] += not right
        else:
            self.counts["failed"] += 1
            self.failures[f"{type(outcome.error).__name__}: {outcome.error}"] += 1
        self.n_done += 1
        if self.n_done % self._weigh_every == 0:
            self._sizes.append(self._process.memory_info().rss)

    def is_well(self) -> bool:
        """Whether every event has its answer, once and in order, in flat memory."""
        return (
            not self.n_lost
            and not any(self.counts.values())
            and self.growth_bytes < MAX_GROWTH_BYTES
        )

    @property
    def n_lost(self) -> int:
        """The number of events without an outcome."""
        return self._seen.count(0)

    @property
    def growth_bytes(self) -> float:
        """Growth of this process between the second and the last tenth of the job."""
        tenth = max(1, len(self._sizes) // 10)
        early = self._sizes[tenth : 2 * tenth] or self._sizes
        return median(self._sizes[-tenth:]) - median(early)

    @property
    def sizes_mb(self) -> tuple[float, float, float]:
        """Size after a fifth of the job, at its end, and the largest, in MB."""
        first = self._sizes[len(self._sizes) // 5]
        return first / 1e6, self._sizes[-1] / 1e6, max(self._sizes) / 1e6


def n_rows_of(number: int) -> int:
    """Return the number of rows of an event."""
    return 1 + number % 5


def requests(n_events: int) -> Iterator[Request]:
    """Yield events of a few rows, each of which holds the event's number."""
    for number in range(n_events):
        features = np.full((n_rows_of(number), 3), number, np.float32)
        yield Request(number, {"FEATURES": features})


def config_of(urls: list[str], events_per_message: int) -> ClientConfig:
    """Return a client that is patient, and in a hurry to leave a silent server."""
    return ClientConfig(
        servers=urls,
        model_name="label",
        layout="concat",
        batching=BatchingConfig(max_events=events_per_message),
        window=WindowConfig(max_requests=32),
        retry=RetryConfig(allowed_tries=20, try_timeout_s=5.0, max_wait_s=1.0),
        health=HealthConfig(first_pause_s=0.2, max_pause_s=2.0),
        hedge=HedgeConfig(enabled=True),
    )


def soak(n_events: int, events_per_message: int) -> bool:
    """Run the events through all of it; print the table, return whether all is well."""
    done: Counter[str] = Counter()
    examiner = Examiner(n_events)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [stack.enter_context(ServerProcess(1000 * n)) for n in range(3)]
        for server in servers:
            server.wait()
        limit = "keepalive_requests 1000;"
        over_grpc, over_http = (
            stack.enter_context(Nginx(folder, nginx_text(protocol, [address], limit)))
            for protocol, address in (
                ("grpc", servers[0].grpc_address),
                ("http", servers[1].http_address),
            )
        )
        balanced = stack.enter_context(
            HAProxy(folder, haproxy_text("grpc", [servers[2].grpc_address]))
        )
        hole = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        names = {
            f"grpc://{over_grpc.address}": "nginx, gRPC",
            f"http://{over_http.address}": "nginx, HTTP",
            f"grpc://{balanced.address}": "haproxy, gRPC",
            f"grpc://127.0.0.1:{hole.getsockname()[1]}": "black hole",
        }

        def act(n_done: int) -> None:
            if n_done % RELOAD_EVENTS == 0:
                box = (over_grpc, over_http, balanced)[n_done // RELOAD_EVENTS % 3]
                box.reload()
                done[f"reloads of {box.program}"] += 1
            if n_done % KILL_EVENTS == KILL_EVENTS // 2:
                servers[2].kill()
                done["kills of a server"] += 1
            if n_done % KILL_EVENTS == (KILL_EVENTS // 2 + DOWN_EVENTS) % KILL_EVENTS:
                servers[2].start()
                done["starts of it"] += 1

        started = time.monotonic()
        config = config_of(list(names), events_per_message)
        with suppress(KeyboardInterrupt), Client(config) as client:
            for outcome in client.map(requests(n_events)):
                examiner.see(outcome)
                act(examiner.n_done)
        duration_s = time.monotonic() - started
    statistics = client.statistics()
    print_table(examiner, statistics, done, duration_s, names)
    return examiner.is_well()


def print_table(
    examiner: Examiner,
    statistics: ClientStatistics,
    acts: Counter[str],
    duration_s: float,
    names: dict[str, str],
) -> None:
    """Print what was done, and what became of the events."""
    n_events = examiner.n_done + examiner.n_lost
    expected = 0
    for number in range(examiner.n_done):
        expected = zlib.crc32(b"%d," % number, expected)
    counts, latency = examiner.counts, statistics.latency
    rows: list[tuple[str, object]] = [
        ("events", f"{n_events:,}"),
        ("without an outcome", examiner.n_lost),
        *((what, counts[what]) for what in ("failed", "doubled", "reordered", "wrong")),
        ("checksum of ids", "right" if examiner.checksum == expected else "WRONG"),
        ("time", f"{duration_s:.0f} s, {examiner.n_done / duration_s:.0f} events/s"),
        ("messages answered", f"{statistics.requests:,}"),
        ("tries", _listed(statistics.tries)),
        ("hedges", f"{statistics.hedges:,}, of which {statistics.hedges_won:,} won"),
        ("latency of a message", _latencies(latency)),
        ("answers from", _listed({names[k]: n for k, n in statistics.servers.items()})),
        ("servers left alone", _openings(statistics, names)),
        ("done to them", _listed(acts)),
        (
            "memory",
            "{:.0f} MB early, {:.0f} at the end, {:.0f} at most".format(
                *examiner.sizes_mb
            ),
        ),
    ]
    for what, value in rows:
        print(f"{what:22} {value}")
    for failure, n_failures in examiner.failures.most_common(5):
        print(f"  {n_failures} x {failure}")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()))


def _latencies(latency: LatencyHistogram) -> str:
    p50, p99 = (1e3 * latency.quantile_s(q) for q in (0.5, 0.99))
    return f"{p50:.0f} ms median, {p99:.0f} ms at 99 %, {latency.max_s:.1f} s at most"


def _openings(statistics: ClientStatistics, names: dict[str, str]) -> str:
    openings = Counter(
        {
            names[change.rpartition(" ")[0]]: n
            for change, n in statistics.server_changes.items()
            if change.endswith(" open")
        }
    )
    return _listed(openings) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--events-per-message", type=int, default=8)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # the table counts what the client tells
    # Told to end, it shows what it has, and ends what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_well = soak(options.events, options.events_per_message)
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
