"""A real Triton with the committed repository, and events to give it."""

from pathlib import Path

import pytest

import sonic_tracking
from exatrkx_pipeline import bundled_weights, load_weights
from producers import FeatureScale
from sonic_tracking.bench import read_features
from sonic_tracking.engines import TritonOptions, TritonServer

REPOSITORY = Path(__file__).parents[2] / "model_repository"
LRT_SCALE = FeatureScale(r_mm=1000.0, phi_rad=3.141592653589793, z_mm=1000.0)
"""Of the csv files: ``../shared/data/README.md``."""


@pytest.fixture(scope="session")
def start_triton(triton_python):
    """A tritonserver with the committed repository, not started."""

    def make(**options) -> TritonServer:
        return TritonServer(
            REPOSITORY,
            python=triton_python,
            start_limit_s=200.0,
            options=TritonOptions(is_complete=True, **options),
        )

    return make


@pytest.fixture(scope="session")
def triton(start_triton):
    """The server with all models, one instance each, for all tests."""
    with start_triton() as server:
        yield server


@pytest.fixture(scope="session")
def pipeline():
    return load_weights(bundled_weights())


@pytest.fixture(scope="session")
def sample() -> Path:
    return sonic_tracking.SAMPLE / "events.root"


@pytest.fixture(scope="session")
def events_of(pipeline, sample, request):
    """The features of a few events of a data set, by its name."""
    scales = pipeline.config.features.scales

    def read(name: str):
        if name == "sample":
            return read_features([str(sample)], scales, max_events=4)
        data = request.getfixturevalue("shared_data")
        if name == "lrt":
            files = [str(data / "lrt" / "*.csv")]
            return read_features(files, scales, max_events=12, csv_scale=LRT_SCALE)
        file = data / name / "spacepoints_ttree.root"
        return read_features([str(file)], scales, max_events=4)

    return read
