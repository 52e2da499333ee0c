"""A few thousand damaged files: the short form of ``python -m tests.fuzz.files``."""

import pytest

pytest.importorskip("pyhepmc", reason="pyhepmc is not installed")

from tests.fuzz.files import fuzz

MAX_GROWTH_BYTES = 100_000_000


def test_a_damaged_file_is_read_or_refused_in_one_line():
    findings = fuzz(1500, seed=11)

    failures = [f"{n} {sample}: {why}" for n, sample, why in findings.failures]
    assert not failures, "\n".join(failures)
    assert findings.counts.total() == 1500
    assert findings.growth_bytes < MAX_GROWTH_BYTES
