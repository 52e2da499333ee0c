"""Exceptions of a model, in the form in which Triton's python backend tells of them."""

from collections.abc import Iterator
from types import TracebackType

from mock_server.model.instances import BackendError


def as_triton_prints(exc: BaseException) -> str:
    """Type, text and frames, innermost first: pybind11's form of a Python error."""
    if isinstance(exc, BackendError):
        return str(exc)
    text = f"{type(exc).__name__}: {str(exc) or '<EMPTY MESSAGE>'}"
    frames = list(_user_frames(exc.__traceback__))
    if not frames:
        return text
    return "\n".join([text, "", "At:", *reversed(frames), ""])


def _user_frames(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        code = trace.tb_frame.f_code
        if not trace.tb_frame.f_globals.get("__name__", "").startswith("mock_server."):
            yield f"  {code.co_filename}({trace.tb_lineno}): {code.co_name}"
        trace = trace.tb_next
