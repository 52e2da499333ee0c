"""Jets tagged by a model on a server, in a coffea processor.

    python examples/coffea_processor.py iterative    # or futures, or dask

The same processor runs in this process, in several, and on a dask cluster: the wrapper
is pickled, and each process opens its own connection. It is used as coffea's own
``triton_wrapper``; here each jet is a tensor of its own length. The server is a mock in
a process of its own; for your own Triton, give its URL to `JetTagger`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from coffea import processor
from coffea.nanoevents import BaseSchema

from producers.adapters.coffea import triton_wrapper

N_JETS, STEP = 600, 200
SERVER = """
import sys
import numpy as np
from mock_server import MockServer, Model, TensorSpec

def score(tensors):
    pt, eta, phi = tensors["CONSTITUENTS"].T
    width = np.average(np.hypot(eta, phi), weights=pt) if pt.size else 0.0
    return {"SCORE": np.array([1.0 - np.exp(-10 * width)], dtype=np.float32)}

constituents = TensorSpec("CONSTITUENTS", "FP32", (-1, 3))
model = Model("jet_tagger", [constituents], [TensorSpec("SCORE", "FP32", (1,))], score)
with MockServer([model]) as server:
    print(server.url.removeprefix("grpc://"), flush=True)
    sys.stdin.read()
"""


class JetTagger(triton_wrapper):
    """Tells how gluon-like a jet is, from 0 to 1."""

    def prepare_awkward(self, jets: Any) -> tuple[Any, Any]:
        """Return pt, eta and phi of the constituents, the input of the model."""
        columns = [jets[name][..., np.newaxis] for name in ("pt", "eta", "phi")]
        constituents = ak.concatenate(columns, axis=2)
        return (["SCORE"], {"CONSTITUENTS": constituents}), {}

    def postprocess_awkward(self, outputs: Any, jets: Any) -> Any:
        """Return one number per jet."""
        return outputs["SCORE"][:, 0]


class MeanScore(processor.ProcessorABC):
    """Counts the jets of quarks and of gluons, and sums their scores."""

    def __init__(self, url: str) -> None:
        # No connection yet: the processor is pickled and sent to the workers.
        self.tag = JetTagger(url, client_args={"ssl": False})

    def process(self, events: Any) -> dict[str, Any]:
        """Tag the jets of one chunk."""
        score = self.tag(events)
        return {
            name: np.array([ak.sum(own), ak.sum(score[own])])
            for name, own in (("gluon", events.is_gluon), ("quark", ~events.is_gluon))
        }

    def postprocess(self, accumulator: Any) -> Any:
        """Return the sums as they are."""
        return accumulator


def make_jets(path: Path) -> None:
    """Write jets of quarks and gluons in turn; gluons' are wider and have more rows."""
    rng = np.random.default_rng(1)
    is_gluon = np.arange(N_JETS) % 2 == 1
    counts = rng.poisson(np.where(is_gluon, 30, 15))
    width = np.repeat(np.where(is_gluon, 0.12, 0.05), counts)
    columns = {
        "pt": rng.exponential(5.0, counts.sum()),
        "eta": rng.normal(0.0, width),
        "phi": rng.normal(0.0, width),
    }
    with uproot.recreate(path) as file:
        types = dict.fromkeys(columns, "var * float64") | {"is_gluon": "bool"}
        file.mktree("jets", types)
        lists = {name: ak.unflatten(own, counts) for name, own in columns.items()}
        file["jets"].extend({**lists, "is_gluon": is_gluon})


@contextmanager
def served() -> Iterator[str]:
    """Give the address of a server of the model, in a process of its own."""
    command = [sys.executable, "-c", SERVER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.stdin.close()  # the server ends at the end of its input


@contextmanager
def executor_of(name: str) -> Iterator[Any]:
    """Give one of coffea's executors, with two processes where it has several."""
    if name == "iterative":
        yield processor.IterativeExecutor(status=False)
    elif name == "futures":
        yield processor.FuturesExecutor(workers=2, status=False)
    else:
        from distributed import Client, LocalCluster  # noqa: PLC0415 - only here

        local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, **local) as cluster,
            Client(cluster) as client,
        ):
            yield processor.DaskExecutor(client=client, status=False)


def main(executor: str) -> None:
    """Print the mean score of the jets of quarks, and of those of gluons."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served() as address,
        executor_of(executor) as workers,
    ):
        path = Path(folder) / "jets.root"
        make_jets(path)
        run = processor.Runner(executor=workers, schema=BaseSchema, chunksize=STEP)
        tagger = MeanScore(f"triton+grpc://{address}/jet_tagger/1")
        found = run({"jets": [str(path)]}, tagger, treename="jets")
    for name, (n_jets, total) in sorted(found.items()):
        print(f"{n_jets:.0f} {name} jets: mean score {total / n_jets:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["iterative"])
