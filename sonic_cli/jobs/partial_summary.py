"""What a job did until it was ended before its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sonic_cli.tables import print_rows
from sonic_client import Client, ClientClosedError

__all__ = ["summary_if_interrupted"]


@contextmanager
def summary_if_interrupted(client: Client) -> Iterator[None]:
    """Print a client's summary if Ctrl-C or SIGTERM ends the block.

    To be entered before the client: when the client is closed its summary no longer
    asks the servers, which may be why the job was ended.
    """
    try:
        yield
    except KeyboardInterrupt:
        with suppress(ClientClosedError):  # interrupted before it was open
            print_rows("done until now", client.summary().rows())
        raise
