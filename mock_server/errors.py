"""Errors that become the answer to a request."""

import grpc

from sonic_base import SonicError


class ModelError(SonicError):
    """A request is answered with an error status, and nothing else happens.

    Raised by a model function it stands for Triton's ``pb_utils.TritonError``: code
    and message reach the client unchanged, and the request counts as answered.

    Parameters
    ----------
    code : grpc.StatusCode
        Any but ``OK``. Triton itself answers with INVALID_ARGUMENT, NOT_FOUND,
        INTERNAL, UNAVAILABLE, UNIMPLEMENTED, ALREADY_EXISTS, CANCELLED, UNKNOWN;
        proxies in front of it add others, so every code is accepted here.
    message : str
        The text the client sees.

    Raises
    ------
    ValueError
        If `code` is ``OK``.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        if code is grpc.StatusCode.OK:
            raise ValueError("an error needs a status code other than OK")
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class BackendError(SonicError):
    """A batch failed, and the backend itself says why.

    Clients see the text where the type and text of any other exception would stand,
    behind ``Failed to process the request(s) for model 'M_0_0', message: ``.
    """


def invalid(text: str) -> ModelError:
    """INVALID_ARGUMENT, for a request that could not be read."""
    return ModelError(grpc.StatusCode.INVALID_ARGUMENT, text)


def invalid_request(request_id: str, text: str) -> ModelError:
    """INVALID_ARGUMENT, for a request that was read: the text names its id."""
    return invalid(f"[request id: {request_id or '<id_unknown>'}] {text}")


def internal(text: str) -> ModelError:
    """INTERNAL, Triton's code for JSON it cannot read."""
    return ModelError(grpc.StatusCode.INTERNAL, text)


def exception_text(exc: BaseException) -> str:
    """Type and text of a model's exception, as the client sees them."""
    if isinstance(exc, BackendError):
        return str(exc)
    return f"{type(exc).__name__}: {exc}"
