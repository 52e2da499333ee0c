"""What every configuration demands of its values."""

from __future__ import annotations

from typing import Any, get_args

from exatrkx_pipeline.errors import PipelineConfigError


def require(condition: bool, message: str) -> None:
    """Raise `PipelineConfigError` with the message, unless the condition holds."""
    if not condition:
        raise PipelineConfigError(message)


def require_choices(name: str, values: tuple[str, ...], kind: Any) -> None:
    """Demand that all values are among those of a `Literal`."""
    unknown = [v for v in values if v not in get_args(kind)]
    require(
        not unknown, f"{name} must be among {get_args(kind)}, got {', '.join(unknown)}"
    )


def require_positive(config: Any, *names: str) -> None:
    """Demand that these fields are positive integers."""
    for name in names:
        value = getattr(config, name)
        require(
            isinstance(value, int) and value > 0,
            f"{name} must be a positive integer, got {value!r}",
        )


def require_score(name: str, value: float) -> None:
    """Demand a score that some edge can be above."""
    require(0.0 <= value < 1.0, f"{name} must be in [0, 1), got {value}")
