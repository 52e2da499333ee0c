"""A producer for any model: which columns are which tensors, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from producers.model.event import AnyEvent
from sonic_base.errors import ConfigError, nearest_names
from sonic_client.config import ClientConfig
from sonic_client.types import ModelMetadata, Tensors

__all__ = ["TritonProducer"]

EventT = TypeVar("EventT", bound=AnyEvent)
ProductT = TypeVar("ProductT")

Columns: TypeAlias = str | Sequence[str]


class TritonProducer(Generic[EventT, ProductT]):
    """Base of producers of any model, with the settings of its client.

    A subclass names the model and says which columns make which input; the product
    is the output, or all outputs by name. What does not fit this form overrides
    `acquire` or `produce`.

    Parameters
    ----------
    servers : str, ServerConfig, or sequence of them
    **settings
        Further fields of `sonic_client.ClientConfig`: ``window``, ``layout``, ...

    Attributes
    ----------
    config : ClientConfig
        Of the client that the loop opens. The producer holds no connection, so that
        it can be pickled for a worker.

    Raises
    ------
    ConfigError
        If the class names no model, or a setting is wrong.

    Examples
    --------
    ::

        class JetTagger(TritonProducer):
            model_name = "jet_tagger"
            inputs = {"CONSTITUENTS": ("pt", "eta", "phi")}
            output = "SCORES"

        for jet, scores in EventLoop(jets, JetTagger("grpc://host:8001")).run():
            ...
    """

    model_name: ClassVar[str] = ""

    inputs: ClassVar[Mapping[str, Columns]] = {}
    """By input: the columns beside each other, shape (n, n_columns); of a single name
    the column itself, shape (n,). Cast to the type that the model declares."""

    output: ClassVar[str | None] = None
    """The output that is the product; None for all of them, in a dict."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Earlier producers whose products `acquire` uses."""

    # Any: what ClientConfig takes.
    def __init__(self, servers: Any, **settings: Any) -> None:
        if not self.model_name:
            raise ConfigError(f"{type(self).__name__} names no model: set model_name")
        self.config = ClientConfig(
            servers=servers, model_name=self.model_name, **settings
        )
        self._dtypes: dict[str, np.dtype[Any]] = {}

    def connect(self, metadata: ModelMetadata) -> None:
        """Take what the server says of the model; the loop calls it, once it knows.

        Raises
        ------
        ConfigError
            If the model has no such input or output.
        """
        has_inputs = [spec.name for spec in metadata.inputs]
        has_outputs = [spec.name for spec in metadata.outputs]
        for kind, names, has in (
            ("input", list(self.inputs), has_inputs),
            ("output", [self.output] if self.output else [], has_outputs),
        ):
            for name in names:
                if name not in has:
                    raise ConfigError(
                        f"model {metadata.name!r} has no {kind} {name!r}, "
                        f"{nearest_names(name, has)}"
                    )
        self._dtypes = {spec.name: spec.dtype for spec in metadata.inputs}

    def acquire(self, event: EventT) -> Tensors:
        """Return the inputs of the model, as `inputs` says.

        Raises
        ------
        KeyError
            If the event has no such column.
        """
        return {
            name: self._tensor(name, event, columns)
            for name, columns in self.inputs.items()
        }

    # Any: as the subclass says.
    def produce(self, event: EventT, outputs: Tensors) -> Any:
        """Return a copy of the output, or of all of them."""
        if self.output is not None:
            return np.array(outputs[self.output])
        return {name: np.array(array) for name, array in outputs.items()}

    def _tensor(self, name: str, event: EventT, columns: Columns) -> NDArray[Any]:
        dtype = self._dtypes.get(name)
        if isinstance(columns, str):
            return np.asarray(event[columns], dtype=dtype)
        stacked = np.column_stack([event[column] for column in columns])
        return stacked.astype(dtype, copy=False)
