"""The part of a transport that gRPC and HTTP share: everything but the wire."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from sonic_client.config import ServerConfig
from sonic_client.errors import RejectedRequestError
from sonic_client.transport.base import CompressionReport, ServerCounters
from sonic_client.transport.foreign import checked, read_answer
from sonic_client.transport.headers import CallHeaders, Headers
from sonic_client.transport.payload import MAX_DIMENSIONS, CompressionMeter
from sonic_client.transport.planned_ends import past_planned_ends
from sonic_client.transport.process_guard import ProcessGuard
from sonic_client.types import ModelMetadata, ModelState, TensorSpec

__all__ = ["Json", "WireTransport"]

ReplyT = TypeVar("ReplyT")
Json: TypeAlias = Any  # a foreign server may answer anything


class WireTransport(ABC):
    """A transport but for its wire: a subclass opens, closes, infers and asks.

    Parameters
    ----------
    server : ServerConfig
    """

    def __init__(self, server: ServerConfig) -> None:
        self._config = server
        self._headers = CallHeaders(server)
        self._meter = CompressionMeter(server.compression)
        self._guard = ProcessGuard(f"the connection to {server.url}")

    @property
    def server(self) -> str:
        """URL of the server, such as ``grpc://host:port``."""
        return self._config.url

    @property
    def compression(self) -> CompressionReport:
        """Savings by compressing the requests so far."""
        return self._meter.report

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Ask for the state of every model version."""
        reply = await self._ask("RepositoryIndex", timeout_s=timeout_s)
        return self._read(_model_states, reply)

    async def describe(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ModelMetadata:
        """Ask for the model's metadata and configuration.

        A server without Triton's extension of KServe has no configuration: its models
        have no parameters, and no batch dimension that the client could fill.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        model = {"name": model_name, "version": model_version}
        metadata = await self._ask("ModelMetadata", **model, timeout_s=timeout_s)
        try:
            config = await self._ask(
                "ModelConfig", **model, timeout_s=deadline - loop.time()
            )
        except RejectedRequestError:
            extensions = await self._extensions(timeout_s=deadline - loop.time())
            if "model_configuration" in extensions:
                raise
            config = {"input": ()}
        return self._read(_model_metadata, metadata, config, model_version)

    async def _extensions(self, *, timeout_s: float) -> Container[str]:
        """Ask for the extensions of KServe v2 that the server has."""
        reply = await self._ask("ServerMetadata", timeout_s=timeout_s)
        return self._read(_extensions, reply)

    async def count(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ServerCounters:
        """Ask for the model's statistics, summed over its versions."""
        model = {"name": model_name, "version": model_version}
        reply = await self._ask("ModelStatistics", **model, timeout_s=timeout_s)
        return self._read(_server_counters, reply)

    async def register_region(
        self, name: str, *, key: str, n_bytes: int, timeout_s: float
    ) -> None:
        """Let the server map a POSIX shared memory object, under a name."""
        await self._ask(
            "SystemSharedMemoryRegister",
            name=name,
            timeout_s=timeout_s,
            key=key,
            offset=0,
            byte_size=n_bytes,
        )

    async def unregister_region(self, name: str, *, timeout_s: float) -> None:
        """Let the server unmap it; without effect if it knows no such name."""
        await self._ask("SystemSharedMemoryUnregister", name=name, timeout_s=timeout_s)

    @abstractmethod
    async def _ask(
        self,
        method: str,
        *,
        name: str = "",
        version: str = "",
        timeout_s: float,
        **question: object,
    ) -> Json:
        """Call a method of KServe's gRPC service; return the JSON that HTTP answers."""

    async def _called(
        self,
        attempt: Callable[[Headers], Awaitable[ReplyT]],
        headers: Mapping[str, str],
    ) -> ReplyT:
        """Await an attempt with all headers; again with a new token or connection."""
        return await self._headers.authorised(
            partial(past_planned_ends, attempt), headers
        )

    def _read(self, reader: Callable[..., ReplyT], *replies: Json) -> ReplyT:
        """Return what `reader` finds in a server's replies."""
        return read_answer(
            partial(reader, *replies),
            server=self.server,
            expected="an answer of KServe v2",
        )


def _extensions(metadata: Json) -> frozenset[str]:
    """Read the extensions of KServe v2 in a server's metadata."""
    return frozenset(checked(each, str) for each in metadata.get("extensions") or ())


def _model_states(index: Json) -> tuple[ModelState, ...]:
    """Read a repository index; a missing key is empty."""
    return tuple(
        ModelState(
            name=checked(row["name"], str),
            version=checked(row.get("version") or "", str),
            # MLServer writes the name of its enumeration, too: State.READY.
            state=checked(row.get("state") or "", str).rpartition(".")[2],
            reason=checked(row.get("reason") or "", str),
        )
        for row in index
    )


def _model_metadata(metadata: Json, config: Json, asked_version: str) -> ModelMetadata:
    """Read a model's metadata and configuration."""
    optional = {
        tensor["name"] for tensor in config["input"] if tensor.get("optional", False)
    }

    def specs(tensors: Json) -> tuple[TensorSpec, ...]:
        found = tuple(
            TensorSpec(
                checked(tensor["name"], str),
                checked(tensor["datatype"], str),
                tuple(map(int, tensor["shape"])),
                tensor["name"] in optional,
            )
            for tensor in tensors
        )
        for spec in found:
            if len(spec.shape) > MAX_DIMENSIONS or min(spec.shape, default=0) < -1:
                raise ValueError(f"{spec.name!r} has a shape that no array has")
            _ = spec.dtype  # raises if the datatype is unknown
        return found

    return ModelMetadata(
        name=checked(metadata["name"], str),
        version=asked_version or _latest(metadata.get("versions") or []),
        platform=checked(metadata.get("platform") or "", str),
        inputs=specs(metadata["inputs"]),
        outputs=specs(metadata["outputs"]),
        max_batch_size=checked(config.get("max_batch_size", 0), int),
        parameters={
            name: checked(parameter["string_value"], str)
            for name, parameter in config.get("parameters", {}).items()
        },
    )


def _latest(versions: Sequence[str]) -> str:
    """Return the highest version; they are numbers without leading zeros."""
    return max(
        (checked(version, str) for version in versions),
        key=lambda version: (len(version), version),
        default="",
    )


def _server_counters(statistics: Json) -> ServerCounters:
    """Read a model's statistics, summed over its versions."""
    versions = statistics["model_stats"]

    def total(part: str, key: str) -> int:
        counted = [version.get("inference_stats", {}) for version in versions]
        return sum(int(stats.get(part, {}).get(key, 0)) for stats in counted)

    def seconds(part: str) -> float:
        return total(part, "ns") * 1e-9

    return ServerCounters(
        requests=total("success", "count"),
        failed_requests=total("fail", "count"),
        inferences=sum(int(version["inference_count"]) for version in versions),
        executions=sum(int(version["execution_count"]) for version in versions),
        queue_s=seconds("queue"),
        compute_input_s=seconds("compute_input"),
        compute_infer_s=seconds("compute_infer"),
        compute_output_s=seconds("compute_output"),
    )
