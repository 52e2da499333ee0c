import functools

import numpy as np
import pytest

from producers.simulation import GunConfig, SimulationConfig, simulate
from producers.simulation.generators import read_hepmc3
from sonic_base import ConfigError

pytest.importorskip("acts", reason="extra simulation not installed")

PIXEL_BARREL, SHORT_BARREL, LONG_BARREL = 8, 13, 17


def gun(n_events=2, **options):
    return SimulationConfig(
        n_events=n_events,
        generator="gun",
        gun=GunConfig(n_particles=20, pt_gev=(1.0, 5.0), eta=(-1.0, 1.0)),
        **options,
    )


def arrays(event):
    return (
        event.xyz, event.volume_id, event.layer_id, event.module_id,
        event.particle_id, event.n_true_hits, *event.particles.values(),
    )  # fmt: skip


def assert_same_event(first, second):
    assert first.event_id == second.event_id
    for one, other in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module", autouse=True)
def one_detector():
    """Build the geometry, which takes a second, once for all tests."""
    from producers.simulation import detector

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "Detector", functools.cache(detector.Detector))
        yield


@pytest.fixture(scope="module")
def events():
    return list(simulate(gun(n_events=3, seed=4)))


def test_points_lie_on_the_layers_of_the_generic_detector(events):
    # Barrel radii in mm, as published for the TrackML detector.
    radii = {
        PIXEL_BARREL: (32, 72, 116, 172),
        SHORT_BARREL: (260, 360, 500, 660),
        LONG_BARREL: (820, 1020),
    }
    for event in events:
        for volume, expected in radii.items():
            chosen = event.volume_id == volume
            r = np.hypot(*event.xyz[chosen, :2].T)
            layer = event.layer_id[chosen] // 2 - 1
            assert (abs(r - np.array(expected)[layer]) < 8.0).all()


def test_central_particles_cross_the_ten_barrel_layers(events):
    for event in events:
        assert 9 <= np.median(event.particles["nhits"]) <= 13


def test_truth_tables_agree_with_the_points(events):
    for event in events:
        table = event.particles
        ids, counts = np.unique(event.particle_id, return_counts=True)
        order = np.argsort(table["particle_id"])
        np.testing.assert_array_equal(ids, table["particle_id"][order])
        np.testing.assert_array_equal(counts, table["nhits"][order])
        assert event.particle_id.dtype == np.uint64
        assert (event.n_true_hits >= 1).all()


def test_points_are_where_the_particle_flew(events):
    # Within a degree of its direction at the first layer: 1 GeV in 2 T bends by less.
    event = events[0]
    table = event.particles
    first = (event.volume_id == PIXEL_BARREL) & (event.layer_id == 2)
    by_id = {pid: i for i, pid in enumerate(table["particle_id"].tolist())}
    row = np.array([by_id[pid] for pid in event.particle_id[first].tolist()])
    primary = np.hypot(table["vx"], table["vy"])[row] < 1.0
    phi = np.arctan2(*event.xyz[first, 1::-1].T)
    expected = np.arctan2(table["py"], table["px"])[row]
    turn = np.angle(np.exp(1j * (phi - expected)))

    assert primary.sum() > 10
    assert np.degrees(abs(turn[primary])).max() < 1.5


def test_the_same_seed_gives_the_same_events_and_another_seed_others(events):
    again = list(simulate(gun(n_events=3, seed=4)))
    other = list(simulate(gun(n_events=3, seed=5)))

    for first, second in zip(events, again, strict=True):
        assert_same_event(first, second)
    assert not np.array_equal(events[0].xyz, other[0].xyz)


def test_a_sample_made_in_pieces_equals_one_made_at_once(events):
    tail = list(simulate(gun(n_events=2, seed=4, first_event=1)))

    for first, second in zip(events[1:], tail, strict=True):
        assert_same_event(first, second)


def test_inefficiency_loses_points_and_particles_know_it(events):
    thin = list(simulate(gun(n_events=3, seed=4, hit_inefficiency=0.5)))

    for whole, event in zip(events, thin, strict=True):
        assert 0.35 < len(event.xyz) / len(whole.xyz) < 0.65
        assert event.particles["nhits"].sum() == len(event.xyz)


def test_noise_is_on_no_particle_but_on_the_detector(events):
    noisy = list(simulate(gun(n_events=3, seed=4, noise_fraction=0.5)))

    for clean, event in zip(events, noisy, strict=True):
        noise = event.particle_id == 0
        assert (~noise).sum() == len(clean.xyz)
        assert 0.3 < noise.sum() / len(clean.xyz) < 0.7
        assert (event.n_true_hits[noise] == 0).all()
        r_noise = np.hypot(*event.xyz[noise, :2].T)
        assert np.isin(r_noise.round(1), np.hypot(*clean.xyz[:, :2].T).round(1)).all()


