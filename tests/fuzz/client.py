"""Answers of foreign servers: each is read, or ends in one of the client's errors."""

from __future__ import annotations

import asyncio
import faulthandler
import gzip
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np
from google.protobuf import json_format
from tritonclient.grpc import service_pb2

from sonic_client import InvalidAnswerError, ServerConfig, ServerError
from sonic_client.transport import InferCall
from sonic_client.transport.grpc import GrpcTransport
from sonic_client.transport.http import HttpTransport
from sonic_client.types import TensorSpec

from .mutation import EDGE_INTEGERS, Mutator, json_text
from .watch import Findings, n_descriptors, resident_bytes, watching

WAIT_S = 2.0
BLOCK = 1000
SOCKETS_EVERY = 20
MAX_SPENT_S = 1.0
CALLS = ("infer", "describe", "count", "index", "register", "probe")
LENGTH = "Inference-Header-Content-Length"
DECLARED = {
    "LABELS": TensorSpec("LABELS", "INT64", (-1,)),
    "SCORES": TensorSpec("SCORES", "FP32", (-1, 2)),
    "TEXT": TensorSpec("TEXT", "BYTES", (-1,)),
}
CALL = InferCall(
    model_name="m",
    model_version="",
    request_id="7",
    inputs={"X": np.zeros((3, 3), np.float32)},
    declared=DECLARED,
)
TENSORS = (
    ("LABELS", "INT64", [3], bytes(24)),
    ("SCORES", "FP32", [3, 2], bytes(24)),
    ("TEXT", "BYTES", [2], b"\1\0\0\0a\0\0\0\0"),
)
METADATA = {
    "name": "m",
    "versions": ["1", "2"],
    "platform": "python",
    "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [
        {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)}
        for each in DECLARED.values()
    ],
}
CONFIG = {
    "name": "m",
    "max_batch_size": 0,
    "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": ["-1", "3"]}],
    "output": [{"name": "LABELS", "data_type": "TYPE_INT64", "dims": ["-1"]}],
    "parameters": {"scale": {"string_value": "1.0"}},
}
STATISTICS = {
    "model_stats": [
        {
            "name": "m",
            "version": "1",
            "inference_count": 3,
            "execution_count": 3,
            "inference_stats": {
                part: {"count": 3, "ns": 1000}
                for part in ("success", "fail", "queue", "compute_infer")
            },
        }
    ]
}
INDEX = [{"name": "m", "version": "1", "state": "READY"}, {"name": "n"}]
HTML = b"<html><body>" + b"Please log in. " * 3000 + b"</body></html>"
BOMB = gzip.compress(bytes(2**26)) * 8
ENCODINGS = ("gzip", "deflate", "br", "zstd", "x")
HEADS = (
    *("HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.0 200 OK", "HTTP/1.1 204 No Content"),
    *("HTTP/1.1 206 Partial", "HTTP/1.1 100 Continue", "HTTP/1.1 101 Switching"),
    *("HTTP/1.1 302 Found", "HTTP/1.1 304 Not", "HTTP/1.1 400 Bad", "HTTP/1.1 404 N"),
    *("HTTP/1.1 418 T", "HTTP/1.1 429 T", "HTTP/1.1 500 I", "HTTP/1.1 502 B"),
    *("HTTP/1.1 503 S", "HTTP/1.1 999 X", "HTTP/2 200", "ICY 200 OK", "\0\0\0"),
)


class Reply(NamedTuple):
    """The answers to one call: several questions may belong to it."""

    kind: str
    call: str
    #: Of HTTP: headers and content; of gRPC: a message.
    answers: Sequence[Any]


class CannedHttp(HttpTransport):
    """The client's part above aiohttp."""

    answers: Sequence[tuple[dict[str, str], bytes]] = ()

    async def _exchange(self, *args: Any, **options: Any) -> Any:
        answer, *self.answers = self.answers
        return answer


