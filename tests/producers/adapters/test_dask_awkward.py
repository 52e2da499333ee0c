"""The drop-in in a dask-awkward graph."""

import awkward as ak
import numpy as np
import pytest

from producers.adapters.coffea import triton_wrapper
from sonic_client import ConfigError, ModelMetadata, TensorSpec

dask_awkward = pytest.importorskip("dask_awkward", reason="needs the extra coffea")

PLAIN = {"ssl": False}
CLOUD = ModelMetadata(
    name="cloud",
    version="1",
    platform="",
    inputs=(TensorSpec("X", "FP32", (-1, 3)),),
    outputs=(TensorSpec("Y", "FP32", (-1,)), TensorSpec("N", "INT64", (-1,))),
)


class Wrapper(triton_wrapper):
    def prepare_awkward(self, points):
        columns = [points[axis][..., np.newaxis] for axis in "xyz"]
        library = self.get_awkward_lib(points)
        return (["N", "Y"], {"X": library.concatenate(columns, axis=2)}), {}


def points(*counts):
    total = sum(counts)
    axes = {axis: ak.unflatten(np.arange(total) + 20.0, counts) for axis in "xyz"}
    return ak.zip(axes | {"unused": axes["x"]})


def in_two(array):
    half = len(array) // 2
    return dask_awkward.concatenate(
        [dask_awkward.from_awkward(part, 1) for part in (array[:half], array[half:])]
    )


def test_a_graph_is_built_without_a_server():
    wrapper = Wrapper("triton+grpc://127.0.0.1:9/cloud/1", metadata=CLOUD)

    found = wrapper(in_two(points(2, 3)))

    assert str(found["N"].type) == "?? * var * int64"


def test_building_asks_nothing_of_the_model_and_computing_each_event_once(server):
    wrapper = Wrapper(server.url("cloud"), PLAIN)
    events = points(2, 0, 3, 1)

    found = wrapper(in_two(events))
    assert server.shapes() == []

    assert found["N"].compute(scheduler="sync").to_list() == [
        [0, 1],
        [],
        [0, 1, 2],
        [0],
    ]
    assert server.shapes() == [(1, 3), (2, 3), (3, 3)]  # none for no points


def test_the_answers_are_those_of_awkward_arrays(server):
    wrapper = Wrapper(server.url("cloud"), PLAIN, on_failure="skip")
    events = points(2, 0, 3, 1)

    at_once = wrapper(events)
    lazily = wrapper(in_two(events))["Y"].compute(scheduler="sync")

    assert lazily.to_list() == at_once["Y"].to_list()
    assert lazily.type == at_once["Y"].type


def test_only_the_columns_that_are_sent_are_read(server, tmp_path):
    ak.to_parquet(points(2, 1), tmp_path / "points.parquet")
    lazy = dask_awkward.from_parquet(tmp_path / "points.parquet")

    found = Wrapper(server.url("cloud"), PLAIN)(lazy)["Y"]

    (columns,) = dask_awkward.report_necessary_columns(found).values()
    assert sorted(columns) == ["x", "y", "z"]
    assert server.shapes() == []


def test_both_kinds_of_arrays_cannot_be_mixed():
    wrapper = Wrapper("triton+grpc://127.0.0.1:9/cloud/1", metadata=CLOUD)
    events = points(1)

    with pytest.raises(ConfigError, match="cannot be mixed"):
        wrapper(events, dask_awkward.from_awkward(events, 1))
