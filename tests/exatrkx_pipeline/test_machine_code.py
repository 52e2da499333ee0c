"""Compiled functions: cached until a source changes, and safe to call first."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np

import exatrkx_pipeline
from exatrkx_pipeline.kernels.machine_code import COMPILED_FOLDERS, compiled

PACKAGE = Path(exatrkx_pipeline.__file__).parent


def test_a_change_in_any_file_with_compiled_functions_makes_the_cache_stale():
    folders = {
        file.relative_to(PACKAGE).parts[0]
        for file in PACKAGE.rglob("*.py")
        if "numba" in (text := file.read_text()) or "machine_code" in text
    }

    assert folders == set(COMPILED_FOLDERS)


def test_threads_may_make_the_first_call_of_a_compiled_function_together():
    @compiled
    def halved(x):
        return np.sqrt(x) / np.float32(2.0)

    @compiled
    def summed(values):
        total = np.float32(0.0)
        for k in range(len(values)):
            total += halved(values[k])
        return total

    barrier = Barrier(4)

    def first_call():
        barrier.wait()
        return summed(np.full(4, 9.0, np.float32))

    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(first_call) for _ in range(4)]

    assert [call.result() for call in calls] == [6.0] * 4


def test_loaded_package_has_not_loaded_the_compiler():
    check = "import exatrkx_pipeline, sys; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)