class CannedGrpc(GrpcTransport):
    """The client's part above gRPC."""

    answers: Sequence[bytes] = ()

    def _pool(self) -> Any:
        class Pool:
            def next_infer(self) -> None:
                pass

            def next_method(self, path: str) -> None:
                pass

        return Pool()

    async def _send(self, *args: Any, **options: Any) -> Any:
        answer, *self.answers = self.answers
        return answer


def reply_of(seed: int, number: int) -> Reply:
    """Return the answer of a number: the same one each time."""
    return _Maker(random.Random(f"client:{seed}:{number}")).reply()


class _Maker:
    def __init__(self, draw: random.Random) -> None:
        self.draw, self.mutator = draw, Mutator(draw)

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    def reply(self) -> Reply:
        call = "infer" if self.chance(0.5) else self.draw.choice(CALLS)
        is_http = self.chance(0.5)
        make = self.http if is_http else self.grpc
        kind = f"{'http' if is_http else 'grpc'} {call}"
        return Reply(kind, call, make(call))

    def tensors(self) -> list[tuple[str, str, list[int], bytes]]:
        draw = self.draw
        tensors = [list(each) for each in TENSORS if not self.chance(0.03)]
        if tensors and self.chance(0.5):
            each: Any = draw.choice(tensors)
            match draw.randrange(5):
                case 0:
                    each[2] = [draw.choice((*EDGE_INTEGERS, 10**8))] * len(each[2])
                case 1:
                    each[2] = [draw.choice(EDGE_INTEGERS)] * draw.choice(
                        (0, 3, 65, 3000)
                    )
                case 2:
                    each[1] = draw.choice(
                        ("BYTES", "INT32", "BF16", "FOO", "", "x" * 999)
                    )
                case 3:
                    each[3] = self.mutator.bytes(each[3])
                case _:
                    tensors.append([each[0], each[1], each[2], bytes(len(each[3]))])
        return [tuple(each) for each in tensors]  # type: ignore[misc]

    def http(self, call: str) -> list[tuple[dict[str, str], bytes]]:
        if call == "infer":
            return [self.http_inference()]
        values = {
            "describe": [METADATA, CONFIG],
            "count": [STATISTICS],
            "index": [INDEX],
        }.get(call, [{}])
        return [({}, self.changed(value)) for value in values]

    def changed(self, value: Any) -> bytes:
        if self.chance(0.05):
            return self.draw.choice((b"", HTML, b"\xff\xfe", b"[" * 100_000, b"null"))
        text = json_text(value if self.chance(0.2) else self.mutator.json(value))
        return self.mutator.bytes(text) if self.chance(0.1) else text

    def http_inference(self) -> tuple[dict[str, str], bytes]:
        tensors = self.tensors()
        header = {
            "id": "7",
            "model_name": "m",
            "model_version": "1",
            "outputs": [
                {
                    "name": name,
                    "datatype": datatype,
                    "shape": shape,
                    "parameters": {"binary_data_size": len(data)},
                }
                for name, datatype, shape, data in tensors
            ],
        }
        text = self.changed(header)
        length: Any = len(text)
        if self.chance(0.1):
            wrong = ("abc", "", "-1", 10**30, "9" * 5000, length - 1, length + 99, "٣")
            length = self.draw.choice(wrong)
        headers = {} if self.chance(0.03) else {LENGTH: str(length)}
        tail = b"".join(data for *_, data in tensors)
        if self.chance(0.1):
            tail += b"garbage"
        return headers, text + tail

    def grpc(self, call: str) -> list[bytes]:
        if call == "infer":
            message = service_pb2.ModelInferResponse(model_name="m", id="7")
            for name, datatype, shape, data in self.tensors():
                dims = [(dim + 2**63) % 2**64 - 2**63 for dim in shape]
                message.outputs.add(name=name, datatype=datatype, shape=dims)
                message.raw_output_contents.append(data)
            messages = [message]
        else:
            messages = [
                json_format.ParseDict(value, getattr(service_pb2, f"{name}Response")())
                for name, value in {
                    "describe": [
                        ("ModelMetadata", METADATA),
                        ("ModelConfig", {"config": CONFIG}),
                    ],
                    "count": [("ModelStatistics", STATISTICS)],
                    "index": [("RepositoryIndex", {"models": INDEX})],
                    "register": [("SystemSharedMemoryRegister", {})],
                    "probe": [("ServerReady", {"ready": True})],
                }[call]
            ]
        return [self.changed_message(each) for each in messages]

    def changed_message(self, message: Any) -> bytes:
        if not self.chance(0.2):
            message = self.mutator.message(message)
        content: bytes = message.SerializeToString()
        return self.mutator.bytes(content) if self.chance(0.3) else content

    def http_bytes(self, answer: tuple[dict[str, str], bytes]) -> bytes:
        """Write an answer as HTTP does, or nearly so."""
        draw = self.draw
        headers, content = answer
        head = "HTTP/1.1 200 OK" if self.chance(0.6) else draw.choice(HEADS)
        lines = [head, "Connection: close", *(f"{k}: {v}" for k, v in headers.items())]
        if self.chance(0.05):
            content = draw.choice((BOMB, HTML, bytes(2**23)))
            if content is BOMB:
                lines.append("Content-Encoding: gzip")
        elif self.chance(0.1):
            lines.append(f"Content-Encoding: {draw.choice(ENCODINGS)}")
            content = gzip.compress(content) if self.chance(0.5) else content
        length = len(content)
        if self.chance(0.1):
            lines.append("Transfer-Encoding: chunked")
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (length, content)
            content = self.mutator.bytes(content) if self.chance(0.5) else content
        elif self.chance(0.9):
            wrong = (length + 5, max(0, length - 5), -1, "x", "9" * 30)
            lines.append(
                f"Content-Length: {draw.choice(wrong) if self.chance(0.1) else length}"
            )
        if self.chance(0.05):
            lines.append(
                draw.choice(("Set-Cookie: \xff=;;", "Location: \0", "X" * 9000))
            )
        raw = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + content
        return self.mutator.bytes(raw[:4000]) if self.chance(0.05) else raw


