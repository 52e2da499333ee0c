"""The errors of this package.

::

    SonicError
    ├── ModelError          the answer to one request: a status code and a text
    ├── BackendError        a batch failed, with a text of the backend's own
    ├── ConfigurationError  a model configuration cannot be used (ValueError)
    ├── ModelLoadError      a model that the server should start with did not load
    └── CassetteError       a folder is not a cassette (ValueError)
"""

import logging

import grpc

from sonic_base import SonicError

logger = logging.getLogger(__name__)

UNFORESEEN = "the server failed in a way that nobody foresaw: "
"""Start of the text of an error that no code before the last one has handled."""


class ModelError(SonicError):
    """A request is answered with an error status, and nothing else happens.

    A model function raises it where a ``model.py`` would return Triton's
    ``pb_utils.TritonError``: code and message reach the client unchanged, and the
    request counts as answered.

    Parameters
    ----------
    code : grpc.StatusCode
        Any but ``OK``. Triton itself uses INVALID_ARGUMENT, NOT_FOUND, INTERNAL,
        UNAVAILABLE, UNIMPLEMENTED, ALREADY_EXISTS, CANCELLED and UNKNOWN; a proxy in
        front of it may add others, so all are allowed here.
    message : str
        The text the client sees.
    http_status : int, optional
        Over HTTP, in place of the status that stands for the code.
    http_text : str, optional
        Over HTTP, in place of the message.
    retry_after_s : float, optional
        Tells the client when to try again: ``Retry-After`` in whole seconds, or
        ``grpc-retry-pushback-ms``.

    Raises
    ------
    ValueError
        If `code` is ``OK``.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        http_status: int | None = None,
        http_text: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        if code is grpc.StatusCode.OK:
            raise ValueError("an error needs a status code other than OK")
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.http_status, self.retry_after_s = http_status, retry_after_s
        self.http_text = message if http_text is None else http_text

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class BackendError(SonicError):
    """A batch failed; the text is the backend's own.

    Clients see it in place of the type and text of any other exception, after
    ``Failed to process the request(s) for model 'M_0_0', message: ``.
    """


class ConfigurationError(SonicError, ValueError):
    """A model configuration cannot be read, or declares what cannot be served."""


class ModelLoadError(SonicError):
    """A model that the server should start with could not be loaded."""


class CassetteError(SonicError, ValueError):
    """A folder is not a cassette, or one of its files cannot be read."""


def invalid(text: str) -> ModelError:
    """INVALID_ARGUMENT, for a request that could not be read."""
    return ModelError(grpc.StatusCode.INVALID_ARGUMENT, text)


def invalid_request(request_id: str, text: str) -> ModelError:
    """INVALID_ARGUMENT, for a request that was read: the text names its id."""
    return invalid(f"[request id: {request_id or '<id_unknown>'}] {text}")


def internal(text: str) -> ModelError:
    """INTERNAL, Triton's code for JSON it cannot read."""
    return ModelError(grpc.StatusCode.INTERNAL, text)


def unforeseen(error: Exception, what: str) -> ModelError:
    """INTERNAL, for an exception that reaches a protocol; its traceback is logged.

    Parameters
    ----------
    error : Exception
        Caught now.
    what : str
        The request, for the log.
    """
    logger.error("%s ended in a bug of the server", what, exc_info=error)
    return internal(f"{UNFORESEEN}{type(error).__name__}")


def exception_text(exc: BaseException) -> str:
    """Type and text of a model's exception, as the client sees them."""
    if isinstance(exc, BackendError):
        return str(exc)
    return f"{type(exc).__name__}: {exc}"
