"""What runs a model beside a plain function: a backend, which starts its instances.

The scheduler starts `Model.instances` of them and feeds each one batch at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mock_server.wire.inference import InferenceRequest, Respond

if TYPE_CHECKING:
    from mock_server.model.declaration import Model


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """One request of a batch, as an instance gets it."""

    request: InferenceRequest
    """Checked; the control inputs of its sequence among its inputs."""

    respond: Respond
    """Must be called until a response was the last one, by `Instance.execute` or, of a
    decoupled model, at any time and from any thread after it. Outputs which the client
    did not ask for, or the model does not declare, may be among the response's."""


class Instance(Protocol):
    """One copy of a model at work; one thread at a time calls it."""

    def execute(self, batch: Sequence[Execution]) -> None:
        """Answer all requests of a batch.

        Raises
        ------
        BaseException
            Any: requests without a last response yet get it as their answer.
        """

    def finalize(self) -> None:
        """Let go of everything: there will be no more batches."""


@runtime_checkable
class Backend(Protocol):
    """What a `Model` may have for a function: it starts instances of the model."""

    def start(self, model: "Model", instance_name: str, device_id: int) -> Instance:
        """Make one instance of a model, called such as ``M_0_0``.

        Raises
        ------
        BaseException
            Any: the model then fails to load, and its index says why.
        """