async def ask(transport: Any, call: str) -> object:
    """Make a call; raises `ServerError` or `InvalidAnswerError` if it is in order."""
    match call:
        case "infer":
            return await transport.infer(CALL, timeout_s=WAIT_S)
        case "describe":
            return await transport.describe("m", "", timeout_s=WAIT_S)
        case "count":
            return await transport.count("m", "", timeout_s=WAIT_S)
        case "index":
            return await transport.index(timeout_s=WAIT_S)
        case "register":
            return await transport.register_region(
                "R", key="/R", n_bytes=4, timeout_s=WAIT_S
            )
    return await transport.probe(timeout_s=WAIT_S)


def check_outcome(call: str, outcome: Any) -> None:
    """Raise if what was read is not what the client's types say."""
    if call == "infer":
        for name, array in outcome.outputs.items():
            spec = DECLARED[name]
            if array.dtype != spec.dtype or array.ndim != len(spec.shape):
                raise AssertionError(f"{name} is {array.dtype} {array.shape}")
            array.tobytes() if spec.datatype != "BYTES" else array.tolist()
    if call == "describe":
        for spec in (*outcome.inputs, *outcome.outputs):
            _ = spec.dtype, spec.form, {spec: spec.name}
        _ = outcome.max_batch_size + 1, {**outcome.parameters}
    if call == "index":
        _ = sorted((row.name, row.version, row.state, row.reason) for row in outcome)


