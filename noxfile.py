"""The checks of this project, one session each: ``nox -l`` lists them.

``nox`` alone runs what a change must pass before it is proposed; ``.ci/run`` runs every
session that `ci` lists. With ``nox -r`` the environments are kept for the next time.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
nox.options.sessions = ["lint", "types", f"tests-{THIS_PYTHON}"]
nox.options.default_venv_backend = "venv"

PINNED = ("-c", "constraints.txt")
PYTHONS = ("3.11", "3.12", "3.13")

SHARED = Path(".nox", "everything")
"""The environment of the sessions that need all that runs together."""

TRITON_PINS = "numpy==1.26.4"
"""The wheel that carries tritonserver asks for numpy < 2; pyarrow then does not run."""


def install(session: nox.Session, *what: str) -> None:
    """Install into the session's own environment what is pinned, quietly."""
    session.install("--quiet", "--upgrade", "pip>=25.1")  # it knows dependency groups
    session.install("--quiet", *PINNED, *what)


def shared(
    session: nox.Session,
    *command: str,
    extras: str = "all,generators",
    env: Mapping[str, str] = {},
) -> None:
    """Run a command in the shared environment, which has the tests' and lint's tools.

    nox gives each session an environment of its own. With a gigabyte in each, it would
    take longer to install them than to check.
    """
    python = str(SHARED / "bin" / "python")
    if not SHARED.exists():
        session.run(sys.executable, "-m", "venv", str(SHARED), external=True)
    if extras not in _installed:
        pip = (python, "-m", "pip", "install", "--quiet")
        session.run(*pip, "--upgrade", "pip>=25.1", external=True)
        project = ("-e", f".[{extras}]", "--group", "dev", "hatchling")
        session.run(*pip, *PINNED, *project, external=True)
        _installed.add(extras)
    folder = SHARED.resolve() / "bin"
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    program, *arguments = command
    session.run(
        str(folder / program), *arguments, external=True, env={"PATH": path, **env}
    )


_installed: set[str] = set()


def test_command() -> str:
    """Return the test command that README shows: the only copy of it."""
    readme = Path("README.md").read_text(encoding="utf-8")
    _, _, after = readme.partition("<!-- test-command -->")
    block = after.partition("```bash\n")[2].partition("```")[0].strip()
    if not block:
        raise ValueError("README.md: no ```bash block after <!-- test-command -->")
    return block


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting: ruff."""
    install(session, "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Types: mypy, strict."""
    shared(session, "mypy")


@nox.session(venv_backend="none")
def readme_tests(session: nox.Session) -> None:
    """README's test command, in a folder under `.nox`: `.venv` may be in use."""
    command = test_command().replace(".venv", ".nox/readme")
    Path(".nox").mkdir(exist_ok=True)
    session.run("bash", "-euo", "pipefail", "-c", command, external=True)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The default tests, on each Python that is at hand."""
    install(session, ".[all]", "--group", "test")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(venv_backend="none")
def coverage(session: nox.Session) -> None:
    """The default tests with branch coverage; fails below the figure in pyproject."""
    shared(session, "pytest", "-n", "auto", "--cov", "--cov-report=term:skip-covered")


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Every page of the documentation: its code, its commands and its links."""
    shared(session, "pytest", "-q", "-n", "auto", "tests/examples")


@nox.session(venv_backend="none")
def generators(session: nox.Session) -> None:
    """Pythia 8, which is under the GPL and in no other extra."""
    shared(session, "pytest", "-q", "tests/simulation", "-k", "pythia or pileup")


@nox.session(venv_backend="none")
def soak(session: nox.Session) -> None:
    """A client against servers that fail; ``-- --events N``: the long one alone."""
    if not session.posargs:
        shared(session, "pytest", "-q", "-m", "soak and not slow")
    _require_proxies(session)
    shared(session, "python", "-m", "tests.proxies.soak", *session.posargs)


