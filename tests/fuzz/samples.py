"""Every kind of file that the toolkit reads: how a small one is made, and read."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mock_server
from exatrkx_pipeline import (
    Pipeline,
    bundled_weights,
    load_weights,
    save_weights,
)
from exatrkx_pipeline.config import GnnConfig
from exatrkx_pipeline.networks.res_agnn import ResAGNN
from exatrkx_pipeline.training import read_recipe
from exatrkx_pipeline.training.checkpoint import (
    CheckpointFolder,
    LearningCurve,
    StageState,
)
from exatrkx_pipeline.weights import read_weights_config
from mock_server.cassette import Cassette
from mock_server.core.sources import load_repository
from mock_server.faults import FaultPlan
from producers import (
    ColumnMapping,
    Event,
    FeatureScale,
    SpacePointWriter,
    TrackCandidates,
    TrackEvents,
    TrackWriter,
    TruthEvents,
    TruthWriter,
    open_events,
)
from producers.simulation import SimulatedEvent
from producers.simulation.generators import read_hepmc3
from sonic_client import (
    CacheConfig,
    ClientConfig,
    ClientStatistics,
    JobSummary,
    ModelMetadata,
    TensorSpec,
)
from sonic_client.message.cache import AnswerCache
from sonic_client.servers.checks import check_pinned_model
from sonic_tracking.jobs.weights import import_weights
from tests.producers.formats.conftest import TRUTH_WRITERS, WRITERS, Hits


class Sample(NamedTuple):
    """A kind of file.

    Attributes
    ----------
    make : callable
        Writes valid files into an empty folder.
    read : callable
        Reads them from the folder through public functions, completely.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]


SCALE = FeatureScale(r_mm=1000.0, phi_rad=3.14, z_mm=1000.0)
LABELS = np.array([0, 0, 0, -1, 1, 1, 1])
XYZ = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)


def event_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix != ".txt")


def read_events(folder: Path) -> None:
    paths = (folder / "paths.txt").read_text().split()
    for chunk in open_events([folder / each for each in paths], csv_scale=SCALE):
        chunk.xyz.sum()


def read_truth(folder: Path) -> None:
    paths = (folder / "paths.txt").read_text().split()
    for event in TruthEvents([folder / each for each in paths]):
        event.particles.momentum_gev.sum()


