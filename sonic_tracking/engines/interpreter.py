"""Facts of a Python interpreter that a Triton server needs. Also run as a script.

The interpreter may be another one: the extra ``triton`` needs numpy below 2, so it
often has an environment of its own, without this package. Therefore this file is a
script, and uses only the standard library.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


# Any: what becomes JSON.
def interpreter_facts() -> dict[str, Any]:
    """Return the facts of the running interpreter as plain values.

    Returns
    -------
    dict
        ``version`` ("3.11"), ``bindir`` (folder of its executable), ``libdir`` (of its
        shared library), ``pytriton`` (folder of that package, or None), ``numpy`` (its
        version, or None).
    """
    spec = importlib.util.find_spec("pytriton")
    folders = (spec.submodule_search_locations if spec is not None else None) or []
    return {
        "version": "{}.{}".format(*sys.version_info),
        "bindir": str(Path(sys.executable).absolute().parent),
        "libdir": sysconfig.get_config_var("LIBDIR") or "",
        "pytriton": next(iter(folders), None),
        "numpy": _version_of("numpy"),
    }


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    json.dump(interpreter_facts(), sys.stdout)
