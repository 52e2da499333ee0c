"""The questions to a server before it gets requests: capacity, and the right model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sonic_base import ConfigError, SonicError
from sonic_client.config import ServerConfig
from sonic_client.errors import (
    Mismatch,
    ModelMismatchError,
    ModelNotFoundError,
    ModelNotReadyError,
    RejectedRequestError,
    ServerOverloadedError,
    ServerUnreachableError,
    TransientError,
    WrongPortError,
)
from sonic_client.transport.base import Transport
from sonic_client.types import ModelMetadata, ModelState, TensorSpec

__all__ = [
    "ask_for_model",
    "check_pinned_model",
    "check_same_model",
    "differing_parameters",
    "explain_unreachable",
]

_IDENTITY_OF = {"weights": "weights_id"}
"""Parameters that say where a server finds something, and those that say what it is."""

_UNLOADED = "unloaded"
"""Triton's reason beside the state UNAVAILABLE, after a client has unloaded a model."""

_HTTP_TIMEOUT_S = 1.0
_HTTP_QUESTION = (
    b"GET /v2/health/live HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
)


async def ask_for_model(
    transport: Transport,
    model_name: str,
    model_version: str,
    *,
    timeout_s: float,
    was_served: bool = False,
) -> ModelMetadata:
    """Ask whether the server takes requests; return its description of the model.

    The repository index comes first, because a server behind an admission control
    (SuperSONIC) refuses this call alone when it is saturated. Asking again soon
    would defeat that control: wait with backoff.

    A model that was served before and is unloaded now is expected back, if `was_served`
    says so: operators unload and load again to change what a server has.

    Raises
    ------
    ServerOverloadedError
        It is saturated.
    ModelNotReadyError
        It, or the model, is being loaded, or the model is expected back.
    ModelNotFoundError
        It does not have the model, or could not load it.
    ServerError
        It cannot be asked, or refuses to answer.
    """
    try:
        states = await transport.index(timeout_s=timeout_s)
    except ServerOverloadedError:
        raise
    except TransientError as error:
        raise _as_startup_error(error) from error
    except RejectedRequestError as error:
        if error.status != "UNIMPLEMENTED":  # an endpoint without a repository
            raise
    else:
        _check_loaded(
            states,
            model_name,
            model_version,
            server=transport.server,
            was_served=was_served,
        )
    try:
        return await transport.describe(model_name, model_version, timeout_s=timeout_s)
    except TransientError as error:
        raise _as_startup_error(error) from error


def _as_startup_error(error: TransientError) -> TransientError:
    """Return what the error means for these calls, where that is more than usual."""
    if error.status == "CANCELLED" and not error.details.strip():
        return ServerOverloadedError(
            server=error.server,
            status=error.status,
            details="saturated: its admission control takes no new clients",
        )
    if "not ready" in error.details:
        return ModelNotReadyError(
            server=error.server, status=error.status, details=error.details
        )
    return error


def _check_loaded(
    states: Iterable[ModelState],
    model_name: str,
    model_version: str,
    *,
    server: str,
    was_served: bool,
) -> None:
    rows = [
        row
        for row in states
        if row.name == model_name and model_version in ("", row.version)
    ]
    if any(row.is_ready for row in rows):
        return
    for row in rows:
        is_away = row.reason == _UNLOADED and was_served
        if is_away or row.state in ("LOADING", "UNLOADING"):
            raise ModelNotReadyError(
                server=server,
                status="UNAVAILABLE",
                details=f"model {model_name!r} is in state {row.state}"
                + (f": {row.reason}" if row.reason else ""),
            )
    for row in rows:
        if row.state == "UNAVAILABLE" and row.reason not in ("", _UNLOADED):
            cause = row.reason.partition("\n")[0].strip().rstrip(";")
            raise ModelNotFoundError(
                server=server,
                status="NOT_FOUND",
                details=f"model {model_name!r} failed to load there: {cause}",
                remedy="mend the model on the server and load it again",
            )


def differing_parameters(
    metadata: ModelMetadata, reference: ModelMetadata
) -> dict[str, tuple[str | None, str | None]]:
    """Return the parameters that differ, with both values; None for a missing one.

    Where the same thing lies on two servers is no difference, if both say what it is.
    """
    one, other = metadata.parameters, reference.parameters
    return {
        name: (one.get(name), other.get(name))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
        and not (_is_identified(name, one) and _is_identified(name, other))
    }


def _is_identified(name: str, parameters: Mapping[str, str]) -> bool:
    return _IDENTITY_OF.get(name) in parameters


