"""Texts of servers and files reach terminals and programs as text, not as commands."""

import numpy as np
import pytest

from mock_server import MockServer, Model, ModelError, TensorSpec

# Clears the screen, sets the title, writes to the clipboard, turns the text around.
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x9b31m\u202e\r"
HOSTILE = f'm{ESCAPES}"+__import__("os").system("touch owned")+"'


def refuse(tensors):
    raise ModelError("INVALID_ARGUMENT", f"no{ESCAPES}")


@pytest.fixture
def server():
    model = Model(
        HOSTILE,
        [TensorSpec(HOSTILE, "FP32", (-1, 3))],
        [TensorSpec("LABELS", "INT64", (-1,))],
        refuse,
        parameters={"note": ESCAPES},
    )
    with MockServer([model], http_port=0) as server:
        yield server


def shown_by(result):
    text = result.stdout + result.stderr
    assert [c for c in text if not c.isprintable() and c != "\n"] == []
    return text


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    "command",
    [
        ("servers", "{url}"),
        ("servers", "{url}", "--json"),
        ("describe", HOSTILE, "--server", "{url}"),
        ("describe", HOSTILE, "--server", "{url}", "--json"),
        ("describe", HOSTILE, "--server", "{url}", "--call"),
        ("describe", "unknown", "--server", "{url}"),
        ("track", "{events}", "-o", "t.root", "--server", "{url}", "--model", HOSTILE),
    ],
    ids=lambda words: " ".join(each for each in words if each != HOSTILE),
)
def test_no_command_prints_control_characters(sonic, sample, server, protocol, command):
    url = server.url if protocol == "grpc" else server.http_url
    words = [
        each.format(url=url, events=sample / "events.root") if each != HOSTILE else each
        for each in command
    ]

    shown_by(sonic(*words))


def test_the_example_calls_a_hostile_name_and_runs_nothing(sonic, server, tmp_path):
    program = sonic("describe", HOSTILE, "--server", server.url, "--call").stdout

    names = {}
    asked = program.replace("outputs = client.infer(inputs)", "raise LookupError")
    with pytest.raises(LookupError):
        exec(compile(asked, "call.py", "exec"), names)

    assert names["config"].model_name == HOSTILE
    assert [*names["inputs"]] == [HOSTILE]
    assert np.all(names["inputs"][HOSTILE] == 0)
    assert not (tmp_path / "owned").exists()
