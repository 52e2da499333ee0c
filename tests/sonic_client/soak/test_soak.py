"""Nothing is lost, whatever the servers do: many events, and servers in all states."""

import asyncio
import json
import os
import time

import numpy as np
import psutil
import pytest

from sonic_client import (
    Answer,
    AnswersConfig,
    AsyncClient,
    Client,
    ClientConfig,
    HealthConfig,
    Request,
    RetryConfig,
    WindowConfig,
)

from .chaos import MAX_IN_FLIGHT, UNDONE_BY, plan_chaos
from .serve import answer
from .servers import Chaos

N_SERVERS = 3
SETTLED_EVENTS = 1000  # from here on, memory must be flat
MAX_GROWTH_BYTES = 50_000_000
SEED = int(os.environ.get("SONIC_SOAK_SEED", "1"))


def features_of(event):
    rng = np.random.default_rng(event)
    return rng.standard_normal((1 + event % 40, 3)).astype(np.float32)


def requests(n_events):
    return (Request(event, {"X": features_of(event)}) for event in range(n_events))


def config_of(servers):
    """A client that is patient, in a hurry to leave a server that is silent."""
    return ClientConfig(
        servers=[server.url for server in servers],
        model_name="sums",
        deadline_s=3600.0,
        startup_timeout_s=60.0,
        window=WindowConfig(max_requests=MAX_IN_FLIGHT),
        retry=RetryConfig(
            allowed_tries=1000, try_timeout_s=1.0, max_wait_s=1.0, patience_s=3600.0
        ),
        health=HealthConfig(first_pause_s=0.05, max_pause_s=1.0, probe_timeout_s=1.0),
        answers=AnswersConfig(nonfinite="raise"),
    )


class Examiner:
    """Looks at every outcome, tells the chaos how far we are, watches the memory."""

    def __init__(self, chaos):
        self._chaos = chaos
        self._process = psutil.Process()
        self.n_events = self.settled_bytes = self.peak_bytes = 0

    def see(self, outcome):
        assert outcome.request_id == self.n_events
        assert isinstance(outcome, Answer), outcome
        expected = answer({"X": features_of(self.n_events)})
        for name, array in expected.items():
            np.testing.assert_array_equal(outcome.outputs[name], array)
        self.n_events += 1
        self._chaos.delivered(self.n_events)
        if self.n_events % 100 == 0:
            self._weigh()

    def _weigh(self):
        n_bytes = self._process.memory_info().rss
        if self.n_events == SETTLED_EVENTS:
            self.settled_bytes = n_bytes
        if self.n_events >= SETTLED_EVENTS:
            self.peak_bytes = max(self.peak_bytes, n_bytes)

    @property
    def growth_bytes(self):
        return self.peak_bytes - self.settled_bytes


def run_blocking(config, n_events, see):
    with Client(config) as client:
        for outcome in client.map(requests(n_events)):
            see(outcome)
    return client.statistics()


def run_async(config, n_events, see):
    async def run():
        async with AsyncClient(config) as client:
            async for outcome in client.map(requests(n_events)):
                see(outcome)
        return client.statistics()

    return asyncio.run(run())


RUNS = {"blocking": run_blocking, "async": run_async}


def soak(run, n_events, folder):
    """Run the events through the chaos, and report what happened."""
    started = time.monotonic()
    plan = plan_chaos(n_events, n_servers=N_SERVERS, seed=SEED)
    with Chaos(plan, N_SERVERS, folder) as chaos:
        examiner = Examiner(chaos)
        statistics = run(config_of(chaos.servers), n_events, examiner.see)
        report = {
            "seed": SEED,
            "events": examiner.n_events,
            "duration_s": round(time.monotonic() - started, 1),
            "acts": dict(chaos.done),
            "faults": chaos.injected(),
            "tries": dict(statistics.tries),
            "servers": dict(statistics.servers),
            "server_changes": dict(statistics.server_changes),
            "growth_bytes": examiner.growth_bytes,
        }
    text = json.dumps(report, indent=1)
    (folder / "soak.json").write_text(text)
    print(text)  # noqa: T201 - shown with -s
    return report


def assert_soaked(report, n_events):
    assert report["events"] == n_events
    assert report["tries"]["OK"] >= n_events
    assert set(UNDONE_BY) < set(report["acts"])
    assert report["growth_bytes"] < MAX_GROWTH_BYTES


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_event_is_answered_once_and_in_order(run, tmp_path):
    n_events = 3000

    assert_soaked(soak(run, n_events, tmp_path), n_events)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_nothing_is_lost_in_a_long_job(tmp_path):
    n_events = 20_000

    report = soak(run_blocking, n_events, tmp_path)

    assert_soaked(report, n_events)
    assert all(report["faults"].values())
