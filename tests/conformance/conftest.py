"""Two servers under one set of checks: the mock and, as its reference, a real Triton.

The real one runs where tritonserver is installed: marker ``triton``. Each starts once
per session, with the models of ``repository/``. Status codes, shapes, dtypes and
counters are compared exactly, texts by their key words.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, serialize_byte_tensor

REPOSITORY = Path(__file__).parent / "repository"
NOT_LOADED = ("broken",)
ENGINES = ["mock", pytest.param("triton", marks=pytest.mark.triton)]
WAIT_S = 20.0

CODES = {
    "INVALID_ARG": ("INVALID_ARGUMENT", 400),
    "NOT_FOUND": ("NOT_FOUND", 404),
    "INTERNAL": ("INTERNAL", 500),
    "UNAVAILABLE": ("UNAVAILABLE", 503),
    "UNSUPPORTED": ("UNIMPLEMENTED", 501),
    "ALREADY_EXISTS": ("ALREADY_EXISTS", 400),
    "CANCELLED": ("CANCELLED", 400),
    "UNKNOWN": ("UNKNOWN", 400),
}
"""Triton's code: that of gRPC, the status of HTTP."""


class Server(NamedTuple):
    """Addresses, host:port, of a running server."""

    grpc: str
    http: str
    metrics: str


class HttpAnswer(NamedTuple):
    status: int
    headers: Mapping[str, str]  #: by lower-case name
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.json["error"]


class Tensor(NamedTuple):
    name: str
    datatype: str
    shape: Sequence[int]
    data: bytes

    @classmethod
    def of(cls, name: str, array: np.ndarray) -> "Tensor":
        datatype = np_to_triton_dtype(array.dtype)
        if datatype == "BYTES":
            packed = serialize_byte_tensor(array)
            data = packed.item() if array.size else b""
        else:
            data = array.tobytes()
        return cls(name, datatype, array.shape, data)


class Answer(NamedTuple):
    model: str
    version: str
    id: str
    outputs: tuple[Tensor, ...]

    def tensor(self, name: str) -> Tensor:
        (found,) = [tensor for tensor in self.outputs if tensor.name == name]
        return found

    def values(self, name: str, dtype: Any) -> list[Any]:
        return np.frombuffer(self.tensor(name).data, dtype).tolist()

    def texts(self, name: str) -> list[bytes]:
        data, texts = self.tensor(name).data, []
        while data:
            end = 4 + int.from_bytes(data[:4], "little")
            texts.append(data[4:end])
            data = data[end:]
        return texts


class Refusal:
    """Equals a pair of code and text, if the text has all the words, in any order."""

    def __init__(self, code: str | int, words: str = "") -> None:
        self.code = code
        self.words = words.split()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple):
            return NotImplemented
        code, text = other
        return code == self.code and all(
            word.lower() in text.lower() for word in self.words
        )

    __hash__ = None

    def __repr__(self) -> str:
        return f"{self.code}: a text with {' '.join(self.words)}"


Refused = tuple[str | int, str]
Inputs = Mapping[str, np.ndarray] | Sequence[Tensor]


def tensors_of(inputs: Inputs) -> list[Tensor]:
    if isinstance(inputs, Mapping):
        return [Tensor.of(name, array) for name, array in inputs.items()]
    return [Tensor(*each) for each in inputs]


def to_parameter(value: Any) -> service_pb2.InferParameter:
    kind = {bool: "bool_param", int: "int64_param", str: "string_param"}.get(
        type(value), "double_param"
    )
    return service_pb2.InferParameter(**{kind: value})


