"""The steps of a loop: producers, each with a client of its model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from producers.event_loop.producer import (
    ChunkPreparing,
    ChunkProducing,
    Producer,
    TritonProducer,
)
from sonic_base import ConfigError
from sonic_client import Client, Outcome, Request, Tensors

__all__ = ["MappingClient", "OpenStep", "Step", "open_steps", "plan_steps"]


class MappingClient(Protocol):
    """The part of a client that the loop calls; `sonic_client.Client` has it."""

    def map(
        self, requests: Iterable[Request], *, ordered: bool = True
    ) -> Iterator[Outcome]:
        """Yield one outcome per request, pulling requests as the window allows."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A producer, and the client that asks its model.

    Attributes
    ----------
    producer : Producer
    client : sonic_client.Client, or another `MappingClient`
        Open. May be None for a `TritonProducer`, whose client the loop opens.
    name : str
        The name of its products for other steps and in the results; by default that
        of the model, or else of the producer's class.
    needs : tuple of str
        Names of earlier steps whose products `acquire` finds in the event's
        ``products``: a chain. Steps that need nothing stand side by side.
    """

    # Any: events and products of the producer's own kinds.
    producer: Producer[Any, Any]
    client: MappingClient | None = None
    name: str = ""
    needs: tuple[str, ...] = ()


class OpenStep(NamedTuple):
    """A step ready to run, as the calls that the loop makes."""

    # Any, in all of these: chunks, events and products of the producer's own kinds.
    name: str
    needs: tuple[str, ...]
    client: MappingClient
    #: returns a chunk with what `acquire` needs
    prepare: Callable[[Any], Any] | None
    #: returns the model's inputs of an event
    acquire: Callable[[Any], Tensors]
    #: takes an event and its answer, returns what is kept for `produce_chunk`
    accept: Callable[[Any, Tensors], Any]
    #: takes a chunk and what was kept of its events, returns one product per event
    produce_chunk: Callable[[Any, Sequence[Any]], Sequence[Any]]


def plan_steps(
    producers: Any, client: MappingClient | None
) -> tuple[tuple[Step, ...], bool]:
    """Return the steps with their names, and whether there was one producer alone.

    Parameters
    ----------
    producers : Producer, Step, or sequence of them
    client : MappingClient, optional
        The client of a single producer.

    Raises
    ------
    ConfigError
        If a producer has no client, two have one name, or a step needs one that does
        not come before it.
    """
    is_alone = not isinstance(producers, Sequence)
    given = [producers] if is_alone else producers
    if not given:
        raise ConfigError("a loop needs at least one producer")
    if client is not None and not is_alone:
        raise ConfigError("several producers need a client each: give steps")
    steps = tuple(_named(each, client) for each in given)
    names: list[str] = []
    for step in steps:
        if step.name in names:
            raise ConfigError(f"two producers are called {step.name!r}; name the steps")
        for needed in step.needs:
            if needed not in names:
                before = ", ".join(names) or "none"
                raise ConfigError(
                    f"{step.name!r} needs {needed!r}, which does not come before it "
                    f"(before it: {before})"
                )
        names.append(step.name)
    return steps, is_alone


def _named(given: Any, client: MappingClient | None) -> Step:
    step = given if isinstance(given, Step) else Step(given)
    producer = step.producer
    name = step.name or getattr(producer, "model_name", "") or type(producer).__name__
    own = step.client or client
    if own is None and not isinstance(producer, TritonProducer):
        raise ConfigError(f"producer {name!r} has no client")
    needs = step.needs or tuple(getattr(producer, "needs", ()))
    return replace(step, client=own, name=name, needs=needs)


def open_steps(steps: Sequence[Step], stack: ExitStack) -> list[OpenStep]:
    """Return the steps ready to run, with a client opened for those that had none.

    Raises
    ------
    SonicError
        If a server cannot be reached, or its model does not fit the producer.
    """
    needed = {name for step in steps for name in step.needs}
    return [_opened(step, stack, step.name in needed) for step in steps]


def _opened(step: Step, stack: ExitStack, is_needed: bool) -> OpenStep:
    producer, client = step.producer, step.client
    if isinstance(producer, TritonProducer):
        client = client or stack.enter_context(Client(producer.config))
        if isinstance(client, Client):
            producer.connect(client.metadata)
    assert client is not None  # refused when the steps were planned
    # Asked once: the check of a protocol takes longer than the work on an event.
    prepare = producer.prepare if isinstance(producer, ChunkPreparing) else None
    accept, produce_chunk = _by_event(producer, step.name), _as_kept
    if isinstance(producer, ChunkProducing) and not is_needed:
        accept, produce_chunk = producer.accept, producer.produce_chunk
    return OpenStep(
        name=step.name,
        needs=step.needs,
        client=client,
        prepare=prepare,
        acquire=producer.acquire,
        accept=accept,
        produce_chunk=produce_chunk,
    )


def _by_event(producer: Producer[Any, Any], name: str) -> Callable[[Any, Tensors], Any]:
    """Return the `accept` of a producer that makes its products event by event."""

    def accept(event: Any, outputs: Tensors) -> Any:
        product = producer.produce(event, outputs)
        event.products[name] = product
        return product

    return accept


def _as_kept(chunk: Any, kept: Sequence[Any]) -> Sequence[Any]:
    return kept