def test_hepmc3_records_become_events(tmp_path):
    pyhepmc = pytest.importorskip("pyhepmc")
    file = tmp_path / "events.hepmc3"
    with pyhepmc.open(str(file), "w") as out:
        for number in range(2):
            record = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
            beam = pyhepmc.GenParticle((0, 0, 7000, 7000), 2212, 4)
            vertex = pyhepmc.GenVertex((0.01, 0.0, 5.0, 0.0))
            vertex.add_particle_in(beam)
            for px, pdg in ((2.0, 211), (-2.0, -211), (1.0, 22)):
                energy = np.hypot(px, 0.14) if pdg != 22 else abs(px)
                vertex.add_particle_out(
                    pyhepmc.GenParticle((px, 0.1, 0.2, energy), pdg, 1)
                )
            record.add_vertex(vertex)
            record.event_number = number
            out.write(record)
    config = SimulationConfig(n_events=2, generator="hepmc3", hepmc3_files=(file,))

    events = list(simulate(config))

    for event in events:
        primary = event.particles["vz"] == 5.0
        assert sorted(event.particles["pdg"][primary].tolist()) == [-211, 211]
        assert event.particles["q"][primary].sum() == 0.0


def test_hepmc3_files_that_end_early_are_an_error(tmp_path):
    file = tmp_path / "missing.hepmc3"
    config = SimulationConfig(n_events=1, generator="hepmc3", hepmc3_files=(file,))

    with pytest.raises(ConfigError, match=r"missing\.hepmc3 does not exist"):
        list(simulate(config))


def test_pythia_events_look_like_top_pairs():
    pytest.importorskip("pythia8mc", reason="opt-in extra generators not installed")

    events = list(simulate(SimulationConfig(n_events=4, seed=9)))

    n_points = [len(event.xyz) for event in events]
    assert 800 < np.mean(n_points) < 5000
    assert {int(v) for e in events for v in e.particles["primary_vertex"]} == {1}


def test_photons_convert_in_the_material_unless_they_are_left_out():
    pytest.importorskip("pythia8mc", reason="opt-in extra generators not installed")

    def displaced_electrons(**options):
        events = simulate(SimulationConfig(n_events=2, seed=9, **options))
        particles = [event.particles for event in events]
        return sum(
            np.count_nonzero(
                (np.abs(each["pdg"]) == 11) & (np.hypot(each["vx"], each["vy"]) > 18.0)
            )
            for each in particles
        )  # the beam pipe is at 19 mm

    assert displaced_electrons() > 2 * displaced_electrons(photons=False)


def test_particles_too_soft_to_be_flown_leave_nothing():
    gun = GunConfig(n_particles=20, pt_gev=(0.2, 0.3), eta=(-0.5, 0.5))

    def n_points(**options):
        config = SimulationConfig(n_events=1, generator="gun", gun=gun, **options)
        return sum(len(event.xyz) for event in simulate(config))

    assert n_points() > 20 * 5
    assert n_points(min_momentum_gev=0.5) == 0


def test_pileup_adds_collisions():
    pytest.importorskip("pythia8mc", reason="opt-in extra generators not installed")

    (event,) = simulate(SimulationConfig(n_events=1, seed=9, pileup=5.0))

    vertices = np.unique(event.particles["primary_vertex"])
    assert vertices[0] == 1
    assert len(vertices) > 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_events": 0}, "n_events must be positive"),
        ({"n_events": 1, "pileup": -1.0}, "pileup must be >= 0"),
        ({"n_events": 1, "pileup": 2.0, "generator": "gun"}, "needs the generator"),
        ({"n_events": 1, "hit_inefficiency": 1.0}, "hit_inefficiency"),
        ({"n_events": 1, "min_momentum_gev": 0.0}, "min_momentum_gev"),
        ({"n_events": 1, "seed": -1}, "seed must be"),
        ({"n_events": 1, "generator": "hepmc3"}, "at least one HepMC3 file"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SimulationConfig(**options)


def test_a_neutral_or_unknown_gun_particle_is_refused():
    for pdg, message in ((22, "must be charged"), (999999999, "PDG id")):
        config = SimulationConfig(n_events=1, generator="gun", gun=GunConfig(pdg=pdg))
        with pytest.raises(ConfigError, match=message):
            list(simulate(config))


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"V -1 0 [1]", b"V -1 0 [70000001]"), (b"P 2 -1 ", b"P 2 -7000 ")],
    ids=["particle", "vertex"],
)
def test_a_hepmc3_file_with_a_reference_into_nothing_is_refused(
    tmp_path, before, after
):
    pyhepmc = pytest.importorskip("pyhepmc")
    file = tmp_path / "events.hepmc3"
    with pyhepmc.open(str(file), "w") as out:
        record = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
        vertex = pyhepmc.GenVertex((0.0, 0.0, 5.0, 0.0))
        vertex.add_particle_in(pyhepmc.GenParticle((0, 0, 7e3, 7e3), 2212, 4))
        vertex.add_particle_out(pyhepmc.GenParticle((1.0, 0.1, 0.2, 1.1), 211, 1))
        record.add_vertex(vertex)
        out.write(record)
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after))

    with pytest.raises(ConfigError, match="in an event of 1 vertices and 2 particles"):
        list(read_hepmc3((file,)))
