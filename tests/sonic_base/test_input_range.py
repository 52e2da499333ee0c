"""The range of a training's events: what is refused, warned of and let pass."""

from __future__ import annotations

import logging
import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sonic_base import ConfigError, SonicError
from sonic_base.input_range import (
    InputCheck,
    InputRange,
    InputRangeError,
    Spread,
    event_density,
)

NAMES, SCALES = ("r", "phi", "z"), (1000.0, math.pi, 1000.0)
LAYERS_MM = (32.0, 72.0, 116.0, 172.0, 260.0, 360.0, 500.0, 660.0, 820.0, 1020.0)
RANGE = InputRange(
    n_events=100,
    features={
        "r": Spread(31.0, 31.5, 1010.0, 1025.0),
        "phi": Spread(-3.14, -3.1, 3.1, 3.14),
        "z": Spread(-2955.0, -2900.0, 2900.0, 2955.0),
    },
    space_points=Spread(600.0, 1000.0, 5000.0, 5400.0),
    density=Spread(6.5, 8.0, 20.0, 22.0),
    edges_per_point=Spread(5.0, 6.0, 17.0, 23.0),
    on_candidates=Spread(0.85, 0.89, 0.96, 0.98),
)


def straight_tracks(n_tracks: int, *, seed: int = 1) -> np.ndarray:
    """Positions in mm of particles that cross ten cylinders; |eta| up to 1.5."""
    rng = np.random.default_rng(seed)
    phi = rng.uniform(-np.pi, np.pi, n_tracks)
    slope = np.sinh(rng.uniform(-1.5, 1.5, n_tracks))
    direction = np.column_stack((np.cos(phi), np.sin(phi), slope))
    return (np.array(LAYERS_MM)[None, :, None] * direction[:, None]).reshape(-1, 3)


def features_of(xyz: np.ndarray) -> np.ndarray:
    x, y, z = np.asarray(xyz, np.float64).T
    return (np.column_stack((np.hypot(x, y), np.arctan2(y, x), z)) / SCALES).astype(
        np.float32
    )


@pytest.fixture
def check() -> InputCheck:
    return InputCheck(RANGE, NAMES, SCALES)


def is_clear(check: InputCheck, features: np.ndarray) -> bool:
    return check.needs_no_closer_look(features, np.array([0, len(features)]))


def test_events_like_those_of_the_training_pass_without_a_closer_look(check, caplog):
    features = features_of(straight_tracks(150))

    assert is_clear(check, features)
    check.require(features)
    assert caplog.records == []


# From four tracks of ten points on: the promise is made of some tens of points.
@given(
    st.integers(4, 200),
    st.floats(1.0, 12.0),
    st.booleans(),
    st.integers(0, 5),
)
@example(4, 1.0, False, 0)
@example(4, 1.0, True, 0)
def test_a_uniform_rescaling_by_ten_or_more_is_refused(
    n_tracks, exponent, is_enlarged, seed
):
    check = InputCheck(RANGE, NAMES, SCALES)
    factor = 10.0 ** (exponent if is_enlarged else -exponent)
    features = features_of(factor * straight_tracks(n_tracks, seed=seed))

    assert not is_clear(check, features)
    with pytest.raises(InputRangeError):
        check.require(features)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda p: p / 10, r'r is 3\.\d+ to 102.* centimetres\?\); give unit="cm"'),
        (
            lambda p: p / 1000,
            r'r is 0\.0\d+ to 1\.02.* 31 to 1025 mm \(are these me.*"m"',
        ),
        (lambda p: p * 1000, r'micrometres\?\); give unit="um" \(--unit um\)'),
        (lambda p: p / 25.4, r"the weights saw 31 to 1025 mm; give positions in mm"),
        (lambda p: p[:, [2, 1, 0]], r"are x and z swapped"),
        (lambda p: p[:, [0, 2, 1]], r"are y and z swapped"),
    ],
    ids=["cm", "m", "um", "inch", "x-z", "y-z"],
)
def test_the_likely_cause_is_named(check, mistake, said):
    features = features_of(mistake(straight_tracks(150)))

    assert not is_clear(check, features)
    with pytest.raises(InputRangeError, match=said):
        check.require(features)


