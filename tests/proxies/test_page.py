"""The configurations of docs/testing.md are valid."""

import re
import subprocess
from pathlib import Path

import pytest

from .middleboxes import path_of

pytestmark = pytest.mark.proxies

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def block(start):
    """Return the block of the page that starts with this text."""
    (text,) = re.findall(rf"^```\w+\n({start}.*?)^```$", PAGE, re.M | re.S)
    return text


@pytest.mark.parametrize(
    ("program", "start", "options"),
    [
        ("nginx", "daemon off", ["-t", "-e", "stderr", "-c"]),
        ("haproxy", "defaults", ["-c", "-f"]),
    ],
)
def test_configuration_of_the_page_is_valid(program, start, options, tmp_path):
    file = tmp_path / "config"
    file.write_text(block(start).replace("folder/", f"{tmp_path}/"))

    subprocess.run([path_of(program), *options, file], check=True, timeout=30)
