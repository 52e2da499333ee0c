"""Truth under the names, and in the forms, of other people's files."""

from itertools import chain

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import SchemaError, TruthEvents, TruthMapping, UnequalEventsError
from producers.evaluation import Criteria
from sonic_base import ConfigError

POINT_IDS = [[7, 7, -1, 9], [], [9, 0]]
IDS = [[9, 7], [1], [9]]
EVENTS = [5, 6, 8]
PT, ETA, PHI = (
    [[2.0, 0.5], [1.0], [3.0]],
    [[1.0, 0.0], [-2.0], [0.3]],
    [[0.1, 3], [2], [-1]],
)
PDG = [[211, -11], [22], [2212]]
MAPPING = {
    "point_particle": "hit_pid",
    "event": "evt",
    "id": "p_id",
    "pt": "p_pt",
    "eta": "p_eta",
    "phi": "p_phi",
    "pdg": "p_pdg",
}


def write(path, tables):
    with uproot.recreate(path) as file:
        for name, columns in tables.items():
            columns = {k: ak.Array(v) for k, v in columns.items()}  # noqa: PLW2901
            file.mktree(name, {k: v.type.content for k, v in columns.items()})
            file[name].extend(columns)
    return path


def in_lists():
    """One tree, one entry an event."""
    points = {"evt": EVENTS, "hit_pid": ak.values_astype(POINT_IDS, np.int64)}
    particles = {"p_id": IDS, "p_pt": PT, "p_eta": ETA, "p_phi": PHI, "p_pdg": PDG}
    return {"t": points | particles}


def in_rows():
    """A row a point and a row a particle; the second event has no point."""
    points = {"evt": [5] * 4 + [8] * 2, "hit_pid": [*chain(*POINT_IDS)]}
    numbers = np.repeat(EVENTS[::-1], [len(ids) for ids in IDS[::-1]])
    rows = zip(
        ("p_id", "p_pt", "p_eta", "p_phi", "p_pdg"),
        (IDS, PT, ETA, PHI, PDG),
        strict=True,
    )
    particles = {name: [*chain(*values[::-1])] for name, values in rows}
    return {"hits": points, "mc": {"evt": numbers} | particles}


def read(path, **mapping):
    return list(TruthEvents(path, columns=TruthMapping(**mapping)))


