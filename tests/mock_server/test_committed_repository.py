"""The model repository of this project, as a real Triton loads it, on the mock."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mock_server import MockServer

REPOSITORY = Path(__file__).parents[2] / "model_repository"

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def server():
    with MockServer(repository=REPOSITORY) as running:
        yield running


@pytest.fixture
def labels(server, connect, tensor):
    client = connect(server)

    def ask(model, features, **inputs):
        sent = [tensor("FEATURES", features)]
        sent += [tensor(name, array) for name, array in inputs.items()]
        return client.infer(model, sent).as_numpy("LABELS")

    return ask


def features(n_points):
    rng = np.random.default_rng(5)
    # r, phi and z inside of the detector that the weights know.
    cloud = rng.uniform((0.04, -1.0, -1.0), (1.0, 1.0, 1.0), (n_points, 3))
    return cloud.astype(np.float32)


def test_every_model_of_the_repository_is_served(server, connect):
    index = connect(server).get_model_repository_index().models

    folders = sorted(path.parent.name for path in REPOSITORY.glob("*/config.pbtxt"))
    assert [each.name for each in index] == folders
    assert {each.state for each in index} == {"READY"}


@pytest.mark.parametrize("n_points", [0, 1, 200])
def test_ensemble_finds_what_the_one_model_finds(labels, n_points):
    cloud = features(n_points)

    one = labels("exatrkx", cloud)

    assert one.shape == (n_points,)
    assert_array_equal(labels("exatrkx_ensemble", cloud), one)


def test_batch_of_events_gets_the_labels_of_each(labels):
    first, second = features(120), features(60)[::-1].copy()

    both = labels(
        "exatrkx_batch",
        np.concatenate([first, second]),
        ROW_SPLITS=np.array([0, 120, 180]),
    )

    assert_array_equal(both[:120], labels("exatrkx", first))
    assert_array_equal(both[120:], labels("exatrkx", second))
