"""Files in any unit of length give the same events, in mm."""

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers import ColumnMapping, TruthEvents, open_events
from sonic_base import ConfigError

PER_MM = {"mm": 1.0, "cm": 0.1, "m": 1e-3, "um": 1e3}
COLUMNS = ColumnMapping(x="sp_x", y="sp_y", z="sp_z")


def positions(path, **options):
    return np.concatenate([chunk.xyz for chunk in open_events(path, **options)])


def assert_same_to_rounding(found, expected_mm):
    # The file's rounding to float32, and that of the product; below, few digits.
    np.testing.assert_allclose(found, expected_mm, rtol=2**-23, atol=1e-30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    unit=st.sampled_from(sorted(PER_MM)),
    kind=st.sampled_from([np.float32, np.float64]),
    points_mm=st.lists(
        st.tuples(*[st.floats(-4e3, 4e3, width=32, allow_subnormal=False)] * 3),
        min_size=1,
        max_size=20,
    ),
)
def test_every_unit_gives_the_same_positions(tmp_path, unit, kind, points_mm):
    points_mm = np.array(points_mm)
    path = tmp_path / "one.npy"
    np.save(path, (points_mm * PER_MM[unit]).astype(kind))

    found = positions(path, unit=unit)

    assert found.dtype == np.float32
    assert_same_to_rounding(found, points_mm.astype(np.float32))


def test_the_unit_of_a_columns_file_is_that_of_the_positions(write_tree, sample):
    path = write_tree(
        **{f"sp_{axis}": sample.column(i) * 0.1 for i, axis in enumerate("xyz")}
    )
    columns = ColumnMapping.from_dict(
        {"x": "sp_x", "y": "sp_y", "z": "sp_z", "unit": "cm"}
    )

    found = positions(path, columns=columns, chunk_size=1)

    assert_same_to_rounding(found, np.concatenate(sample.xyz))


def test_the_unit_of_a_call_goes_before_that_of_a_columns_file(write_tree, sample):
    columns = ColumnMapping(x="sp_x", y="sp_y", z="sp_z", unit="cm")

    found = positions(write_tree(), columns=columns, unit="mm")

    np.testing.assert_array_equal(found, np.concatenate(sample.xyz))


def test_every_format_of_positions_takes_a_unit(written):
    name, sample = written
    expected_mm = 1e3 * np.concatenate(sample.xyz).astype(np.float64)
    if name == "edm4hep":
        with pytest.raises(ConfigError, match=r"format edm4hep are in mm by definit"):
            open_events(sample.paths, unit="m")
        return

    found = positions(sample.paths, unit="m")

    np.testing.assert_array_equal(found, expected_mm.astype(np.float32))


def test_vertices_of_truth_have_the_unit_that_is_said(written_with_truth):
    def vertices(**options):
        truth = TruthEvents(written_with_truth, **options)
        return np.concatenate([event.particles.vertex_mm for event in truth])

    try:
        in_cm = vertices(unit="cm")
    except ConfigError as error:
        assert "edm4hep are in mm by definition, got unit 'cm'" in str(error)  # noqa: PT017
        return

    np.testing.assert_allclose(in_cm, 10.0 * vertices(), rtol=2**-23)


@pytest.mark.parametrize("read", [open_events, TruthEvents])
def test_a_unit_that_does_not_exist_comes_with_the_nearest(write_tree, read):
    path = write_tree()

    with pytest.raises(ConfigError, match=r"unknown unit of length 'mmm', .*'mm'"):
        read(path, unit="mmm")


def test_a_unit_of_a_columns_file_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=r"unknown unit of length 'inch'"):
        ColumnMapping(x="x", y="y", z="z", unit="inch")


def test_events_in_mm_take_no_step_more(write_tree):
    (plain,) = open_events(write_tree()).files
    (in_mm,) = open_events(write_tree(), unit="mm").files

    assert type(in_mm) is type(plain)


def test_a_file_in_another_unit_goes_to_other_processes(write_tree, sample):
    (file,) = pickle.loads(pickle.dumps(open_events(write_tree(), unit="cm").files))

    found = np.concatenate([chunk.xyz for chunk in file.chunks(0, 3, 2)])

    assert_same_to_rounding(found, 10.0 * np.concatenate(sample.xyz))
