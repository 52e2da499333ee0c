"""A slow request goes to a second server: bounded, once, and never at a loss."""

import asyncio
import random
import selectors
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_client import (
    Answer,
    AsyncClient,
    ClientConfig,
    ConfigError,
    DeadlineExceededError,
    Failure,
    HealthConfig,
    HedgeConfig,
    ModelMetadata,
    Request,
    RetryConfig,
    ServerOverloadedError,
    ServerUnreachableError,
    TensorSpec,
    Timing,
    TriesExhaustedError,
    TryTimedOutError,
    WindowConfig,
)
from sonic_client.message.latencies import RecentLatencies
from sonic_client.transport import FakeTransport

METADATA = ModelMetadata(
    name="label",
    version="1",
    platform="python",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
)
FEATURES = {"FEATURES": np.zeros((1, 3), np.float32)}
USUAL_S = 0.01
N_USUAL = 40


class Jumps(selectors.DefaultSelector):
    """Where an event loop would sleep, its time jumps to the next timer."""

    now = 1000.0

    def select(self, timeout=None):
        events = super().select(0 if timeout is not None else None)
        if not events and timeout:
            self.now += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._jumps = Jumps()
        super().__init__(self._jumps)

    def time(self):
        return self._jumps.now


def run(coroutine):
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


def clock():
    return asyncio.get_running_loop().time()


TIMING = Timing(clock=clock, sleep=asyncio.sleep, jitter=lambda: 1.0)
ERRORS = {"lost": ServerUnreachableError, "full": ServerOverloadedError}


class InTime(FakeTransport):
    """Gives up a call at its deadline, as real transports do."""

    async def infer(self, call, *, timeout_s):
        try:
            async with asyncio.timeout(timeout_s):
                return await super().infer(call, timeout_s=timeout_s)
        except TimeoutError as late:
            raise TryTimedOutError(
                server=self.server, status="DEADLINE_EXCEEDED", details=""
            ) from late


class Servers:
    """Fake servers that answer after the usual time, but for some requests.

    Parameters
    ----------
    n_servers : int
    unusual : dict
        By request: what happens to its calls in order, at whichever server: seconds, or
        an error's name and the seconds before it.

    Attributes
    ----------
    calls : list of (int, str)
        Request and server of each call, in order.
    running : Counter
        Calls in flight, by request and server.
    overlaps : list of (int, str)
        Requests that were sent to a server where they were in flight.
    ended : list of (int, str)
        Calls that ended without being cancelled.
    """

    def __init__(self, n_servers=2, unusual=()):
        self.calls, self.running, self.overlaps, self.ended = [], Counter(), [], []
        self._unusual = {n: iter(happens) for n, happens in dict(unusual).items()}
        self.urls = [f"grpc://fake:{number}" for number in range(1, n_servers + 1)]
        self._transports = {
            url: InTime(METADATA, self._responder(url), server=url) for url in self.urls
        }

    def connect(self, server):
        return self._transports[server.url]

    def servers_of(self, request):
        return [server for each, server in self.calls if each == request]

    def _responder(self, url):
        async def respond(call):
            place = int(call.request_id), url
            self.calls.append(place)
            self.overlaps += [place] if self.running[place] else []
            self.running[place] += 1
            what = next(self._unusual.get(place[0], iter(())), USUAL_S)
            kind, seconds = what if isinstance(what, tuple) else ("", what)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.running[place] -= 1
            self.ended.append(place)
            if kind:
                raise ERRORS[kind](server=url, status="UNAVAILABLE", details=kind)
            return {"LABELS": np.zeros(len(call.inputs["FEATURES"]), np.int64)}

        return respond


def client_of(servers, *, hedge=None, window=1, **options):
    config = ClientConfig(
        servers=servers.urls,
        model_name="label",
        hedge=hedge or HedgeConfig(enabled=True, max_extra=0.5),
        window=WindowConfig(max_requests=window),
        **{"retry": RetryConfig(first_wait_s=0.0)} | options,
    )
    return AsyncClient(config, transport=servers.connect, timing=TIMING)


async def outcomes_of(client, numbers):
    requests = [Request(number, FEATURES) for number in numbers]
    return [outcome async for outcome in client.map(requests)]


async def learned(client):
    """Let the client learn what usual latencies are."""
    outcomes = await outcomes_of(client, range(N_USUAL))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)


async def hedged(servers, **options):
    """Return the outcome of request 99, after usual ones, and the client's counters."""
    async with client_of(servers, **options) as client:
        await learned(client)
        (outcome,) = await outcomes_of(client, [99])
        return outcome, client.statistics()


def test_a_second_server_answers_a_slow_request():
    servers = Servers(2, {99: [10.0, USUAL_S]})

    outcome, counted = run(hedged(servers))

    first, second = servers.servers_of(99)
    assert first != second
    assert outcome.server == second
    assert outcome.tries == 2
    assert outcome.latency_s < 3 * USUAL_S
    assert (counted.hedges, counted.hedges_won) == (1, 1)
    assert counted.tries == {"OK": N_USUAL + 1, "LOCALLY_CANCELLED": 1}
    assert not servers.running.total()


