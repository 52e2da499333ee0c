"""Files of jets on a dask cluster: one task per file, one client per worker process.

    python examples/dask_files.py

For tracks, `sonic track --workers 4` or `--dask tcp://scheduler:8786` does all of this,
and survives workers that die. This example is for your own producer in your own job.
Cluster and server run on this machine; give the addresses of others.
"""

import tempfile
from pathlib import Path

import numpy as np
from distributed import Client as DaskClient
from distributed import LocalCluster
from jet_tagger import JetTagger, jets_of, make_jets, server

from producers import EventLoop
from producers.adapters.process_client import process_client

N_FILES, N_JETS = 4, 250


def mean_score(path: Path, tagger: JetTagger) -> tuple[int, float]:
    """Tag the jets of one file, on a worker."""
    # The producer was pickled, without a connection; each process makes one here.
    client = process_client(tagger.config)
    scores = [score for _, score in EventLoop(jets_of(path), tagger, client).run()]
    return len(scores), float(np.mean(scores))


def main(folder: Path) -> None:
    """Print the jets of each file and their mean score, in the order of the files."""
    paths = [folder / f"jets-{number}.root" for number in range(N_FILES)]
    for path in paths:
        make_jets(path, N_JETS)
    local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        server,
        LocalCluster(n_workers=2, threads_per_worker=1, **local) as cluster,
        DaskClient(cluster) as dask,
    ):
        tagger = JetTagger(server.url)
        tasks = [dask.submit(mean_score, path, tagger) for path in paths]
        for path, (n_jets, score) in zip(paths, dask.gather(tasks), strict=True):
            print(f"{path.name}: {n_jets} jets, mean score {score:.2f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
