"""What a job did until it was ended before its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sonic_client import ClientClosedError, JobSummary
from sonic_tracking.tables import print_rows

__all__ = ["summary_if_interrupted"]


@contextmanager
def summary_if_interrupted(summary: Callable[[], JobSummary]) -> Iterator[None]:
    """Print a summary if Ctrl-C or SIGTERM ends the block.

    To be entered before the client that it is of: when that is closed its summary no
    longer asks the servers, which may be why the job was ended.
    """
    try:
        yield
    except KeyboardInterrupt:
        with suppress(ClientClosedError):  # interrupted before it was open
            print_rows("done until now", summary().rows())
        raise
