"""Fixtures shared by all packages' tests."""

import os
import resource
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Reference events kept beside the checkout; tests that need them skip without."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SONIC_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("reference data not present")
    return folder


@pytest.fixture(scope="session")
def triton_python() -> Path | None:
    """Interpreter that has a tritonserver: that of SONIC_TRITON_PYTHON, or this one.

    None is this one. Tests that need it skip where there is none.
    """
    from sonic_tracking.engines import (
        TritonNotFoundError,
        find_triton,
    )

    named = os.environ.get("SONIC_TRITON_PYTHON")
    python = Path(named) if named else None
    try:
        find_triton(python)
    except TritonNotFoundError as error:
        pytest.skip(str(error))
    return python


@pytest.fixture
def limit_files():
    """Limit the size of files, as a quota would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(n_bytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
