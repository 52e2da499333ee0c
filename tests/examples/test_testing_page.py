"""The blocks of docs/testing.md run, as one test file."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from mock_server import FaultPlan
from sonic_tracking.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_its_tests_pass(pytester):
    pytester.makepyfile("\n\n".join(blocks("python")))

    result = pytester.runpytest_inprocess("-Werror", "--strict-markers", "-pno:xdist")

    result.assert_outcomes(passed=3)


def test_its_file_is_the_plan_of_its_sentence(tmp_path):
    (text,) = blocks("toml")
    (tmp_path / "plan.toml").write_text(text)
    names = {}
    exec("".join(blocks("python")[:2]), names)

    assert FaultPlan.from_toml(tmp_path / "plan.toml") == names["PLAN"]


def test_its_table_has_every_verb_of_a_clause():
    clause = type(FaultPlan().on())
    verbs = [name for name in vars(clause) if not name.startswith("_")]
    verbs = [name for name in verbs if callable(getattr(clause, name))]

    missing = [name for name in verbs if f"`{name}(" not in PAGE]

    assert missing == []


def test_its_commands_have_these_options():
    for line in "".join(blocks("bash")).splitlines():
        _, command, *options = shlex.split(line)
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
        for option in options:
            if option.startswith("-"):
                assert option in shown.output
