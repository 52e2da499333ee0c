"""Whether a server and the fallback computed the same."""

import numpy as np
import pytest

from sonic_client import ConfigError, FallbackConfig
from sonic_client.fallback import find_drift


def drift(server, fallback, **config):
    outputs = {"Y": np.asarray(server)}, {"Y": np.asarray(fallback)}
    return find_drift(*outputs, FallbackConfig(**config))


def test_equal_outputs_do_not_drift():
    assert drift([1, 2], [1, 2]) == []
    assert drift([1.0, np.nan], [1.0, np.nan]) == []
    assert drift(np.array([b"a"], object), np.array([b"a"], object)) == []


def test_floats_may_differ_by_the_tolerance():
    assert drift([100.0], [100.9], rtol=0.01, atol=0.0) == []
    assert drift([100.0], [101.1], rtol=0.01, atol=0.0) == [
        "output 'Y': 1 of 1 elements differ, by 1.1 at most"
    ]


def test_integers_must_be_equal():
    assert drift([1, 2, 3], [1, 5, 6], atol=100.0) == [
        "output 'Y': 2 of 3 elements differ"
    ]


def test_other_shapes_and_missing_outputs_are_named():
    assert drift([1, 2], [1]) == ["output 'Y': shapes [2] and [1]"]
    assert find_drift({"Y": np.ones(1)}, {}, FallbackConfig()) == [
        "output 'Y': missing in the fallback"
    ]


def test_the_users_comparison_decides_instead():
    def up_to_numbering(server, fallback):
        return len(np.unique(server["Y"])) == len(np.unique(fallback["Y"]))

    assert drift([0, 0, 1], [7, 7, 3], same_outputs=up_to_numbering) == []
    assert drift([0, 0, 1], [7, 8, 3], same_outputs=up_to_numbering) == [
        "not the same outputs"
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"max_concurrent": 0},
        {"start_timeout_s": 0.0},
        {"compare_events": -1},
        {"rtol": -1.0},
        {"atol": float("nan")},
        {"on_drift": "ignore"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        FallbackConfig(**values)
