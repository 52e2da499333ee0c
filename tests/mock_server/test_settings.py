import grpc
import pytest

from mock_server import ModelError
from mock_server.log_settings import LogSettings
from mock_server.trace_settings import DEFAULTS, TraceSettings


def test_model_has_the_servers_settings_until_it_has_its_own():
    settings = TraceSettings()

    settings.update({"trace_rate": ["5"]})
    settings.update({"trace_count": ["7"]}, "m")

    assert settings.of() == {**DEFAULTS, "trace_rate": ("5",)}
    assert settings.of("m") == {
        **DEFAULTS,
        "trace_rate": ("5",),
        "trace_count": ("7",),
    }


def test_no_value_clears_a_setting():
    settings = TraceSettings()
    settings.update({"trace_rate": ["5"]})
    settings.update({"trace_rate": ["6"]}, "m")

    settings.update({"trace_rate": []}, "m")
    assert settings.of("m")["trace_rate"] == ("5",)
    settings.update({"trace_rate": []})
    assert settings.of("m") == DEFAULTS


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"trace_rate": ["abc"]}, "Unable to parse 'trace_rate', got: abc"),
        ({"trace_rate": ["1", "2"]}, "expect only 1 value for 'trace_rate'"),
        (
            {"trace_rate": ["99999999999"]},
            "Unable to parse 'trace_rate', value is out of range [ 0, 4294967295 ], "
            "got: 99999999999",
        ),
        (
            {"trace_count": ["-5"]},
            "Unable to parse 'trace_count'. Expecting value >= -1, got: -5",
        ),
        (
            {"trace_level": ["OFF", "TIMESTAMPS"]},
            "Expect only one trace level 'OFF' is specified",
        ),
        (
            {"trace_level": ["TENSORS"]},
            "Attempting to set invalid trace setting :trace file name is not given",
        ),
    ],
    ids=["text", "two", "too-large", "too-small", "off-and-on", "no-file"],
)
def test_wrong_trace_setting_changes_nothing(settings, text):
    traced = TraceSettings()

    with pytest.raises(ModelError) as error:
        traced.update({**settings, "log_frequency": ["3"]})

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.message == text
    assert traced.of() == DEFAULTS


def test_negative_rate_is_read_as_unsigned():
    settings = TraceSettings()

    settings.update({"trace_rate": ["-1"], "trace_level": ["unknown"]})

    assert settings.of()["trace_rate"] == ("4294967295",)
    assert settings.of()["trace_level"] == ("OFF",)


@pytest.mark.parametrize("settings", [TraceSettings, LogSettings])
def test_file_cannot_be_changed_from_outside(settings):
    name = "trace_file" if settings is TraceSettings else "log_file"

    with pytest.raises(ModelError) as error:
        settings().update({name: "/tmp/x"})

    assert error.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert error.value.message.endswith("can not be updated through network protocol")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"log_info": "x"}, "expect boolean for 'log_info'"),
        ({"log_info": None}, "expect boolean for 'log_info'"),
        ({"log_verbose_level": True}, "expect int32 for 'log_verbose_level'"),
        ({"log_format": "nope"}, "invalid argument for log_format, got: nope"),
    ],
    ids=["type", "nothing", "bool-for-int", "format"],
)
def test_wrong_log_setting_is_refused(settings, text):
    with pytest.raises(ModelError) as error:
        LogSettings().update(settings)

    assert error.value.message == text


def test_log_settings_before_the_wrong_one_are_kept():
    settings = LogSettings()

    with pytest.raises(ModelError):
        settings.update({"log_error": "x", "log_info": False})

    assert settings.now()["log_info"] is False
    assert settings.now()["log_error"] is True


def test_unknown_settings_are_ignored():
    settings = LogSettings()
    before = settings.now()

    settings.update({"colour": "blue"})
    TraceSettings().update({"colour": ["blue"]})

    assert settings.now() == before
