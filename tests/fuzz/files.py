"""Damaged files: each is read, or refused by one line; nothing else may happen.

    python -m tests.fuzz.files --files 100000 --seed 1

prints a table, keeps each file that failed in ``--offenders``, and ends with status 1
if there is one. ``--first N --files 1`` reads one again.

Files are read in processes of their own, with limits on time and memory. A process
that hangs or crashes is replaced, and what it read counts as failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import math
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 30.0
MEMORY_BYTES = 3 << 30
"""Address space of a reading process beyond what its libraries take."""

SHARES = {
    1: re.compile("ttree|TTree|GNN4ITk$|truth, .*EDM4hep|journal|checksum|import"),
    3: re.compile("RNTuple|rntuple|recipe|kept"),
    6: re.compile(""),
}
"""How often samples are read: those of uproot take ten times as long as others."""

MOST_KEPT = 50
PAGE = os.sysconf("SC_PAGE_SIZE")
ROOT = Path(__file__).parents[2]


@dataclass
class Findings:
    """What became of the files."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By sample and outcome: ``read``, ``refused`` or ``failed``."""

    failures: list[tuple[int, str, str]] = field(default_factory=list)
    """Number, sample and reason."""

    slowest_s: dict[str, float] = field(default_factory=dict)
    spent_s: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """Largest resident memory of a process after a file of the sample raised it."""

    growth_bytes: int = 0
    """Resident memory gained by a process from its 500th file to its last."""

    def add(self, number: int, sample: str, outcome: str, spent_s: float) -> None:
        kind, _, reason = outcome.partition(" ")
        self.counts[sample, kind] += 1
        self.slowest_s[sample] = max(self.slowest_s.get(sample, 0.0), spent_s)
        self.spent_s[sample] = self.spent_s.get(sample, 0.0) + spent_s
        self.spent_s[sample] = self.spent_s.get(sample, 0.0) + spent_s
        if kind == "failed":
            self.failures.append((number, sample, reason))
            sys.stderr.write(f"{number} {sample}: {reason}\n")
            sys.stderr.flush()

    def table(self, spent_s: float) -> str:
        """Return the counts, one sample a line."""
        total = Counter[str]()
        for (_, kind), count in self.counts.items():
            total[kind] += count
        head = ("read", "refused", "failed")
        lines = [f"{'sample':32}" + "".join(f"{kind:>9}" for kind in head)]
        lines[0] += f"{'mean':>9}{'slowest':>10}{'peak MB':>9}"
        for sample in sorted({sample for sample, _ in self.counts}):
            row = "".join(f"{self.counts[sample, kind]:>9}" for kind in head)
            slowest = f"{self.slowest_s[sample] * 1e3:.0f} ms"
            peak = self.peak_bytes.get(sample, 0) / 1e6
            n_files = sum(self.counts[sample, kind] for kind in head)
            mean = f"{self.spent_s[sample] / n_files * 1e3:.1f} ms"
            lines.append(f"{sample:32}{row}{mean:>9}{slowest:>10}{peak:>9.0f}")
        row = "".join(f"{total[kind]:>9}" for kind in head)
        lines.append(f"{'all':32}{row}")
        lines.append(
            f"{total.total():,} files in {spent_s:.0f} s, memory grew by "
            f"{self.growth_bytes / 1e6:.0f} MB"
        )
        return "\n".join(lines)


def fuzz(
    n_files: int,
    seed: int,
    *,
    first: int = 0,
    samples: Sequence[str] = (),
    n_processes: int = 1,
    most_s: float = math.inf,
    offenders: Path | None = None,
) -> Findings:
    """Damage files, read them, and return what became of them.

    Parameters
    ----------
    n_files, seed, first : int
        A seed and a number, from `first` on, always mean the same damage.
    samples : sequence of str
        Only these; by default all.
    n_processes : int
    most_s : float
        Seconds after which no further file is read.
    offenders : Path, optional
        Folder for the files that failed.
    """
    findings, ends_s = Findings(), time.monotonic() + most_s
    shares = [
        range(first + share, first + n_files, n_processes)
        for share in range(n_processes)
    ]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        with ThreadPoolExecutor(n_processes) as threads:
            watched = [
                threads.submit(
                    *(_watch, share, seed, samples, Path(folder) / str(index)),
                    *(findings, ends_s),
                )
                for index, share in enumerate(shares)
            ]
        for each in watched:
            each.result()
        if offenders is not None:
            for kept in Path(folder).glob("*/offenders/*"):
                shutil.copytree(kept, offenders / kept.name, dirs_exist_ok=True)
    findings.failures.sort()
    return findings


