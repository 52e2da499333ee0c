"""The one error a served model, or a planned fault, answers a request with."""

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
        INTERNAL, UNAVAILABLE, UNIMPLEMENTED, ALREADY_EXISTS, CANCELLED, UNKNOWN; what
        stands in front of it adds others, so none is refused here.
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
