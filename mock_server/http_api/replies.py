"""HTTP replies: statuses of errors, content encodings, and inference responses."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import grpc

from mock_server.errors import ModelError, invalid
from mock_server.http_api.json_values import Json, dump, json_of_data
from mock_server.http_api.requests import HEADER_LENGTH, INCREASE_LIMIT, HttpInference
from mock_server.profiles import DEFAULT_PROFILE, Profile
from mock_server.wire.inference import InferenceResponse

JSON = "application/json"
BINARY = "application/octet-stream"

_CODE = grpc.StatusCode
STATUS: Mapping[grpc.StatusCode, int] = MappingProxyType(
    {
        _CODE.INVALID_ARGUMENT: 400,
        _CODE.NOT_FOUND: 404,
        _CODE.INTERNAL: 500,
        _CODE.UNAVAILABLE: 503,
        _CODE.UNIMPLEMENTED: 501,
        _CODE.ALREADY_EXISTS: 400,
        _CODE.CANCELLED: 400,
        _CODE.UNKNOWN: 400,
        # Triton does not answer these; proxies in front of it do.
        _CODE.UNAUTHENTICATED: 401,
        _CODE.PERMISSION_DENIED: 403,
        _CODE.DEADLINE_EXCEEDED: 504,
        _CODE.RESOURCE_EXHAUSTED: 413,
        _CODE.FAILED_PRECONDITION: 400,
        _CODE.OUT_OF_RANGE: 400,
        _CODE.ABORTED: 409,
        _CODE.DATA_LOSS: 500,
    }
)
"""HTTP status of each gRPC code."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body and headers."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Json, status: int = 200) -> Reply:
        """A value as JSON."""
        return cls(status, dump(value))

    @classmethod
    def error(cls, status: int, text: str) -> Reply:
        """``{"error": ...}``."""
        return cls.json({"error": text}, status)

    @classmethod
    def of_error(cls, error: ModelError) -> Reply:
        """A `ModelError` in HTTP's terms; a status of a proxy has a page, not JSON."""
        if error.http_status is None:
            reply = cls.error(STATUS[error.code], error.http_text)
        else:
            reply = cls(error.http_status, error.http_text.encode(), "text/html")
        if error.retry_after_s is None:
            return reply
        seconds = math.ceil(error.retry_after_s)
        return replace(reply, headers={"Retry-After": str(seconds)})


def infer_reply(
    asked: HttpInference, response: InferenceResponse, accepted: str
) -> Reply:
    """Reply to an inference request; outputs in shared memory have no data in it.

    Parameters
    ----------
    asked : HttpInference
    response : InferenceResponse
    accepted : str
        The request's ``Accept-Encoding``.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT for an output that JSON cannot carry.
    """
    request = asked.request
    shared = {output.name for output in request.outputs if output.shared_memory}
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for tensor in response.outputs:
        name, datatype, shape, data = tensor
        described: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if name in shared:
            pass
        elif asked.is_binary.get(name, asked.is_binary_by_default):
            described["parameters"] = {"binary_data_size": len(data)}
            binary.append(data)
        else:
            described["data"] = json_of_data(tensor)
        outputs.append(described)
    header = {
        **({"id": request.id} if request.id else {}),
        "model_name": response.model_name,
        "model_version": response.model_version,
        **({"parameters": dict(response.parameters)} if response.parameters else {}),
        "outputs": outputs,
    }
    body = dump(header)
    headers = {HEADER_LENGTH: str(len(body))} if binary else {}
    body = b"".join((body, *binary))
    encoding = accepted_encoding(accepted)
    if encoding is not None:
        headers["Content-Encoding"] = encoding
        body = compress(body, encoding)
    return Reply(200, body, BINARY if binary else JSON, headers)


_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


PLAIN_BYTES = 64 * 2**20
"""A body of any compression may become as large as this."""

MAX_RATIO = 100
"""How many times its size a larger one may become; zeros shrink a thousandfold."""


def decompress(
    body: bytes, encoding: str, limit_bytes: int, profile: Profile = DEFAULT_PROFILE
) -> bytes:
    """Decompress the body of a request; may take long.

    Raises
    ------
    ModelError
        UNIMPLEMENTED for another encoding than gzip, deflate, identity and none;
        INVALID_ARGUMENT for a body of another encoding, or larger than the profile
        allows; RESOURCE_EXHAUSTED for more than the limit, or than its size allows: see
        `MAX_RATIO`.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding not in _WINDOW_BITS:
        raise ModelError(grpc.StatusCode.UNIMPLEMENTED, "Unsupported compression type")
    of_profile = profile.max_http_input_bytes if profile.limits_decompressed else None
    limit_bytes = min(limit_bytes, max(PLAIN_BYTES, MAX_RATIO * len(body)))
    try:
        reader = zlib.decompressobj(_WINDOW_BITS[encoding])
        content = reader.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise invalid(f"the body is not {encoding}: {error}") from error
    if of_profile is not None and len(content) > of_profile:
        raise invalid(
            "Decompressed data size exceeds the maximum allowed value of "
            f"{of_profile} bytes. {INCREASE_LIMIT}"
        )
    if len(content) > limit_bytes:
        raise too_large(limit_bytes)
    return content


def too_large(limit_bytes: int) -> ModelError:
    """Error of a body above the limit."""
    return ModelError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"request body is larger than the limit of {limit_bytes} bytes",
    )


def compress(body: bytes, encoding: str) -> bytes:
    """Compress a body in an encoding that `accepted_encoding` chose."""
    writer = zlib.compressobj(wbits=_WINDOW_BITS[encoding])
    return writer.compress(body) + writer.flush()


def accepted_encoding(header: str) -> str | None:
    """Encoding for a reply: of gzip, deflate and identity the one of highest quality.

    The first named wins among equals; None means no encoding.
    """
    best, best_quality = None, 0.0
    for each in header.split(","):
        name, _, options = each.strip().partition(";")
        quality = _quality(options)
        if name.strip() in {*_WINDOW_BITS, "identity"} and quality > best_quality:
            best, best_quality = name.strip(), quality
    return None if best == "identity" else best


def _quality(options: str) -> float:
    key, _, value = options.strip().partition("=")
    if key.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
