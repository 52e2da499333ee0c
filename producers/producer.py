"""What a producer is: the two halves of a step whose heavy part runs on a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from producers.model.event import LoopChunk
from sonic_client.types import Tensors

__all__ = ["ChunkPreparing", "ChunkProducing", "Producer"]

EventT_contra = TypeVar("EventT_contra", contravariant=True)
ProductT_co = TypeVar("ProductT_co", covariant=True)


class Producer(Protocol[EventT_contra, ProductT_co]):
    """One step of the event loop whose heavy part runs on a server.

    The two halves mirror CMSSW's ``SonicEDProducer``. Both are functions of their
    arguments: no I/O, no state kept between events, so the loop may have many
    events in flight. A producer that is `ChunkPreparing` or `ChunkProducing` too
    may do what vectorises over events once per chunk.
    """

    def acquire(self, event: EventT_contra) -> Tensors:
        """Return the inputs of the model; the loop does not change or keep them."""

    def produce(self, event: EventT_contra, outputs: Tensors) -> ProductT_co:
        """Return the event's product from the model's outputs, which are read-only.

        Copy what the product keeps, or it keeps the whole message. A `SonicError`
        raised here fails the event; any other exception ends the loop.
        """


@runtime_checkable
class ChunkPreparing(Protocol):
    """A producer with work that is done once per chunk, before it is sent."""

    # Any: chunks of the producer's own kind of events.
    def prepare(self, chunk: Any) -> Any:
        """Return the chunk with what `acquire` needs of its events added."""


@runtime_checkable
class ChunkProducing(Protocol):
    """A producer that makes the products of a whole chunk at once."""

    # Any: events and answers of the producer's own kind.
    def accept(self, event: Any, outputs: Tensors) -> Any:
        """Return what is kept of an answer until its chunk is complete.

        Checks the answer too: a `SonicError` raised here fails the event.
        """

    def produce_chunk(
        self, chunk: LoopChunk[Any], kept: Sequence[Any | None]
    ) -> Sequence[Any]:
        """Return one product an event; what it is for a failed one is not used.

        Parameters
        ----------
        chunk : LoopChunk
        kept : sequence
            What `accept` returned of each event, None of those that failed.
        """
