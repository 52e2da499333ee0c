"""Trace and log settings."""

import grpc
import pytest
from tritonclient.grpc import service_pb2

TRACE = {
    "trace_level": ["OFF"],
    "trace_rate": ["1000"],
    "trace_count": ["-1"],
    "log_frequency": ["0"],
    "trace_file": [""],
    "trace_mode": ["triton"],
}


@pytest.fixture
def trace(stub):
    """Set some values, and read all of them."""

    def ask(model="", **values):
        request = service_pb2.TraceSettingRequest(model_name=model)
        for key, value in values.items():
            request.settings[key].value.extend(value)
        settings = stub.TraceSetting(request, timeout=20).settings
        return {key: list(value.value) for key, value in settings.items()}

    yield ask
    clear = service_pb2.TraceSettingRequest()
    for key in TRACE:
        if key not in {"trace_file", "trace_mode"}:
            clear.settings[key].SetInParent()
    stub.TraceSetting(clear, timeout=20)


@pytest.fixture
def trace_error(trace):
    def fail(model="", **values):
        with pytest.raises(grpc.RpcError) as error:
            trace(model, **values)
        return error.value.code().name, error.value.details()

    return fail


def test_trace_settings_at_the_start(trace):
    assert trace() == TRACE


def test_trace_settings_over_http(http_call):
    answer = http_call("GET", "/v2/trace/setting")

    assert answer.json == {
        "trace_level": ["OFF"],
        "trace_rate": "1000",
        "trace_count": "-1",
        "log_frequency": "0",
        "trace_file": "",
        "trace_mode": "triton",
    }


def test_trace_settings_are_set_and_cleared(trace):
    assert trace(trace_rate=["7"])["trace_rate"] == ["7"]
    assert trace()["trace_rate"] == ["7"]

    assert trace(trace_rate=[])["trace_rate"] == ["1000"]


def test_trace_settings_of_a_model_are_its_own(trace):
    assert trace("add_sub", trace_count=["5"])["trace_count"] == ["5"]
    assert trace()["trace_count"] == ["-1"]

    assert trace("add_sub", trace_count=[])["trace_count"] == ["-1"]


def test_trace_settings_of_the_server_are_those_of_its_models(trace):
    trace(trace_rate=["9"])

    assert trace("add_sub")["trace_rate"] == ["9"]


def test_trace_settings_are_set_over_http(http_json, http_call, trace):
    answer = http_json("/v2/trace/setting", {"trace_rate": "11"})
    assert answer.json["trace_rate"] == "11"

    answer = http_json("/v2/models/add_sub/trace/setting", {"trace_rate": "12"})
    assert answer.json["trace_rate"] == "12"
    http_json("/v2/models/add_sub/trace/setting", {"trace_rate": None})

    assert trace()["trace_rate"] == ["11"]


def test_trace_file_cannot_be_set(trace_error):
    assert trace_error(trace_file=["/x"]) == (
        "UNIMPLEMENTED",
        "trace file location can not be updated through network protocol",
    )


def test_trace_level_needs_a_file(trace_error):
    assert trace_error(trace_level=["TIMESTAMPS"]) == (
        "INVALID_ARGUMENT",
        "Attempting to set invalid trace setting :trace file name is not given",
    )


@pytest.mark.parametrize("key", ["trace_rate", "trace_count", "log_frequency"])
def test_trace_setting_that_is_no_number(trace_error, key):
    assert trace_error(**{key: ["abc"]}) == (
        "INVALID_ARGUMENT",
        f"Unable to parse '{key}', got: abc",
    )


def test_trace_settings_of_an_unknown_model(trace_error, http_call):
    text = "Request for unknown model : nowhere"

    assert trace_error("nowhere") == ("INVALID_ARGUMENT", text)
    assert http_call("GET", "/v2/models/nowhere/trace/setting").error == (400, text)


@pytest.mark.parametrize("values", [{"x": ["y"]}, {"trace_level": ["NONSENSE"]}])
def test_unknown_trace_settings_are_ignored(trace, values):
    assert trace(**values) == TRACE


LOG = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}


def plain(settings):
    return {
        key: getattr(value, value.WhichOneof("parameter_choice"))
        for key, value in settings.items()
    }


@pytest.fixture
def log(stub):
    """Set some values, and read all of them."""

    def ask(**values):
        request = service_pb2.LogSettingsRequest()
        for key, (kind, value) in values.items():
            setattr(request.settings[key], kind, value)
        return plain(stub.LogSettings(request, timeout=20).settings)

    yield ask
    ask(
        log_info=("bool_param", True),
        log_verbose_level=("uint32_param", 0),
        log_format=("string_param", "default"),
    )


@pytest.fixture
def log_error(log):
    def fail(**values):
        with pytest.raises(grpc.RpcError) as error:
            log(**values)
        return error.value.code().name, error.value.details()

    return fail


def test_log_settings_at_the_start(log):
    assert log() == LOG


def test_log_settings_over_http(http_call):
    assert http_call("GET", "/v2/logging").json == LOG


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ("log_info", "bool_param", False),
        ("log_verbose_level", "uint32_param", 1),
        ("log_format", "string_param", "ISO8601"),
    ],
)
def test_log_settings_are_set(log, key, kind, value):
    assert log(**{key: (kind, value)}) == LOG | {key: value}


def test_log_settings_are_set_over_http(http_json, log):
    answer = http_json("/v2/logging", {"log_info": False, "log_format": "ISO8601"})

    assert answer.json == LOG | {"log_info": False, "log_format": "ISO8601"}
    assert log()["log_info"] is False


def test_log_setting_of_another_type(log_error, http_json):
    assert log_error(log_info=("string_param", "x")) == (
        "INVALID_ARGUMENT",
        "expect boolean for 'log_info'",
    )
    assert http_json("/v2/logging", {"log_info": "x"}).error == (
        500,
        "attempt to access JSON non-boolean as boolean",
    )


def test_log_format_that_is_none(log_error):
    assert log_error(log_format=("string_param", "nope")) == (
        "INVALID_ARGUMENT",
        "invalid argument for log_format, got: nope",
    )


def test_unknown_log_settings_are_ignored(log):
    assert log(x=("bool_param", True)) == LOG


def test_log_settings_that_are_no_json(http_json):
    assert http_json("/v2/logging", "{").error == (
        500,
        "failed to parse the request JSON buffer: Missing a name for object member. at "
        "1",
    )
