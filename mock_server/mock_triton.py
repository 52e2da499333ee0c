"""The server that tests get: it remembers what it was asked, and can be checked."""

from __future__ import annotations

from collections.abc import Iterable

from mock_server.faults import FaultHook, FaultPlan
from mock_server.model.declaration import Model
from mock_server.received import ReceivedRequest, RequestRecord
from mock_server.server import MockServer


class MockTriton(MockServer):
    """A `MockServer` at free ports, with a record of its requests.

    Parameters
    ----------
    models : iterable of Model
        More can be added in the test, by `add` or `model`.
    faults : FaultPlan or callable, optional
    http, metrics : bool
        Whether it has these ports.
    keep_inputs : bool
        Whether `received` holds the arrays.
    max_requests : int
        Length of the record.
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        faults: FaultPlan | FaultHook | None = None,
        http: bool = False,
        metrics: bool = False,
        keep_inputs: bool = True,
        max_requests: int = 1000,
    ) -> None:
        self._record = RequestRecord(max_requests, keep_inputs=keep_inputs)
        super().__init__(
            models,
            http_port=0 if http else None,
            metrics_port=0 if metrics else None,
            faults=faults,
            record=self._record,
        )

    @property
    def received(self) -> tuple[ReceivedRequest, ...]:
        """Requests for inference, in the order of arrival, each try as one."""
        return self._record.requests()

    def forget(self) -> None:
        """Begin the record anew."""
        self._record.clear()

    def assert_received(
        self,
        model: str | None = None,
        *,
        id: str | None = None,
        times: int | None = None,
    ) -> tuple[ReceivedRequest, ...]:
        """Requests of this model and id: so many, or at least one.

        Raises
        ------
        AssertionError
            If there were not; the message lists what there was.
        """
        found = tuple(
            request
            for request in self.received
            if model in (None, request.model_name) and id in (None, request.id)
        )
        if (len(found) != times) if times is not None else not found:
            wanted = "at least one" if times is None else str(times)
            what = "".join(
                f" {key} {value!r}"
                for key, value in (("of model", model), ("with id", id))
                if value is not None
            )
            raise AssertionError(
                f"expected {wanted} request(s){what}, got {len(found)}. {self._all()}"
            )
        return found

    def assert_nothing_received(self) -> None:
        """No request for inference has arrived.

        Raises
        ------
        AssertionError
            If one has.
        """
        if self._record.count:
            raise AssertionError(f"expected no request. {self._all()}")

    def _all(self) -> str:
        known = self.received
        lines = [f"  {request}" for request in known[-20:]]
        return "\n".join([f"Received in all: {self._record.count}", *lines])
