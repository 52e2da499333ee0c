"""Content encodings of HTTP: those that Triton knows."""

from __future__ import annotations

import zlib

import grpc

from mock_server.errors import ModelError

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_EITHER = 32 + zlib.MAX_WBITS


def decompress(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Body of a request, as it was before it was compressed.

    Raises
    ------
    ModelError
        UNIMPLEMENTED for another encoding than gzip, deflate, identity and none;
        RESOURCE_EXHAUSTED for more than the limit.

    Notes
    -----
    As in Triton, bytes that are not of the encoding are an empty body, and a body that
    is cut off counts as far as it goes.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding not in _WINDOW_BITS:
        raise ModelError(grpc.StatusCode.UNIMPLEMENTED, "Unsupported compression type")
    reader = zlib.decompressobj(_EITHER)
    try:
        content = reader.decompress(body, limit_bytes + 1)
    except zlib.error:
        return b""
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
    """Body in an encoding that `accepted_encoding` chose."""
    writer = zlib.compressobj(wbits=_WINDOW_BITS[encoding])
    return writer.compress(body) + writer.flush()


def accepted_encoding(header: str) -> str | None:
    """Encoding for an answer: of gzip, deflate and identity the most wanted one.

    The first named wins among equals; None, which means no encoding, if it is identity,
    or none of them is wanted.
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
