"""A few thousand malformed messages: in short what ``tests.fuzz.wire`` does."""

import pytest

from tests.fuzz.client import fuzz_client
from tests.fuzz.server import fuzz_server
from tests.fuzz.watch import Findings

MAX_GROWTH_BYTES = 50_000_000


def assert_nothing_found(findings):
    assert not findings.failures, "\n".join(findings.failures)
    assert findings.growth_bytes < MAX_GROWTH_BYTES


@pytest.mark.parametrize("seed", [1, 2])
def test_malformed_requests_end_in_a_status_that_was_foreseen(seed):
    findings = Findings()

    fuzz_server(2500, seed, findings)

    assert_nothing_found(findings)


def test_foreign_answers_are_read_or_end_in_an_error_of_the_client():
    findings = Findings()

    fuzz_client(4000, 1, findings)

    assert_nothing_found(findings)
