"""What a loaded model is to those who ask it, an ensemble or not."""

from typing import Protocol

from mock_server.core.statistics import StatisticsCounter
from mock_server.model.declaration import Model
from mock_server.wire.inference import InferenceRequest, InferenceResponse, Respond


class Loaded(Protocol):
    """A model that answers requests; its methods may be called from any thread."""

    model: Model
    statistics: StatisticsCounter

    @property
    def pending(self) -> int:
        """Requests that wait for an instance."""

    def submit(self, request: InferenceRequest, respond: Respond) -> None:
        """Check a request and queue it; `ModelError` if it is refused."""

    def submit_and_wait(self, request: InferenceRequest, respond: Respond) -> None:
        """As `submit`, for a caller that waits for the answer: it may run the model."""

    def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Answer of a model that is not decoupled; waits for it."""

    def stop(self) -> None:
        """Answer what is waiting, and end the threads; a request starts them again."""

    def close(self) -> None:
        """Stop for good."""
