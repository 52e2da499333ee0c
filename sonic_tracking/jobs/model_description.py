"""A model as its server describes it, and a call of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from sonic_client.config import ServerConfig
from sonic_client.transport import transport_for
from sonic_client.types import ModelMetadata
from sonic_tracking.jobs.example_call import example_call, suggested_layout

__all__ = ["ModelDescription", "describe_model"]


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
