"""Requests that belong together: in order, and on one instance.

Rules: ``SequenceBatchScheduler::Enqueue`` and its direct and oldest strategies in
triton-inference-server/core, ``src/sequence_batch_scheduler``.
"""

import itertools
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import chain

import grpc

from mock_server.errors import ModelError
from mock_server.model.batching import SequenceBatching
from mock_server.scheduling.batching import joined_form
from mock_server.scheduling.controls import control_tensors
from mock_server.scheduling.pending import Dropped, PendingRequest, Turn
from mock_server.scheduling.queue import NANOSECONDS, cancelled
from mock_server.wire.inference import InferenceRequest


@dataclass(eq=False, slots=True)
class _Sequence:
    waiting: deque[PendingRequest] = field(default_factory=deque)
    instance: int | None = None  # None: in the backlog
    slot: int = 0  # of the instance: its row in the batches of the direct strategy
    last_ns: int = 0
    is_ended: bool = False
    is_running: bool = False


class SequenceBatcher:
    """Gives each sequence a slot of an instance until it ends, or is idle for too long.

    Of a batch every sequence has at most one request. Sequences that find no slot wait
    in a backlog, in the order in which they started.

    Parameters
    ----------
    model_name : str
        For the messages.
    settings : SequenceBatching
        Strategy, control inputs and idle time.
    max_batch_size : int
        Rows of a batch; 0: one request a batch.
    instances : int
        How many there are to choose from; the first with a free slot is taken.
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
            self._slots = settings.max_candidate_sequences or 2**31
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
            INVALID_ARGUMENT if it names no sequence, is of several rows, or continues a
            sequence that was not started, has ended, or was idle for too long.
        """
        request = pending.request
        if not request.correlation_id:
            raise self._invalid(
                f"inference request to model '{self._model_name}' must specify a "
                "non-zero or non-empty correlation ID"
            )
        if pending.batch_size > 1:
            raise self._invalid(
                f"inference request to model '{self._model_name}' must specify "
                "batch-size 1 due to requirements of sequence batcher"
            )
        self._end_idle(pending.arrived_ns)
        sequence = self._open.get(request.correlation_id)
        if sequence is None:
            if not request.sequence_start:
                raise self._invalid(
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
        """Batch of the sequences on this instance.

        Of the direct strategy every row belongs to a slot: those below the last one of
        the batch that have no request now are filled, and the model told so by READY.
        """
        dropped = self._drop_cancelled()
        self._end_idle(now_ns)
        self._fill_slots()
        ready = [each for each in self._on_instance[instance] if each.waiting]
        ready.sort(key=lambda each: each.waiting[0].arrived_ns)
        taken: dict[int, PendingRequest] = {}
        form: Hashable = None
        for sequence in ready[: self._rows]:
            first = sequence.waiting[0]
            if taken and joined_form(first) != form:
                continue
            form = joined_form(first)
            taken[sequence.slot] = sequence.waiting.popleft()
            sequence.is_running = True
        batch = list(taken.values())
        if self._settings.strategy == "direct" and taken:
            filler = self._filler(batch[0])
            batch = [taken.get(slot, filler) for slot in range(max(taken) + 1)]
        return Turn(batch, dropped, self._wait_s(now_ns))

    def _filler(self, other: PendingRequest) -> PendingRequest:
        """Row for a slot that has no request: zeros in the shape of another one."""
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

    def executed(self, instance: int, now_ns: int) -> None:
        """Free the slots of the sequences that ended with what has just run."""
        for sequence in self._on_instance[instance].copy():
            if sequence.is_running:
                sequence.is_running = False
                sequence.last_ns = now_ns
            if sequence.is_ended and not sequence.waiting:
                self._free(sequence)
        self._fill_slots()

    def _all(self) -> chain[_Sequence]:
        return chain(chain.from_iterable(self._on_instance), self._backlog)

    def _fill_slots(self) -> None:
        while self._backlog:
            free = [
                number
                for number, here in enumerate(self._on_instance)
                if len(here) < self._slots
            ]
            if not free:
                return
            sequence = self._backlog.popleft()
            here = self._on_instance[free[0]]
            used = {each.slot for each in here}
            sequence.instance = free[0]
            sequence.slot = next(n for n in itertools.count() if n not in used)
            here.append(sequence)

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
        """Until a slot may fall free for the backlog, by a sequence that is idle."""
        if not self._backlog:
            return None
        idle = [s for s in self._all() if not s.waiting and not s.is_running]
        if not idle:
            return None
        left_ns = min(s.last_ns for s in idle) + self._idle_ns - now_ns
        return max(left_ns, 0) / NANOSECONDS + 0.001

    def _drop_cancelled(self) -> list[Dropped]:
        dropped = []
        for sequence in self._all():
            for pending in [p for p in sequence.waiting if p.is_cancelled]:
                sequence.waiting.remove(pending)
                dropped.append(cancelled(pending))
        return dropped

    def _invalid(self, text: str) -> ModelError:
        return ModelError(grpc.StatusCode.INVALID_ARGUMENT, text)
