"""Fixtures shared by all packages' tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Reference events kept beside the checkout; tests that need them skip without."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SONIC_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("reference data not present")
    return folder
