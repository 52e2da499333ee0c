"""A request on its way to an instance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mock_server.errors import ModelError
from mock_server.wire.codec import RawTensor
from mock_server.wire.inference import FailureReason, InferenceRequest, Respond


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A checked request that waits for its turn, or runs."""

    request: InferenceRequest

    respond: Respond

    batch_size: int
    """Rows; 1 where there is no batching."""

    arrived_ns: int
    """On the scheduler's monotonic clock, as are all times here."""

    deadline_ns: int | None = None
    """When it has waited too long; None: never."""

    controls: Sequence[RawTensor] = ()
    """Inputs that the sequence scheduler adds to those of the client."""

    is_filler: bool = False
    """It stands for the row of a sequence that has no request now; no client waits."""

    def seen_by_model(self) -> InferenceRequest:
        """Request with its control inputs, as the model gets it."""
        if not self.controls:
            return self.request
        return replace(self.request, inputs=(*self.request.inputs, *self.controls))

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.request.cancellation.is_cancelled


class Dropped(NamedTuple):
    """A request that is answered without having been run."""

    pending: PendingRequest
    error: ModelError
    reason: FailureReason


class Turn(NamedTuple):
    """What an instance that is free is to do now."""

    batch: Sequence[PendingRequest] = ()  #: to be run, together; none: wait
    dropped: Sequence[Dropped] = ()
    wait_s: float | None = None  #: look again after so long; None: at the next request
