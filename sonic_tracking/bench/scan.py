"""Which points a service benchmark measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sonic_base.errors import ConfigError

__all__ = ["DIRECT", "ScanPoint", "parse_range", "plan_scan"]

DIRECT = "direct"
"""Named like a model: the pipeline in this process, without a server."""

SERVED = ("exatrkx", "exatrkx_ensemble")


@dataclass(frozen=True, slots=True, order=True)
class ScanPoint:
    """One setting to measure."""

    instances: int
    """Of the model on the server; of the direct pipeline, its threads."""

    model: str

    concurrency: int
    """Requests in flight; of the direct pipeline, as many as threads."""


def parse_range(text: str, name: str) -> tuple[int, ...]:
    """Numbers from ``FIRST:LAST``, ``FIRST:LAST:STEP`` or a list ``1,2,4``.

    Both ends are included, as perf_analyzer has it.

    Raises
    ------
    ConfigError
        If it is none of these, or a number is below 1.
    """
    try:
        if ":" in text:
            first, last, *steps = map(int, text.split(":"))
            (step,) = steps or (1,)
            numbers = tuple(range(first, last + 1, step))
        else:
            numbers = tuple(sorted(set(map(int, text.split(",")))))
    except ValueError as error:
        raise ConfigError(
            f"{name}: expected FIRST:LAST[:STEP] or a list such as 1,2,4, got {text!r}"
        ) from error
    if not numbers or numbers[0] < 1:
        raise ConfigError(f"{name}: expected numbers from 1 upwards, got {text!r}")
    return numbers


def plan_scan(
    models: Iterable[str], concurrency: Sequence[int], instances: Sequence[int]
) -> tuple[ScanPoint, ...]:
    """Points of the paper's figures, those of one server together.

    Concurrency is scanned at the fewest instances, instances at the highest
    concurrency; the direct pipeline at as many threads as there are instances.

    Raises
    ------
    ConfigError
        If a model is unknown, or there is none.
    """
    wanted = list(dict.fromkeys(models))
    unknown = [model for model in wanted if model not in (*SERVED, DIRECT)]
    if unknown or not wanted:
        raise ConfigError(
            f"--model: expected some of {', '.join((*SERVED, DIRECT))}, "
            f"got {', '.join(unknown) or 'none'}"
        )
    points = set()
    for model in wanted:
        if model == DIRECT:
            points |= {ScanPoint(n, DIRECT, n) for n in instances}
            continue
        points |= {ScanPoint(min(instances), model, n) for n in concurrency}
        points |= {ScanPoint(n, model, max(concurrency)) for n in instances}
    return tuple(sorted(points))
