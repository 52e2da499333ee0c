"""Recipe files: the recipe, the files of its samples, and the weights to start from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exatrkx_pipeline import Pipeline, load_weights
from exatrkx_pipeline.training.recipe import TrainingRecipe, default_pipeline
from sonic_base import (
    ConfigError,
    TomlTable,
    config_from_mapping,
    config_to_mapping,
    is_there,
    toml_content,
)

__all__ = ["JobRecipe", "SampleFiles", "bundled_recipes", "read_recipe"]

BUNDLED = Path(__file__).parent / "recipes"
ONE_SAMPLE = "events"
"""Name of the sample whose files are given directly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFiles:
    """A table ``[[samples]]``: files of one kind of events, and how many to use."""

    name: str
    events: tuple[str, ...]
    """Paths and patterns, as `open_events` of producers takes them."""

    truth: tuple[str, ...]
    """Files with the truth of the same events, in the same order."""

    n_training: int | None = None
    """Number of events to train on, the first ones; by default all that are not for
    validation."""

    n_validation: int | None = None
    """Number of events for validation, the last ones; by default as in the recipe."""

    def __post_init__(self) -> None:
        if not (self.name and self.events and self.truth):
            raise ConfigError(
                f"[[samples]] {self.name!r}: needs a name, events and truth"
            )
        for key, least in (("n_training", 1), ("n_validation", 0)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ConfigError(
                    f"[[samples]] {self.name!r}: {key} must be at least {least}, "
                    f"got {value!r}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecipe:
    """A recipe with everything that it takes from files."""

    recipe: TrainingRecipe
    samples: tuple[SampleFiles, ...]
    start: Pipeline | None
    """Weights to start from."""


def bundled_recipes() -> list[str]:
    """Return the names of the recipes in the package: those of the bundled weights."""
    return sorted(path.stem for path in BUNDLED.glob("*.toml"))


def read_recipe(
    path: Path | None,
    *,
    events: tuple[Path, ...],
    truth: tuple[Path, ...],
    start_from: Path | None = None,
    seed: int | None = None,
) -> JobRecipe:
    """Read a recipe, and the weights that it starts from.

    Parameters
    ----------
    path : Path, optional
        A TOML file, or the name of a bundled recipe. Besides the keys of
        `TrainingRecipe` it may have ``start_from`` and tables ``[[samples]]``. Its
        ``[pipeline]`` needs only the keys that differ from the built-in one, or from
        that of the weights to start from.
    events, truth : tuple of Path
        Files of the only sample; the recipe must then have no ``[[samples]]``.
    start_from : Path, optional
        Replaces the one of the recipe.
    seed : int, optional
        Replaces the one of the recipe.

    Raises
    ------
    ConfigError, PipelineConfigError
        If the file is not a recipe, or samples are missing or given twice.
    WeightsError
        If the weights cannot be read.
    """
    table = {} if path is None else _read(path)
    samples = _samples(table.pop("samples", []), events, truth)
    given = table.pop("start_from", None)
    start = _start(Path(given) if start_from is None and given else start_from)
    # The radius in weights is the one in use; the embedding's loss has its own radius.
    base = default_pipeline()
    if start is not None:
        base = replace(start.config, graph=base.graph)
    table["pipeline"] = _over(config_to_mapping(base), table.get("pipeline", {}))
    built_in = config_to_mapping(TrainingRecipe())
    table = {
        key: _over(built_in[key], value) if key in built_in else value
        for key, value in table.items()
    }
    recipe = config_from_mapping(TrainingRecipe, table, where=str(path or "recipe"))
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    return JobRecipe(recipe=recipe, samples=samples, start=start)


def _read(path: Path) -> TomlTable:
    is_name = path.name == str(path)
    if is_name and not is_there(path) and path.name in bundled_recipes():
        path = BUNDLED / f"{path}.toml"
    if not is_there(path):
        raise ConfigError(
            f"{path}: cannot read: No such file or directory; recipes by name are "
            f"{', '.join(bundled_recipes())}"
        )
    return toml_content(path)


def _samples(
    tables: Any, events: tuple[Path, ...], truth: tuple[Path, ...]
) -> tuple[SampleFiles, ...]:
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise ConfigError("samples must be tables: [[samples]]")
    if events or truth:
        if tables:
            raise ConfigError(
                "the recipe has [[samples]]: leave out events and truth "
                "(--events, --truth)"
            )
        if not (events and truth):
            raise ConfigError("events and truth (--events, --truth) come together")
        return (
            SampleFiles(
                name=ONE_SAMPLE,
                events=tuple(map(str, events)),
                truth=tuple(map(str, truth)),
            ),
        )
    if not tables:
        raise ConfigError(
            "no events: give events and truth (--events, --truth), or a recipe "
            "with [[samples]]"
        )
    samples = tuple(
        config_from_mapping(SampleFiles, t, where="[[samples]]") for t in tables
    )
    names = [sample.name for sample in samples]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"[[samples]]: the name {name!r} is used twice")
    return samples


def _over(base: TomlTable, table: Any) -> Any:
    """Fill in the missing keys of a table from `base`, table by table."""
    if not isinstance(table, dict):
        return table  # wrong; the recipe's own checks will say so
    return base | {
        key: _over(base[key], value) if isinstance(base.get(key), dict) else value
        for key, value in table.items()
    }


def _start(path: Path | None) -> Pipeline | None:
    return None if path is None else load_weights(path)