@pytest.mark.parametrize("in_degrees", [False, True], ids=["rad", "degrees"])
@pytest.mark.parametrize("from_zero", [False, True], ids=["-pi to pi", "0 to 2 pi"])
def test_r_phi_z_given_as_x_y_z_is_refused(check, in_degrees, from_zero):
    r, phi, z = (features_of(straight_tracks(150)) * SCALES).T
    if from_zero:
        phi = np.remainder(phi, 2 * np.pi)
    angle = np.degrees(phi) if in_degrees else phi
    features = features_of(np.column_stack((r, angle, z)))

    assert not is_clear(check, features)
    with pytest.raises(InputRangeError, match=r"are x, y, z really r, phi, z\?"):
        check.require(features)


@pytest.mark.parametrize(
    ("turned", "said"),
    [
        (np.degrees, "is phi in degrees"),
        (lambda phi: np.remainder(phi, 2 * np.pi), "give phi from -pi to pi"),
    ],
    ids=["degrees", "0 to 2 pi"],
)
def test_angles_that_the_network_never_saw_are_refused(check, turned, said):
    features = features_of(straight_tracks(150))
    features[:, 1] = turned(features[:, 1] * np.pi) / np.pi

    with pytest.raises(InputRangeError, match=said):
        check.require(features)


@pytest.mark.parametrize(
    "part",
    [
        lambda p: p[:0],
        lambda p: p[:1],
        lambda p: p[:10],
        lambda p: p[p[:, 0] > 0],
        lambda p: p[np.hypot(p[:, 0], p[:, 1]) < 180],
        lambda p: p[(p[:, 0] > 0) & (np.hypot(p[:, 0], p[:, 1]) < 180)],
        lambda p: p[np.abs(np.arctan2(p[:, 1], p[:, 0])) < 0.3],
        lambda p: p[np.abs(np.arctan2(p[:, 1], p[:, 0])) < 0.02],
        lambda p: p[np.abs(np.arctan2(p[:, 1], p[:, 0]) - 1.4) < 0.15],
        lambda p: p[np.abs(p[:, 2]) < 300],
        lambda p: 1.09 * p,
    ],
    ids=[
        *("empty", "one point", "one track", "half", "pixels", "half of the pixels"),
        *("wedge", "thin wedge", "wedge aside", "middle", "a tenth larger"),
    ],
)
def test_parts_of_events_and_detectors_of_the_same_size_pass(check, caplog, part):
    features = features_of(part(straight_tracks(220)))

    check.require(features)

    assert caplog.records == []


def test_density_is_that_of_the_event_in_each_part_of_it():
    r, phi, z = (features_of(straight_tracks(20_000)) * SCALES).T.astype(np.float64)
    whole = event_density(r, phi, z)
    parts = {
        "wedge": np.abs(phi) < 0.6,
        "central": np.abs(z) < np.sinh(1.0) * r,
        "half of the points": np.arange(len(r)) % 2 == 0,
    }

    found = {
        name: event_density(r[part], phi[part], z[part]) for name, part in parts.items()
    }

    # The borders cut cells, of which the part has only some of the points.
    assert found["wedge"] == pytest.approx(whole, rel=0.35)
    assert found["central"] == pytest.approx(whole, rel=0.15)
    assert found["half of the points"] == pytest.approx(whole / 2, rel=0.01)


def test_points_in_few_cells_have_no_density():
    x = np.linspace(30.0, 1000.0, 500)

    assert event_density(x, 0.1 + 0.0 * x, 0.5 * x) == 0.0
    assert event_density(x[:0], x[:0], x[:0]) == 0.0


