import subprocess
import sys


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, producers; "
        "heavy = {'torch', 'scipy', 'matplotlib', 'hist', 'grpc', 'acts', 'pyarrow',"
        " 'producers.formats.registry'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )

    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == "[]"