def check_same_model(
    metadata: ModelMetadata, *, server: str, reference: ModelMetadata, known_from: str
) -> None:
    """Refuse a model with other tensors or another batch size than the reference.

    Raises
    ------
    ModelMismatchError
        With all differences at once.
    """
    _compare(_facts(reference), _facts(metadata), reference.name, server, known_from)


def check_pinned_model(
    metadata: ModelMetadata, config_pbtxt: Path, *, server: str
) -> None:
    """Refuse a model that is not the one of a Triton configuration file.

    Tensors, batch size, and the parameters that the file has must be the same; a
    server may add parameters of its own.

    Raises
    ------
    ModelMismatchError
        With all differences at once.
    ConfigError
        If the file cannot be read.
    """
    pinned = _read_config(config_pbtxt)
    # A parameter that only the server has is no difference.
    differing = [
        (f"parameter {name}", expected, got)
        for name, (got, expected) in differing_parameters(metadata, pinned).items()
        if expected is not None
    ]
    expected = {name: text for name, text, _ in differing}
    got = {name: text for name, _, text in differing if text is not None}
    _compare(
        {**_facts(pinned), **expected},
        {**_facts(metadata), **got},
        metadata.name,
        server,
        str(config_pbtxt),
    )


def _facts(metadata: ModelMetadata) -> dict[str, str]:
    """Return what a request depends on, by name, as text."""
    facts = {
        f"{kind} {spec.name}": f"{spec.form}, optional" if spec.optional else spec.form
        for kind, specs in (("input", metadata.inputs), ("output", metadata.outputs))
        for spec in specs
    }
    return {**facts, "max_batch_size": str(metadata.max_batch_size)}


def _compare(
    expected: Mapping[str, str],
    got: Mapping[str, str],
    model: str,
    server: str,
    reference: str,
) -> None:
    mismatches = [
        Mismatch(name, expected.get(name, "nothing"), got.get(name, "nothing"))
        for name in dict.fromkeys((*expected, *got))
        if expected.get(name) != got.get(name)
    ]
    if mismatches:
        raise ModelMismatchError(
            model=model, server=server, reference=reference, mismatches=mismatches
        )


def _read_config(path: Path) -> ModelMetadata:
    """Return the metadata that Triton would give for a model configuration file."""
    # Imported here because few jobs pin a model, and protobuf takes its time.
    from google.protobuf import text_format  # noqa: PLC0415
    from tritonclient.grpc import model_config_pb2  # noqa: PLC0415

    try:
        config = text_format.Parse(
            path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig()
        )
        return _metadata_of(config)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read: {error.strerror}") from error
    # ValueError: no text, or the number of a datatype that does not exist.
    except (text_format.ParseError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a model configuration: {error}") from error


# Any: the generated message classes have no types.
def _metadata_of(config: Any) -> ModelMetadata:
    from tritonclient.grpc import model_config_pb2  # noqa: PLC0415

    batch = (-1,) if config.max_batch_size else ()

    # Any: the generated message classes have no types.
    def specs(tensors: Iterable[Any]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                tensor.name,
                _datatype(model_config_pb2.DataType.Name(tensor.data_type)),
                (*batch, *tensor.dims),
                bool(getattr(tensor, "optional", False)),  # outputs have no such field
            )
            for tensor in tensors
        )

    return ModelMetadata(
        name=config.name,
        version="",
        platform="",
        inputs=specs(config.input),
        outputs=specs(config.output),
        max_batch_size=config.max_batch_size,
        parameters={
            name: value.string_value for name, value in config.parameters.items()
        },
    )


def _datatype(name: str) -> str:
    """Return KServe's name of a datatype in a configuration: ``BYTES`` for a string."""
    name = name.removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


async def explain_unreachable(error: SonicError, server: ServerConfig) -> SonicError:
    """Return a better error if the port speaks plain HTTP instead of gRPC.

    gRPC says that it cannot connect to such a port, as it does when nothing listens.
    The two must not be treated alike: a server that is down may come back.
    """
    if not isinstance(error, ServerUnreachableError) or server.scheme != "grpc":
        return error
    if not await _speaks_http(server.address):
        return error
    return WrongPortError(
        server=error.server,
        status=error.status,
        details="HTTP answers there, not gRPC",
        remedy="of a Triton, :8001 is gRPC, :8000 HTTP",
    )


async def _speaks_http(address: str) -> bool:
    host, _, port = address.rpartition(":")
    answer = b""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_HTTP_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                writer.write(_HTTP_QUESTION % address.encode())
                await writer.drain()
                answer = await reader.read(8)
            finally:
                writer.close()
    return answer.startswith(b"HTTP/1.")
