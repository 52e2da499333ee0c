"""What servers count of themselves, for all their clients."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

__all__ = ["ServerCounters", "ServerInterval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounters:
    """What a server counted for a model, for all its clients, since it started.

    Attributes
    ----------
    requests, failed_requests : int
        Requests that succeeded and failed.
    inferences : int
        Elements of batches; as many as requests if the model does not batch.
    executions : int
        Runs of the model; inferences / executions is the mean dynamic batch.
    queue_s, compute_input_s, compute_infer_s, compute_output_s : float
        Summed seconds of successful requests: waiting, and before, in and after
        the model.
    """

    requests: int = 0
    failed_requests: int = 0
    inferences: int = 0
    executions: int = 0
    queue_s: float = 0.0
    compute_input_s: float = 0.0
    compute_infer_s: float = 0.0
    compute_output_s: float = 0.0

    def __sub__(self, earlier: ServerCounters) -> ServerCounters:
        # Counters fall only if the server was started anew in between.
        if self.requests < earlier.requests:
            return self
        values = {
            f.name: max(0, getattr(self, f.name) - getattr(earlier, f.name))
            for f in fields(self)
        }
        return ServerCounters(**values)

    @property
    def total_s(self) -> float:
        """Summed seconds in the server, waiting included."""
        return (
            self.queue_s
            + self.compute_input_s
            + self.compute_infer_s
            + self.compute_output_s
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInterval:
    """A server's counters at the start and at the end of a job."""

    first: ServerCounters
    last: ServerCounters

    @property
    def spent(self) -> ServerCounters:
        """What was counted in between, for all clients of the server."""
        return self.last - self.first

    def __or__(self, other: ServerInterval) -> ServerInterval:
        """Cover both intervals.

        The counters are the server's, so overlapping intervals of two workers
        must not be summed.
        """
        return ServerInterval(
            first=min(self.first, other.first, key=astuple),
            last=max(self.last, other.last, key=astuple),
        )
