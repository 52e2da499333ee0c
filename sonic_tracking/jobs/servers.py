"""Servers and their models: which are ready, and what a model takes and gives."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from sonic_client import (
    AccessDeniedError,
    BatchingConfig,
    InvalidAnswerError,
    ModelMetadata,
    ModelState,
    ServerConfig,
    ServerError,
    ServerUnreachableError,
    TensorSpec,
    TlsConfig,
    TryTimedOutError,
)
from sonic_client.transport import Transport, transport_for
from sonic_tracking.jobs.connection import require_own_model, tracking_server

__all__ = ["ModelDescription", "ServerReport", "describe", "servers"]

T = TypeVar("T")

ServerState: TypeAlias = Literal[
    "ready", "saturated", "not ready", "denied", "unreachable"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport:
    """The state of a server.

    Attributes
    ----------
    server : str
        Its URL.
    state : str
        A ``saturated`` server is ready, but its admission control refuses new work.
    latency_s : float or None
        Seconds of a health call over an open connection; None if there was none.
    models : tuple of ModelState
        Every version of every model, loaded or not.
    why : str
        The error, if it is not ready.
    """

    server: str
    state: ServerState
    latency_s: float | None = None
    models: tuple[ModelState, ...] = ()
    why: str = ""

    @property
    def is_ready(self) -> bool:
        """True if it accepts new work."""
        return self.state == "ready"

    def __repr__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"<ServerReport: {self.server} {self.state}{why}>"

    def row(self) -> tuple[str, ...]:
        """Return the report as texts."""
        latency = "" if self.latency_s is None else f"{self.latency_s * 1e3:.1f} ms"
        models = ", ".join(
            f"{model.name} {model.version}".strip()
            + ("" if model.is_ready else f" ({model.state or 'not loaded'})")
            for model in self.models
        )
        return self.server, self.state, latency, models, self.why


def servers(
    urls: str | Sequence[str] = ("grpc://localhost:8001",),
    *,
    timeout_s: float = 5.0,
    token_file: str | Path | None = None,
    token_env: str | None = None,
    plaintext_token: bool = False,
    roots: str | Path | None = None,
) -> tuple[ServerReport, ...]:
    """Ask servers at once whether they are ready, and for their models.

    Parameters
    ----------
    urls : str, or sequence of str
        ``grpc://``, ``grpcs://``, ``http://`` or ``https://host:port``.
    timeout_s : float
        Seconds for the answer of each server.
    token_file, token_env, roots : path or str, optional
        The bearer token, in a file or an environment variable, and the PEM file of
        the authorities to trust.
    plaintext_token : bool
        Whether it may be sent unencrypted to another machine.

    Returns
    -------
    tuple of ServerReport
        In the order of `urls`. A server that does not answer is reported as well.

    Raises
    ------
    ConfigError
        If a URL is wrong, or a token or a certificate cannot be read.

    Examples
    --------
    >>> from sonic_tracking import servers
    >>> [report.state for report in servers(["grpc://localhost:8001"])]
    """
    urls = [urls] if isinstance(urls, str) else urls
    asked = [
        _server_config(
            url, token_file, token_env, roots, plaintext_token=plaintext_token
        )
        for url in urls
    ]

    async def ask_all() -> list[ServerReport]:
        return await asyncio.gather(*(_report(each, timeout_s) for each in asked))

    return tuple(_run(ask_all()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """The tensors, layout and parameters of a model, and an example of a call.

    Attributes
    ----------
    url : str
        The server that was asked.
    is_own : bool
        Whether that was a server in this process, which has been stopped.
    metadata : ModelMetadata
    layout : str
        The batching layout that fits.
    example : str
        A Python program that calls the model once.
    """

    url: str
    is_own: bool
    metadata: ModelMetadata
    layout: str
    example: str

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values, as texts."""
        metadata = self.metadata
        batch = metadata.max_batch_size
        return [
            ("version", metadata.version),
            ("platform", metadata.platform),
            *(
                ("input", f"{spec}{' (optional)' if spec.optional else ''}")
                for spec in metadata.inputs
            ),
            *(("output", str(spec)) for spec in metadata.outputs),
            ("max_batch_size", f"{batch}" if batch else "0: arrays are never cut"),
            ("layout", self.layout),
            *((f"parameter {k}", v) for k, v in sorted(metadata.parameters.items())),
        ]


def describe(
    model: str,
    *,
    server: str | None = None,
    version: str = "",
    timeout_s: float = 10.0,
    token_file: str | Path | None = None,
    token_env: str | None = None,
    plaintext_token: bool = False,
    roots: str | Path | None = None,
) -> ModelDescription:
    """Ask a server for a model, and write a program that calls it.

    Parameters
    ----------
    model, version : str
        An empty version asks for the latest.
    server : str, optional
        Its URL; by default a server in this process.
    timeout_s : float
        Seconds for the server's answer.
    token_file, token_env, plaintext_token, roots : optional
        As for `servers`.

    Raises
    ------
    ServerError
        If it has no such model, or does not answer in time.
    ConfigError
        If the URL is wrong, or a token or a certificate cannot be read.

    Examples
    --------
    >>> from sonic_tracking import describe
    >>> description = describe("exatrkx", server="grpc://localhost:8001")
    >>> print(description.example)
    """
    if server is None:
        require_own_model(model)
    with tracking_server(server) as used:
        config = _server_config(
            used.url, token_file, token_env, roots, plaintext_token=plaintext_token
        )

        async def ask() -> ModelMetadata:
            own = ServerConfig(url=used.url, token=used.token)
            transport = transport_for(own if used.is_own else config)
            await transport.open()
            try:
                return await transport.describe(model, version, timeout_s=timeout_s)
            finally:
                await transport.close()

        metadata = _run(ask())
        # A server in this process has ended when the example is run.
        url = "grpc://localhost:8001" if used.is_own else used.url
        return ModelDescription(
            url=used.url,
            is_own=used.is_own,
            metadata=metadata,
            layout=suggested_layout(metadata),
            example=example_call(metadata, replace(config, url=url)),
        )


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it, in a thread if this one has a running loop, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def _server_config(
    url: str,
    token_file: str | Path | None,
    token_env: str | None,
    roots: str | Path | None,
    *,
    plaintext_token: bool,
) -> ServerConfig:
    return ServerConfig(
        url=url,
        token_file=None if token_file is None else Path(token_file),
        token_env=token_env,
        plaintext_token=plaintext_token,
        tls=TlsConfig(roots=None if roots is None else Path(roots)),
    )


