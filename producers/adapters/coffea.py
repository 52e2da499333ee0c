"""A drop-in for coffea's ``triton_wrapper`` that does not cut, pad or lose events.

::

    from producers.adapters.coffea import triton_wrapper

in place of ``from coffea.ml_tools import triton_wrapper`` is all that changes. The
differences are:

- A model with ``max_batch_size: 0`` gets the array in one request; nothing is padded.
- Several batches are sent at once, with this client's retries, servers and fallback.
- Arrays may have one axis more than the model's tensors: then they hold a tensor per
  event, of its own length, and so do the outputs.
- No inference is made to build a dask graph.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import awkward as ak
import numpy as np

from producers.adapters.awkward import check_outputs, infer_arrays, infer_rows
from producers.adapters.dask_awkward import infer_in_graph, is_dask_awkward
from producers.adapters.process_client import process_client
from producers.model.errors import ArrayFailedError
from producers.model.results import FailurePolicy, check_policy
from sonic_base import nearest_names
from sonic_client import (
    ClientConfig,
    ConfigError,
    JobSummary,
    ModelMetadata,
    RetryConfig,
    ServerConfig,
    TlsConfig,
    WindowConfig,
)

__all__ = ["triton_wrapper"]

logger = logging.getLogger(__name__)

MAX_FAILURES = 1000
"""Most causes that are kept, the latest ones, in case nobody asks for them."""

CLIENT_ARGS = (
    "ssl",
    "root_certificates",
    "private_key",
    "certificate_chain",
    "verbose",
    "concurrency",
    "network_timeout",
)
URL_FORM = "triton+grpc://host:port/model/version"


class triton_wrapper(ABC):
    """A model on a server that is called with arrays, used as coffea's own wrapper.

    Override `prepare_awkward`, and call an instance with the arguments that it takes.
    Picklable: each process has a client of its own, opened when it is first used.

    Parameters
    ----------
    model_url : str or ClientConfig
        ``triton+grpc://host:port/model/version``, or ``triton+http://...``; or a whole
        configuration, for example with several servers.
    client_args : mapping, optional
        As for tritonclient: ``ssl`` (on for grpc, as in coffea),
        ``root_certificates``, ``private_key``, ``certificate_chain``, ``verbose``,
        ``concurrency`` (requests at once), ``network_timeout`` (seconds per try).
    batch_size : int
        Most rows per request if the model takes a batch; the model's maximum if
        negative.
    on_failure : {"raise", "skip", "fill"}
        For rows or events without an answer: raise an error that names them, the model
        and the servers; or make them None; or give them `fill`. With the last two,
        `take_failures` returns the causes, and one warning per call is logged.
    fill : number
    metadata : ModelMetadata, optional
        The server's description of the model. Without it, the server is asked when
        needed, which is also to build a graph.

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
        self.config = _config_of(model_url, client_args or {})
        self.on_failure, self.fill = on_failure, fill
        self.batch_size = batch_size
        self._metadata = metadata
        self._failures: deque[ArrayFailedError] = deque(maxlen=MAX_FAILURES)

    def __getstate__(self) -> dict[str, Any]:
        # Failures belong to the process in which they happened.
        return {**self.__dict__, "_failures": deque(maxlen=MAX_FAILURES)}

    @abstractmethod
    def prepare_awkward(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Return the wanted outputs and the inputs: ``(output_list, input_dict), {}``.

        ``output_list`` names outputs of the model; ``input_dict`` has an array for each
        input, of the library of the arguments: awkward or dask-awkward.
        """

    def postprocess_awkward(self, outputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the result for the caller; unless overridden, the arrays by output."""
        return outputs

    def get_awkward_lib(self, *args: Any, **kwargs: Any) -> ModuleType | None:
        """Return the library of the arrays: awkward, dask_awkward, or None.

        Raises
        ------
        ConfigError
            If the arguments mix both.
        """
        values = [*args, *kwargs.values()]
        has_awkward = any(isinstance(value, ak.Array) for value in values)
        if not any(map(is_dask_awkward, values)):
            return ak if has_awkward else None
        if has_awkward:
            raise ConfigError("awkward and dask-awkward arrays cannot be mixed")
        import dask_awkward  # noqa: PLC0415 - an extra

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
        names, inputs = _wanted(*own_args, **own_kwargs)
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
        """Return the outputs for awkward arrays that are prepared."""
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
        """Return the failures of this process since the last call, and forget them.

        At most the latest 1,000. In a processor, ``[str(each) for each in
        wrapper.take_failures()]`` of each chunk adds up as its counts do.
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
            logger.warning(
                "%d requests without an answer, first: %s", len(failed), failed[0]
            )

    @property
    def metadata(self) -> ModelMetadata:
        """The model's tensors; asked for once, and pickled with the wrapper."""
        if self._metadata is None:
            self._metadata = process_client(self.config).metadata
        return self._metadata

    def summary(self) -> JobSummary:
        """Return the summary of this process's requests so far."""
        return process_client(self.config).summary()


def _wanted(
    output_list: Sequence[str], input_dict: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    return list(output_list), dict(input_dict)


def _config_of(
    model_url: str | ClientConfig, client_args: Mapping[str, Any]
) -> ClientConfig:
    """Return the client's configuration; inputs are cast where numpy calls it safe.

    Raises
    ------
    ConfigError
        If the URL is not of this form, or an argument is unknown.
    """
    for name in client_args:
        if name not in CLIENT_ARGS:
            raise ConfigError(
                f"client_args: unknown {name!r}, {nearest_names(name, CLIENT_ARGS)}"
            )
    if isinstance(model_url, ClientConfig):
        if client_args:
            raise ConfigError("client_args go with a URL; a ClientConfig has its own")
        return model_url
    protocol, address, model, version = _parts(model_url)
    is_encrypted = client_args.get("ssl", protocol == "grpc")
    scheme = protocol + ("s" if is_encrypted else "")
    server = ServerConfig(url=f"{scheme}://{address}", tls=_tls(client_args))
    return ClientConfig(
        servers=server,
        model_name=model,
        model_version=version,
        cast="same_kind",
        retry=RetryConfig(try_timeout_s=client_args.get("network_timeout")),
        window=WindowConfig(
            max_requests=client_args.get("concurrency", WindowConfig().max_requests)
        ),
    )


def _parts(model_url: str) -> tuple[str, str, str, str]:
    parts = urlsplit(model_url)
    family, _, protocol = parts.scheme.partition("+")
    names = parts.path.strip("/").split("/")
    if (
        family != "triton"
        or protocol not in ("grpc", "http")
        or not parts.netloc
        or not 1 <= len(names) <= 2
        or not names[0]
    ):
        raise ConfigError(f"model_url {model_url!r}: expected {URL_FORM}")
    return protocol, parts.netloc, names[0], names[1] if len(names) > 1 else ""


def _tls(client_args: Mapping[str, Any]) -> TlsConfig:
    def path(name: str) -> Path | None:
        value = client_args.get(name)
        return Path(value) if value else None

    return TlsConfig(
        roots=path("root_certificates"),
        certificate=path("certificate_chain"),
        key=path("private_key"),
    )
