"""Producers: steps of the loop whose heavy part runs on a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import (
    Any,
    ClassVar,
    Generic,
    Protocol,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

import numpy as np

from producers.model.chunk import AnyEvent, Chunk
from producers.model.types import AnyArray
from sonic_base import ConfigError, nearest_names
from sonic_client import ClientConfig, ModelMetadata, Tensors

__all__ = ["ChunkPreparing", "ChunkProducing", "Producer", "TritonProducer"]

EventT_contra = TypeVar("EventT_contra", contravariant=True)
ProductT_co = TypeVar("ProductT_co", covariant=True)


class Producer(Protocol[EventT_contra, ProductT_co]):
    """One step of the event loop whose heavy part runs on a server.

    The two halves mirror CMSSW's ``SonicEDProducer``. Both are functions of their
    arguments: no I/O, no state kept between events, so that the loop may have many
    events in flight. A producer that is `ChunkPreparing` or `ChunkProducing` too does
    some of its work once per chunk.
    """

    def acquire(self, event: EventT_contra) -> Tensors:
        """Return the inputs of the model; the loop does not change or keep them.

        A `SonicError` raised here fails the event, which is not sent.
        """

    def produce(self, event: EventT_contra, outputs: Tensors) -> ProductT_co:
        """Return the event's product from the model's outputs, which are read-only.

        Copy what the product keeps, otherwise it keeps the whole message in memory. A
        `SonicError` raised here fails the event; any other exception ends the loop.
        """


@runtime_checkable
class ChunkPreparing(Protocol):
    """A producer that does work once per chunk, before the events are sent."""

    # Any: chunks of the producer's own kind of events.
    def prepare(self, chunk: Any) -> Any:
        """Return the chunk with what `acquire` needs of its events added."""


@runtime_checkable
class ChunkProducing(Protocol):
    """A producer that makes the products of a whole chunk at once.

    The loop calls `accept` and `produce_chunk` in place of `produce`, unless a later
    step needs the product of each event.
    """

    # Any: events and answers of the producer's own kind.
    def accept(self, event: Any, outputs: Tensors) -> Any:
        """Return the part of an answer to keep until its chunk is complete.

        Checks the answer too: a `SonicError` raised here fails the event.
        """

    def produce_chunk(
        self, chunk: Chunk[Any], kept: Sequence[Any | None]
    ) -> Sequence[Any]:
        """Return one product per event; those of failed events are not used.

        Parameters
        ----------
        chunk : Chunk
        kept : sequence
            The value of `accept` for each event, None for those that failed.
        """


EventT = TypeVar("EventT", bound=AnyEvent)
ProductT = TypeVar("ProductT")

Columns: TypeAlias = str | Sequence[str]


class TritonProducer(Generic[EventT, ProductT]):
    """Base of producers for any model, with the settings of their client.

    A subclass names the model and says which columns make which input; the product
    is the output, or all outputs by name. Override `acquire` or `produce` where a
    model does not fit this form.

    Parameters
    ----------
    servers : str, ServerConfig, or sequence of them
    **settings
        Further fields of `sonic_client.ClientConfig`: ``window``, ``layout``, ...

    Attributes
    ----------
    config : ClientConfig
        Settings of the client that the loop opens. The producer holds no connection,
        so that it can be pickled for a worker.

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
    """The columns of each input: a sequence of names gives shape (n, n_columns), a
    single name gives shape (n,). Cast to the type that the model declares."""

    output: ClassVar[str | None] = None
    """The output that is the product; None for a dict of all outputs."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Earlier producers whose products `acquire` uses."""

    # Any: the values that ClientConfig takes.
    def __init__(self, servers: Any, **settings: Any) -> None:
        if not self.model_name:
            raise ConfigError(f"{type(self).__name__} names no model: set model_name")
        self.config = ClientConfig(
            servers=servers, model_name=self.model_name, **settings
        )
        self._dtypes: dict[str, np.dtype[Any]] = {}

    def connect(self, metadata: ModelMetadata) -> None:
        """Check the model that the server has; the loop calls this after it connects.

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

    def _tensor(self, name: str, event: EventT, columns: Columns) -> AnyArray:
        dtype = self._dtypes.get(name)
        if isinstance(columns, str):
            return np.asarray(event[columns], dtype=dtype)
        stacked = np.column_stack([event[column] for column in columns])
        return stacked.astype(dtype, copy=False)
