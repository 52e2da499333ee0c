"""Small inputs, written with plain uproot so that readers are tested on their own."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot


class Sample:
    """Three events; the second is empty."""

    event_ids = (5, 9, 2)
    counts = (3, 0, 4)

    def __init__(self):
        rng = np.random.default_rng(20)
        points = rng.uniform(-1000, 1000, size=(sum(self.counts), 3))
        self.xyz = np.split(points.astype(np.float32), np.cumsum(self.counts)[:-1])

    def column(self, axis):
        return ak.Array([points[:, axis] for points in self.xyz])


@pytest.fixture
def sample():
    return Sample()


@pytest.fixture
def write_tree(tmp_path, sample):
    """Write the sample as a TTree; keyword arguments replace columns."""

    def write(name="events.root", tree="events", **changed):
        columns = {"event": np.array(sample.event_ids, dtype=np.int64)}
        columns |= {f"sp_{axis}": sample.column(i) for i, axis in enumerate("xyz")}
        columns |= changed
        path: Path = tmp_path / name
        with uproot.recreate(path) as file:
            file.mktree(tree, {k: ak.Array(v).type.content for k, v in columns.items()})
            file[tree].extend(columns)
        return path

    return write


@pytest.fixture
def write_ntuple(tmp_path, sample):
    def write(name="ntuple.root", tree="events"):
        path: Path = tmp_path / name
        axes = {axis: sample.column(i) for i, axis in enumerate("xyz")}
        with uproot.recreate(path) as file:
            file[tree] = {
                "event": np.array(sample.event_ids, dtype=np.int64),
                "sp": ak.zip(axes),
            }
        return path

    return write
