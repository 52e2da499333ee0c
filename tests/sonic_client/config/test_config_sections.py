"""The sections of a configuration file, and values out of their range."""

import pickle
from pathlib import Path

import pytest

from sonic_client import (
    AdaptiveConfig,
    AnswersConfig,
    BatchingConfig,
    CacheConfig,
    ClientConfig,
    ConfigError,
    PinConfig,
)

TOML = """
[client]
servers = "grpc://localhost:8001"
model_name = "exatrkx"
layout = "padded"
cast = "same_kind"

[client.batching]
max_delay_s = 0.5
mask = "IS_REAL"
padding_value = -1
variable_outputs = ["TRACKS"]

[client.answers]
nonfinite = "raise"
writable = true

[client.cache]
max_bytes = 1000
folder = "answers"

[client.pin]
config_pbtxt = "models/exatrkx/config.pbtxt"

[client.adaptive]
window = true
slow_call_s = 2
"""


def test_every_section_is_read_from_a_file(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(TOML)

    config = ClientConfig.from_toml(path)

    assert (config.layout, config.cast) == ("padded", "same_kind")
    assert config.batching == BatchingConfig(
        max_delay_s=0.5,
        mask="IS_REAL",
        padding_value=-1.0,
        variable_outputs=("TRACKS",),
    )
    assert config.answers == AnswersConfig(nonfinite="raise", writable=True)
    assert config.cache == CacheConfig(max_bytes=1000, folder=Path("answers"))
    assert config.pin == PinConfig(config_pbtxt=Path("models/exatrkx/config.pbtxt"))
    assert config.adaptive == AdaptiveConfig(window=True, slow_call_s=2.0)
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (BatchingConfig, {"max_events": 0}, "max_events must be at least 1, got 0"),
        (BatchingConfig, {"max_delay_s": 0.0}, "max_delay_s must be positive"),
        (BatchingConfig, {"mask": ""}, "mask must name an input"),
        (AnswersConfig, {"nonfinite": "warm"}, "unknown nonfinite 'warm'.*'warn'"),
        (CacheConfig, {"max_bytes": -1}, "must not be negative, got -1"),
        (AdaptiveConfig, {"min_requests": 0}, "min_requests must be at least 1"),
        (AdaptiveConfig, {"timeout_factor": 0.5}, "timeout_factor must be at least 1"),
        (
            AdaptiveConfig,
            {"min_timeout_s": 5.0, "max_timeout_s": 1.0},
            "need 0 < min_timeout_s <= max_timeout_s, got 5.0 s and 1.0 s",
        ),
    ],
)
def test_values_out_of_range_are_refused(section, values, message):
    with pytest.raises(ConfigError, match=message):
        section(**values)


@pytest.mark.parametrize(
    ("name", "value"), [("layout", "paded"), ("cast", "same-kind")]
)
def test_unknown_choices_come_with_the_nearest(name, value):
    with pytest.raises(ConfigError, match=f"unknown {name} '{value}', nearest: '"):
        ClientConfig(servers="h:1", model_name="m", **{name: value})
