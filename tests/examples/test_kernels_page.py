"""What docs/kernels.md shows runs, block after block, and prints what it says."""

import contextlib
import io
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kernels.md").read_text()
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(kind, textwrap.dedent(text)) for kind, text in BLOCK.findall(PAGE)]


def test_python_blocks_print_what_the_page_says():
    names, printed = {}, io.StringIO()

    with contextlib.redirect_stdout(printed):
        for kind, text in BLOCKS:
            if kind == "python":
                exec(text, names)

    assert printed.getvalue() == "".join(
        text for kind, text in BLOCKS if kind == "text"
    )


def test_files_that_it_names_exist():
    package = ROOT / "exatrkx_pipeline"
    commands = " ".join(text for kind, text in BLOCKS if kind == "bash")
    tests = re.findall(r"\S+\.py", commands)
    sources = re.findall(r"`((?:kernels|stages)/\w+\.py)`", PAGE)
    pictures = re.findall(r"!\[.*\]\((.+)\)", PAGE)

    named = [ROOT / name for name in tests] + [package / name for name in sources]
    named += [ROOT / "docs" / name for name in pictures]
    assert len(named) >= 7
    assert [path for path in named if not path.exists()] == []
