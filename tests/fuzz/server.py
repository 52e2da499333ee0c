"""Malformed requests to a server: each ends in a status that somebody foresaw."""

from __future__ import annotations

import faulthandler
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from mock_server import MockServer
from mock_server.errors import UNFORESEEN

from .served import (
    MAX_BODY_BYTES,
    SERVICE,
    DirectServer,
    Refused,
    direct_server,
    http_answer,
    load_all,
    models,
    write_repository,
)
from .server_requests import GrpcRequest, HttpRequest, Request, request_of
from .watch import Findings, n_descriptors, resident_bytes, watching

WAIT_S = 30.0
MAX_SPENT_S = 1.0
BLOCK = 250
SOCKETS_EVERY = 20
GOOD = json.dumps(
    {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
).encode()
GOOD_HTTP = (
    b"POST /v2/models/%s/infer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)


def fuzz_server(
    n_requests: int,
    seed: int,
    findings: Findings,
    *,
    first: int = 0,
    progress: Callable[[int], object] = lambda number: None,
) -> None:
    """Send requests to a server, most of them without sockets; note what happens."""
    with (
        tempfile.TemporaryDirectory() as folder,
        watching() as watch,
        direct_server(write_repository(Path(folder) / "a")) as direct,
        SocketServer(write_repository(Path(folder) / "b")) as sockets,
    ):
        direct.loop.set_exception_handler(
            lambda loop, context: findings.fail("in the event loop", context)
        )
        settled = None
        for number in range(first, first + n_requests):
            if number % BLOCK == 0:
                faulthandler.dump_traceback_later(20 * WAIT_S, exit=True)
            request = request_of(seed, number)
            is_direct = number % SOCKETS_EVERY != 0
            _send(direct if is_direct else sockets, request, number, findings)
            for text in watch.take():
                findings.fail(f"request {number}: {text}", request)
            if number % BLOCK == BLOCK - 1:
                _check_that_it_serves(direct, sockets, findings)
                for text in watch.take():
                    findings.fail(f"after request {number}: {text}", "")
                findings.peak_bytes = max(findings.peak_bytes, resident_bytes())
                if number - first >= n_requests // 10 and settled is None:
                    settled = _Held()
                progress(number)
        if settled is not None:
            _check_that_nothing_is_left(direct, settled, findings)
        faulthandler.cancel_dump_traceback_later()


class SocketServer:
    """The same models in a server that listens, and what talks to it."""

    def __init__(self, folder: Path) -> None:
        self._server = MockServer(
            models(),
            repository=folder,
            model_control="explicit",
            load_models=["*"],
            http_port=0,
            max_message_bytes=MAX_BODY_BYTES,
        )

    def __enter__(self) -> SocketServer:
        self._server.start()
        self.repository = self._server._repository
        self._channel = grpc.insecure_channel(self._server.url.removeprefix("grpc://"))
        host, _, port = self._server.http_url.removeprefix("http://").partition(":")
        self._address = host, int(port)
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.close()
        self._server.stop()

    def call(self, rpc, messages, metadata=(), compression=0):
        options = {
            "timeout": WAIT_S,
            "metadata": metadata,
            "compression": grpc.Compression(compression),
        }
        try:
            if rpc == "ModelStreamInfer":
                ask = self._channel.stream_stream(SERVICE + rpc, None, None)
                return list(ask(iter(messages), **options))
            ask = self._channel.unary_unary(SERVICE + rpc, None, None)
            return [ask(messages[0], **options)]
        except grpc.RpcError as error:
            raise Refused(error.code(), error.details()) from None

    def exchange(self, raw: bytes, *, is_whole: bool, wait_s: float) -> bytes:
        parts = []
        with socket.create_connection(self._address, timeout=wait_s) as connection:
            try:
                connection.sendall(raw)
                if not is_whole:
                    connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    parts.append(part)
            except ConnectionError:  # it was refused before it was read
                pass
        return b"".join(parts)


Target = DirectServer | SocketServer


def _send(target: Target, request: Request, number: int, findings: Findings) -> None:
    # Of the processor: other programs may keep this one waiting.
    started = time.process_time()
    try:
        status = (
            _status_of_http(target, request)
            if isinstance(request, HttpRequest)
            else _status_of_grpc(target, request)
        )
    except Exception as error:  # nobody has foreseen it: a failure
        status = "FAILED"
        where = type(target).__name__
        findings.fail(f"request {number} ({where}): {_text_of(error)}", request)
    spent_s = time.process_time() - started
    findings.note(request.kind, status, spent_s)
    if spent_s > MAX_SPENT_S:
        findings.fail(f"request {number}: {spent_s:.1f} s of the processor", request)


def _text_of(error: Exception) -> str:
    import traceback

    lines = traceback.format_exception(error)
    return f"{type(error).__name__}: {error}\n" + "".join(lines[-6:])[:3000]


def _status_of_http(target: Target, request: HttpRequest) -> str:
    raw = target.exchange(request.raw, is_whole=request.is_whole, wait_s=WAIT_S)
    answer = http_answer(raw)
    if answer is None:
        if request.is_whole:
            raise AssertionError("no answer")
        return "none"
    if UNFORESEEN.encode() in answer.body:
        raise AssertionError(f"unforeseen: {answer.body[:300]!r}")
    if answer.status >= 500 and b'{"error":' not in answer.body:
        raise AssertionError(f"not in the server's form: {answer}")
    return str(answer.status)


def _status_of_grpc(target: Target, request: GrpcRequest) -> str:
    options = {"metadata": request.metadata}
    if isinstance(target, SocketServer):
        options["compression"] = request.compression
    try:
        answers = target.call(request.rpc, request.messages, **options)
    except Refused as refusal:
        text = refusal.details or ""
        if UNFORESEEN in text or "calling application" in text or "xception" in text:
            raise AssertionError(f"unforeseen: {refusal}") from refusal
        if refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED or not text:
            raise AssertionError(f"hangs or says nothing: {refusal}") from refusal
        return str(refusal.code.name)
    if any(UNFORESEEN.encode() in answer for answer in answers):
        raise AssertionError(f"unforeseen in a stream: {answers}")
    return "OK"


def _check_that_it_serves(
    direct: DirectServer, sockets: SocketServer, findings: Findings
) -> None:
    """Both servers answer a good request, once what was unloaded is loaded again."""
    direct.load_all()
    load_all(sockets.repository)
    for target in (direct, sockets):
        for name in (b"echo", b"plain"):
            raw = target.exchange(
                GOOD_HTTP % (name, len(GOOD), GOOD), is_whole=True, wait_s=WAIT_S
            )
            answer = http_answer(raw)
            if answer is None or b'"data":[1.0,2.0,3.0]' not in answer.body:
                findings.fail("a good request is not answered", (name, raw[:500]))


class _Held:
    """What the process holds."""

    def __init__(self) -> None:
        self.bytes, self.descriptors = resident_bytes(), n_descriptors()
        self.threads = threading.active_count()


def _check_that_nothing_is_left(
    direct: DirectServer, before: _Held, findings: Findings
) -> None:
    after = _Held()
    findings.growth_bytes = after.bytes - before.bytes
    if after.descriptors > before.descriptors + 8:
        findings.fail(f"descriptors: {before.descriptors} to {after.descriptors}", "")
    if after.threads > before.threads + 20:
        findings.fail(f"threads: {before.threads} to {after.threads}", "")