def test_far_denser_events_are_refused_and_denser_ones_warned_of_once(check, caplog):
    dense, denser = (features_of(straight_tracks(n)) for n in (300, 2000))
    assert not is_clear(check, denser)

    with pytest.raises(InputRangeError, match="the weights saw 6 to 22") as caught:
        check.require(denser)

    assert caught.value.quantity == "density"
    with caplog.at_level(logging.WARNING):
        check.require(dense)
        check.require(dense)
    assert len(caplog.records) == 1
    assert "at the border" in caplog.text


def test_some_points_out_of_the_range_are_warned_of(check, caplog):
    xyz = straight_tracks(150)
    xyz[:40] *= [1.0, 1.0, 1000.0]

    check.require(features_of(xyz))

    assert "3% of the points: z is" in caplog.text


def test_a_silent_check_refuses_but_does_not_warn(check, caplog):
    silent = check.silent()

    silent.require(features_of(straight_tracks(300)))

    assert caplog.records == []
    with pytest.raises(InputRangeError):
        silent.require(features_of(straight_tracks(150) / 10))


def test_other_features_are_compared_by_themselves():
    charge = Spread(1.0, 2.0, 90.0, 100.0)
    known = InputRange.from_mapping(
        RANGE.to_mapping() | {"features": {"charge": charge.values}}, where="here"
    )
    check = InputCheck(known, ("charge",), (10.0,))

    check.require(np.full((50, 1), 5.0, np.float32))

    with pytest.raises(InputRangeError, match="charge is 5000 to 5000, the weights"):
        check.require(np.full((50, 1), 500.0, np.float32))


def test_the_error_crosses_to_another_process_with_its_facts(check):
    with pytest.raises(InputRangeError) as caught:
        check.require(features_of(straight_tracks(150) / 1000))

    error = pickle.loads(pickle.dumps(caught.value.of_event(7)))

    assert isinstance(error, SonicError)
    assert isinstance(error, ValueError)
    assert str(error).startswith("event 7: not what these weights were trained on: r")
    assert (error.quantity, error.cause) == ("r", "are these metres?")


def test_the_range_survives_toml_and_parameters():
    hull = RANGE.hull(RANGE)

    assert InputRange.from_mapping(hull.to_mapping(), where="here") == hull
    assert InputRange.from_text(hull.to_text(), where="here") == hull
    assert hull.members == (RANGE, RANGE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "here: expected version 1, got 2"),
        ({"density": [3.0, 2.0, 1.0, 0.0]}, "ascending"),
        ({"density": [1.0]}, "here"),
        ({"features": 3}, "here"),
        ({"n_events": None}, "here"),
    ],
)
def test_a_wrong_range_is_refused(change, said):
    with pytest.raises(ConfigError, match=said):
        InputRange.from_mapping(RANGE.to_mapping() | change, where="here")


def test_a_missing_entry_is_named():
    table = RANGE.to_mapping()
    del table["density"]

    with pytest.raises(ConfigError, match="here: key 'density' is missing"):
        InputRange.from_mapping(table, where="here")


@pytest.mark.parametrize("text", ["nonsense", "[1]"])
def test_a_parameter_that_is_no_range_is_refused(text):
    with pytest.raises(ConfigError, match="here: expected"):
        InputRange.from_text(text, where="here")


def test_a_range_without_a_feature_is_refused():
    with pytest.raises(ConfigError, match="lacks feature 'eta', it has r, phi, z"):
        InputCheck(RANGE, ("r", "eta"), (1.0, 1.0))


def test_a_share_of_points_on_candidates_far_from_the_training_is_said():
    dense = InputRange.from_mapping(
        RANGE.to_mapping()
        | {"on_candidates": [0.1, 0.1, 0.2, 0.2], "space_points": [1e4, 1e4, 1e5, 1e5]},
        where="here",
    )
    both = RANGE.hull(dense)

    assert RANGE.unusual_share(0.9, 3000.0) == ""
    assert "40.0% of the space points" in RANGE.unusual_share(0.4, 3000.0)
    assert both.unusual_share(0.9, 3000.0) == ""
    assert both.unusual_share(0.15, 50_000.0) == ""
    assert "85.0% to 98.0%" in both.unusual_share(0.15, 3000.0)
