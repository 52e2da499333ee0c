"""Requests that belong together: in order, and on one instance.

Rules: ``SequenceBatchScheduler::Enqueue`` and its direct and oldest strategies in
triton-inference-server/core, ``src/sequence_batch_scheduler``.
"""

import itertools
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from mock_server.errors import invalid
from mock_server.model.batching import Control, ControlInput, SequenceBatching
from mock_server.model.declaration import AnyArray
from mock_server.scheduling.batching import batch_key
from mock_server.scheduling.queue import (
    NANOSECONDS,
    Dropped,
    PendingRequest,
    Turn,
    cancelled,
)
from mock_server.wire.codec import RawTensor, encode, pack_strings
from mock_server.wire.inference import InferenceRequest

_UNLIMITED = 2**31


@dataclass(eq=False, slots=True)
class _Sequence:
    waiting: deque[PendingRequest] = field(default_factory=deque)
    instance: int | None = None  # None: in the backlog
    slot: int = 0  # of the instance: its row in the batches of the direct strategy
    last_ns: int = 0
    is_ended: bool = False
    is_running: bool = False


class SequenceBatcher:
    """A `Scheduler` that keeps each sequence on one instance, in one slot of it.

    A sequence keeps its slot until it ends, or has been idle for too long. A batch
    holds at most one request of each sequence. Sequences that find no free slot wait
    in a backlog, in the order in which they started.

    Parameters
    ----------
    model_name : str
        For the messages.
    settings : SequenceBatching
        Strategy, control inputs and idle time.
    max_batch_size : int
        Rows of a batch; 0: one request per batch.
    instances : int
        Number of instances; the first with a free slot is taken.
    """

    wakes_all = True

    def __init__(
        self,
        model_name: str,
        settings: SequenceBatching,
        *,
        max_batch_size: int,
        instances: int,
    ) -> None:
        self._model_name = model_name
        self._settings = settings
        self._max_batch_size = max_batch_size
        self._rows = max(1, max_batch_size)
        self._slots = self._rows
        if settings.strategy == "oldest":
            self._slots = settings.max_candidate_sequences or _UNLIMITED
        self._open: dict[Hashable, _Sequence] = {}  # those that may be continued
        self._on_instance: list[list[_Sequence]] = [[] for _ in range(instances)]
        self._backlog: deque[_Sequence] = deque()
        self._idle_ns = round(settings.max_sequence_idle_s * NANOSECONDS)

    def __len__(self) -> int:
        return sum(len(each.waiting) for each in self._all())

    def add(self, pending: PendingRequest) -> None:
        """Queue a request behind the others of its sequence.

        Raises
        ------
        ModelError
            INVALID_ARGUMENT if it names no sequence, has several rows, or continues a
            sequence that was not started, has ended, or was idle for too long.
        """
        request = pending.request
        if not request.correlation_id:
            raise invalid(
                f"inference request to model '{self._model_name}' must specify a "
                "non-zero or non-empty correlation ID"
            )
        if pending.batch_size > 1:
            raise invalid(
                f"inference request to model '{self._model_name}' must specify "
                "batch-size 1 due to requirements of sequence batcher"
            )
        self._end_idle(pending.arrived_ns)
        sequence = self._open.get(request.correlation_id)
        if sequence is None:
            if not request.sequence_start:
                raise invalid(
                    f"inference request for sequence {request.correlation_id} to model "
                    f"'{self._model_name}' must specify the START flag on the first "
                    "request of the sequence"
                )
            sequence = self._open[request.correlation_id] = _Sequence()
            self._backlog.append(sequence)
        pending.controls = control_tensors(
            self._settings.control_input, request, has_rows=self._max_batch_size > 0
        )
        sequence.waiting.append(pending)
        sequence.last_ns = pending.arrived_ns
        if request.sequence_end:
            sequence.is_ended = True
            del self._open[request.correlation_id]
        self._fill_slots()

    def take(self, instance: int, now_ns: int) -> Turn:
        """Return the next batch of the sequences on this instance.

        With the direct strategy every row belongs to a slot: a slot below the last one
        of the batch that has no request now is filled, and READY tells the model so.
        """
        dropped = self.drop_cancelled()
        self._end_idle(now_ns)
        self._fill_slots()
        ready = [each for each in self._on_instance[instance] if each.waiting]
        ready.sort(key=lambda each: each.waiting[0].arrived_ns)
        taken: dict[int, PendingRequest] = {}
        key: Hashable = None
        for sequence in ready[: self._rows]:
            first = sequence.waiting[0]
            if taken and batch_key(first) != key:
                continue
            key = batch_key(first)
            taken[sequence.slot] = sequence.waiting.popleft()
            sequence.is_running = True
        batch = list(taken.values())
        if self._settings.strategy == "direct" and taken:
            filler = self._filler(batch[0])
            batch = [taken.get(slot, filler) for slot in range(max(taken) + 1)]
        return Turn(batch, dropped, self._wait_s(now_ns))

    def executed(self, instance: int, now_ns: int) -> None:
        """Free the slots of the sequences that ended with the batch that ran."""
        for sequence in self._on_instance[instance].copy():
            if sequence.is_running:
                sequence.is_running = False
                sequence.last_ns = now_ns
            if sequence.is_ended and not sequence.waiting:
                self._free(sequence)
        self._fill_slots()

    def _filler(self, other: PendingRequest) -> PendingRequest:
        """Return a row for a slot without a request: zeros in the shape of another."""
        request = InferenceRequest(
            model_name=self._model_name,
            inputs=tuple(
                tensor._replace(data=bytes(len(tensor.data)))
                for tensor in other.request.inputs
            ),
        )
        return PendingRequest(
            request,
            lambda response, is_final: None,
            batch_size=1,
            arrived_ns=other.arrived_ns,
            controls=control_tensors(
                self._settings.control_input, request, has_rows=True, is_ready=False
            ),
            is_filler=True,
        )

    def _all(self) -> chain[_Sequence]:
        return chain(chain.from_iterable(self._on_instance), self._backlog)

    def _fill_slots(self) -> None:
        while self._backlog:
            free = [
                number
                for number, sequences in enumerate(self._on_instance)
                if len(sequences) < self._slots
            ]
            if not free:
                return
            sequence = self._backlog.popleft()
            others = self._on_instance[free[0]]
            used = {each.slot for each in others}
            sequence.instance = free[0]
            sequence.slot = next(n for n in itertools.count() if n not in used)
            others.append(sequence)

    def _free(self, sequence: _Sequence) -> None:
        if sequence.instance is None:
            self._backlog.remove(sequence)
        else:
            self._on_instance[sequence.instance].remove(sequence)

    def _end_idle(self, now_ns: int) -> None:
        idle = [s for s in self._all() if self._is_idle(s, now_ns)]
        for sequence in idle:
            self._free(sequence)
        if idle:
            self._open = {k: s for k, s in self._open.items() if s not in idle}

    def _is_idle(self, sequence: _Sequence, now_ns: int) -> bool:
        if sequence.waiting or sequence.is_running:
            return False
        return sequence.is_ended or now_ns - sequence.last_ns > self._idle_ns

    def _wait_s(self, now_ns: int) -> float | None:
        """Return when an idle sequence may free a slot for the backlog."""
        if not self._backlog:
            return None
        idle = [s for s in self._all() if not s.waiting and not s.is_running]
        if not idle:
            return None
        left_ns = min(s.last_ns for s in idle) + self._idle_ns - now_ns
        return max(left_ns, 0) / NANOSECONDS + 0.001

    def drop_cancelled(self) -> list[Dropped]:
        """Remove the requests whose clients have left."""
        dropped = []
        for sequence in self._all():
            for pending in [p for p in sequence.waiting if p.is_cancelled]:
                sequence.waiting.remove(pending)
                dropped.append(cancelled(pending))
        return dropped


