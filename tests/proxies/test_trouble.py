"""A proxy in trouble, or whose servers are: every event is still answered in order."""

import pytest

from mock_server import FaultPlan
from sonic_client import (
    Client,
    Failure,
    RequestTooLargeError,
    ServerConfig,
    TlsConfig,
)

from .conftest import assert_undisturbed, requests_of, run_job

pytestmark = pytest.mark.proxies

PROTOCOLS = ("grpc", "http")
N_EVENTS = 600
SIZES = (2, 2, 20_000, 2)  # rows; the third event has 240 kB

# A job with a server that fails is allowed tries; one that waits is cut short.
PATIENT = {"allowed_tries": 20, "try_timeout_s": 1.0}


def preferred(protocol, box):
    """The server that is used as long as it works."""
    return ServerConfig(url=f"{protocol}://{box.address}", preferred=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Files of an authority, and of a certificate and key for 127.0.0.1."""
    import trustme

    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = folder / "authority.pem", folder / "certificate.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(files[0])
    issued.cert_chain_pems[0].write_to_path(files[1])
    issued.private_key_pem.write_to_path(files[2])
    return files


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tls_ends_at_the_proxy(protocol, server, nginx, config_for, certificate):
    authority, chain, key = certificate
    box = nginx(
        protocol,
        server,
        directives=f"""
            ssl_certificate {chain};
            ssl_certificate_key {key};
            keepalive_requests 50;
        """,
    )
    config = config_for(
        ServerConfig(url=f"{protocol}s://{box.address}", tls=TlsConfig(roots=authority))
    )

    statistics = run_job(config, requests_of(N_EVENTS))

    assert_undisturbed(statistics, N_EVENTS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_limit_of_bodies(protocol, server, nginx, config_for):
    box = nginx(protocol, server, directives="client_max_body_size 64k;")
    requests = [next(requests_of(1, n_rows=n_rows)) for n_rows in SIZES]

    with Client(config_for(f"{protocol}://{box.address}")) as client:
        outcomes = list(client.map(requests))

    (failure,) = (each for each in outcomes if isinstance(each, Failure))
    assert outcomes.index(failure) == SIZES.index(max(SIZES))
    assert isinstance(failure.error, RequestTooLargeError)
    assert "413" in str(failure.error)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_limit_of_bodies_stops_goes_elsewhere(
    protocol, server, nginx, config_for
):
    box = nginx(protocol, server, directives="client_max_body_size 64k;")
    requests = [next(requests_of(1, n_rows=n_rows)) for n_rows in SIZES]
    other = server.url if protocol == "grpc" else server.http_url
    config = config_for(preferred(protocol, box), other, retry=PATIENT)

    with Client(config) as client:
        outcomes = list(client.map(requests))

    assert [each.server == other for each in outcomes] == [
        n_rows == max(SIZES) for n_rows in SIZES
    ]
    assert not any("open" in each for each in client.statistics().server_changes)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_behind_its_proxy_hangs(protocol, server, serve, nginx, config_for):
    hangs = serve(faults=FaultPlan().on(every=10).hang())
    box = nginx(
        protocol,
        hangs,
        directives="proxy_read_timeout 200ms; grpc_read_timeout 200ms;",
    )
    other = server.url if protocol == "grpc" else server.http_url
    config = config_for(preferred(protocol, box), other, retry=PATIENT)

    run_job(config, requests_of(N_EVENTS))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_server_behind_a_proxy_is_down_for_a_while(
    protocol, server, serve, nginx, config_for
):
    fragile = serve()
    box = nginx(protocol, fragile)
    other = server.url if protocol == "grpc" else server.http_url
    config = config_for(preferred(protocol, box), other, retry=PATIENT)

    def interrupt(n_done):
        if n_done == 200:
            fragile.stop()
        elif n_done == 400:
            fragile.start()

    statistics = run_job(config, requests_of(N_EVENTS), interrupt)

    assert len(statistics.servers) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_one_of_two_servers_behind_a_proxy_dies(
    kind, protocol, server, serve, config_for, request
):
    fragile = serve()
    box = request.getfixturevalue(kind)(protocol, server, fragile)
    config = config_for(f"{protocol}://{box.address}", retry=PATIENT)

    def kill(n_done):
        if n_done == 200:
            fragile.stop()

    run_job(config, requests_of(N_EVENTS), kill)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_proxy_becomes_a_black_hole_for_a_while(protocol, server, nginx, config_for):
    box = nginx(protocol, server)
    other = server.url if protocol == "grpc" else server.http_url
    config = config_for(
        preferred(protocol, box),
        other,
        retry={**PATIENT, "try_timeout_s": 0.3},
    )

    def stall(n_done):
        if n_done == 200:
            box.stall()
        elif n_done == 400:
            box.resume()

    try:
        run_job(config, requests_of(N_EVENTS), stall)
    finally:
        box.resume()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_token_expires_in_the_middle_of_a_job(
    protocol, server, nginx, config_for, tmp_path
):
    """The proxy, reloaded, no longer takes the first token; the file has a second."""
    file = tmp_path / "token"
    file.write_text("first-token")
    check = """
        error_page 401 = @refused;
        location @refused { internal; return 401; }
        if ($http_authorization !~ "^Bearer (ACCEPTED)$") { return 401; }
    """
    box = nginx(
        protocol,
        server,
        directives=check.replace("ACCEPTED", "first-token|second-token"),
    )
    config = config_for(
        ServerConfig(url=f"{protocol}://{box.address}", token_file=file)
    )

    def renew(n_done):
        if n_done == 200:
            file.write_text("second-token")
            box.configure(box.text.replace("first-token|", ""))
            box.reload()

    statistics = run_job(config, requests_of(N_EVENTS), renew)

    assert_undisturbed(statistics, N_EVENTS)
