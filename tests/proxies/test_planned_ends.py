"""Ends of connections that a proxy plans: no event, try or server is lost by them."""

import random
import time

import psutil
import pytest

from sonic_client import ServerConfig

from .conftest import assert_undisturbed, requests_of, run_job

pytestmark = pytest.mark.proxies

PROTOCOLS = ("grpc", "http")
IDLE_LIMIT_S = 0.03


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("limit", [2, 10, 100, 1000])
def test_nginx_limit_of_requests(limit, protocol, server, nginx, config_for):
    n_events = 1500
    box = nginx(protocol, server, directives=f"keepalive_requests {limit};")

    statistics = run_job(
        config_for(f"{protocol}://{box.address}"), requests_of(n_events)
    )

    assert_undisturbed(statistics, n_events)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_messages_above_what_grpc_buffers(protocol, server, nginx, config_for):
    n_events = 300
    box = nginx(protocol, server, directives="keepalive_requests 10;")

    statistics = run_job(
        config_for(f"{protocol}://{box.address}"), requests_of(n_events, n_rows=40_000)
    )

    assert_undisturbed(statistics, n_events)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_bodies_that_the_proxy_does_not_buffer(compression, server, nginx, config_for):
    n_events = 300
    box = nginx(
        "http",
        server,
        directives="""
            keepalive_requests 10;
            proxy_request_buffering off;
            proxy_buffering off;
        """,
    )
    url = f"http://{box.address}"

    statistics = run_job(
        config_for(ServerConfig(url=url, compression=compression)),
        requests_of(n_events, n_rows=20_000),
    )

    assert_undisturbed(statistics, n_events)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_reloads(kind, protocol, server, config_for, request):
    n_events = 1000
    box = request.getfixturevalue(kind)(protocol, server)

    def reload(n_done):
        if n_done % 200 == 0:
            box.reload()

    statistics = run_job(
        config_for(f"{protocol}://{box.address}"), requests_of(n_events), reload
    )

    assert_undisturbed(statistics, n_events)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_idle_time_outs(kind, protocol, server, config_for, request):
    n_events = 60
    limit_ms = round(IDLE_LIMIT_S * 1000)
    make = request.getfixturevalue(kind)
    if kind == "nginx":
        box = make(protocol, server, directives=f"keepalive_timeout {limit_ms}ms;")
    else:
        box = make(protocol, server, defaults=f"timeout http-keep-alive {limit_ms}ms")
    chance = random.Random(1)

    def some_late(requests):
        for each in requests:
            # Around the limit, so that ends and requests cross.
            time.sleep(IDLE_LIMIT_S * chance.uniform(0.9, 1.1))
            yield each

    config = config_for(f"{protocol}://{box.address}")
    statistics = run_job(config, some_late(requests_of(n_events)))

    assert_undisturbed(statistics, n_events)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_memory_stays_flat_over_many_connections(protocol, server, nginx, config_for):
    n_events, n_settled = 4000, 1000
    box = nginx(protocol, server, directives="keepalive_requests 10;")
    process, sizes = psutil.Process(), {}

    def weigh(n_done):
        if n_done in {n_settled, n_events}:
            sizes[n_done] = process.memory_info().rss

    run_job(config_for(f"{protocol}://{box.address}"), requests_of(n_events), weigh)

    # 300 connections later.
    assert sizes[n_events] - sizes[n_settled] < 20e6


def test_limit_of_streams(server, nginx, config_for):
    n_events = 1000
    box = nginx("grpc", server, directives="http2_max_concurrent_streams 4;")

    statistics = run_job(config_for(f"grpc://{box.address}"), requests_of(n_events))

    assert_undisturbed(statistics, n_events)
