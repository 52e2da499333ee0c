"""A sequence: calls that one model instance must see, in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace

from sonic_client.transport.base import InferCall, InferReply, SequenceStep, Transport

__all__ = ["infer_sequence", "sequence_calls"]


def sequence_calls(
    calls: Iterable[InferCall], sequence_id: int | str
) -> Iterator[InferCall]:
    """Yield the calls as steps of one sequence, the first and the last marked.

    A call is yielded when the next one is known, because the last one must be.
    """
    earlier: InferCall | None = None
    is_start = True
    for call in calls:
        if earlier is not None:
            step = SequenceStep(sequence_id=sequence_id, is_start=is_start)
            yield replace(earlier, sequence=step)
            is_start = False
        earlier = call
    if earlier is not None:
        step = SequenceStep(sequence_id=sequence_id, is_start=is_start, is_end=True)
        yield replace(earlier, sequence=step)


async def infer_sequence(
    transport: Transport,
    calls: Iterable[InferCall],
    *,
    sequence_id: int | str,
    timeout_s: float,
) -> AsyncIterator[InferReply]:
    """Yield the replies of a sequence's calls, each sent when the one before is there.

    Nothing is repeated: the server's state after a lost call is not known, so the
    sequence has to begin anew, under another id.

    Parameters
    ----------
    transport : Transport
        Open; its server keeps the state.
    timeout_s : float
        Seconds for each call.

    Raises
    ------
    ServerError
        A call failed, and the sequence with it.
    """
    for call in sequence_calls(calls, sequence_id):
        yield await transport.infer(call, timeout_s=timeout_s)
