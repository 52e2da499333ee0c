"""Which package may import which: the table of CONTRIBUTING.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "sonic_base": set(),
    "sonic_client": {"sonic_base"},
    "producers": {"sonic_base", "sonic_client"},
    "exatrkx_pipeline": {"sonic_base"},
    "mock_server": {"sonic_base", "exatrkx_pipeline"},
    "sonic_tracking": {
        "sonic_base",
        "sonic_client",
        "producers",
        "exatrkx_pipeline",
        "mock_server",
    },
}


def imported_modules(path: Path) -> set[str]:
    """Modules a file imports, by absolute name, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def loads_none_of(statement: str, *modules: str) -> None:
    """Fail if a fresh interpreter has one of these modules after the statement."""
    check = f"import sys; print(*sorted({set(modules)!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{check}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_only_those_below_it(package):
    files = sorted((ROOT / package).rglob("*.py"))
    others = ALLOWED.keys() - {package} - ALLOWED[package]

    forbidden = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imported_modules(path)
        if module.partition(".")[0] in others
    }

    assert files
    assert forbidden == set()


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_nothing_that_is_not_shipped(package):
    unshipped = {"tests", "examples", "benchmarks", "docs"}

    roots = {
        module.partition(".")[0]
        for path in (ROOT / package).rglob("*.py")
        for module in imported_modules(path)
    }

    assert roots & unshipped == set()


def test_client_and_producers_load_no_torch_scipy_or_grpc_server():
    heavy = ("torch", "scipy", "matplotlib", "hist", "acts", "grpc._server")
    heavy += ("pyarrow.parquet", "producers.formats.registry")
    loads_none_of("import sonic_client, producers", *heavy)


def test_mock_server_loads_neither_torch_nor_grpc():
    loads_none_of("import mock_server", "torch", "grpc")


def test_pipeline_package_itself_loads_no_torch():
    loads_none_of("import exatrkx_pipeline", "torch")
