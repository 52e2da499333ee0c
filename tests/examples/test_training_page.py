"""What docs/training.md says of recipes is so."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exatrkx_pipeline.training import bundled_recipes, read_recipe
from sonic_tracking.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"), ids=["staged", "fine-tuning"])
def test_its_recipes_are_recipes(text, tmp_path):
    (tmp_path / "recipe.toml").write_text(text)

    planned = read_recipe(tmp_path / "recipe.toml", events=(), truth=())

    named = {sample.name for sample in planned.samples}
    for stage in planned.recipe.stages:
        assert set(planned.recipe.schedule(stage).samples) <= named


def test_options_that_it_names_exist():
    for line in "".join(blocks("bash")).splitlines():
        name = line.split()[1]
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})

        for option in re.findall(r"--[a-z-]+", line):
            assert option in shown.output


def test_it_names_every_recipe_of_the_package():
    assert [name for name in bundled_recipes() if f"{name}.toml" not in PAGE] == []
