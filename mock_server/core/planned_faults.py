"""The seam between the protocols and planned faults, which stand above them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import grpc

from mock_server.errors import ModelError
from mock_server.wire.inference import Cancellation, InferenceRequest, Respond

INFER = "ModelInfer"
"""Name of every inference request: unary, in a stream, or over HTTP."""


class NotReadyError(ModelError):
    """The server is not ready yet: readiness RPCs answer false, the others this."""

    def __init__(self) -> None:
        super().__init__(grpc.StatusCode.UNAVAILABLE, "Server not ready")


class PlannedFaults(Protocol):
    """Faults that a server applies to its requests; used from any thread."""

    def check_access(self, rpc: str, authorization: str | None) -> None:
        """Check the token and readiness, for a request of any kind.

        Parameters
        ----------
        rpc : str
            gRPC's name of it, whatever the protocol.
        authorization : str, optional
            Value of that header.

        Raises
        ------
        ModelError
            UNAUTHENTICATED, or `NotReadyError`.
        """

    def apply_to_call(
        self,
        rpc: str,
        *,
        model_name: str = "",
        cancellation: Cancellation,
        drop_connection: Callable[[], object],
    ) -> None:
        """Apply the planned faults to a request that is no inference; may block.

        Raises
        ------
        ModelError
            Instead of an answer.
        """

    def apply_to_inference(
        self, request: InferenceRequest, respond: Respond
    ) -> Respond:
        """Apply the faults planned before the model runs; may block.

        Returns
        -------
        Respond
            To be given to the model instead of `respond`: it changes the answers.

        Raises
        ------
        ModelError
            Instead of running the model.
        """
