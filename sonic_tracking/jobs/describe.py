"""A model as its server describes it, and a call of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from sonic_client.config import BatchingConfig, ServerConfig
from sonic_client.transport import transport_for
from sonic_client.types import ModelMetadata, TensorSpec

__all__ = ["ModelDescription", "describe_model", "example_call", "suggested_layout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What there is to know before a model is called.

    Attributes
    ----------
    metadata : ModelMetadata
    layout : str
        The batching layout that fits.
    example : str
        A program that calls the model.
    """

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


def describe_model(
    server: ServerConfig,
    model: str,
    *,
    version: str,
    timeout_s: float,
    example_url: str,
) -> ModelDescription:
    """Ask a server for a model.

    Parameters
    ----------
    server : ServerConfig
    model, version : str
        An empty version asks for the latest.
    timeout_s : float
        Seconds that the server is given.
    example_url : str
        Where the example finds the model.

    Raises
    ------
    ServerError
        If it has no such model, or does not answer in time.
    """

    async def ask() -> ModelMetadata:
        transport = transport_for(server)
        await transport.open()
        try:
            return await transport.describe(model, version, timeout_s=timeout_s)
        finally:
            await transport.close()

    metadata = asyncio.run(ask())
    return ModelDescription(
        metadata=metadata,
        layout=suggested_layout(metadata),
        example=example_call(metadata, replace(server, url=example_url)),
    )


_ROWS = 10
"""What a free dimension is in the example; all the same, as most models demand."""


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
        f"servers={_server(server)},",
        f'model_name="{metadata.name}",',
        *([f'layout="{layout}",'] if layout == "concat" else []),
    ]
    tensors = [
        f'"{spec.name}": {_array(spec, metadata.max_batch_size)},  # {spec.form}'
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


def _array(spec: TensorSpec, max_batch_size: int) -> str:
    free = min(_ROWS, max_batch_size) if max_batch_size else _ROWS
    shape = tuple(free if n == -1 else n for n in spec.shape)
    if spec.datatype == "BYTES":
        return f'np.full({shape}, b"text", dtype=object)'
    if spec.datatype == "BF16":
        return f"np.zeros({shape}, ml_dtypes.bfloat16)"
    return f'np.zeros({shape}, "{spec.dtype.name}")'


def _server(server: ServerConfig) -> str:
    settings = _settings(server)
    if not settings:
        return f'"{server.url}"'
    return f'ServerConfig(url="{server.url}", {", ".join(settings)})'


def _settings(server: ServerConfig) -> list[str]:
    """Write where the secrets are, never what they are."""
    settings = []
    if server.token_file is not None:
        settings.append(f"token_file=Path({str(_absolute(server.token_file))!r})")
    if server.token_env is not None:
        settings.append(f"token_env={server.token_env!r}")
    if server.tls.roots is not None:
        roots = str(_absolute(server.tls.roots))
        settings.append(f"tls=TlsConfig(roots=Path({roots!r}))")
    return settings


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()
