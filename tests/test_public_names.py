"""The public surface of each package is its `__all__`, and nothing beside it."""

import importlib
from types import ModuleType

import pytest

PACKAGES = (
    "sonic_base",
    "sonic_client",
    "producers",
    "exatrkx_pipeline",
    "mock_server",
    "sonic_tracking",
)


def sorting_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: ruff's order (RUF022)."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_are_sorted_and_exist(name):
    package = importlib.import_module(name)

    assert list(package.__all__) == sorted(set(package.__all__), key=sorting_key)
    assert [each for each in package.__all__ if not hasattr(package, each)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_no_name_is_public_by_accident(name):
    package = importlib.import_module(name)

    def is_own_module(value: object) -> bool:
        return isinstance(value, ModuleType) and value.__name__.startswith(f"{name}.")

    public = {
        each
        for each, value in vars(package).items()
        if not each.startswith(("_", "@")) and not is_own_module(value)
    }

    assert public <= set(package.__all__)