def test_the_first_server_may_still_win():
    servers = Servers(2, {99: [1.5 * USUAL_S, 10.0]})

    outcome, counted = run(hedged(servers))

    assert outcome.server == servers.servers_of(99)[0]
    assert outcome.latency_s == pytest.approx(1.5 * USUAL_S)
    assert (counted.hedges, counted.hedges_won) == (1, 0)
    assert not servers.running.total()


def test_nothing_is_hedged_unless_asked_for():
    servers = Servers(2, {99: [10.0]})

    outcome, counted = run(hedged(servers, hedge=HedgeConfig()))

    assert outcome.latency_s == pytest.approx(10.0)
    assert counted.hedges == 0


@pytest.mark.parametrize("kind", [*ERRORS])
def test_a_first_call_that_fails_leaves_the_request_to_the_hedge(kind):
    servers = Servers(2, {99: [(kind, 2 * USUAL_S), 5 * USUAL_S]})

    outcome, counted = run(hedged(servers))

    assert isinstance(outcome, Answer)
    assert outcome.server == servers.servers_of(99)[1]
    assert outcome.tries == 2
    assert counted.hedges_won == 1


def test_a_hedge_that_fails_leaves_the_request_to_the_first_call():
    servers = Servers(2, {99: [5 * USUAL_S, ("lost", USUAL_S)]})

    outcome, counted = run(hedged(servers))

    assert isinstance(outcome, Answer)
    assert outcome.server == servers.servers_of(99)[0]
    assert (counted.hedges, counted.hedges_won) == (1, 0)


def test_two_calls_that_fail_are_one_try_with_two_errors():
    lost = [("lost", 3 * USUAL_S), ("lost", USUAL_S)]
    servers = Servers(4, {99: 2 * lost})
    retry = RetryConfig(allowed_tries=2, first_wait_s=0.0)

    outcome, counted = run(
        hedged(servers, retry=retry, health=HealthConfig(open_after_failures=100))
    )

    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, TriesExhaustedError)
    assert len(outcome.error.failures) == outcome.tries == 4
    assert counted.hedges == 2


def test_a_pair_that_fails_is_followed_by_the_next_step():
    servers = Servers(3, {99: [("lost", 3 * USUAL_S), ("lost", USUAL_S), USUAL_S]})

    outcome, _ = run(hedged(servers))

    assert isinstance(outcome, Answer)
    assert len(set(servers.servers_of(99))) == 3


def test_the_deadline_bounds_both_calls():
    servers = Servers(2, {99: [100.0, 100.0]})
    retry = RetryConfig(allowed_tries=1, first_wait_s=0.0)

    async def seconds():
        async with client_of(servers, deadline_s=5.0, retry=retry) as client:
            await learned(client)
            began = clock()
            (outcome,) = await outcomes_of(client, [99])
            return outcome, clock() - began

    outcome, taken_s = run(seconds())

    assert isinstance(outcome.error, DeadlineExceededError | TriesExhaustedError)
    assert taken_s <= 5.0 + 1e-3
    assert not servers.running.total()


def test_with_one_server_nothing_is_hedged_and_that_is_said_once(caplog):
    servers = Servers(1, {99: [1.0]})

    outcome, counted = run(hedged(servers))

    assert isinstance(outcome, Answer)
    assert counted.hedges == 0
    assert [r.message for r in caplog.records if "second server" in r.message] == [
        "hedging needs a second server: there is only one"
    ]


@pytest.mark.parametrize("kind", [*ERRORS])
def test_a_server_that_is_full_or_left_alone_gets_no_hedge(kind):
    """Requests 41 and 42 go to both servers and find one of them out of order."""
    servers = Servers(2, {50: [(kind, 0.0)], 99: [1.0, USUAL_S]})
    health = HealthConfig(open_after_failures=1, first_pause_s=100.0, max_pause_s=100.0)
    retry = RetryConfig(first_wait_s=100.0, max_wait_s=100.0)

    async def outcome():
        async with client_of(servers, health=health, retry=retry) as client:
            await learned(client)
            (answer,) = await outcomes_of(client, [50])
            assert isinstance(answer, Answer)
            (slow,) = await outcomes_of(client, [99])
            return slow

    slow = run(outcome())

    assert servers.servers_of(99) == [slow.server]
    assert slow.latency_s == pytest.approx(1.0)


def test_the_fallback_gets_no_hedge():
    servers = Servers(1, {99: [1.0]})
    asked = []

    def fallback(tensors):
        asked.append(1)
        return {"LABELS": np.zeros(1, np.int64)}

    async def outcome():
        client = client_of(servers)
        client = AsyncClient(
            client.config, transport=servers.connect, timing=TIMING, fallback=fallback
        )
        async with client:
            await learned(client)
            return await outcomes_of(client, [99])

    run(outcome())

    assert asked == []