class GrpcClient:
    """Asks one request at a time; what it sends need not be right."""

    kind = "grpc"

    def __init__(self, stub: Any) -> None:
        self.stub = stub

    @staticmethod
    def refusal(code: str, words: str = "") -> Refusal:
        return Refusal(CODES[code][0], words)

    @staticmethod
    def request(
        model: str,
        inputs: Inputs,
        *,
        outputs: Mapping[str, Mapping[str, Any]] | Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        id: str = "",
        version: str = "",
    ) -> service_pb2.ModelInferRequest:
        request = service_pb2.ModelInferRequest(
            model_name=model, model_version=version, id=id
        )
        for name, datatype, shape, data in tensors_of(inputs):
            request.inputs.add(name=name, datatype=datatype, shape=shape)
            request.raw_input_contents.append(data)
        for name in outputs:
            added = request.outputs.add(name=name)
            for key, value in (
                outputs[name] if isinstance(outputs, Mapping) else {}
            ).items():
                added.parameters[key].CopyFrom(to_parameter(value))
        for key, value in (parameters or {}).items():
            request.parameters[key].CopyFrom(to_parameter(value))
        return request

    def __call__(self, model: str, inputs: Inputs, **fields: Any) -> Any:
        return self.send(self.request(model, inputs, **fields))

    def send(self, request: service_pb2.ModelInferRequest) -> Answer | Refused:
        try:
            response = self.stub.ModelInfer(request, timeout=WAIT_S)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return self.answer(response)

    @staticmethod
    def answer(response: service_pb2.ModelInferResponse) -> Answer:
        assert not any(each.HasField("contents") for each in response.outputs)
        return Answer(
            response.model_name,
            response.model_version,
            response.id,
            tuple(
                Tensor(each.name, each.datatype, tuple(each.shape), data)
                for each, data in zip(
                    response.outputs, response.raw_output_contents, strict=True
                )
            ),
        )


class HttpClient:
    """The same over HTTP, with binary tensors."""

    kind = "http"

    def __init__(self, call: Callable[..., HttpAnswer]) -> None:
        self.call = call

    @staticmethod
    def refusal(code: str, words: str = "") -> Refusal:
        return Refusal(CODES[code][1], words)

    def __call__(
        self,
        model: str,
        inputs: Inputs,
        *,
        outputs: Mapping[str, Mapping[str, Any]] | Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        id: str = "",
        version: str = "",
    ) -> Answer | Refused:
        tensors = tensors_of(inputs)
        header: dict[str, Any] = {
            "inputs": [
                {
                    "name": name,
                    "datatype": datatype,
                    "shape": list(shape),
                    "parameters": {"binary_data_size": len(data)},
                }
                for name, datatype, shape, data in tensors
            ],
            "parameters": {"binary_data_output": True, **(parameters or {})},
        }
        if outputs:
            header["outputs"] = [
                {
                    "name": name,
                    "parameters": {
                        "binary_data": True,
                        **(outputs[name] if isinstance(outputs, Mapping) else {}),
                    },
                }
                for name in outputs
            ]
        if id:
            header["id"] = id
        encoded = json.dumps(header).encode()
        path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "")
        answer = self.call(
            "POST",
            f"{path}/infer",
            encoded + b"".join(tensor.data for tensor in tensors),
            {"Inference-Header-Content-Length": str(len(encoded))},
        )
        if answer.status != http.client.OK:
            return answer.error
        return self.answer(answer)

    @staticmethod
    def answer(answer: HttpAnswer) -> Answer:
        size = int(
            answer.headers.get("inference-header-content-length", len(answer.body))
        )
        header, binary = json.loads(answer.body[:size]), answer.body[size:]
        outputs = []
        for each in header["outputs"]:
            length = each["parameters"]["binary_data_size"]
            outputs.append(
                Tensor(
                    each["name"],
                    each["datatype"],
                    tuple(each["shape"]),
                    binary[:length],
                )
            )
            binary = binary[length:]
        assert binary == b""
        return Answer(
            header["model_name"],
            header["model_version"],
            header.get("id", ""),
            tuple(outputs),
        )


def call_http(
    address: str,
    method: str,
    path: str,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=WAIT_S)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return HttpAnswer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
    finally:
        connection.close()