async def _report(server: ServerConfig, timeout_s: float) -> ServerReport:
    transport = transport_for(server)
    await transport.open()
    try:
        return await _ask(transport, timeout_s)
    except (ServerError, InvalidAnswerError) as error:
        return ServerReport(
            server=server.url, state=_state_after(error), why=str(error)
        )
    finally:
        await transport.close()


async def _ask(transport: Transport, timeout_s: float) -> ServerReport:
    deadline = time.monotonic() + timeout_s
    await transport.probe(timeout_s=timeout_s)  # the first call also connects
    started = time.monotonic()
    await transport.probe(timeout_s=deadline - started)
    latency_s = time.monotonic() - started
    try:
        models = await transport.index(timeout_s=deadline - time.monotonic())
    except ServerError as error:
        if error.status != "CANCELLED":
            raise
        # This is how admission control refuses a call; it gives no message.
        return ServerReport(
            server=transport.server,
            state="saturated",
            latency_s=latency_s,
            why="admission refused: try again later, or another server",
        )
    return ServerReport(
        server=transport.server, state="ready", latency_s=latency_s, models=models
    )


def _state_after(error: ServerError | InvalidAnswerError) -> ServerState:
    if isinstance(error, AccessDeniedError):
        return "denied"
    if isinstance(error, ServerUnreachableError | TryTimedOutError | ConnectionError):
        return "unreachable"
    return "not ready"


ROWS = 10
"""Size of every free dimension in the example: most models need them equal."""


def suggested_layout(metadata: ModelMetadata) -> str:
    """Return the batching layout that a model's tensors suggest."""
    row_splits = TensorSpec(BatchingConfig().row_splits, "INT64", (-1,))
    if metadata.max_batch_size:
        return "rectangular"
    return "concat" if row_splits in metadata.inputs else "per_event"


def example_call(metadata: ModelMetadata, server: ServerConfig) -> str:
    """Return a Python program that calls the model once, with zeros."""
    layout = suggested_layout(metadata)
    given = [
        spec
        for spec in metadata.inputs
        if not spec.optional
        # The client writes the row splits itself.
        and not (layout == "concat" and spec.name == BatchingConfig().row_splits)
    ]
    settings = [
        f"servers={_server_text(server)},",
        f"model_name={_literal(metadata.name)},",
        *([f'layout="{layout}",'] if layout == "concat" else []),
    ]
    tensors = [
        f"{_literal(spec.name)}: {_array_text(spec, metadata.max_batch_size)},"
        f"  # {spec.form}"
        for spec in given
    ]
    program = [
        "config = ClientConfig(",
        *(f"    {line}" for line in settings),
        ")",
        "inputs = {",
        *(f"    {line}" for line in tensors),
        "}",
        "with Client(config) as client:",
        "    outputs = client.infer(inputs)",
        "for name, array in outputs.items():",
        "    print(name, array.dtype, array.shape)",
    ]
    return "\n".join([*_imports("\n".join(program)), "", *program])


def _imports(program: str) -> list[str]:
    names = ["Client", "ClientConfig"]
    names += [name for name in ("ServerConfig", "TlsConfig") if f"{name}(" in program]
    return [
        *(["from pathlib import Path", ""] if "Path(" in program else []),
        *(["import ml_dtypes"] if "ml_dtypes." in program else []),
        "import numpy as np",
        "",
        f"from sonic_client import {', '.join(names)}",
    ]


def _array_text(spec: TensorSpec, max_batch_size: int) -> str:
    free = min(ROWS, max_batch_size) if max_batch_size else ROWS
    shape = tuple(free if n == -1 else n for n in spec.shape)
    if spec.datatype == "BYTES":
        return f'np.full({shape}, b"text", dtype=object)'
    if spec.datatype == "BF16":
        return f"np.zeros({shape}, ml_dtypes.bfloat16)"
    return f'np.zeros({shape}, "{spec.dtype.name}")'


def _server_text(server: ServerConfig) -> str:
    """Return the server's settings as code; of secrets, where they are kept."""
    settings = []
    if server.token_file is not None:
        settings.append(f"token_file=Path({_absolute(server.token_file)!r})")
    if server.token_env is not None:
        settings.append(f"token_env={server.token_env!r}")
    if server.tls.roots is not None:
        roots = _absolute(server.tls.roots)
        settings.append(f"tls=TlsConfig(roots=Path({roots!r}))")
    if not settings:
        return _literal(server.url)
    return f"ServerConfig(url={_literal(server.url)}, {', '.join(settings)})"


def _literal(text: str) -> str:
    """Return a text as code, whatever a server calls its models and tensors."""
    return f'"{text}"' if re.fullmatch(r"[\w./:-]*", text, re.ASCII) else ascii(text)


def _absolute(path: Path) -> str:
    return str(path.expanduser().absolute())
