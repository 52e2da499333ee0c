import pickle

import pytest

import sonic_client
from sonic_client import (
    AccessDeniedError,
    ClientClosedError,
    ConfigError,
    ConnectionEndedError,
    DeadlineExceededError,
    FailsEverywhereError,
    FallbackDriftError,
    ForkedProcessError,
    InvalidAnswerError,
    Mismatch,
    ModelMismatchError,
    ModelNotFoundError,
    ModelNotReadyError,
    NonFiniteAnswerError,
    NoServerError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerError,
    ServerFaultError,
    ServerOverloadedError,
    ServerUnreachableError,
    SonicError,
    TensorMismatchError,
    TlsError,
    TransientError,
    TriesExhaustedError,
    TryTimedOutError,
    WrongPortError,
)

MISMATCHES = [
    Mismatch("FEATURES", "FP32[-1,3]", "FP64[47,3]"),
    Mismatch("ROW_SPLITS", "INT64[-1]", "nothing"),
]
LOST = ServerUnreachableError(
    server="grpc://host:8000",
    status="UNAVAILABLE",
    details="failed to connect",
    remedy=":8001 is gRPC",
)
SERVER_ERRORS = [
    kind(server="grpc://host:8001", status="INTERNAL", details="text")
    for kind in (
        ServerError,
        TransientError,
        ServerUnreachableError,
        ServerFaultError,
        ConnectionEndedError,
        ServerOverloadedError,
        TryTimedOutError,
        RejectedRequestError,
        ModelNotFoundError,
        AccessDeniedError,
        TlsError,
        WrongPortError,
        RequestTooLargeError,
        ModelNotReadyError,
    )
]
ERRORS = [
    SonicError("text"),
    ConfigError("text"),
    ClientClosedError("text"),
    ForkedProcessError(what="the client", pid=1),
    TensorMismatchError(model="label", mismatches=MISMATCHES),
    InvalidAnswerError(model="label", server="grpc://host:1", mismatches=MISMATCHES),
    NonFiniteAnswerError(model="label", server="grpc://host:1", mismatches=MISMATCHES),
    TriesExhaustedError([LOST]),
    FailsEverywhereError(request_id="7", failures=[LOST]),
    DeadlineExceededError(deadline_s=2.5, failures=[LOST]),
    NoServerError({"grpc://host:8000": LOST}, failures=[LOST], outage_s=12.0),
    ModelMismatchError(
        model="label",
        server="grpc://b:1",
        reference="grpc://a:1",
        mismatches=MISMATCHES,
    ),
    FallbackDriftError(server="grpc://a:1", fallback="fallback f", differences=["x"]),
    *SERVER_ERRORS,
]


def facts(error):
    """Attributes, with errors among them as text: errors do not compare."""
    return {
        name: repr(value) if name in ("failures", "last_errors") else value
        for name, value in vars(error).items()
    }


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_survive_pickling_with_their_facts(error):
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error) != ""
    assert facts(copy) == facts(error)


def test_every_public_error_that_is_raised_is_pickled_above():
    public = {
        each
        for name in sonic_client.__all__
        if isinstance(each := getattr(sonic_client, name), type)
        and issubclass(each, BaseException)
    }

    # GivenUpError only groups its two children.
    assert public - {type(error) for error in ERRORS} == {sonic_client.GivenUpError}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ConfigError, ValueError),
        (TensorMismatchError, ValueError),
        (ServerUnreachableError, ConnectionError),
        (TryTimedOutError, TimeoutError),
        (DeadlineExceededError, TimeoutError),
        (ModelNotFoundError, LookupError),
        (AccessDeniedError, PermissionError),
    ],
)
def test_errors_are_caught_as_the_matching_builtin(kind, builtin):
    assert issubclass(kind, SonicError)
    assert issubclass(kind, builtin)


def test_a_server_error_names_address_status_cause_and_remedy():
    assert str(LOST) == (
        "server grpc://host:8000 cannot be reached: UNAVAILABLE: failed to connect "
        "(:8001 is gRPC)"
    )


def test_a_request_that_fails_everywhere_names_itself_and_each_server_once():
    faults = [
        ServerFaultError(server=f"grpc://{name}:1", status="INTERNAL", details="died")
        for name in "aba"
    ]

    assert str(FailsEverywhereError(request_id="7", failures=faults)) == (
        "request 7 breaks the servers that it is sent to, given up after 3 tries: "
        "server grpc://a:1 failed the call: INTERNAL: died; "
        "server grpc://b:1 failed the call: INTERNAL: died"
    )


def test_only_the_first_line_of_a_models_traceback_is_in_the_message():
    error = RejectedRequestError(
        server="grpc://host:1", status="INTERNAL", details="ValueError: bad\n\nAt:\n f"
    )

    assert str(error).endswith("rejected the request: INTERNAL: ValueError: bad")
    assert error.details.endswith("At:\n f")


def test_all_mismatches_are_in_one_message():
    assert str(TensorMismatchError(model="label", mismatches=MISMATCHES)) == (
        "model 'label': input 'FEATURES': expected FP32[-1,3], got FP64[47,3]; "
        "input 'ROW_SPLITS': expected INT64[-1], got nothing"
    )
