"""The public surface: `__all__` of the roots, and the submodules that they list."""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "sonic_base",
    "sonic_client",
    "producers",
    "exatrkx_pipeline",
    "mock_server",
    "sonic_tracking",
)
USERS = (*PACKAGES, "benchmarks", "examples")


def listed_submodules(package: str) -> list[str]:
    """Names under the heading "Public submodules" of the package's docstring."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    _, _, lines = (ast.get_docstring(tree) or "").partition("Public submodules\n")
    return [f"{package}.{name}" for name in re.findall(r"^- `([\w.]+)`:", lines, re.M)]


SUBMODULES = [name for package in PACKAGES for name in listed_submodules(package)]


def sorting_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: ruff's order (RUF022)."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def imports_of(path: Path) -> list[tuple[int, str, str | None]]:
    """Line, module and name of each import in a file, wherever it stands."""
    found: list[tuple[int, str, str | None]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found += [(node.lineno, node.module, alias.name) for alias in node.names]
    return found


def is_public(module: str, name: str | None) -> bool:
    """Whether another package may import this."""
    if module not in (*PACKAGES, *SUBMODULES):
        return False
    if name is None or f"{module}.{name}" in SUBMODULES:
        return True
    return name in importlib.import_module(module).__all__


@pytest.mark.parametrize("name", [*PACKAGES, *SUBMODULES])
def test_public_names_are_sorted_and_exist(name):
    module = importlib.import_module(name)

    assert list(module.__all__) == sorted(set(module.__all__), key=sorting_key)
    assert [each for each in module.__all__ if not hasattr(module, each)] == []


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


@pytest.mark.parametrize("user", USERS)
def test_other_packages_are_imported_from_public_places(user):
    private = [
        f"{path.relative_to(ROOT)}:{line}: {name or 'import'} from {module}"
        for path in sorted((ROOT / user).rglob("*.py"))
        for line, module, name in imports_of(path)
        if module.partition(".")[0] in set(PACKAGES) - {user}
        and not is_public(module, name)
    ]

    assert private == []