def _watch(
    numbers: range,
    seed: int,
    samples: Sequence[str],
    folder: Path,
    findings: Findings,
    ends_s: float,
) -> None:
    """Read files in one process after another, until all are read."""
    folder.mkdir()
    while numbers and time.monotonic() < ends_s:
        command = [sys.executable, "-m", "tests.fuzz.files", "--worker", str(folder)]
        command += ["--seed", str(seed), "--first", str(numbers.start)]
        command += ["--stop", str(numbers.stop), "--step", str(numbers.step)]
        command += [word for name in samples for word in ("--sample", name)]
        log = (folder / "log").open("w+", encoding="utf-8", errors="replace")
        last, sample = None, "?"
        with (
            log,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                kind, *values = line.rstrip("\n").split("\t")
                if kind == "begin":
                    last, sample = int(values[0]), values[1]
                elif kind == "end":
                    findings.add(int(values[0]), values[1], values[2], float(values[3]))
                    last, numbers = None, numbers[1:]
                    if time.monotonic() > ends_s:
                        process.terminate()
                        return
                elif kind == "peak":
                    before = findings.peak_bytes.get(values[0], 0)
                    findings.peak_bytes[values[0]] = max(before, int(values[1]))
                elif kind == "grew":
                    findings.growth_bytes = max(findings.growth_bytes, int(values[0]))
            status = process.wait()
            log.seek(0)
            tail = log.read()[-1500:]
        if last is None and numbers:
            raise RuntimeError(f"a reading process ended with {status}: {tail}")
        if last is not None:
            what = "hung" if "Timeout" in tail else f"crashed ({status})"
            reason = re.sub(r"\s+", " ", f"{what}: {tail}")
            findings.add(last, sample, f"failed {reason}", LIMIT_S)
            _keep(folder / "work" / sample_folder(sample), folder, last, sample)
            numbers = numbers[1:]


def sample_folder(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def _keep(files: Path, folder: Path, number: int, sample: str) -> None:
    kept = folder / "offenders" / f"{number}-{sample_folder(sample)}"
    if len(list(folder.glob("offenders/*"))) < MOST_KEPT and files.is_dir():
        shutil.copytree(files, kept, dirs_exist_ok=True)


class _Reader:
    """Damages and reads files in this process, and says so on stdout."""

    def __init__(self, folder: Path, seed: int, names: Sequence[str]) -> None:
        from tests.fuzz.samples import SAMPLES

        self._folder, self._seed = folder, seed
        self._names = [name for name in SAMPLES if not names or name in names]
        # Which sample a number means depends on its place in this list.
        self._order = [
            name
            for turn in range(max(SHARES))
            for name in self._names
            if turn < next(n for n, names in SHARES.items() if names.search(name))
        ]
        self._samples = SAMPLES
        self._valid: dict[str, dict[Path, bytes]] = {}
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        for name in self._names:
            own = work / sample_folder(name)
            own.mkdir(parents=True)
            SAMPLES[name].make(own)
            files = [path for path in sorted(own.rglob("*")) if path.is_file()]
            self._valid[name] = {path: path.read_bytes() for path in files}
            SAMPLES[name].read(own)  # it is valid
            self._restore(name)
        self._others = [c for each in self._valid.values() for c in each.values()]
        self._unraisable: list[str] = []
        sys.unraisablehook = lambda hook: self._unraisable.append(repr(hook.exc_value))
        threading.excepthook = lambda hook: self._unraisable.append(
            repr(hook.exc_value)
        )

    def run(self, numbers: range) -> None:
        peak = grown_from = 0
        for count, number in enumerate(numbers):
            draw = random.Random(f"{self._seed} {number}")
            name = self._order[number % len(self._order)]
            _say("begin", number, name)
            path = self._damage(name, draw)
            faulthandler.dump_traceback_later(LIMIT_S, exit=True)
            start = time.perf_counter()
            outcome = self._outcome(name)
            spent_s = time.perf_counter() - start
            faulthandler.cancel_dump_traceback_later()
            _say("end", number, name, outcome, f"{spent_s:.6f}")
            if outcome.startswith("failed"):
                own = self._folder / "work" / sample_folder(name)
                _keep(own, self._folder, number, f"{name}-{path.name}")
            self._restore(name, path)
            high = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if high > peak:
                peak = high
                _say("peak", name, peak)
            if count == 500:
                gc.collect()
                grown_from = _resident_bytes()
        if grown_from:
            gc.collect()
            _say("grew", _resident_bytes() - grown_from)

    def _damage(self, name: str, draw: random.Random) -> Path:
        from tests.fuzz.damage import damaged

        files = self._valid[name]
        path = draw.choice([each for each in files if each.name != "paths.txt"])
        own = list(files.values())
        others = own if draw.random() < 0.7 else self._others
        path.write_bytes(damaged(files[path], others, draw))
        return path

    def _outcome(self, name: str) -> str:
        from sonic_base import SonicError

        own = self._folder / "work" / sample_folder(name)
        try:
            self._samples[name].read(own)
            outcome = "read"
        except SonicError as error:
            outcome = f"refused {type(error).__name__}"
            if "\n" in str(error):
                outcome = f"failed several lines: {str(error)!r}"
        except BaseException as error:  # also the panic of a library in Rust
            where = "".join(traceback.format_tb(error.__traceback__)[-3:])
            outcome = f"failed {type(error).__name__}: {error} {where}"
        # Reading that fails part-way must not leave a finished output.
        made = {path for path in own.iterdir() if path.is_file()} - set(
            self._valid[name]
        )
        if made and outcome.startswith("refused"):
            outcome = f"failed half an output: {made}"
        if self._unraisable:
            outcome = f"failed {self._unraisable.pop()}"
            self._unraisable.clear()
        return re.sub(r"\s+", " ", outcome)[:1500]

    def _restore(self, name: str, damaged: Path | None = None) -> None:
        own, files = self._folder / "work" / sample_folder(name), self._valid[name]
        there = {path for path in own.rglob("*") if path.is_file()}
        for path in there - files.keys():
            path.unlink()
        for path in files if damaged is None else {damaged, *(files.keys() - there)}:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])


