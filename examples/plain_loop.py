"""Tracks from a ROOT file in a plain loop, with a server in this process.

    python examples/plain_loop.py events.root

With a Triton elsewhere, leave the `MockServer` out and give its address to
`ClientConfig`; nothing else changes.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exatrkx_pipeline import bundled_weights
from mock_server import MockServer
from mock_server.tracking import tracking_models
from producers import (
    Event,
    EventLoop,
    TrackCandidates,
    TrackFindingProducer,
    open_events,
)
from sonic_client import Client, ClientConfig


def find_tracks(
    path: Path, weights: Path | None = None
) -> Iterator[tuple[Event, TrackCandidates]]:
    """Yield each event of the file with its track candidates."""
    with MockServer(tracking_models(weights or bundled_weights())) as server:
        config = ClientConfig(servers=server.url, model_name="exatrkx")
        with Client(config) as client:
            producer = TrackFindingProducer(client.metadata)
            loop = EventLoop(open_events(path), producer, client)
            for event, candidates in loop.run():
                assert candidates is not None  # by default a failed event raises
                yield event, candidates


def main(path: Path) -> None:
    """Print the number of candidates of each event, and the longest one."""
    for event, candidates in find_tracks(path):
        print(f"event {event.event_id}: {len(event)} space points", end="")
        print(f", {len(candidates)} track candidates")
        if len(candidates):
            longest = candidates[int(np.argmax(candidates.sizes))]
            x, y, z = event.xyz[longest[-1]]
            print(
                f"  longest: {len(longest)} points, out to ({x:.0f}, {y:.0f}, {z:.0f})"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
