"""Token expired: renewed once and replayed; a bad one is fatal, and shown nowhere."""

import logging

import numpy as np
import pytest

from mock_server import FaultPlan, MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    AccessDeniedError,
    Answer,
    Client,
    ClientConfig,
    Failure,
    Request,
    ServerConfig,
    WindowConfig,
)

X = [Served("X", "FP32", (-1,))]
ECHO = Model("echo", X, X, dict)
CANARY = "canary-token-7f3a"


def requests(n_requests):
    for number in range(n_requests):
        yield Request(number, {"X": np.ones(3, np.float32)})


def test_no_event_is_lost_when_the_token_expires_mid_run(tmp_path):
    """The server takes each token ten times, as if it were old then."""
    tokens = [f"token-{number}" for number in range(20)]
    faults = FaultPlan().require_token(*tokens, requests_each=10)
    handed_out = iter(tokens)

    with MockServer([ECHO], faults=faults) as server:
        config = ClientConfig(
            servers=ServerConfig(url=server.url, token=lambda: next(handed_out)),
            model_name="echo",
            # Fewer than a token is good for: else a replay could be refused as well.
            window=WindowConfig(max_requests=4),
        )
        with Client(config) as client:
            outcomes = list(client.map(requests(50)))

    assert [outcome.request_id for outcome in outcomes] == list(range(50))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)


def test_a_token_that_turns_bad_is_fatal_and_shown_nowhere(caplog):
    faults = FaultPlan().require_token(CANARY, "another", requests_each=8)
    caplog.set_level(logging.DEBUG)

    with MockServer([ECHO], faults=faults) as server:
        config = ClientConfig(
            servers=ServerConfig(url=server.url, token=CANARY), model_name="echo"
        )
        with Client(config) as client:
            outcomes = list(client.map(requests(20)))
            summary = client.summary()

    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert failures
    assert isinstance(failures[0].error, AccessDeniedError)
    shown = [caplog.text, repr(config), repr(outcomes), repr(summary), str(summary)]
    shown += [str(failure.error) for failure in failures]
    assert [text for text in shown if CANARY in text] == []


def test_without_a_token_the_start_is_denied():
    with MockServer([ECHO], faults=FaultPlan().require_token("good")) as server:
        client = Client(ClientConfig(servers=server.url, model_name="echo"))

        with pytest.raises(AccessDeniedError):
            client.__enter__()


def test_a_token_file_of_others_is_warned_of_once_however_often_it_is_read(
    tmp_path, caplog
):
    tokens = [f"token-{number}" for number in range(20)]
    file = tmp_path / "token"
    file.write_text(tokens[0])
    file.chmod(0o644)
    handed_out = iter(tokens)

    def renew(_):
        file.write_text(next(handed_out))

    faults = FaultPlan().on().call(renew).require_token(*tokens, requests_each=3)
    with MockServer([ECHO], faults=faults) as server:
        config = ClientConfig(
            servers=ServerConfig(url=server.url, token_file=file),
            model_name="echo",
            window=WindowConfig(max_requests=1),
        )
        with Client(config) as client:
            list(client.map(requests(10)))

    assert caplog.text.count("can be read by other users") == 1
