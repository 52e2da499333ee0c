import builtins
import subprocess
import sys
from pathlib import Path

import sonic_client


def modules_after(statement):
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return set(done.stdout.split())


def test_importing_the_client_loads_nothing_heavy():
    heavy = {
        "torch",
        "scipy",
        "uproot",
        "awkward",
        "aiohttp",
        "grpc",
        "tritonclient",
        "google",
        "prometheus_client",
        "opentelemetry",
    }
    # Each takes as long to import as a tenth of this package; few jobs need them.
    slow = {"importlib.metadata", "tomllib", "difflib", "multiprocessing"}

    assert (heavy | slow) & modules_after("import sonic_client") == set()


def test_making_a_client_that_is_not_opened_loads_no_grpc():
    statement = (
        "from sonic_client import Client, ClientConfig\n"
        "Client(ClientConfig(servers='h:1', model_name='m'))"
    )

    assert "grpc" not in modules_after(statement)


def test_every_documented_error_exists():
    root = Path(sonic_client.__file__).parent
    words = {
        word.strip("`.,;:()")
        for path in root.rglob("*.py")
        for word in path.read_text().split()
    }
    named = {word for word in words if word.isidentifier() and word.endswith("Error")}

    foreign = {"DecodeError", "AioRpcError", "CancelledError", "Error"}
    assert named <= {*dir(sonic_client), *dir(builtins), *foreign}
