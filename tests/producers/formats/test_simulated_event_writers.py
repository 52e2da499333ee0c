"""Space points and truth as the simulation writes them, read back with plain uproot."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import uproot

from producers import OutputError, OutputExistsError, SpacePointWriter, TruthWriter

BIG_ID = 2**63 + 2**53 + 1  # neither int64 nor float64 can hold it
PARTICLE_COLUMNS = {
    "particle_id": np.uint64,
    "pdg": np.int32,
    "vx": np.float32,
    "vy": np.float32,
    "vz": np.float32,
    "px": np.float32,
    "py": np.float32,
    "pz": np.float32,
    "q": np.float32,
    "nhits": np.int32,
    "primary_vertex": np.int32,
}


@dataclass
class Simulated:
    event_id: int
    xyz: np.ndarray
    volume_id: np.ndarray = field(init=False)
    layer_id: np.ndarray = field(init=False)
    module_id: np.ndarray = field(init=False)
    particle_id: np.ndarray = field(init=False)
    n_true_hits: np.ndarray = field(init=False)
    particles: dict = field(init=False)

    def __post_init__(self):
        n = len(self.xyz)
        self.volume_id = np.full(n, 8, dtype=np.int32)
        self.layer_id = np.full(n, 2, dtype=np.int32)
        self.module_id = np.arange(n, dtype=np.int32)
        self.particle_id = np.full(n, BIG_ID, dtype=np.uint64)
        self.n_true_hits = np.ones(n, dtype=np.int32)
        self.particles = {
            name: np.full(min(n, 1), BIG_ID if name == "particle_id" else 1, dtype=kind)
            for name, kind in PARTICLE_COLUMNS.items()
        }


@pytest.fixture
def events():
    rng = np.random.default_rng(1)
    return [
        Simulated(event_id, rng.normal(size=(n, 3)).astype(np.float32))
        for event_id, n in [(7, 3), (3, 0), (11, 5)]
    ]


def test_space_points_of_a_ttree_come_back_in_order(tmp_path, events):
    with SpacePointWriter(tmp_path / "events.root") as writer:
        for event in events:
            writer.write(event)

    tree = uproot.open(tmp_path / "events.root")["events"].arrays(library="np")
    assert tree["event"].tolist() == [7, 3, 11]
    for entry, event in enumerate(events):
        assert tree["sp_x"][entry].tolist() == event.xyz[:, 0].tolist()
        assert tree["sp_z"][entry].tolist() == event.xyz[:, 2].tolist()
        assert tree["sp_module_id"][entry].tolist() == event.module_id.tolist()
    assert tree["sp_x"][0].dtype == np.float32
    assert tree["sp_layer_id"][0].dtype == np.int32


def test_space_points_of_an_rntuple_are_records(tmp_path, events):
    with SpacePointWriter(tmp_path / "events.root", form="rntuple") as writer:
        for event in events:
            writer.write(event)

    ntuple = uproot.open(tmp_path / "events.root")["events"].arrays()
    assert ntuple["event"].tolist() == [7, 3, 11]
    assert ntuple["sp"].fields == ["x", "y", "z", "volume_id", "layer_id", "module_id"]
    assert ntuple["sp"]["y"].tolist() == [e.xyz[:, 1].tolist() for e in events]


@pytest.mark.parametrize("form", ["ttree", "rntuple"])
def test_particle_ids_survive_above_2_to_the_63(tmp_path, events, form):
    with TruthWriter(tmp_path / "truth.root", form=form) as writer:
        for event in events:
            writer.write(event)

    file = uproot.open(tmp_path / "truth.root")
    names = ("sp_particle_id", "part_particle_id")
    if form == "rntuple":
        names = ("sp.particle_id", "part.particle_id")
    points, particles = file["sp_truth"][names[0]], file["particles"][names[1]]
    assert points.array().tolist() == [[BIG_ID] * 3, [], [BIG_ID] * 5]
    assert particles.array().tolist() == [[BIG_ID], [], [BIG_ID]]


def test_particle_ids_as_floats_are_refused(tmp_path, events):
    events[0].particle_id = events[0].particle_id.astype(np.float64)

    with pytest.raises(ValueError, match="holds uint64, got float64"):
        write_truth(tmp_path, events[0])

    assert list(tmp_path.iterdir()) == []


def test_columns_of_unequal_length_are_refused_with_their_lengths(tmp_path, events):
    events[0].n_true_hits = np.ones(2, dtype=np.int32)

    with pytest.raises(ValueError, match=r"event 7: .*sp_particle_id 3, .*hits 2"):
        write_truth(tmp_path, events[0])


def test_a_job_that_fails_leaves_no_file(tmp_path, events):
    with pytest.raises(KeyboardInterrupt):
        interrupt_after(SpacePointWriter(tmp_path / "events.root"), events[0])

    assert list(tmp_path.iterdir()) == []


def test_a_job_that_fails_leaves_the_old_file(tmp_path, events):
    (tmp_path / "events.root").write_text("old")

    with pytest.raises(KeyboardInterrupt):
        interrupt_after(
            SpacePointWriter(tmp_path / "events.root", force=True), events[0]
        )

    assert (tmp_path / "events.root").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_existing_output_is_refused_without_force(tmp_path):
    (tmp_path / "events.root").write_text("old")

    with pytest.raises(OutputExistsError), SpacePointWriter(tmp_path / "events.root"):
        pass

    assert (tmp_path / "events.root").read_text() == "old"


def test_force_replaces_an_existing_output(tmp_path, events):
    (tmp_path / "events.root").write_text("old")

    with SpacePointWriter(tmp_path / "events.root", force=True) as writer:
        writer.write(events[0])

    assert uproot.open(tmp_path / "events.root")["events"].num_entries == 1


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"folder '.*missing' does not exist"):
        SpacePointWriter(tmp_path / "missing" / "events.root").__enter__()


def test_more_events_than_a_block_holds_keep_their_order(tmp_path):
    with SpacePointWriter(tmp_path / "events.root") as writer:
        for event_id in range(2500):
            writer.write(Simulated(event_id, np.zeros((event_id % 3, 3), np.float32)))

    tree = uproot.open(tmp_path / "events.root")["events"]
    assert tree["event"].array().tolist() == list(range(2500))
    assert tree["sp_x"].array().tolist() == [[0.0] * (i % 3) for i in range(2500)]


def write_truth(folder, event):
    with TruthWriter(folder / "truth.root") as writer:
        writer.write(event)


def interrupt_after(writer, event):
    with writer:
        writer.write(event)
        raise KeyboardInterrupt


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path, limit_files):
    path = tmp_path / "events.root"
    xyz = np.random.default_rng(1).normal(size=(10_000, 3)).astype(np.float32)

    def write():
        with SpacePointWriter(path) as writer:
            writer.write(Simulated(1, xyz))

    limit_files(20_000)
    with pytest.raises(OutputError) as caught:
        write()

    assert str(caught.value).startswith(f"{path}: cannot write: File too large; ")
    assert list(tmp_path.iterdir()) == []