def start_engine(
    stack: ExitStack, engine: str, repository: Path, *, load: Sequence[str] | None
) -> Server:
    """Serve a repository; `load` names the models of explicit mode, None: polling."""
    if engine == "mock":
        from mock_server import MockServer, profile_of

        options = (
            {}
            if load is None
            else {"model_control": "explicit", "load_models": tuple(load)}
        )
        server = MockServer(
            repository=repository,
            http_port=0,
            metrics_port=0,
            profile=replace(profile_of("24.10"), client_shared_memory=True),
            **options,
        )
    else:
        from sonic_tracking.engines import (
            TritonNotFoundError,
            TritonOptions,
            TritonServer,
            find_triton,
        )

        try:
            find_triton()
        except TritonNotFoundError as error:
            pytest.skip(str(error))
        extra = [] if load is None else ["--model-control-mode=explicit"]
        extra += [f"--load-model={name}" for name in load or ()]
        server = TritonServer(repository, options=TritonOptions(extra=tuple(extra)))
    stack.enter_context(server)
    return Server(
        *(
            url.partition("://")[2].partition("/")[0]
            for url in (server.url, server.http_url, server.metrics_url)
        )
    )


@pytest.fixture(scope="session", params=ENGINES)
def engine(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def start() -> Callable[..., Server]:
    """Start a server of a check's own."""
    return start_engine


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def call_at() -> Callable[..., HttpAnswer]:
    return call_http


@pytest.fixture(scope="session")
def grpc_client() -> type[GrpcClient]:
    return GrpcClient


@pytest.fixture(scope="session")
def server(engine) -> Iterator[Server]:
    """Serves every model that can be loaded."""
    models = sorted(path.name for path in REPOSITORY.iterdir())
    with ExitStack() as stack:
        yield start_engine(
            stack,
            engine,
            REPOSITORY,
            load=[name for name in models if name not in NOT_LOADED],
        )


@pytest.fixture(scope="session")
def stub(server) -> Iterator[Any]:
    with grpc.insecure_channel(
        server.grpc,
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ],
    ) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="session")
def http_call(server) -> Callable[..., HttpAnswer]:
    """Send ``method, path, body, headers``."""

    def call(*arguments: Any) -> HttpAnswer:
        return call_http(server.http, *arguments)

    return call


@pytest.fixture(scope="session")
def http_json(http_call) -> Callable[..., HttpAnswer]:
    """POST a value, or a text that need not be right, as JSON."""

    def post(path: str, value: Any) -> HttpAnswer:
        body = value if isinstance(value, str) else json.dumps(value)
        return http_call("POST", path, body)

    return post


@pytest.fixture(scope="session")
def metrics(server) -> Callable[[], dict[str, float]]:
    """Samples by name and labels, as Prometheus writes them."""

    def read() -> dict[str, float]:
        text = call_http(server.metrics, "GET", "/metrics").body.decode()
        samples = [line for line in text.splitlines() if not line.startswith("#")]
        return {
            name: float(value)
            for name, _, value in (sample.rpartition(" ") for sample in samples)
        }

    return read


@pytest.fixture(scope="session")
def grpc_ask(stub) -> GrpcClient:
    return GrpcClient(stub)


@pytest.fixture(scope="session")
def http_ask(http_call) -> HttpClient:
    return HttpClient(http_call)


@pytest.fixture(scope="session", params=["grpc", "http"])
def ask(request, grpc_ask, http_ask) -> GrpcClient | HttpClient:
    """Ask over either protocol: what holds for one holds for the other."""
    return {"grpc": grpc_ask, "http": http_ask}[request.param]


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], None]:
    """Wait for a condition that another process brings about."""

    def wait(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.002)

    return wait


@pytest.fixture(scope="session")
def refused() -> type[Refusal]:
    """Expected code, of gRPC or HTTP, and key words of the text."""
    return Refusal


@pytest.fixture(scope="session")
def rpc_error() -> Callable[..., tuple[str, str]]:
    """Code and text with which an RPC fails."""

    def fail(rpc: Callable[..., Any], request: Any) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as error:
            rpc(request, timeout=WAIT_S)
        return error.value.code().name, error.value.details()

    return fail
