"""The steps of a loop: producers, each with a client of its model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from producers.producer import ChunkPreparing, ChunkProducing, Producer
from producers.triton_producer import TritonProducer
from sonic_base.errors import ConfigError
from sonic_client import Client
from sonic_client.types import Outcome, Request

__all__ = ["MappingClient", "Step", "open_steps", "plan_steps"]


@runtime_checkable
class MappingClient(Protocol):
    """What the loop needs of a client: `sonic_client.Client` is one."""

    def map(
        self, requests: Iterable[Request], *, ordered: bool = True
    ) -> Iterator[Outcome]:
        """Yield one outcome a request, pulling the requests as the window allows."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A producer, and the client that asks its model.

    Attributes
    ----------
    producer : Producer
    client : sonic_client.Client, or another `MappingClient`
        Open. May be None for a `TritonProducer`, of which the loop opens it.
    name : str
        By which other steps and the results know its products; by default that of
        the model, else of the producer's class.
    needs : tuple of str
        Names of earlier steps whose products `acquire` finds in the event's
        ``products``: a chain. Steps that need nothing stand side by side.
    is_needed : bool
        Whether a later step needs this one's products; the loop finds out.
    makes_chunks : bool
        Whether its products are made for a chunk at once; the loop finds out.
    prepares_chunks : bool
        Whether it prepares chunks; the loop finds out.
    """

    # Any: events and products of the producer's own kinds.
    producer: Producer[Any, Any]
    client: MappingClient | None = None
    name: str = ""
    needs: tuple[str, ...] = ()
    is_needed: bool = False
    makes_chunks: bool = False
    prepares_chunks: bool = False


def plan_steps(
    producers: Any, client: MappingClient | None
) -> tuple[tuple[Step, ...], bool]:
    """Return the steps of what a caller gave, and whether it was one producer alone.

    Parameters
    ----------
    producers : Producer, Step, or sequence of them
    client : MappingClient, optional
        Of a producer alone.

    Raises
    ------
    ConfigError
        If a producer has no client, a name is there twice, or a step needs one that
        does not come before it.
    """
    is_alone = not isinstance(producers, Sequence)
    given = [producers] if is_alone else producers
    if not given:
        raise ConfigError("a loop needs at least one producer")
    if client is not None and not is_alone:
        raise ConfigError("several producers need a client each: give steps")
    steps = [_named(each, client) for each in given]
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
    named = {name for step in steps for name in step.needs}
    return tuple(_with_form(step, step.name in named) for step in steps), is_alone


def _with_form(step: Step, is_needed: bool) -> Step:
    # Asked once: the check of a protocol takes longer than the work on an event.
    return replace(
        step,
        is_needed=is_needed,
        makes_chunks=isinstance(step.producer, ChunkProducing) and not is_needed,
        prepares_chunks=isinstance(step.producer, ChunkPreparing),
    )


def _named(given: Any, client: MappingClient | None) -> Step:
    step = given if isinstance(given, Step) else Step(given)
    producer = step.producer
    name = step.name or getattr(producer, "model_name", "") or type(producer).__name__
    own = step.client or client
    if own is None and not isinstance(producer, TritonProducer):
        raise ConfigError(f"producer {name!r} has no client")
    needs = step.needs or tuple(getattr(producer, "needs", ()))
    return replace(step, client=own, name=name, needs=needs)


def open_steps(steps: Sequence[Step], stack: ExitStack) -> list[Step]:
    """Return the steps with a client each, opened where they had none.

    Raises
    ------
    SonicError
        If a server cannot be reached, or its model does not fit the producer.
    """
    opened = []
    for step in steps:
        if step.client is None:
            client = stack.enter_context(Client(step.producer.config))  # type: ignore[attr-defined]  # a TritonProducer
            opened.append(replace(step, client=client))
        else:
            opened.append(step)
        own = opened[-1]
        if isinstance(own.producer, TritonProducer) and isinstance(own.client, Client):
            own.producer.connect(own.client.metadata)
    return opened