def _say(*values: object) -> None:
    line = "\t".join(map(str, values)) + "\n"
    # A message may quote bytes of a file that are no text.
    sys.stdout.write(line.encode("ascii", "backslashreplace").decode())
    sys.stdout.flush()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def _work(folder: Path, seed: int, numbers: range, samples: Sequence[str]) -> None:
    # What libraries in C print goes to the log.
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    reader = _Reader(folder, seed, samples)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    limit = used + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    reader.run(numbers)


def main() -> int:
    """Run the command, or one of its reading processes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--sample", action="append", default=[], help="only these")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--offenders", type=Path, default=Path("fuzz-offenders"))
    for name in ("--stop", "--step"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        numbers = range(options.first, options.stop, options.step)
        _work(options.worker, options.seed, numbers, options.sample)
        return 0
    started = time.monotonic()
    findings = fuzz(
        options.files,
        options.seed,
        first=options.first,
        most_s=60.0 * options.minutes,
        samples=options.sample,
        n_processes=options.processes,
        offenders=options.offenders,
    )
    lines = [f"{n} {sample}: {why}" for n, sample, why in findings.failures[:MOST_KEPT]]
    _say("\n".join([findings.table(time.monotonic() - started), *lines]))
    return 1 if findings.failures else 0


if __name__ == "__main__":
    sys.exit(main())