@pytest.mark.parametrize(("tables", "n_events"), [(in_lists(), 3), (in_rows(), 2)])
def test_truth_of_other_names_is_read(tmp_path, tables, n_events):
    path = write(tmp_path / "f.root", tables)

    events = read(path, **MAPPING)

    first, last = events[0], events[-1]
    assert len(events) == n_events
    assert [event.event_id for event in (first, last)] == [5, 8]
    assert first.particle_id.tolist() == [7, 7, 0, 9]
    assert last.particle_id.tolist() == [9, 0]
    assert first.particles.particle_id.tolist() == [9, 7]
    np.testing.assert_allclose(first.particles.pt_gev, [2.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(first.particles.eta, [1.0, 0.0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        first.particles.momentum_gev[:, 0],
        [2 * np.cos(0.1), 0.5 * np.cos(3)],
        rtol=1e-6,
    )
    np.testing.assert_allclose(last.particles.pt_gev, [3.0], rtol=1e-6)


def test_charges_follow_from_pdg_ids(tmp_path):
    path = write(tmp_path / "f.root", in_lists())

    truth = TruthEvents(path, columns=TruthMapping(**MAPPING))

    assert [event.particles.charge.tolist() for event in truth] == [[1, 1], [0], [1]]
    assert any("follow from the PDG ids" in remark for remark in truth.remarks)


def test_truth_without_vertices_says_what_follows_and_counts_all(tmp_path):
    path = write(tmp_path / "f.root", in_lists())

    truth = TruthEvents(path, columns=TruthMapping(**MAPPING))
    particles = next(iter(truth)).particles

    assert any("no production vertices" in remark for remark in truth.remarks)
    criteria = Criteria(min_pt_gev=0.1, min_particle_space_points=1)
    n_points = np.array([1, 2])
    assert criteria.passes(particles, n_points).tolist() == [True, True]
    assert not criteria.displaced().passes(particles, n_points).any()
    assert particles.vertex_or_origin_mm.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_particles_may_be_named_by_their_position(tmp_path):
    tables = in_lists()
    tables["t"]["hit_pid"] = ak.values_astype([[0, 0, -1, 1], [], [0, -1]], np.int32)
    path = write(tmp_path / "f.root", tables)
    mapping = {k: v for k, v in MAPPING.items() if k != "id"}

    events = read(path, **mapping)

    assert events[0].particle_id.tolist() == [1, 1, 0, 2]
    assert events[0].particles.particle_id.tolist() == [1, 2]
    assert events[2].particle_id.tolist() == [1, 0]


def test_units_of_vertex_and_momentum_are_those_of_the_mapping(tmp_path):
    tables = in_lists()
    tables["t"] |= {name: ak.values_astype(PT, float) for name in ("vx", "vy", "vz")}
    path = write(tmp_path / "f.root", tables)
    units = {"unit": "cm", "momentum_unit": "MeV"}

    events = read(path, **MAPPING, vx="vx", vy="vy", vz="vz", **units)

    assert events[0].particles.vertex_mm[:, 1].tolist() == [20.0, 5.0]
    np.testing.assert_allclose(events[0].particles.pt_gev, [2e-3, 5e-4], rtol=1e-6)


@pytest.mark.parametrize(
    ("scale", "unit", "is_warned"),
    [(1.0, "GeV", False), (1e4, "GeV", True), (1e4, "MeV", False)],
)
def test_momenta_beyond_the_beams_are_remarked_on(tmp_path, scale, unit, is_warned):
    tables = in_lists()
    tables["t"]["p_pt"] = ak.Array(PT) * scale
    path = write(tmp_path / "f.root", tables)

    truth = TruthEvents(path, columns=TruthMapping(**MAPPING, momentum_unit=unit))

    remarked = [each for each in truth.remarks if 'momentum_unit = "MeV"' in each]
    assert bool(remarked) == is_warned


def test_events_of_two_trees_are_compared(tmp_path):
    t = in_lists()["t"]
    points = {name: t.pop(name) for name in ("evt", "hit_pid")}
    path = write(tmp_path / "f.root", {"a": points, "b": t | {"evt": [5, 6, 9]}})

    with pytest.raises(UnequalEventsError, match=r"event 8 .* event 9 in 'b'"):
        read(path, **MAPPING)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"pdg": None}, "charge of the particles needs q, or pdg"),
        ({"pt": None}, "pt, eta, phi come together, got eta, phi alone"),
        ({"px": "a", "py": "b", "pz": "c"}, "needs px, py, pz or pt, eta, phi"),
        ({"vx": "a"}, "vx, vy, vz come together, got vx alone"),
        ({"momentum_unit": "TeV"}, "momentum_unit must be GeV or MeV"),
        ({"unit": "inch"}, "unknown unit of length 'inch'"),
        ({"id": ""}, "must not be empty"),
    ],
)
def test_a_mapping_that_cannot_be_right_is_refused(changed, expected):
    with pytest.raises(ConfigError, match=expected):
        TruthMapping(**(MAPPING | changed))


def test_a_column_that_is_missing_comes_with_the_nearest(tmp_path):
    path = write(tmp_path / "f.root", in_lists())

    with pytest.raises(SchemaError, match=r"the column 'hit_pidd'.*'hit_pid'"):
        read(path, **(MAPPING | {"point_particle": "hit_pidd"}))
    with pytest.raises(SchemaError, match=r"no column 'p_ptt' in 't', .*'p_pt'"):
        read(path, **(MAPPING | {"pt": "p_ptt"}))


def test_rows_without_the_number_of_their_event_are_refused(tmp_path):
    path = write(tmp_path / "f.root", in_rows())
    mapping = {k: v for k, v in MAPPING.items() if k != "event"}

    with pytest.raises(SchemaError, match=r"rows need the number of their event"):
        read(path, **mapping)


def test_a_format_and_columns_exclude_each_other(tmp_path):
    path = write(tmp_path / "f.root", in_lists())

    with pytest.raises(ConfigError, match="a format or columns, not both"):
        TruthEvents(path, format="sonic", columns=TruthMapping(**MAPPING))


@pytest.mark.parametrize("missing", [("vx", "vy", "vz"), ("q",)], ids=len)
def test_our_own_layout_may_lack_vertices_or_charges(tmp_path, missing):
    names = ("vx", "vy", "vz", "px", "py", "pz", "q", "pdg")
    values = {f"part_{name}": [[11.0]] for name in names if name not in missing}
    values["part_pdg"] = [[11]]
    tables = {"sp_truth": {"event": [1], "sp_particle_id": [[4]]}}
    tables["particles"] = {"event": [1], "part_particle_id": [[4]], **values}
    path = write(tmp_path / "truth.root", tables)

    truth = TruthEvents(path)

    (event,) = truth
    assert len(truth.remarks) == 1
    assert event.particles.charge.tolist() == ([-1.0] if "q" in missing else [11.0])
    assert np.isnan(event.particles.vertex_mm).all() == ("vx" in missing)