def control_tensors(
    controls: Iterable[ControlInput],
    request: InferenceRequest,
    *,
    has_rows: bool,
    is_ready: bool = True,
) -> list[RawTensor]:
    """Return the control inputs of one request: one element each.

    Parameters
    ----------
    controls : iterable of ControlInput
        The control inputs that the model declares.
    request : InferenceRequest
        A request of a sequence.
    has_rows : bool
        Whether the model has a batch dimension: the shape is then [1,1], else [1].
    is_ready : bool
        False for the row of a sequence that has no request now.
    """
    shape = (1, 1) if has_rows else (1,)
    is_so = {
        Control.START: request.sequence_start,
        Control.READY: is_ready,
        Control.END: request.sequence_end,
    }
    tensors = []
    for control in controls:
        if control.control is Control.CORRID:
            data = _correlation_id(request.correlation_id, control.datatype)
        else:
            value = control.false_true[is_so[control.control]]
            numpy_type = np.dtype(_NUMPY_TYPES[control.datatype])
            data = encode(np.full(shape, value, numpy_type), control.datatype)
        tensors.append(RawTensor(control.name, control.datatype, shape, data))
    return tensors


_NUMPY_TYPES = {
    "BOOL": "bool",
    "FP32": "float32",
    "INT32": "int32",
    "UINT32": "uint32",
    "INT64": "int64",
    "UINT64": "uint64",
}


def _correlation_id(correlation_id: int | str, datatype: str) -> bytes:
    if datatype == "BYTES":
        return pack_strings([str(correlation_id)])
    if isinstance(correlation_id, str):
        # Triton copies the bytes of the BYTES form, as far as there is room for them.
        packed = pack_strings([correlation_id]).ljust(8, b"\0")
        number = int.from_bytes(packed[:8], "little")
    else:
        number = correlation_id
    wrapped: AnyArray = np.array([number], "<u8").astype(_NUMPY_TYPES[datatype])
    return encode(wrapped, datatype)
