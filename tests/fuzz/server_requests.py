"""Requests to a server: those of the protocols, and the same with changes."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tritonclient.grpc import service_pb2

from .mutation import Mutator, Raw, json_text

MODELS = ("echo", "types", "batched", "sequence", "stream", "twice", "plain", "pair")
LENGTH = "Inference-Header-Content-Length"
CHANGED_CONFIGS = (
    *({"max_batch_size": 4}, {"platform": "ensemble"}, {"backend": "tensorrt"}),
    {"name": "other"},
    {"instance_group": [{"count": 3}]},
    {"instance_group": [{"count": 2**31 - 1}]},
    {"instance_group": [{"kind": 77}]},
    {"dynamic_batching": {"max_queue_delay_microseconds": 2**64 - 1}},
    {"dynamic_batching": {"priority_levels": 2**62, "default_priority_level": 1}},
    {"sequence_batching": {"max_sequence_idle_microseconds": 2**64 - 1}},
    {"parameters": {"a": {"string_value": "b"}}},
    {"version_policy": {"specific": {"versions": [1, 7]}}},
    {"model_transaction_policy": {"decoupled": True}},
    {
        "ensemble_scheduling": {
            "step": [
                {
                    "model_name": "pair",
                    "model_version": -1,
                    "input_map": {"X": "X"},
                    "output_map": {"Y": "Y"},
                }
            ]
        }
    },
)


class HttpRequest(NamedTuple):
    kind: str
    raw: bytes  #: the bytes of the connection
    is_whole: bool  #: whether the server can know where the request ends


class GrpcRequest(NamedTuple):
    kind: str
    rpc: str
    messages: Sequence[bytes]
    metadata: Sequence[tuple[str, str | bytes]] = ()
    compression: int = 0


Request = HttpRequest | GrpcRequest


def request_of(seed: int, number: int) -> Request:
    """Return the request of a number: the same one each time."""
    return _Maker(random.Random(f"{seed}:{number}")).request()


def config_json(change: Any = None) -> Any:
    config = {
        "name": "plain",
        "backend": "python",
        "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [-1, 3]}],
        "output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": [-1, 3]}],
    }
    return {**config, **(change or {})}


class _Maker:
    def __init__(self, draw: random.Random) -> None:
        self.draw, self.mutator = draw, Mutator(draw)

    def request(self) -> Request:
        makers: tuple[tuple[Callable[[], Request], float], ...] = (
            (self.http_infer, 5),
            (self.http_generate, 1.5),
            (self.http_other, 2),
            (self.http_noise, 0.5),
            (self.grpc_infer, 5),
            (self.grpc_other, 2.5),
            (self.grpc_stream, 1.5),
        )
        (make,) = self.draw.choices([m for m, _ in makers], [w for _, w in makers])
        return make()

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    # -- inference ---------------------------------------------------------------

    def model(self) -> str:
        return self.mutator.text() if self.chance(0.02) else self.draw.choice(MODELS)

    def tensors(self, model: str) -> list[tuple[str, str, list[int], bytes]]:
        draw = self.draw
        rows = draw.randint(0, 3)
        if model == "types":
            found = []
            for name in ("FP32", "BYTES", "BOOL", "UINT64", "INT8", "FP16", "BF16"):
                if self.chance(0.4):
                    size = {"BYTES": 0, "BOOL": 1, "INT8": 1, "FP32": 4, "UINT64": 8}
                    data = bytes(size.get(name, 2) * rows)
                    if name == "BYTES":
                        data = b"".join(self.string() for _ in range(rows))
                    found.append((f"IN_{name}", name, [rows], data))
            return found
        if model == "batched":
            return [("X", "INT64", [1, rows], np.arange(rows, dtype="<i8").tobytes())]
        if model == "sequence":
            return [("X", "INT32", [1, 1], b"\1\0\0\0")]
        x = ("X", "FP32", [rows, 3], np.ones(rows * 3, "<f4").tobytes())
        if self.chance(0.03):  # as many elements as fit, counted in 64 bits
            shape = draw.choice(([(2**65 + 1) // 3, 3], [2**62, 3], [2**63, 3], [0, 3]))
            x = ("X", "FP32", shape, draw.choice((b"", bytes(4), bytes(12))))
        if model == "echo" and self.chance(0.4):
            n_texts = draw.randint(0, 2)
            texts = b"".join(self.string() for _ in range(n_texts))
            return [x, ("TEXT", "BYTES", [n_texts], texts)]
        return [x]

    def string(self) -> bytes:
        text = self.draw.choice((b"", b"ab", b"\xff\0", "é".encode()))
        length = len(text) if self.chance(0.9) else self.mutator.integer() % 2**32
        return length.to_bytes(4, "little") + text

    def parameters(self, model: str) -> dict[str, Any]:
        draw = self.draw
        found: dict[str, Any] = {}
        if model == "sequence":
            number = draw.randint(1, 3)
            found["sequence_id"] = f"s{number}" if self.chance(0.3) else number
            found["sequence_start"] = self.chance(0.7)
            found["sequence_end"] = self.chance(0.5)
        if model == "batched" and self.chance(0.5):
            found["priority"] = draw.randint(0, 4)
            found["timeout"] = draw.choice((1, 10**6, 2**63 - 1))
        if self.chance(0.2):
            found["note"] = draw.choice((True, 1, "text", 2**62))
        return found

    def http_infer(self) -> HttpRequest:
        draw, model = self.draw, self.model()
        inputs, tail = [], b""
        for name, datatype, shape, data in self.tensors(model):
            each: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
            if self.chance(0.5) and datatype != "BYTES":
                each["data"] = [draw.choice((0, 1, -2, 1.5, True)) for _ in range(8)][
                    : int(np.prod(shape))
                ]
            elif self.chance(0.05):
                each["parameters"] = {
                    "shared_memory_region": "R",
                    "shared_memory_byte_size": draw.choice((0, 12, 2**40)),
                }
            else:
                each["parameters"] = {"binary_data_size": len(data)}
                tail += data
            inputs.append(each)
        header: dict[str, Any] = {"inputs": inputs}
        if parameters := self.parameters(model):
            header["parameters"] = parameters
        if self.chance(0.4):
            header["id"] = "7"
        if self.chance(0.4):
            header["outputs"] = [{"name": "Y", "parameters": self.output_parameters()}]
        text = self.changed_json(header)
        headers = {}
        if tail or self.chance(0.5):
            length: Any = len(text)
            if self.chance(0.1):
                length = draw.choice(
                    (0, -1, 7, 10**30, "x", "9" * 5000, "1_0", "٣", "")
                )
            headers[LENGTH] = str(length)
        elif self.chance(0.05):  # raw data alone
            headers[LENGTH] = "0"
            text = draw.choice((b"", bytes(12), bytes(13), bytes(3000)))
        body = text + tail
        if self.chance(0.05):
            body = self.mutator.bytes(body)
        version = self.version()
        return self.http(f"/v2/models/{model}{version}/infer", body, headers, "infer")

    def output_parameters(self) -> dict[str, Any]:
        return self.draw.choice(
            (
                {},
                {"binary_data": True},
                {"binary_data": False},
                {"classification": 2},
                {"classification": 2**63},
                {"shared_memory_region": "R", "shared_memory_byte_size": 12},
            )
        )

    def version(self) -> str:
        if self.chance(0.9):
            return ""
        versions = ("1", "2", "0", "-1", "9" * 5000, str(2**64), "x", "1%30", "٣")
        return f"/versions/{self.draw.choice(versions)}"

    def changed_json(self, value: Any) -> bytes:
        if self.chance(0.35):
            return json_text(value)
        text = json_text(self.mutator.json(value))
        return self.mutator.bytes(text) if self.chance(0.1) else text

    def http_generate(self) -> HttpRequest:
        model = self.model()
        value: dict[str, Any] = {"X": [1, 2, 3] * self.draw.randint(0, 2)}
        if self.chance(0.3):
            value["TEXT"] = self.draw.choice((["a"], "a", [], [["a"], "b"]))
        if self.chance(0.5):
            value["parameters"] = self.parameters(model) or {"note": 1}
        if self.chance(0.3):
            value["id"] = "7"
        verb = self.draw.choice(("generate", "generate_stream"))
        path = f"/v2/models/{model}{self.version()}/{verb}"
        return self.http(path, self.changed_json(value), {}, verb)

    def http_other(self) -> HttpRequest:
        draw, name = self.draw, self.model()
        region = draw.choice(("", "/region/R", "/region/R%00", "/region/%ff"))
        shared = draw.choice(("system", "cuda"))
        loads = {"parameters": {"config": self.config_text()}}
        table: tuple[tuple[str, str, Any], ...] = (
            ("GET", f"/v2/models/{name}{self.version()}", None),
            ("GET", f"/v2/models/{name}{self.version()}/config", None),
            ("GET", f"/v2/models/{name}{self.version()}/stats", None),
            ("GET", f"/v2/models/{name}{self.version()}/ready", None),
            ("GET", "/v2/models/stats", None),
            ("GET", "/v2", None),
            ("GET", "/v2/health/live", None),
            ("GET", "/v2/health/ready", None),
            ("POST", "/v2/repository/index", {"ready": True}),
            ("POST", f"/v2/repository/models/{name}/load", loads),
            ("POST", "/v2/repository/models/plain/load", loads),
            ("POST", "/v2/repository/models/pair/load", loads),
            (
                "POST",
                f"/v2/repository/models/{name}/unload",
                {"parameters": {"unload_dependents": True}},
            ),
            ("GET", f"/v2/{shared}sharedmemory{region}/status", None),
            (
                "POST",
                f"/v2/{shared}sharedmemory{region}/register",
                {"key": "/none", "raw_handle": {"b64": "AA"}, "byte_size": 12},
            ),
            ("POST", f"/v2/{shared}sharedmemory{region}/unregister", {}),
            ("POST", "/v2/trace/setting", {"trace_rate": "9" * 5000}),
            ("POST", "/v2/logging", {"log_verbose_level": 2**64}),
            ("GET", f"/v2/{self.mutator.text() or 'x'}", None),
        )
        method, path, value = draw.choice(table)
        body = b"" if value is None else self.changed_json(value)
        return self.http(path, body, {}, "other", method=method)

    def config_text(self) -> str:
        draw = self.draw
        config: Any = config_json(draw.choice((None, *CHANGED_CONFIGS)))
        if self.chance(0.5):
            config = self.mutator.json(config)
        elif self.chance(0.05):
            config = draw.choice((Raw("[" * 3000), Raw("9" * 5000), []))
        return json_text(config).decode("utf-8", "replace")

    def http(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        kind: str,
        *,
        method: str = "POST",
    ) -> HttpRequest:
        """Write a request: framed, compressed, with odd headers, or damaged."""
        draw = self.draw
        if self.chance(0.05):
            method = draw.choice(
                ("GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "Q")
            )
        if self.chance(0.1):
            path += draw.choice(
                ("?", "?a=b&a=%ff", "#x", "/", "%", "%2f..", "?" + "q" * 99)
            )
        written: list[tuple[str, str]] = [
            ("Host", "localhost"),
            ("Connection", "close"),
        ]
        written += headers.items()
        if self.chance(0.1):
            encoding = draw.choice(("gzip", "deflate", "br", "identity", "gzip, gzip"))
            written.append(("Content-Encoding", encoding))
            if self.chance(0.7):
                body = (
                    zlib.compress(body)
                    if encoding == "deflate"
                    else gzip.compress(body)
                )
            if self.chance(0.2):
                body = self.mutator.bytes(body)
        if self.chance(0.1):
            accepted = ("gzip", "deflate", "gzip;q=nan", "*;q=0", "identity;q=x,gzip")
            written.append(("Accept-Encoding", draw.choice(accepted)))
        if self.chance(0.05):
            written.append(
                draw.choice(
                    (
                        ("Authorization", "Bearer x"),
                        ("Expect", "100-continue"),
                        ("Expect", "nonsense"),
                        ("Content-Type", "\xff"),
                        ("Cookie", "a=\xff;;"),
                        (LENGTH, "3"),
                        ("X", "y" * 9000),
                        ("Upgrade", "h2c"),
                        ("Range", "bytes=0-"),
                        ("Host", "[::"),
                        ("Host", "localhost:x"),
                        ("Origin", "null"),
                        ("Sec-Fetch-Site", "\xff"),
                    )
                )
            )
        is_whole = True
        if self.chance(0.1):
            written.append(("Transfer-Encoding", "chunked"))
            body, is_whole = self.chunked(body)
        else:
            written.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in written)]
        head = "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n"
        if not path.isascii() or " " in path or not path.isprintable():
            is_whole = False
        if self.chance(0.02):
            return HttpRequest("http bytes", self.mutator.bytes(head + body), False)
        return HttpRequest(f"http {kind}", head + body, is_whole)

    def chunked(self, body: bytes) -> tuple[bytes, bool]:
        half = len(body) // 2
        parts = [body[:half], body[half:], b""]
        lengths = [f"{len(part):x}" for part in parts if part or part == parts[-1]]
        is_whole = self.chance(0.7)
        if not is_whole:
            at = self.draw.randrange(len(lengths))
            lengths[at] = self.draw.choice(("x", "-1", "f" * 20, "", "1;a=b", " 2"))
        sent = [part for part in parts[:2] if part] + [b""]
        pieces = [
            f"{length}\r\n".encode() + part + b"\r\n"
            for length, part in zip(lengths, sent, strict=False)
        ]
        return b"".join(pieces), is_whole

    def http_noise(self) -> HttpRequest:
        head = (
            "POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: close\r\nContent-Length: 5\r\n\r\nhello"
        )
        if self.chance(0.3):
            return HttpRequest("http bytes", self.draw.randbytes(60), is_whole=False)
        return HttpRequest("http bytes", self.mutator.bytes(head.encode()), False)

    # -- gRPC --------------------------------------------------------------------

    def infer_message(self) -> service_pb2.ModelInferRequest:
        model = self.model()
        message = service_pb2.ModelInferRequest(model_name=model)
        if self.chance(0.1):
            message.model_version = self.draw.choice(("1", "2", "9" * 5000, "x", "-1"))
        if self.chance(0.4):
            message.id = "7"
        for name, datatype, shape, data in self.tensors(model):
            dims = [(dim + 2**63) % 2**64 - 2**63 for dim in shape]
            message.inputs.add(name=name, datatype=datatype, shape=dims)
            message.raw_input_contents.append(data)
        if self.chance(0.2) and message.inputs:
            del message.raw_input_contents[:]
            contents = message.inputs[0].contents
            contents.fp32_contents.extend([1.0] * self.draw.randint(0, 6))
        for key, value in self.parameters(model).items():
            self.set(message.parameters[key], value)
        if self.chance(0.4):
            output = message.outputs.add(name="Y")
            for key, value in self.output_parameters().items():
                self.set(output.parameters[key], value)
        return message

    @staticmethod
    def set(parameter: Any, value: Any) -> None:
        kinds = {bool: "bool_param", int: "int64_param", str: "string_param"}
        value = min(value, 2**63 - 1) if type(value) is int else value
        setattr(parameter, kinds[type(value)], value)

    def changed_message(self, message: Any) -> bytes:
        if not self.chance(0.35):
            message = self.mutator.message(message)
        content: bytes = message.SerializeToString()
        return self.mutator.bytes(content) if self.chance(0.15) else content

    def grpc_infer(self) -> GrpcRequest:
        message = self.changed_message(self.infer_message())
        return self.grpc("ModelInfer", [message], "infer")

    def grpc_stream(self) -> GrpcRequest:
        n_messages = self.draw.randint(0, 3)
        messages = [
            self.changed_message(self.infer_message()) for _ in range(n_messages)
        ]
        return self.grpc("ModelStreamInfer", messages, "stream")

    def grpc_other(self) -> GrpcRequest:
        draw, name = self.draw, self.model()
        load = service_pb2.RepositoryModelLoadRequest(
            model_name=draw.choice((name, "plain", "pair"))
        )
        load.parameters["config"].string_param = self.config_text()
        table = {
            "ServerLive": service_pb2.ServerLiveRequest(),
            "ServerReady": service_pb2.ServerReadyRequest(),
            "ModelReady": service_pb2.ModelReadyRequest(name=name, version="1"),
            "ServerMetadata": service_pb2.ServerMetadataRequest(),
            "ModelMetadata": service_pb2.ModelMetadataRequest(name=name, version="1"),
            "ModelConfig": service_pb2.ModelConfigRequest(name=name),
            "ModelStatistics": service_pb2.ModelStatisticsRequest(name=name),
            "RepositoryIndex": service_pb2.RepositoryIndexRequest(ready=True),
            "RepositoryModelLoad": load,
            "RepositoryModelUnload": service_pb2.RepositoryModelUnloadRequest(
                model_name=name
            ),
            "SystemSharedMemoryStatus": service_pb2.SystemSharedMemoryStatusRequest(
                name="R"
            ),
            "SystemSharedMemoryRegister": service_pb2.SystemSharedMemoryRegisterRequest(
                name="R", key="/none", byte_size=12
            ),
            "SystemSharedMemoryUnregister": (
                service_pb2.SystemSharedMemoryUnregisterRequest(name="R")
            ),
            "CudaSharedMemoryStatus": service_pb2.CudaSharedMemoryStatusRequest(),
            "CudaSharedMemoryRegister": service_pb2.CudaSharedMemoryRegisterRequest(
                name="R", raw_handle=b"x", byte_size=1
            ),
            "CudaSharedMemoryUnregister": (
                service_pb2.CudaSharedMemoryUnregisterRequest()
            ),
        }
        rpc = draw.choice(list(table))
        return self.grpc(rpc, [self.changed_message(table[rpc])], "other")

    def grpc(self, rpc: str, messages: Sequence[bytes], kind: str) -> GrpcRequest:
        metadata: list[tuple[str, str | bytes]] = []
        if self.chance(0.05):
            metadata = self.draw.choice(
                (
                    [("authorization", "x")],
                    [("a-bin", b"\xff\0")],
                    [("a", "b")] * 20,
                    [("traceparent", "00-0-0-0")],
                    [("a", "y" * 3000)],
                )
            )
        compression = self.draw.choice((1, 2)) if self.chance(0.05) else 0
        return GrpcRequest(f"grpc {kind}", rpc, messages, metadata, compression)