@nox.session(venv_backend="none")
def proxies(session: nox.Session) -> None:
    """The client behind nginx and haproxy, which root gets from apt if missing."""
    _require_proxies(session)
    shared(
        session,
        *("pytest", "-q", "-m", "proxies", "tests/proxies"),
        env={"SONIC_REQUIRE_PROXIES": "1"},  # or else they would be skipped
    )


def _require_proxies(session: nox.Session) -> None:
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
    missing = [name for name in PROXIES if shutil.which(name, path=path) is None]
    if missing and os.geteuid() == 0:
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-qq", "-y", *missing, external=True)
    elif missing:
        session.error(f"install {' and '.join(missing)}, which needs root")


PROXIES = ("nginx", "haproxy")


@nox.session(venv_backend="none")
def fuzz(session: nox.Session) -> None:
    """Malformed messages; ``nox -s fuzz -- --requests 1000000 --seed 2`` sends more."""
    options = session.posargs or ["--requests", "20000"]
    shared(session, "python", "-m", "tests.fuzz.wire", *options)


@nox.session(venv_backend="none")
def fuzz_files(session: nox.Session) -> None:
    """Damaged files; ``nox -s fuzz_files -- --files 100000 --seed 2`` reads more."""
    options = session.posargs or ["--files", "5000", "--processes", "2"]
    shared(session, "python", "-m", "tests.fuzz.files", *options)


@nox.session(venv_backend="none")
def coffea(session: nox.Session) -> None:
    """The adapter for coffea: a hundred packages more, a gigabyte."""
    shared(
        session,
        *("pytest", "-q", "tests/producers/adapters"),
        *("tests/examples/test_examples.py",),
        *("tests/examples/test_event_loop_page.py",),
        extras="all,generators,coffea",
    )


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Each benchmark once; ``nox -s bench -- --benchmark-only`` measures."""
    options = session.posargs or ["--benchmark-disable"]
    shared(session, "pytest", "-q", "benchmarks", *options)


@nox.session
def triton(session: nox.Session) -> None:
    """A real Triton serves the models and passes the conformance checks."""
    pins = Path(session.create_tmp()) / "constraints.txt"
    pinned = Path("constraints.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in pinned if not line.startswith("numpy==")]
    pins.write_text("\n".join([*kept, TRITON_PINS]) + "\n", encoding="utf-8")
    session.install("--quiet", "--upgrade", "pip>=25.1")
    extras = ".[pipeline,http,mock,simulation,plot,bench,triton]"
    session.install("--quiet", "-c", str(pins), "-e", extras, "--group", "test")
    session.run("pytest", "-q", "-m", "triton and not slow", *session.posargs)


@nox.session
def mlserver(session: nox.Session) -> None:
    """The client at a KServe v2 server without Triton's extensions."""
    install(session, "-e", ".[http,mock]", "--group", "test", "mlserver==1.7.1")
    session.run("pytest", "-q", "-n", "0", "-m", "mlserver", "tests/mlserver")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it alone, and start the command from it."""
    dist = Path(session.create_tmp()) / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    install(session, "build", "hatchling")
    # Not isolated: the build then uses the pinned hatchling.
    build = ("python", "-m", "build", "--wheel", "--no-isolation")
    session.run(*build, "--outdir", str(dist), ".")
    install(session, *map(str, dist.glob("*.whl")))
    with session.chdir(dist):  # out of the source tree, where it would be found anyway
        session.run("python", "-c", FROM_THE_WHEEL)
        session.run("sonic", "--help", silent=True)


FROM_THE_WHEEL = """
import producers
import sonic_client

for package in (producers, sonic_client):
    assert "site-packages" in package.__file__, package.__file__
"""


CI_SESSIONS = (
    "readme_tests", "lint", "types", "docs", "generators", "soak", "proxies", "fuzz",
    "fuzz_files",
    "coffea", "bench", "triton", "mlserver", "wheel",
)  # fmt: skip


@nox.session(venv_backend="none", default=False)
def ci(session: nox.Session) -> None:
    """Everything that decides whether a change lands, and how long each step took."""
    for name in CI_SESSIONS:
        session.notify(name)
