"""Jets from a ROOT file, tagged by a model on a server; no tracks are involved.

    python examples/jet_tagger.py

A jet is a list of constituents of any length, and each list is one request. The model
is a numpy function on a `MockServer`; for your own Triton, leave the server out and
give its address to `JetTagger`.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import awkward as ak
import numpy as np
import uproot

from mock_server import MockServer, TensorSpec
from producers import ColumnChunk, ColumnEvent, EventLoop, TritonProducer
from sonic_client import Tensors

server = MockServer()


@server.model(
    inputs=[TensorSpec("CONSTITUENTS", "FP32", (-1, 3))],
    outputs=[TensorSpec("SCORE", "FP32", (1,))],
)
def jet_tagger(tensors: Tensors) -> Tensors:
    """Score a jet by its width: jets of gluons are wider than those of quarks."""
    pt, eta, phi = tensors["CONSTITUENTS"].T
    width = np.average(np.hypot(eta, phi), weights=pt) if pt.size else 0.0
    return {"SCORE": np.array([1.0 - np.exp(-10 * width)], dtype=np.float32)}


class JetTagger(TritonProducer[ColumnEvent, float]):
    """Sends pt, eta and phi of a jet's constituents, relative to the jet's axis."""

    model_name = "jet_tagger"
    inputs: ClassVar = {"CONSTITUENTS": ("pt", "eta", "phi")}

    def produce(self, event: ColumnEvent, outputs: Tensors) -> float:
        """Return how gluon-like the jet is, from 0 to 1."""
        return float(outputs["SCORE"][0])


def jets_of(path: Path) -> Iterator[ColumnChunk]:
    """Read the jets in blocks of 4 MB, with any branches."""
    with uproot.open(path) as file:
        first = 0
        for block in file["jets"].iterate(["pt", "eta", "phi"], step_size="4 MB"):
            jets = ak.zip({name: block[name] for name in block.fields})
            yield ColumnChunk.from_awkward(jets, source=path, first_entry=first)
            first += len(jets)


def tag(path: Path) -> Iterator[tuple[ColumnEvent, float | None]]:
    """Yield each jet with its score."""
    with server:
        yield from EventLoop(jets_of(path), JetTagger(server.url)).run()


def make_jets(path: Path, n_jets: int = 1000) -> None:
    """Write jets of quarks and gluons in turn; gluons' are wider and have more rows."""
    rng = np.random.default_rng(1)
    is_gluon = np.arange(n_jets) % 2 == 1
    counts = rng.poisson(np.where(is_gluon, 30, 15))
    width = np.repeat(np.where(is_gluon, 0.12, 0.05), counts)
    columns = {
        "pt": rng.exponential(5.0, counts.sum()),
        "eta": rng.normal(0.0, width),
        "phi": rng.normal(0.0, width),
    }
    with uproot.recreate(path) as file:
        file.mktree("jets", dict.fromkeys(columns, "var * float64"))
        file["jets"].extend({k: ak.unflatten(v, counts) for k, v in columns.items()})


def main(path: Path) -> None:
    """Print the mean score of the jets of quarks, and of those of gluons."""
    make_jets(path)
    scores = np.array([score for _, score in tag(path)])
    for name, own in (("quark", scores[::2]), ("gluon", scores[1::2])):
        print(f"{len(own)} {name} jets: mean score {own.mean():.2f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder) / "jets.root")
