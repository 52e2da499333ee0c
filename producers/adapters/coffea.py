"""A drop-in for coffea's ``triton_wrapper``, which does not cut, pad or lose events.

::

    from producers.adapters.coffea import triton_wrapper

instead of ``from coffea.ml_tools import triton_wrapper`` is all that changes. What is
different then:

- A model with ``max_batch_size: 0`` gets the array in one request; nothing is padded.
- Batches are sent several at once, with this client's retries, servers and fallback.
- Arrays may have one axis more than the model's tensors: then they hold a tensor an
  event, of its own length, and so do the outputs.
- Building a dask graph asks nothing of the model.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import awkward as ak
import numpy as np

from producers.adapters.awkward_tensors import check_outputs, infer_arrays
from producers.adapters.coffea_url import config_of
from producers.adapters.dask_awkward import infer_in_graph, is_dask_awkward
from producers.adapters.process_client import process_client
from producers.adapters.rows import infer_rows
from producers.model.errors import ArrayFailedError
from producers.model.results import FailurePolicy, check_policy
from sonic_client import ClientConfig, ConfigError, JobSummary, ModelMetadata

__all__ = ["triton_wrapper"]

logger = logging.getLogger(__name__)

MAX_FAILURES = 1000
"""Causes that are kept, the latest ones: nobody may ever ask for them."""


class triton_wrapper(ABC):
    """A model on a server, called with arrays; to be used as coffea's is.

    Override `prepare_awkward`, and call an instance with whatever it takes. Picklable:
    each process has a client of its own, opened when it is first used.

    Parameters
    ----------
    model_url : str or ClientConfig
        ``triton+grpc://host:port/model/version``, or ``triton+http://...``; or all that
        this client may be told, such as several servers.
    client_args : mapping, optional
        As for tritonclient: ``ssl`` (on for grpc, as coffea has it),
        ``root_certificates``, ``private_key``, ``certificate_chain``, ``verbose``,
        ``concurrency`` (requests at once), ``network_timeout`` (seconds a try).
    batch_size : int
        Rows a request at most, if the model takes a batch; else the model's own.
    on_failure : {"raise", "skip", "fill"}
        Of rows or events without an answer: an error is raised that names them, the
        model and the servers; or they are None; or hold `fill`. With the last two,
        `take_failures` gives the causes, and one warning a call is logged.
    fill : number
    metadata : ModelMetadata, optional
        What the server says of the model. It is asked when this is first needed,
        which is when a graph is built; given here, a graph is built without a server.

    Raises
    ------
    ConfigError
        If the URL, an argument or the policy is wrong.
    """

    def __init__(
        self,
        model_url: str | ClientConfig,
        # Any, here and below: arguments and arrays of any kind.
        client_args: Mapping[str, Any] | None = None,
        batch_size: int = -1,
        *,
        on_failure: FailurePolicy = "raise",
        fill: Any = 0,
        metadata: ModelMetadata | None = None,
    ) -> None:
        check_policy(on_failure)
        self.config = config_of(model_url, client_args or {})
        self.on_failure, self.fill = on_failure, fill
        self.batch_size = batch_size
        self._metadata = metadata
        self._failures: deque[ArrayFailedError] = deque(maxlen=MAX_FAILURES)

    def __getstate__(self) -> dict[str, Any]:
        # Failures are of the process that met them.
        return {**self.__dict__, "_failures": deque(maxlen=MAX_FAILURES)}

    @abstractmethod
    def prepare_awkward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Return what is asked for, as ``(output_list, input_dict), {}``.

        ``output_list`` names outputs of the model; ``input_dict`` has an array for each
        input: awkward arrays for awkward arrays, dask-awkward ones for those.
        """

    def postprocess_awkward(self, outputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the caller gets; unless overridden, the arrays by output."""
        return outputs

    def get_awkward_lib(self, *args: Any, **kwargs: Any) -> ModuleType | None:
        """Return the library of the arrays: awkward, dask_awkward, or None.

        Raises
        ------
        ConfigError
            If both are there.
        """
        values = [*args, *kwargs.values()]
        has_awkward = any(isinstance(value, ak.Array) for value in values)
        if not any(map(is_dask_awkward, values)):
            return ak if has_awkward else None
        if has_awkward:
            raise ConfigError("awkward and dask-awkward arrays cannot be mixed")
        import dask_awkward  # noqa: PLC0415 - of an extra

        module: ModuleType = dask_awkward  # of any type where the extra is missing
        return module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for the arrays: awkward, dask-awkward or numpy.

        Without any awkward array, the arguments are those of `numpy_call`.

        Raises
        ------
        ConfigError
            If the arrays do not fit the model.
        ArrayFailedError
            With ``on_failure="raise"``, for the first request that failed: names the
            model, the part of the array, and the servers; the client's error is its
            cause.
        """
        library = self.get_awkward_lib(*args, **kwargs)
        if library is None:
            return self.numpy_call(*args, **kwargs)
        own_args, own_kwargs = self.prepare_awkward(*args, **kwargs)
        names, inputs = _asked(*own_args, **own_kwargs)
        if library is ak:
            outputs = self.infer(names, inputs)
        else:
            check_outputs(names, self.metadata)
            outputs = infer_in_graph(self, names, inputs)
        return self.postprocess_awkward(outputs, *args, **kwargs)

    def numpy_call(
        self, output_list: Sequence[str], input_dict: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the outputs for numpy arrays; masked arrays with the policy skip."""
        client = process_client(self.config)
        check_outputs(output_list, client.metadata)
        with self._failures_kept() as failed:
            outputs, is_answered = infer_rows(
                client,
                {name: np.asarray(array) for name, array in input_dict.items()},
                batch_size=self.batch_size,
                on_failure=self.on_failure,
                fill=self.fill,
                on_unanswered=failed.append,
            )
        if self.on_failure != "skip":
            return {name: outputs[name] for name in output_list}
        masked = {name: np.ma.MaskedArray(outputs[name]) for name in output_list}
        for array in masked.values():
            array[~is_answered] = np.ma.masked
        return masked

    def infer(
        self, output_list: Sequence[str], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the outputs for awkward arrays, as they are prepared."""
        client = process_client(self.config)
        check_outputs(output_list, client.metadata)
        with self._failures_kept() as failed:
            outputs = infer_arrays(
                client,
                inputs,
                batch_size=self.batch_size,
                on_failure=self.on_failure,
                fill=self.fill,
                on_unanswered=failed.append,
            )
        return {name: outputs[name] for name in output_list}

    def take_failures(self) -> list[ArrayFailedError]:
        """Return why there was no answer, since this was asked last; then forget it.

        What this process met, the latest 1,000 at most. In a processor, ``[str(each)
        for each in wrapper.take_failures()]`` of each chunk adds up as its counts do.
        """
        taken = []
        while self._failures:
            taken.append(self._failures.popleft())
        return taken

    @contextmanager
    def _failures_kept(self) -> Iterator[list[ArrayFailedError]]:
        failed: list[ArrayFailedError] = []
        yield failed
        if failed:
            self._failures.extend(failed)
            logger.warning("%d requests without an answer: %s", len(failed), failed[0])

    @property
    def metadata(self) -> ModelMetadata:
        """The model's tensors; asked for once, and pickled along."""
        if self._metadata is None:
            self._metadata = process_client(self.config).metadata
        return self._metadata

    def summary(self) -> JobSummary:
        """Return what this process asked of the servers until now."""
        return process_client(self.config).summary()


def _asked(
    output_list: Sequence[str], input_dict: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    return list(output_list), dict(input_dict)