class Sockets:
    """Servers that answer with the bytes that they are given, and clients of them."""

    def __init__(self) -> None:
        self.raw = b""
        self.messages: list[bytes] = []

    async def open(self) -> None:
        self._http_server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._http_server.sockets[0].getsockname()[1]
        self.http = HttpTransport(ServerConfig(url=f"http://127.0.0.1:{port}"))
        await self.http.open()
        self._grpc_server = grpc.aio.server()
        self._grpc_server.add_generic_rpc_handlers((_Canned(self),))
        port = self._grpc_server.add_insecure_port("127.0.0.1:0")
        await self._grpc_server.start()
        self.grpc = GrpcTransport(ServerConfig(url=f"grpc://127.0.0.1:{port}"))
        await self.grpc.open()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.raw)
            await writer.drain()
            writer.write_eof()
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has read enough
        finally:
            writer.close()

    async def close(self) -> None:
        await self.http.close()
        await self.grpc.close()
        self._http_server.close()
        await self._grpc_server.stop(None)


class _Canned(grpc.GenericRpcHandler):
    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets

    def service(self, details: Any) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            messages = self._sockets.messages
            return messages.pop(0) if len(messages) > 1 else messages[0]

        return grpc.unary_unary_rpc_method_handler(answer)


def fuzz_client(
    n_requests: int,
    seed: int,
    findings: Findings,
    *,
    first: int = 0,
    progress: Callable[[int], object] = lambda number: None,
) -> None:
    """Answer calls with anything, most of them without sockets; note what happens."""
    with watching() as watch:
        asyncio.run(_fuzz(n_requests, seed, findings, watch, first, progress))


async def _fuzz(
    n_requests: int,
    seed: int,
    findings: Findings,
    watch: Any,
    first: int,
    progress: Callable[[int], object],
) -> None:
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: findings.fail("in the event loop", context)
    )
    canned_http = CannedHttp(ServerConfig(url="http://h:1"))
    canned_grpc = CannedGrpc(ServerConfig(url="grpc://h:1"))
    sockets = Sockets()
    await sockets.open()
    settled: tuple[int, int] | None = None
    for number in range(first, first + n_requests):
        if number % BLOCK == 0:
            faulthandler.dump_traceback_later(300, exit=True)
        reply = reply_of(seed, number)
        is_http = reply.kind.startswith("http")
        if number % SOCKETS_EVERY:
            target: Any = canned_http if is_http else canned_grpc
            target.answers = reply.answers
        elif is_http:
            target = sockets.http
            maker = _Maker(random.Random(f"bytes:{seed}:{number}"))
            sockets.raw = maker.http_bytes(reply.answers[0])
        else:
            target, sockets.messages = sockets.grpc, list(reply.answers)
        await _ask(target, reply, number, findings)
        for text in watch.take():
            findings.fail(f"answer {number}: {text}", reply)
        if number % BLOCK == BLOCK - 1:
            findings.peak_bytes = max(findings.peak_bytes, resident_bytes())
            if settled is None and number - first >= n_requests // 10:
                settled = resident_bytes(), n_descriptors()
            progress(number)
    if settled is not None:
        findings.growth_bytes = resident_bytes() - settled[0]
        if n_descriptors() > settled[1] + 8:
            findings.fail(f"descriptors: {settled[1]} to {n_descriptors()}", "")
    faulthandler.cancel_dump_traceback_later()
    await sockets.close()


async def _ask(target: Any, reply: Reply, number: int, findings: Findings) -> None:
    # Of the processor: other programs may keep this one waiting.
    started = time.process_time()
    status = "read"
    try:
        check_outcome(reply.call, await ask(target, reply.call))
    except (ServerError, InvalidAnswerError) as error:
        status = type(error).__name__
        if len(str(error)) > 5000:
            findings.fail(f"answer {number}: {len(str(error))} characters", reply)
    except Exception as error:  # nobody has foreseen it: a failure
        status = "FAILED"
        text = f"{type(error).__name__}: {error}"[:500]
        findings.fail(f"answer {number} ({type(target).__name__}): {text}", reply)
    spent_s = time.process_time() - started
    findings.note(reply.kind, status, spent_s)
    if spent_s > MAX_SPENT_S:
        findings.fail(f"answer {number}: {spent_s:.1f} s of the processor", reply)