def made(write: Callable[[Hits, Path], list[Path]]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        paths = write(Hits(), folder)[:1]
        (folder / "paths.txt").write_text("\n".join(each.name for each in paths))

    return make


def simulated(number: int) -> SimulatedEvent:
    ids = np.arange(4, dtype=np.uint64)
    floats = dict.fromkeys(("vx", "vy", "vz", "px", "py", "pz", "q"), np.float32)
    integers = dict.fromkeys(("pdg", "nhits", "primary_vertex"), np.int32)
    return SimulatedEvent(
        event_id=number,
        xyz=XYZ,
        volume_id=LABELS,
        layer_id=LABELS,
        module_id=LABELS,
        particle_id=np.maximum(LABELS, 0).astype(np.uint64),
        n_true_hits=LABELS.astype(np.int32),
        particles={"particle_id": ids}
        | {name: np.ones(4, kind) for name, kind in (floats | integers).items()},
    )


def write_simulated(kind: Any, form: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with kind(folder / "f.root", form=form) as writer:
            for number in range(3):
                writer.write(simulated(number))
        (folder / "paths.txt").write_text("f.root")

    return make


def write_tracks(path: Path, **options: Any) -> None:
    with TrackWriter(path, {"command": "fuzz"}, **options) as writer:
        for number in range(3):
            event = Event(event_id=number, xyz=XYZ, source="memory", entry=number)
            writer.write(event, TrackCandidates.from_components(LABELS, XYZ))


def read_tracks(folder: Path) -> None:
    (path,) = folder.iterdir()
    for event in TrackEvents(path):
        event.candidates.sizes.sum()
    TrackEvents(path).array()


def tracks(name: str, **options: Any) -> Sample:
    return Sample(lambda folder: write_tracks(folder / name, **options), read_tracks)


def write_journal(folder: Path) -> None:
    writer = TrackWriter(folder / "t.root", {}, job={"inputs": ["a.root"], "cut": 0.5})
    writer.__enter__()
    for number in range(3):
        event = Event(event_id=number, xyz=XYZ, source="memory", entry=number)
        writer.write(event, TrackCandidates.from_components(LABELS, XYZ))
        writer._commit()
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def read_journal(folder: Path) -> None:
    read_tracks(folder)
    job = {"inputs": ["a.root"], "cut": 0.5}
    with TrackWriter(folder / "t.root", {}, job=job, resume=True):
        pass


def write_feature_csv(folder: Path) -> None:
    np.savetxt(folder / "event7.csv", XYZ, delimiter=",")
    (folder / "paths.txt").write_text("event7.csv")


def write_npy(folder: Path) -> None:
    np.save(folder / "e.npy", np.asfortranarray(XYZ))
    (folder / "paths.txt").write_text("e.npy")


def write_compressed_npz(folder: Path) -> None:
    np.savez_compressed(folder / "e.npz", xyz=XYZ, row_splits=np.array([0, 3, 7]))
    (folder / "paths.txt").write_text("e.npz")


def write_weights(folder: Path) -> None:
    save_weights(folder, tiny_pipeline(), training={"n": 1}, scores={})


def tiny_pipeline() -> Pipeline:
    config = load_weights(bundled_weights()).config
    small = {"hidden": 4}
    return Pipeline.untrained(
        dataclasses.replace(
            config,
            embedding=dataclasses.replace(config.embedding, **small),
            filter=dataclasses.replace(config.filter, **small),
            gnn=dataclasses.replace(config.gnn, **small),
        )
    )


def read_weights(folder: Path) -> None:
    read_weights_config(folder)
    load_weights(folder)


def read_weights_with_right_checksum(folder: Path) -> None:
    """As if the file had been damaged before its checksum was taken."""
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    config = folder / "config.toml"
    text = config.read_bytes()
    wanted = b'tensors_sha256 = "%s"' % digest.encode()
    config.write_bytes(re.sub(rb'tensors_sha256 = "\w+"', wanted, text))
    try:
        load_weights(folder)
    finally:
        config.write_bytes(text)


def write_checkpoint(folder: Path) -> None:
    import torch

    state = StageState(
        step=1,
        learning_rate=0.1,
        curve=LearningCurve("gnn", [0.5], 1.0, [0.4]),
        recent=[0.1],
        network={"weight": torch.ones(3, 4)},
        optimiser={"step": torch.tensor(1.0)},
        torch_rng=torch.get_rng_state()[:100],
    )
    CheckpointFolder(folder).of_stage("gnn").save(state)


def read_checkpoint(folder: Path) -> None:
    CheckpointFolder(folder).of_stage("gnn").load()


RECIPE = """
seed = 3
n_validation = 2
start_from = "generic_pu0"
[[samples]]
name = "a"
events = ["e.root"]
truth = ["t.root"]
[pipeline.graph]
r_val = 0.1
[embedding]
n_steps = 10
learning_rate = 1e-3
"""
CLIENT = """
[client]
servers = ["grpc://a:8001", { url = "grpcs://b:8001", preferred = true }]
model_name = "exatrkx"
deadline_s = 10.0
layout = "per_event"
[client.retry]
allowed_tries = 3
first_wait_s = 0.1
[client.window]
max_requests = 4
"""
FAULTS = """
seed = 7
[[fault]]
on = { share = 0.05, model = "exatrkx" }
refuse = { code = "UNAVAILABLE", text = "queue" }
[[fault]]
on = { numbers = [1, 3, "10-20"] }
delay = { seconds = 0.5, jitter_s = 0.1 }
[[fault]]
refuse_admission = { numbers = [1] }
"""
COLUMNS = """
[columns]
tree = "events"
event = "event"
x = "sp_x"
y = "sp_y"
z = "sp_z"
unit = "mm"
volume = "sp_volume_id"
"""


def text(name: str, content: str, read: Callable[[Path], object]) -> Sample:
    return Sample(
        lambda folder: (folder / name).write_text(content),
        lambda folder: read(folder / name),
    )


def write_cassette(folder: Path) -> None:
    from mock_server import MockServer, Model, TensorSpec
    from mock_server.cassette import Upstream, recorded_models
    from sonic_client import Client

    model = Model(
        "echo",
        [TensorSpec("X", "FP32", (-1, 3))],
        [TensorSpec("Y", "FP32", (-1, 3))],
        lambda tensors: {"Y": tensors["X"]},
    )
    with MockServer([model]) as server, Upstream(server.url) as upstream:
        cassette = Cassette.create(folder, upstream.described(["echo"]), decimals=3)
        with MockServer(recorded_models(upstream, cassette)) as proxy:
            config = ClientConfig(servers=proxy.url, model_name="echo")
            with Client(config) as client:
                for n in (1, 2):
                    client.infer({"X": XYZ[:n]})


def read_cassette(folder: Path) -> None:
    cassette = Cassette.load(folder)
    mock_server.cassette.replayed_models(cassette)


def read_repository(folder: Path) -> None:
    for model in load_repository(folder):
        model.config()


def write_repository(folder: Path) -> None:
    root = Path(__file__).parents[2] / "model_repository"
    for name in ("exatrkx", "exatrkx_ensemble"):
        (folder / name).mkdir()
        shutil.copy(root / name / "config.pbtxt", folder / name)


def write_list(folder: Path) -> None:
    np.save(folder / "e1.npy", XYZ)
    np.save(folder / "e2.npy", XYZ)
    (folder / "list.txt").write_text("# two files\ne1.npy\ne[2-3].npy\n")


def read_list(folder: Path) -> None:
    for chunk in open_events(folder / "list.txt"):
        chunk.xyz.sum()


def write_part_file(folder: Path) -> None:
    from producers import LoopTimes
    from producers.model.candidates import CandidateChunk
    from producers.model.track_block import TrackBlock
    from sonic_tracking.distributed.parts import PartReport, write_part

    found = TrackCandidates.from_components(LABELS, XYZ)
    block = TrackBlock(
        event_ids=np.array([1]),
        is_failed=np.array([False]),
        candidates=CandidateChunk(
            labels=found.labels,
            point_splits=np.array([0, 7]),
            sizes=found.sizes,
            candidate_splits=np.array([0, len(found)]),
            space_points=found.space_points,
        ),
    )
    report = PartReport(
        path=folder / "part.npz",
        client="c",
        summary=SUMMARY,
        times=LoopTimes(),
        peak_memory_bytes=1,
    )
    write_part(block, report)


def read_part_file(folder: Path) -> None:
    from sonic_tracking.distributed.parts import read_part, read_report

    read_report(folder / "part.npz")
    block = read_part(folder / "part.npz")
    for each in block.candidates:
        each.sizes.sum()


def write_scripts(folder: Path) -> None:
    import torch

    class EdgeScores(torch.nn.Module):
        def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
            return (x[edges[0]] - x[edges[1]]).sum(dim=1)

    torch.manual_seed(1)
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 4)), str(folder / "embed.pt"))
    # TorchScript takes the source of a class from its file, which a test may not have.
    scores = torch.jit.trace(EdgeScores(), (torch.rand(3, 3), torch.tensor([[1], [0]])))
    torch.jit.save(scores, str(folder / "scores.pt"))
    config = GnnConfig(
        architecture="ResAGNN",
        node_inputs=("r", "phi", "z"),
        edge_inputs=(),
        hidden=2,
        n_graph_iters=2,
        n_edge_layers=1,
        n_node_layers=1,
    )
    torch.save(ResAGNN(config).state_dict(), folder / "gnn.pt")
    (folder / "cuts.toml").write_text(CUTS)


