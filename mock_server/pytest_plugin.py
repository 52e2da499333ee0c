"""Fixtures that give a test a Triton of its own, in its own process.

.. code-block:: python

    @pytest.mark.mock_triton(models=[label], faults=FaultPlan().on(1).hang())
    def test_second_try_is_answered(mock_triton):
        ask(mock_triton.url)
        mock_triton.assert_received("label", times=2)

The plugin is loaded by every pytest run of the environment, so it imports nothing of
the server before a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mock_server.server import MockTriton

MARKER = (
    "mock_triton(models=(), faults=None, http=False, metrics=False, keep_inputs=True, "
    "max_requests=1000, profile='24.10'): models, faults and release of mock_triton"
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def mock_triton(request: pytest.FixtureRequest) -> Iterator[MockTriton]:
    """A running server for this test alone, as its marker ``mock_triton`` describes it.

    It has free ports, so tests may run side by side. When the test ends, its requests
    end, and its threads, ports and descriptors are closed.
    """
    from mock_server.server import MockTriton  # noqa: PLC0415

    marker = request.node.get_closest_marker("mock_triton")
    arguments, options = (marker.args, marker.kwargs) if marker else ((), {})
    try:
        server = MockTriton(*arguments, **options)
    except TypeError as error:
        raise pytest.UsageError(f"marker mock_triton: {error}") from error
    with server:
        yield server


@pytest.fixture(scope="session")
def mock_triton_session() -> Iterator[MockTriton]:
    """A running server for all tests of the session, one per worker of pytest-xdist.

    Tests add their models to it, under names of their own.
    """
    from mock_server.server import MockTriton  # noqa: PLC0415

    with MockTriton(http=True, metrics=True) as server:
        yield server
