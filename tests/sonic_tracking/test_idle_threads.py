"""Threads of torch that have nothing to do leave the cores to the pipeline."""

import os

import pytest
from typer.testing import CliRunner

from sonic_tracking.main import app

POLICY = "OMP_WAIT_POLICY"


@pytest.mark.parametrize(
    ("command", "given", "policy"),
    [
        ("track", None, "PASSIVE"),
        ("track", "ACTIVE", "ACTIVE"),
        ("train", None, None),
    ],
)
def test_they_sleep_except_in_a_training_or_as_the_user_says(
    monkeypatch, command, given, policy
):
    monkeypatch.setenv(POLICY, given or "")
    if given is None:
        monkeypatch.delenv(POLICY)

    CliRunner().invoke(app, [command, "nowhere.root", "-o", "nowhere"])

    assert os.environ.get(POLICY) == policy