def read_scripts(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as output:
        import_weights(
            folder / "embed.pt",
            folder / "scores.pt",
            folder / "gnn.pt",
            folder / "cuts.toml",
            Path(output) / "weights",
        )


def write_kept_answers(folder: Path) -> None:
    np.savez(folder / "ab.npz", LABELS=LABELS)


def read_kept_answers(folder: Path) -> None:
    (folder / "ab").mkdir()
    shutil.copy(folder / "ab.npz", folder / "ab" / "ab.npz")
    try:
        cache = AnswerCache(CacheConfig(folder=folder), METADATA)
        asyncio.run(cache.find("ab"))
    finally:
        shutil.rmtree(folder / "ab")


def read_pin(path: Path) -> None:
    check_pinned_model(METADATA, path, server="grpc://a:1")


def write_hepmc3(folder: Path) -> None:
    import pyhepmc

    with pyhepmc.open(str(folder / "e.hepmc3"), "w") as out:
        for number in range(2):
            record = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
            vertex = pyhepmc.GenVertex((0.01, 0.0, 5.0, 0.0))
            vertex.add_particle_in(pyhepmc.GenParticle((0, 0, 7e3, 7e3), 2212, 4))
            for px, pdg in ((2.0, 211), (-2.0, -211)):
                out_going = pyhepmc.GenParticle((px, 0.1, 0.2, 2.1), pdg, 1)
                vertex.add_particle_out(out_going)
            record.add_vertex(vertex)
            record.event_number = number
            out.write(record)


def read_hepmc3_records(folder: Path) -> None:
    for _ in read_hepmc3((folder / "e.hepmc3",)):
        pass


CUTS = """
features = { names = ["r", "phi", "z"], scales = [3000.0, 3.14159265, 400.0] }
graph = { r_val = 0.3 }
filter = { filter_cut = 0.21 }
gnn = { n_graph_iters = 2 }
track_building = { method = "components", score_cut = 0.75 }
"""
PIN = """
name: "exatrkx"
max_batch_size: 0
input [{ name: "FEATURES" data_type: TYPE_FP32 dims: [-1, 3] }]
output [{ name: "LABELS" data_type: TYPE_INT64 dims: [-1] }]
"""
METADATA = ModelMetadata(
    name="exatrkx",
    version="1",
    platform="",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
)
SUMMARY = JobSummary(
    models=("m",),
    started_at_s=0.0,
    ended_at_s=1.0,
    client=ClientStatistics(events=1, requests=1, tries={"OK": 1}, servers={"s": 1}),
)


SAMPLES: dict[str, Sample] = {
    **{
        f"events, {name}": Sample(made(w), read_events)
        for name, (_, w) in WRITERS.items()
    },
    "events, feature csv": Sample(write_feature_csv, read_events),
    "events, npy": Sample(write_npy, read_events),
    "events, compressed npz": Sample(write_compressed_npz, read_events),
    "events, list": Sample(write_list, read_list),
    **{
        f"events, own {form}": Sample(
            write_simulated(SpacePointWriter, form), read_events
        )
        for form in ("ttree", "rntuple")
    },
    **{
        f"truth, {name}": Sample(made(w), read_truth)
        for name, w in TRUTH_WRITERS.items()
    },
    **{
        f"truth, own {form}": Sample(write_simulated(TruthWriter, form), read_truth)
        for form in ("ttree", "rntuple")
    },
    "tracks, ttree": tracks("t.root"),
    "tracks, rntuple": tracks("t.root", format="rntuple"),
    "tracks, parquet": tracks("t.parquet"),
    "tracks, journal": Sample(write_journal, read_journal),
    "weights": Sample(write_weights, read_weights),
    "weights, checksum": Sample(write_weights, read_weights_with_right_checksum),
    "checkpoint": Sample(write_checkpoint, read_checkpoint),
    "recipe": text(
        "r.toml", RECIPE, lambda path: read_recipe(path, events=(), truth=())
    ),
    "client": text("c.toml", CLIENT, ClientConfig.from_toml),
    "fault plan": text("f.toml", FAULTS, FaultPlan.from_toml),
    "columns": text("c.toml", COLUMNS, ColumnMapping.from_toml),
    "cassette": Sample(write_cassette, read_cassette),
    "repository": Sample(write_repository, read_repository),
    "part": Sample(write_part_file, read_part_file),
    "import": Sample(write_scripts, read_scripts),
    "kept answer": Sample(write_kept_answers, read_kept_answers),
    "pinned model": text("c.pbtxt", PIN, read_pin),
    "hepmc3": Sample(write_hepmc3, read_hepmc3_records),
}