def test_losing_is_no_failure_and_makes_a_server_look_slow():
    servers = Servers(2, {99: [10.0, USUAL_S]})
    health = HealthConfig(open_after_failures=1)

    async def next_servers():
        async with client_of(servers, health=health) as client:
            await learned(client)
            await outcomes_of(client, [99, *range(100, 110)])
            return client.statistics()

    counted = run(next_servers())

    slow, quick = servers.servers_of(99)
    assert [servers.servers_of(n) for n in range(100, 110)] == [[quick]] * 10
    assert not any(change.endswith(" open") for change in counted.server_changes)
    assert f"{slow} degraded" not in counted.server_changes


@pytest.mark.parametrize("after_s", [0.5 * USUAL_S, 5 * USUAL_S])
def test_a_cancelled_request_ends_both_calls(after_s):
    servers = Servers(2, {99: [10.0, 10.0]})

    async def cancel():
        async with client_of(servers) as client:
            await learned(client)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(after_s):
                    await outcomes_of(client, [99])
            left = servers.running.total()
            (later,) = await outcomes_of(client, [100])
            return left, later

    left, later = run(cancel())

    assert left == 0
    assert isinstance(later, Answer)
    assert len(servers.servers_of(99)) == 1 + (after_s > USUAL_S)


def test_closing_the_client_ends_both_calls():
    servers = Servers(2, {99: [10.0, 10.0]})

    async def close():
        async with client_of(servers) as client:
            await learned(client)
            task = asyncio.create_task(outcomes_of(client, [99]))
            await asyncio.sleep(5 * USUAL_S)
            assert servers.running.total() == 2
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(close())

    assert not servers.running.total()


def test_with_five_percent_delayed_fiftyfold_the_tail_is_short():
    """p99 at most 3 times p50, with at most 5 % more calls."""
    draw, n_requests = random.Random(3), 3000
    delayed = set(draw.sample(range(n_requests), n_requests // 20))

    def latency(*, is_delayed):
        return USUAL_S * draw.lognormvariate(0.0, 0.1) * (50 if is_delayed else 1)

    servers = Servers(
        2,
        {
            n: [
                latency(is_delayed=n in delayed),
                latency(is_delayed=draw.random() < 0.05),
            ]
            for n in range(n_requests)
        },
    )

    async def measured():
        hedge = HedgeConfig(enabled=True)
        async with client_of(servers, hedge=hedge, window=8) as client:
            outcomes = await outcomes_of(client, range(n_requests))
            return [outcome.latency_s for outcome in outcomes], client.statistics()

    latencies, counted = run(measured())

    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    assert p99 <= 3 * p50
    assert counted.hedges <= 0.05 * n_requests
    assert len(servers.calls) == n_requests + counted.hedges


happenings = st.lists(
    st.one_of(
        st.floats(0.0, 0.5),
        st.tuples(st.sampled_from([*ERRORS]), st.floats(0.0, 0.5)),
    ),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(
    n_servers=st.integers(1, 3),
    unusual=st.dictionaries(st.integers(20, 59), happenings, max_size=30),
    quantile=st.floats(0.5, 0.99),
    max_extra=st.floats(0.01, 0.99),
    window=st.integers(1, 8),
)
def test_each_request_has_one_outcome_and_hedges_keep_to_their_budget(
    n_servers, unusual, quantile, max_extra, window
):
    servers = Servers(n_servers, unusual)
    hedge = HedgeConfig(enabled=True, quantile=quantile, max_extra=max_extra)

    async def everything():
        async with client_of(servers, hedge=hedge, window=window) as client:
            outcomes = await outcomes_of(client, range(60))
            assert not servers.running.total()
            return outcomes, client.statistics()

    outcomes, counted = run(everything())

    assert [outcome.request_id for outcome in outcomes] == list(range(60))
    assert counted.hedges_won <= counted.hedges <= max_extra * 60
    assert servers.overlaps == []
    assert sum(outcome.tries for outcome in outcomes) == len(servers.calls)


def test_calls_that_were_given_up_do_not_move_the_quantile():
    latencies = RecentLatencies(0.95, needed=20)
    for _ in range(20):
        latencies.add(1.0)

    for _ in range(200):
        for _ in range(9):
            latencies.add(1.0)
        latencies.add(latencies.value_s + 0.5, is_whole=False)

    assert latencies.value_s == 1.0


def test_the_quantile_follows_servers_that_become_slower():
    latencies = RecentLatencies(0.95, needed=20)
    for seconds in [1.0] * 1000 + [3.0] * 1000:
        latencies.add(seconds)

    assert latencies.value_s == 3.0


def test_a_call_that_was_given_up_early_says_nothing():
    latencies = RecentLatencies(0.5, needed=20)
    for _ in range(40):
        latencies.add(1.0)

    for _ in range(1000):
        latencies.add(0.1, is_whole=False)

    assert latencies.value_s == 1.0


@pytest.mark.parametrize("name", ["quantile", "max_extra"])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, float("nan")])
def test_fractions_lie_between_zero_and_one(name, value):
    with pytest.raises(ConfigError, match=f"{name} must lie between 0 and 1"):
        HedgeConfig(**{name: value})
