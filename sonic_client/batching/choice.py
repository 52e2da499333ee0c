"""From the configured layout to one that the model can take."""

from __future__ import annotations

from collections.abc import Callable

from sonic_base.errors import ConfigError
from sonic_client.batching.base import BatchingLayout
from sonic_client.batching.concat import ConcatLayout
from sonic_client.batching.padded import PaddedLayout
from sonic_client.batching.per_event import PerEventLayout
from sonic_client.batching.rectangular import RectangularLayout
from sonic_client.config import BatchingConfig, ClientConfig
from sonic_client.types import ModelMetadata

__all__ = ["layout_of"]

_LAYOUTS: dict[str, Callable[[ModelMetadata, BatchingConfig], BatchingLayout]] = {
    "per_event": PerEventLayout,
    "concat": ConcatLayout,
    "padded": PaddedLayout,
    "rectangular": RectangularLayout,
}


def layout_of(config: ClientConfig, metadata: ModelMetadata) -> BatchingLayout:
    """Return the configured layout, if the model can take it.

    Raises
    ------
    ConfigError
        If it cannot, or if ``auto`` is not certain.
    """
    name: str = config.layout
    if name == "auto":
        name = _certain_layout(metadata, config.batching)
    return _LAYOUTS[name](metadata, config.batching)


def _certain_layout(metadata: ModelMetadata, config: BatchingConfig) -> str:
    """Return the one layout that gives what one request a message would give.

    A model with an input for row splits or a mask may mean something else by it,
    so only the caller can say.
    """
    names = {spec.name for spec in metadata.inputs}
    if telling := sorted(names & {config.row_splits, config.mask}):
        raise ConfigError(
            f"layout 'auto' of model {metadata.name!r}: input {telling[0]!r} may hold "
            "row splits or a mask, or something of the event; "
            "say 'concat', 'padded' or 'per_event'"
        )
    # Elements of the batch dimension are independent by Triton's contract.
    return "rectangular" if metadata.max_batch_size else "per_event"
