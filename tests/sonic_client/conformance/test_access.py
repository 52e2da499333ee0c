"""Headers, tokens and certificates: the same over every transport."""

import asyncio
import logging
import pickle
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sonic_base import SonicError
from sonic_client import (
    AccessDeniedError,
    ConfigError,
    ServerConfig,
    TlsConfig,
    TlsError,
)
from sonic_client.transport import InferCall, transport_for

CANARY = "canary-token-7f3a"
CALL = InferCall(
    model_name="m",
    model_version="",
    request_id="",
    inputs={"X": np.zeros(2, np.float32)},
    headers={"traceparent": "00-trace-span-01"},
)


@asynccontextmanager
async def opened(config):
    transport = transport_for(config)
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()


async def probe(config):
    async with opened(config) as transport:
        await transport.probe(timeout_s=10.0)


async def call_everything(config):
    """Call every method; return the names of the errors."""
    async with opened(config) as transport:
        calls = [
            transport.probe,
            transport.index,
            partial(transport.describe, "m", ""),
            partial(transport.count, "m", ""),
            partial(transport.infer, CALL),
        ]
        failures = []
        for call in calls:
            try:
                await call(timeout_s=10.0)
            except SonicError as error:
                failures.append(type(error).__name__)
        return failures


class AccessSuite:
    """Access of a transport to a server; a subclass sets the scheme."""

    scheme: str

    async def test_every_call_has_the_headers_and_the_token(self, serve):
        server = serve()
        server.accepted = {"other"}
        config = ServerConfig(url=server.url, headers={"X-Group": "it"}, token=CANARY)

        failures = await call_everything(config)

        assert failures == ["AccessDeniedError"] * 5
        assert len(server.calls) == 10  # once again each, with a renewed token
        assert {headers["x-group"] for _, headers in server.calls} == {"it"}
        assert set(server.tokens) == {CANARY}

    async def test_a_call_has_its_own_headers(self, serve):
        server = serve()
        server.accepted = {"other"}

        await call_everything(ServerConfig(url=server.url))

        *others, (_, infer) = server.calls
        assert infer["traceparent"] == "00-trace-span-01"
        assert not any("traceparent" in headers for _, headers in others)

    async def test_capitalised_headers_are_sent_in_lower_case(self, serve):
        server = serve()

        await probe(
            ServerConfig(url=server.url, headers={"Authorization": "Bearer good"})
        )

        assert server.tokens == ["good"]

    async def test_an_expired_token_is_renewed_once_and_the_call_replayed(self, serve):
        server = serve()
        server.accepted = {"second"}
        tokens = iter(["first", "second"])

        await probe(ServerConfig(url=server.url, token=lambda: next(tokens)))

        assert server.tokens == ["first", "second"]

    async def test_calls_that_are_refused_together_renew_the_token_together(
        self, serve
    ):
        server = serve()
        server.accepted = {"second"}
        tokens = iter(["first", "second"])

        async with opened(
            ServerConfig(url=server.url, token=lambda: next(tokens))
        ) as transport:
            probes = (transport.probe(timeout_s=10.0) for _ in range(8))
            await asyncio.gather(*probes)

        assert server.tokens.count("second") == 8

    async def test_a_token_that_stays_refused_is_fatal(self, serve):
        server = serve()
        server.accepted = {"good"}
        reads = []

        def read():
            reads.append(1)
            return CANARY

        with pytest.raises(AccessDeniedError, match="Jwt is expired") as denied:
            await probe(ServerConfig(url=server.url, token=read))
        assert len(reads) == 2
        assert denied.value.status == "UNAUTHENTICATED"

    async def test_a_token_is_read_from_a_file_when_needed(self, serve, tmp_path):
        server = serve()
        server.accepted = {"new"}
        file = tmp_path / "token"
        file.write_text("old\n")

        async with opened(ServerConfig(url=server.url, token_file=file)) as transport:
            with pytest.raises(AccessDeniedError):
                await transport.probe(timeout_s=10.0)
            file.write_text("new\n")
            await transport.probe(timeout_s=10.0)
            await transport.probe(timeout_s=10.0)

        assert server.tokens == ["old", "old", "old", "new", "new"]

    async def test_a_token_is_read_from_the_environment(self, serve, monkeypatch):
        server = serve()
        monkeypatch.setenv("SONIC_TEST_TOKEN", "good")

        await probe(ServerConfig(url=server.url, token_env="SONIC_TEST_TOKEN"))

        assert server.tokens == ["good"]

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (
                {"token_file": Path("no/such/file")},
                "cannot read token_file no/such/file",
            ),
            ({"token_env": "NO_SUCH_VARIABLE"}, "no NO_SUCH_VARIABLE"),
            ({"token": lambda: "two\nlines"}, "not printable ASCII"),
            ({"token": lambda: ""}, "the token is empty"),
        ],
        ids=["file", "environment", "newline", "empty"],
    )
    async def test_a_token_that_cannot_be_read_is_a_config_error(
        self, serve, source, message
    ):
        with pytest.raises(ConfigError, match=message):
            await probe(ServerConfig(url=serve().url, **source))

    async def test_no_secret_is_shown_anywhere(self, serve, caplog):
        server = serve()
        server.accepted = {"good"}
        config = ServerConfig(
            url=server.url, headers={"x-api-key": f"{CANARY}-key"}, token=CANARY
        )
        caplog.set_level(logging.DEBUG)

        with pytest.raises(AccessDeniedError) as denied:
            await probe(config)

        errors, shown = [denied.value], [caplog.text, repr(config), str(config)]
        while errors:
            error = errors.pop()
            shown += [str(error), repr(error), repr(vars(error)), repr(error.args)]
            errors += filter(None, (error.__cause__, error.__context__))
        shown.append(repr(pickle.dumps(denied.value)))
        shown += [repr(pickle.dumps(config, protocol)) for protocol in range(2, 6)]
        assert server.tokens[0] == CANARY  # which the server echoed
        assert [text for text in shown if CANARY in text] == []
        assert pickle.loads(pickle.dumps(config)) == config

    async def test_an_encrypted_connection_trusts_the_roots_given(
        self, serve, authority, certificates
    ):
        server = serve(certificate=authority.issue_cert("127.0.0.1"))

        await probe(
            ServerConfig(
                url=server.url, tls=TlsConfig(roots=certificates / "roots.pem")
            )
        )

        assert len(server.calls) == 1

    async def test_a_client_shows_its_certificate(self, serve, authority, certificates):
        server = serve(certificate=authority.issue_cert("127.0.0.1"), roots=authority)
        tls = TlsConfig(
            roots=certificates / "roots.pem",
            certificate=certificates / "certificate.pem",
            key=certificates / "key.pem",
        )

        await probe(ServerConfig(url=server.url, tls=tls))

        assert len(server.calls) == 1

    async def test_a_certificate_of_another_name_passes_if_the_name_is_given(
        self, serve, authority, certificates
    ):
        server = serve(certificate=authority.issue_cert("triton.example.org"))
        roots = certificates / "roots.pem"

        with pytest.raises(TlsError, match=r"tls\.server_name"):
            await probe(ServerConfig(url=server.url, tls=TlsConfig(roots=roots)))
        tls = TlsConfig(roots=roots, server_name="triton.example.org")
        await probe(ServerConfig(url=server.url, tls=tls))

        assert len(server.calls) == 1

    async def test_the_systems_roots_are_not_enough_for_another_authority(
        self, serve, authority
    ):
        server = serve(certificate=authority.issue_cert("127.0.0.1"))

        with pytest.raises(TlsError, match=r"tls\.roots"):
            await probe(ServerConfig(url=server.url))

    async def test_tls_on_a_plaintext_port_is_hinted_at(self, serve):
        url = serve().url.replace("://", "s://")

        with pytest.raises(TlsError, match=r"TLS on a plaintext port\?"):
            await probe(ServerConfig(url=url))

    async def test_a_certificate_that_is_not_there_is_named(self, tmp_path):
        roots = tmp_path / "roots.pem"

        with pytest.raises(ConfigError, match=r"roots\.pem"):
            await probe(
                ServerConfig(url=f"{self.scheme}s://h:1", tls=TlsConfig(roots=roots))
            )


class TestGrpc(AccessSuite):
    scheme = "grpc"

    async def test_plaintext_on_a_tls_port_is_hinted_at(self, serve, authority):
        server = serve(certificate=authority.issue_cert("127.0.0.1"))

        with pytest.raises(SonicError, match=r"does the port speak TLS\?"):
            await probe(ServerConfig(url=server.url.replace("grpcs", "grpc")))


class TestHttp(AccessSuite):
    scheme = "http"
