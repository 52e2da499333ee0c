"""Malformed messages, in both directions: a server's requests, a client's answers.

    python -m tests.fuzz.wire --requests 1000000 --seed 1

prints a table, and ends with status 1 if anything failed. ``--first N --requests 1``
sends one request again: a seed and a number always make the same one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from .client import fuzz_client
from .server import fuzz_server
from .watch import Findings

PARTS = {"server": fuzz_server, "client": fuzz_client}


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000, help="of each part")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--part", choices=PARTS, action="append")
    options = parser.parse_args()
    n_failures = 0
    for part in options.part or PARTS:
        findings, started = Findings(), time.monotonic()

        def progress(number: int, part: str = part, started: float = started) -> None:
            if sys.stderr.isatty():
                spent_s = time.monotonic() - started
                sys.stderr.write(f"\r{part}: {number} after {spent_s:.0f} s")

        PARTS[part](
            options.requests,
            options.seed,
            findings,
            first=options.first,
            progress=progress,
        )
        spent_s = time.monotonic() - started
        sys.stdout.write(report(part, findings, spent_s=spent_s) + "\n")
        sys.stdout.flush()
        n_failures += findings.n_failures
    return 1 if n_failures else 0


def report(part: str, findings: Findings, *, spent_s: float) -> str:
    """Return the table of one part, and the first failures."""
    kinds = Counter[str]()
    for (kind, _), count in findings.seen.items():
        kinds[kind] += count
    lines = [
        f"{part}: {kinds.total():,} in {spent_s:.0f} s, "
        f"{findings.n_failures} failures, peak {findings.peak_bytes / 1e6:.0f} MB, "
        f"grown by {findings.growth_bytes / 1e6:.1f} MB since the first tenth",
        f"{'kind':22}{'number':>9}{'most CPU ms':>12}  ends",
    ]
    for kind, count in sorted(kinds.items()):
        ends = Counter({s: n for (k, s), n in findings.seen.items() if k == kind})
        listed = ", ".join(f"{status} {n}" for status, n in ends.most_common())
        slowest_ms = findings.slowest_s[kind] * 1000
        lines.append(f"{kind:22}{count:>9}{slowest_ms:>12.0f}  {listed}")
    return "\n".join([*lines, *findings.failures])


if __name__ == "__main__":
    sys.exit(main())
