"""Efficiencies, fakes and duplicates of hand-made events, and their report."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from producers import (
    Event,
    NoEventsError,
    OutputError,
    Particles,
    TrackCandidates,
    TrackEvents,
    TrackWriter,
    TruthEvent,
    TruthEvents,
    TruthWriter,
    UnequalEventsError,
    open_events,
)
from producers.evaluation import (
    Criteria,
    EdgeCounts,
    EvaluationCounts,
    EvaluationReport,
    EventDisplay,
    Ratio,
    count_event,
    evaluate,
)
from sonic_client import ConfigError

N_POINTS = 8


def particles_of(**changed):
    """One particle per row: pT 2 GeV, eta 0, from the beam line, charge 1."""
    n = len(next(iter(changed.values())))
    columns = {"pt": [2.0] * n, "eta": [0.0] * n, "radius": [0.0] * n, "q": [1.0] * n}
    columns |= changed
    pt, eta, radius, q = (np.array(columns[k], dtype=np.float32) for k in columns)
    zeros = np.zeros(n)
    return Particles(
        particle_id=np.arange(1, n + 1, dtype=np.uint64),
        vertex_mm=np.column_stack((zeros, radius, zeros)).astype(np.float32),
        momentum_gev=np.column_stack((pt, zeros, pt * np.sinh(eta))).astype(np.float32),
        charge=q,
    )


def truth_of(particles, n_points=N_POINTS):
    return TruthEvent(
        event_id=0,
        particle_id=np.repeat(particles.particle_id, n_points),
        particles=particles,
    )


def found_in(truth, labels=None):
    """Candidates of the labels; by default the particles themselves."""
    components = truth.particle_id.astype(np.int64) if labels is None else labels
    return TrackCandidates.from_components(
        np.asarray(components), np.zeros((len(components), 3))
    )


def report_of(truth, labels=None):
    counts = count_event(found_in(truth, labels), truth, Criteria())
    return EvaluationReport(counts=counts, criteria=Criteria())


@pytest.mark.parametrize(
    "outside",
    [
        {"pt": [2.0, 1.0]},
        {"eta": [0.0, -2.6]},
        {"radius": [0.0, 10.0]},
        {"q": [1.0, 0.0]},
    ],
    ids=["slow", "forward", "secondary", "neutral"],
)
def test_particles_outside_the_cuts_do_not_count(outside):
    report = report_of(truth_of(particles_of(**outside)))

    assert report.efficiency == (1, 1)
    assert report.fake_rate == (0, 2)


def test_particles_of_few_space_points_count_in_the_technical_efficiency_only():
    truth = truth_of(particles_of(pt=[2.0, 2.0]), n_points=6)

    report = report_of(truth)

    assert report.efficiency == (0, 0)
    assert report.technical_efficiency == (2, 2)


def test_small_candidates_find_nothing_and_are_no_fakes():
    truth = truth_of(particles_of(pt=[2.0]), n_points=7)

    report = report_of(truth, [0, 0, 0, 0, -1, -1, -1])

    assert report.efficiency == (0, 1)
    assert report.fake_rate == (0, 0)
    assert report.counts.n_small_candidates == 1


def test_a_merged_candidate_is_fake_and_finds_no_particle():
    truth = truth_of(particles_of(pt=[2.0, 2.0, 2.0]))

    report = report_of(truth, [0] * 16 + [1] * 8)

    assert report.efficiency == (1, 3)
    assert report.fake_rate == (1, 2)


def test_a_candidate_of_a_particle_that_does_not_count_is_not_fake():
    report = report_of(truth_of(particles_of(pt=[0.5])))

    assert report.fake_rate == (0, 1)
    assert report.efficiency == (0, 0)


def test_two_halves_of_a_particle_are_duplicates_by_majority():
    truth = truth_of(particles_of(pt=[2.0]), n_points=12)

    report = report_of(truth, [0] * 6 + [1] * 6)

    assert report.by_style["majority"].efficiency == (1, 1)
    assert report.by_style["majority"].duplicate_rate == (1, 2)
    assert report.efficiency == (0, 1)
    assert report.fake_rate == (2, 2)
    assert report.duplicate_rate == (0, 0)


def test_bins_leave_out_the_cut_on_their_own_variable():
    truth = truth_of(particles_of(pt=[2.0, 0.4, 80.0], eta=[0.0, 0.0, 3.1]))

    report = report_of(truth)

    pt, eta = (report.histogram("efficiency", name) for name in ("pt_gev", "eta"))
    lows = pt.axes["pt_gev"].edges[:-1]
    assert dict(zip(lows, pt[:, sum].values(), strict=True)) == {
        low: float(low in (0.3, 2.0)) for low in lows
    }
    lows = eta.axes["eta"].edges[:-1]
    assert lows[eta[:, True].values() > 0].tolist() == [0.0, 3.0]


def test_the_outer_bins_take_what_lies_beyond():
    truth = truth_of(particles_of(pt=[800.0, 2.0, 2.0], eta=[0.0, -6.0, 6.0]))

    found = report_of(truth).by_style["double_majority"].found

    assert found["pt_gev"].total[-1] == 1
    assert found["eta"].total[[0, -1]].tolist() == [1, 1]


def test_displaced_particles_are_counted_apart():
    radius = [9.9, 10.0, 299.0, 300.0]
    truth = truth_of(particles_of(radius=radius))

    report = report_of(truth, [0] * 8 + [1] * 8 + [-1] * 16)

    assert report.efficiency == (1, 1)
    assert report.displaced_efficiency == (1, 2)
    assert report.by_style["perfect"].displaced_efficiency == (1, 2)


def test_physical_efficiency_counts_particles_without_space_points_too():
    particles = particles_of(pt=[2.0, 2.0, 2.0, 0.5])
    on = np.repeat(particles.particle_id[:2], [8, 2])  # of the third and fourth none
    truth = TruthEvent(event_id=0, particle_id=on, particles=particles)

    report = report_of(truth)

    assert report.efficiency == (1, 1)
    assert report.technical_efficiency == (1, 1)
    assert report.physical_efficiency == (1, 3)


def test_fakes_are_binned_by_the_particle_with_most_of_their_points():
    # A particle of 0.4 GeV in two halves of 6, and one of 4 GeV that is found.
    particles = particles_of(pt=[0.4, 4.0], eta=[1.1, -2.1])
    truth = truth_of(particles, n_points=12)

    report = report_of(truth, [0] * 6 + [1] * 6 + [2] * 12)

    fakes = report.histogram("fake_rate", "pt_gev")
    duplicates = report.histogram("duplicate_rate", "pt_gev", "majority")
    low, high = fakes.axes["pt_gev"].index([0.4, 4.0])
    # Not passed, and passed: fake, or duplicate.
    assert fakes.values()[[low, high]].tolist() == [[0, 2], [1, 0]]
    assert duplicates.values()[[low, high]].tolist() == [[1, 1], [1, 0]]
    assert fakes.sum() == report.histogram("fake_rate", "eta").sum() == 3


def test_bins_are_counted_for_each_style():
    # The first particle has 5 of its 8 points on a candidate: found, not perfectly.
    truth = truth_of(particles_of(pt=[2.0, 2.0]))

    counts = report_of(truth, [0] * 5 + [-1] * 3 + [1] * 8).counts + EvaluationCounts()

    found = {
        style: int(own.found["pt_gev"].passed.sum())
        for style, own in counts.styles.items()
    }
    fakes = {
        style: int(own.fakes["eta"].passed.sum())
        for style, own in counts.styles.items()
    }
    assert found == {"majority": 2, "double_majority": 2, "perfect": 1}
    assert fakes == {"majority": 0, "double_majority": 0, "perfect": 1}


def test_candidates_on_no_particle_are_fake_but_in_no_bin():
    particles = particles_of(pt=[2.0])
    on = np.repeat(np.array([1, 0], dtype=np.uint64), 8)
    truth = TruthEvent(event_id=0, particle_id=on, particles=particles)

    report = report_of(truth, [0] * 8 + [1] * 8)

    assert report.fake_rate == (1, 2)
    assert report.histogram("fake_rate", "pt_gev").sum() == 1


def test_counts_add_up_over_events():
    truth = truth_of(particles_of(pt=[2.0, 0.4]))
    one = count_event(found_in(truth), truth, Criteria())

    two = one + one + EvaluationCounts()

    assert (two.n_events, two.n_candidates, two.n_fiducial) == (2, 4, 2)
    assert two.styles["double_majority"].n_found == 2
    assert two.sizes[N_POINTS] == 4
    assert two.styles["double_majority"].found["pt_gev"].total.sum() == 4


def test_intervals_are_those_of_clopper_and_pearson():
    tail = 0.158655  # outside of one standard deviation, on one side

    np.testing.assert_allclose(Ratio(0, 1).interval, (0.0, 1 - tail), atol=1e-6)
    np.testing.assert_allclose(Ratio(10, 10).interval, (tail**0.1, 1.0), atol=1e-6)
    assert Ratio(0, 0).interval == (0.0, 1.0)
    assert Ratio(0, 0).to_dict()["value"] is None
    assert str(Ratio(0, 0)) == "none to count"
    assert str(Ratio(10, 10)) == "1.0000 (+0.0000 -0.1681), 10 of 10"


@pytest.mark.parametrize("cut", ["max_abs_eta", "max_production_radius_mm"])
def test_a_cut_that_nothing_passes_is_refused(cut):
    with pytest.raises(ConfigError, match=f"{cut} must be above 0"):
        Criteria(**{cut: 0.0})


class Simulated:
    """An event for the truth writer, from the truth it is to give."""

    def __init__(self, truth, event_id):
        self.event_id = event_id
        self.particle_id = truth.particle_id
        self.n_true_hits = np.ones(len(truth.particle_id), dtype=np.int32)
        n = len(truth.particles)
        self.particles = {
            "particle_id": truth.particles.particle_id,
            "q": truth.particles.charge,
        }
        for name, columns in (("v", "vertex_mm"), ("p", "momentum_gev")):
            x, y, z = getattr(truth.particles, columns).T
            self.particles |= {f"{name}x": x, f"{name}y": y, f"{name}z": z}
        for name in ("pdg", "nhits", "primary_vertex"):
            self.particles[name] = np.ones(n, dtype=np.int32)


@pytest.fixture
def write_job(tmp_path):
    """Write truth and tracks of events by id, each of two particles of 8 points."""

    def write(true_ids=(3, 5), track_ids=(3, 5), n_points=N_POINTS):
        truth = truth_of(particles_of(pt=[2.0, 3.0]))
        with TruthWriter(tmp_path / "truth.root") as writer:
            for event_id in true_ids:
                writer.write(Simulated(truth, event_id))
        true = truth_of(truth.particles, n_points)
        with TrackWriter(tmp_path / "tracks.root", {"model": "exatrkx"}) as writer:
            for entry, event_id in enumerate(track_ids):
                xyz = np.zeros((2 * n_points, 3), dtype=np.float32)
                event = Event(event_id=event_id, xyz=xyz, source=Path(), entry=entry)
                writer.write(event, found_in(true))
        return TrackEvents(tmp_path / "tracks.root"), TruthEvents(
            tmp_path / "truth.root"
        )

    return write


def test_a_job_is_compared_with_the_truth_event_by_event(write_job):
    tracks, truth = write_job()
    done = []

    report = evaluate(tracks, truth, on_event=done.append)

    assert report.efficiency == (4, 4)
    assert report.provenance == {"model": "exatrkx"}
    assert done == [1, 2]


def test_the_report_is_plain_json_and_rows_of_text(write_job):
    report = evaluate(*write_job())

    content = json.loads(report.to_json())

    assert content["efficiency"]["passed"] == content["efficiency"]["total"] == 4
    assert content["matching"]["perfect"]["efficiency"]["value"] == 1.0
    assert content["criteria"]["min_pt_gev"] == 1.0
    assert content["displaced_criteria"]["min_production_radius_mm"] == 10.0
    assert content["trackml_score"]["value"] is None
    matching = content["matching"]
    assert matching["perfect"]["fake_rate_in_bins"]["pt_gev"]["total"][7:9] == [2, 2]
    in_bins = matching["double_majority"]["efficiency_in_bins"]
    empty_bin = in_bins["pt_gev"]["value"][0]
    assert empty_bin is None
    rows = dict(report.rows())
    assert rows["efficiency (double majority)"].startswith("1.0000 (+0.0000 -0.3")
    assert rows["TrackML score"].startswith("not known")
    assert rows["candidates counted"].startswith("4 of at least 5 space points")


def test_a_job_that_stopped_early_is_compared_as_far_as_it_went(write_job):
    report = evaluate(*write_job(true_ids=(3, 5, 6), track_ids=(3, 5)))

    assert report.counts.n_events == 2


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"track_ids": (3, 4)}, "entry 1 is event 4, in the truth it is event 5"),
        ({"track_ids": (3, 5, 6)}, "3 events, the truth has 2"),
        ({"n_points": 7}, r"event 3 \(entry 0\) has 14 space points, .* has 16"),
    ],
    ids=["order", "number", "points"],
)
def test_truth_of_other_events_is_refused(write_job, job, expected):
    with pytest.raises(UnequalEventsError, match=expected):
        evaluate(*write_job(**job))


def test_failed_events_are_left_out_of_all_counts(write_job, tmp_path):
    tracks, truth = write_job()
    path = tmp_path / "failed.root"
    events = list(tracks)
    with TrackWriter(path, {}) as writer:
        for index, (found, true) in enumerate(zip(events, truth, strict=False)):
            event = Event(
                event_id=found.event_id,
                xyz=np.zeros((len(true.particle_id), 3), dtype=np.float32),
                source=path,
                entry=index,
            )
            writer.write(event, None if index == 0 else found.candidates)

    report = evaluate(TrackEvents(path), truth)

    assert report.n_failed_events == 1
    assert report.counts.n_events == len(events) - 1
    assert ("failed events", "1, left out") in report.rows()


def test_tracks_of_no_event_are_refused(write_job):
    with pytest.raises(NoEventsError, match=r"tracks\.root: no events"):
        evaluate(*write_job(track_ids=()))


def test_the_truth_itself_scores_perfectly_on_reference_events(shared_data, tmp_path):
    folder = shared_data / "sim_pu0"
    source = open_events(folder / "spacepoints_ttree.root")
    truth = TruthEvents(folder / "truth_ttree.root")
    events = (event for chunk in source for event in chunk)
    with TrackWriter(tmp_path / "tracks.root", {}) as writer:
        for event, true in zip(events, truth, strict=True):
            _, components = np.unique(true.particle_id, return_inverse=True)
            components[true.particle_id == 0] = -1
            writer.write(event, TrackCandidates.from_components(components, event.xyz))

    tracks = TrackEvents(tmp_path / "tracks.root")
    report = evaluate(tracks, truth, events=source)

    assert report.counts.n_fiducial > 500
    assert report.by_style["perfect"].efficiency.value == 1.0
    assert report.fake_rate.value == 0.0
    figure = report.plot(tmp_path / "page.png")
    assert len([axes for axes in figure.axes if axes.get_title()]) == 2  # of an event
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_page_leaves_pyplot_and_settings_alone(write_job):
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    plt.get_backend()  # chosen when first asked for, which mplhep does on import
    before = mpl.rcParams.copy()

    figure = evaluate(*write_job()).plot()

    assert plt.get_fignums() == []
    assert mpl.rcParams == before
    labels = [axes.get_xlabel() for axes in figure.axes]
    for variable in (r"$p_\mathrm{T}$ [GeV]", r"$\eta$", "radius [mm]"):
        assert len([label for label in labels if variable in label]) == 2
    assert len(figure.axes) == 9


def test_a_page_shows_the_edges_of_each_stage_if_they_were_counted(write_job):
    edges = {
        "radius graph": EdgeCounts(n_true=9, n_found=8, n_edges=90, n_edges_true=20),
        "gnn": EdgeCounts(n_true=9, n_found=7, n_edges=10, n_edges_true=10),
    }

    figure = replace(evaluate(*write_job()), edges=edges).plot()

    (axes,) = [each for each in figure.axes if "stage" in each.get_xlabel()]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["radius graph\n45", "gnn\n5"]  # of two events


def test_of_many_candidates_some_are_drawn(write_job):
    n_candidates = 300
    labels = np.repeat(np.arange(n_candidates), 5)
    xyz = np.random.default_rng(1).normal(size=(len(labels), 3)).astype(np.float32)
    display = EventDisplay(
        event_id=7,
        xyz=xyz,
        candidates=TrackCandidates.from_components(labels, xyz),
        is_matched=np.arange(n_candidates) % 2 == 0,
        is_counted=np.ones(n_candidates, dtype=np.bool_),
    )

    figure = replace(evaluate(*write_job()), display=display).plot()

    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["event 7: 150 of 300 candidates"] * 2


def test_each_stage_is_compared_with_the_one_before_it():
    edges = {
        "radius graph": EdgeCounts(n_true=9, n_found=8, n_edges=90, n_edges_true=20),
        "filter": EdgeCounts(n_true=9, n_found=6, n_edges=30, n_edges_true=18),
    }
    report = EvaluationReport(
        counts=EvaluationCounts(n_events=2), criteria=Criteria(), edges=edges
    )

    assert report.stage_efficiencies() == {"filter": (6, 8)}
    # Of 30 edges 12 are true ones of particles that do not count.
    assert edges["filter"].target_purity == (6, 18)
    assert report.to_dict()["edges"]["filter"]["stage_efficiency"]["passed"] == 6
    assert dict(report.rows())["edges, radius graph"] == "45 per event"


def test_a_page_of_no_candidates_is_drawn_and_names_its_path_if_not_written(tmp_path):
    report = EvaluationReport(counts=EvaluationCounts(), criteria=Criteria())

    with pytest.raises(OutputError, match=r"missing/page\.png: folder .* not exist"):
        report.plot(tmp_path / "missing" / "page.png")
