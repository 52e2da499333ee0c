"""From errors to one line and a status."""

import pytest
import typer

from exatrkx_pipeline.errors import PipelineConfigError, WeightsError
from sonic_client import ConfigError, SonicError
from sonic_tracking.commands.console import one_line_errors
from sonic_tracking.errors import MissingExtraError, needs_extra


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SonicError("no luck"), 1),
        (WeightsError("no luck"), 1),
        (ConfigError("no luck"), 2),
        (PipelineConfigError("no luck"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_becomes_one_line_and_a_status(capsys, error, status):
    with pytest.raises(typer.Exit) as exit_, one_line_errors():
        raise error

    assert exit_.value.exit_code == status
    assert capsys.readouterr().err == "sonic: no luck\n"


def test_message_of_several_lines_becomes_one(capsys):
    with pytest.raises(typer.Exit), one_line_errors():
        raise SonicError("first\n  second")

    assert capsys.readouterr().err == "sonic: first second\n"


def test_ctrl_c_has_the_status_of_shells(capsys):
    with pytest.raises(typer.Exit) as exit_, one_line_errors():
        raise KeyboardInterrupt

    assert exit_.value.exit_code == 130
    assert capsys.readouterr().err == "sonic: interrupted\n"


def test_defect_passes_through():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        _ = 1 / 0


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("SONIC_DEBUG", "1")

    with pytest.raises(typer.Exit), one_line_errors():
        raise SonicError("no luck")

    assert "Traceback" in capsys.readouterr().err


def test_missing_package_names_the_extra():
    with (
        pytest.raises(MissingExtraError, match=r"nowhere.*sonic-tracking\[pipeline\]"),
        needs_extra("pipeline"),
    ):
        import nowhere.at_all  # noqa: F401
