"""The packages are built as docs/architecture.md says: parts, order, no circles."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/py.typed"))


def modules(package: str) -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in (ROOT / package).rglob("*.py")
    }


def imports_within(package: str) -> dict[str, set[str]]:
    """Modules of the package that each of its modules imports, anywhere in its file."""
    known = modules(package)
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                named = {f"{node.module}.{alias.name}" for alias in node.names}
                named = {each if each in known else node.module for each in named}
            else:
                continue
            found[name] |= named & known.keys() - {name}
    return found


def parts_of_the_page(package: str) -> list[str]:
    """Names in the first column of the table below the package's heading."""
    section = re.search(rf"^### `{package}`.*?(?=^##|\Z)", PAGE, re.M | re.S)
    assert section, f"no heading ### `{package}`"
    cells = re.findall(r"^\| (`.+?`) \|", section[0], re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def part(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package):
    graph = imports_within(package)
    # A package's root names what its modules define: it is at the end, not in between.
    graph = {name: found - {package} for name, found in graph.items()}

    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_lists_the_parts_of_the_package(package):
    there = {part(name) for name in modules(package) if "." in name}

    listed = parts_of_the_page(package)

    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_part_imports_only_those_listed_above_it(package):
    order = {name: place for place, name in enumerate(parts_of_the_page(package))}

    upward = {
        f"{importer} imports {imported}"
        for importer, found in imports_within(package).items()
        for imported in found
        if "." in importer and "." in imported
        if order[part(imported)] > order[part(importer)]
    }

    assert upward == set()
