"""Where tritonserver is looked for."""

import json
import sys
from pathlib import Path

import pytest

from sonic_tracking.engines import interpreter
from sonic_tracking.engines.triton_installation import TritonNotFoundError, find_triton

VERSION = "{}.{}".format(*sys.version_info)


def pretend_wheel(site: Path, version: str = VERSION) -> Path:
    """The files of nvidia-pytriton that are looked for."""
    root = site / "pytriton" / "tritonserver"
    for name in (
        "bin/tritonserver",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        f"python_backend_stubs/{version}/triton_python_backend_stub",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch(mode=0o755)
    (site / "pytriton" / "__init__.py").touch()
    return root


def test_wheel_brings_binary_backend_and_the_stub_of_this_python(tmp_path, monkeypatch):
    root = pretend_wheel(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(interpreter, "version", lambda _: "1.26.4")

    found = find_triton()

    assert found.binary == root / "bin" / "tritonserver"
    assert found.library_path[0] == str(tmp_path / "nvidia_pytriton.libs")
    assert found.program_path == (str(Path(sys.executable).parent),)
    assert found.backend_links() == {
        "python/libtriton_python.so": root / "backends/python/libtriton_python.so",
        "python/triton_python_backend_utils.py": (
            root / "backends/python/triton_python_backend_utils.py"
        ),
        "python/triton_python_backend_stub": (
            root / f"python_backend_stubs/{VERSION}/triton_python_backend_stub"
        ),
    }


def test_wheel_beside_a_numpy_that_its_backend_misreads_is_refused(
    tmp_path, monkeypatch
):
    pretend_wheel(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(interpreter, "version", lambda _: "2.4.6")

    with pytest.raises(TritonNotFoundError, match=r"numpy 2\.4\.6: expected numpy < 2"):
        find_triton()


def test_wheel_without_a_stub_for_this_python_is_refused(tmp_path, monkeypatch):
    pretend_wheel(tmp_path, version="3.8")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(TritonNotFoundError, match=f"for Python {VERSION}"):
        find_triton()


@pytest.fixture
def without_wheel(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


@pytest.mark.usefixtures("without_wheel")
def test_binary_on_path_is_taken_with_its_own_backends(tmp_path, monkeypatch):
    (tmp_path / "tritonserver").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = find_triton()

    assert found.binary == tmp_path / "tritonserver"
    assert found.backend_links() == {}


@pytest.mark.usefixtures("without_wheel")
def test_message_says_how_to_get_one(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(TritonNotFoundError) as caught:
        find_triton()

    message = str(caught.value)
    assert "pip install 'sonic-tracking[triton]'" in message
    assert "--container" in message


def test_python_that_does_not_run_is_named(tmp_path):
    with pytest.raises(TritonNotFoundError, match="no usable Python"):
        find_triton(tmp_path / "python")


def test_other_environment_without_the_wheel_is_named(tmp_path):
    python = tmp_path / "python"
    facts = {"version": "3.11", "bindir": "", "libdir": "", "pytriton": None}
    python.write_text(f"#!/bin/sh\necho '{json.dumps({**facts, 'numpy': None})}'")
    python.chmod(0o755)

    with pytest.raises(TritonNotFoundError, match=r"sonic-tracking\[pipeline,triton\]"):
        find_triton(python)
