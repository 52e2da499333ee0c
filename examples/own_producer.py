"""A producer of your own: the position of an event's collision along the beam.

    python examples/own_producer.py events.root

The model is a numpy function on a `MockServer`: no network, no weights, no tracks. A
producer for your own model, on your own Triton, has the same two methods: `acquire`
turns an event into named tensors, `produce` turns the answer into a product.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mock_server import MockServer, TensorSpec
from producers import Event, EventLoop, open_events
from sonic_client import Client, ClientConfig, Tensors

server = MockServer()


@server.model(
    inputs=[TensorSpec("POINTS", "FP32", (-1, 3))],
    outputs=[TensorSpec("VERTEX_Z", "FP32", (1,))],
)
def vertex(tensors: Tensors) -> Tensors:
    """Find where lines through the two innermost layers cross the beam most often."""
    x, y, z = tensors["POINTS"].T
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    inner, outer = np.flatnonzero(r < 50), np.flatnonzero((r > 50) & (r < 90))
    turn = np.angle(np.exp(1j * (phi[outer] - phi[inner, None])))
    i, j = np.nonzero(np.abs(turn) < 0.02)  # rad; bends less above 0.6 GeV
    i, j = inner[i], outer[j]
    z0 = z[i] - r[i] * (z[j] - z[i]) / (r[j] - r[i])
    counts, edges = np.histogram(z0, np.arange(-250.0, 251.0))  # mm
    peak = edges[np.argmax(counts)] + 0.5
    near = z0[np.abs(z0 - peak) < 1.5]
    found = np.median(near) if near.size else np.nan
    return {"VERTEX_Z": np.array([found], dtype=np.float32)}


class VertexProducer:
    """Sends the pixel space points, which are all that the model needs."""

    def acquire(self, event: Event) -> Tensors:
        """Return the innermost space points, in mm."""
        is_near = np.hypot(event.xyz[:, 0], event.xyz[:, 1]) < 90
        return {"POINTS": event.xyz[is_near]}

    def produce(self, event: Event, outputs: Tensors) -> float:
        """Return the position of the collision along the beam in mm, or NaN."""
        return float(outputs["VERTEX_Z"][0])


def find_vertices(path: Path) -> Iterator[tuple[Event, float]]:
    """Yield each event of the file with the z of its collision, in mm."""
    with (
        server,
        Client(ClientConfig(servers=server.url, model_name="vertex")) as client,
    ):
        yield from EventLoop(open_events(path), VertexProducer(), client).run()


if __name__ == "__main__":
    for found_in, z_mm in find_vertices(Path(sys.argv[1])):
        print(f"event {found_in.event_id}: collision at z = {z_mm:.1f} mm")
