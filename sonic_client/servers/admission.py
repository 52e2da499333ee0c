"""What a server must say before it gets requests: it has room, and the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sonic_client.errors import (
    Mismatch,
    ModelMismatchError,
    ModelNotReadyError,
    RejectedRequestError,
    ServerOverloadedError,
    TransientError,
)
from sonic_client.transport.base import Transport
from sonic_client.types import ModelMetadata, ModelState, TensorSpec

__all__ = ["ask_admission", "check_same_model"]


async def ask_admission(
    transport: Transport, model_name: str, model_version: str, *, timeout_s: float
) -> ModelMetadata:
    """Ask for room and for the model; return what the server says about it.

    The repository index comes first, because a server behind an admission control
    (SuperSONIC) refuses this call alone when it is saturated. Asking again soon
    would defeat that control: wait with backoff.

    Raises
    ------
    ServerOverloadedError
        It is saturated.
    ModelNotReadyError
        It, or the model, is being loaded.
    ModelNotFoundError
        It does not have the model.
    ServerError
        It cannot be asked, or refuses to answer.
    """
    try:
        states = await transport.index(timeout_s=timeout_s)
    except ServerOverloadedError:
        raise
    except TransientError as error:
        raise _in_words_of_admission(error) from error
    except RejectedRequestError as error:
        if error.status != "UNIMPLEMENTED":  # an endpoint without a repository
            raise
    else:
        _check_loaded(states, model_name, model_version, server=transport.server)
    try:
        return await transport.describe(model_name, model_version, timeout_s=timeout_s)
    except TransientError as error:
        raise _in_words_of_admission(error) from error


def _in_words_of_admission(error: TransientError) -> TransientError:
    if error.status == "CANCELLED" and not error.details.strip():
        return ServerOverloadedError(
            server=error.server,
            status=error.status,
            details="saturated: its admission control takes no new clients",
        )
    if "not ready" in error.details:
        return ModelNotReadyError(
            server=error.server, status=error.status, details=error.details
        )
    return error


def _check_loaded(
    states: Iterable[ModelState], model_name: str, model_version: str, *, server: str
) -> None:
    rows = [
        row
        for row in states
        if row.name == model_name and model_version in ("", row.version)
    ]
    for row in rows:
        if row.state in ("LOADING", "UNLOADING") and not any(
            other.is_ready for other in rows
        ):
            raise ModelNotReadyError(
                server=server,
                status="UNAVAILABLE",
                details=f"model {model_name!r} is in state {row.state}",
            )


def check_same_model(
    metadata: ModelMetadata, *, server: str, reference: ModelMetadata, known_from: str
) -> None:
    """Refuse a server whose model takes or gives other tensors than that of the first.

    Raises
    ------
    ModelMismatchError
        With all differences at once.
    """
    mismatches = [
        *_differences("input", reference.inputs, metadata.inputs),
        *_differences("output", reference.outputs, metadata.outputs),
    ]
    if metadata.max_batch_size != reference.max_batch_size:
        mismatches.append(
            Mismatch(
                "max_batch_size",
                str(reference.max_batch_size),
                str(metadata.max_batch_size),
            )
        )
    if mismatches:
        raise ModelMismatchError(
            model=reference.name,
            server=server,
            reference=known_from,
            mismatches=mismatches,
        )


def _differences(
    kind: str, expected: Sequence[TensorSpec], got: Sequence[TensorSpec]
) -> list[Mismatch]:
    wanted = {spec.name: spec for spec in expected}
    found = {spec.name: spec for spec in got}
    return [
        Mismatch(f"{kind} {name}", _form(wanted.get(name)), _form(found.get(name)))
        for name in dict.fromkeys((*wanted, *found))
        if wanted.get(name) != found.get(name)
    ]


def _form(spec: TensorSpec | None) -> str:
    if spec is None:
        return "nothing"
    return f"{spec.form}, optional" if spec.optional else spec.form
