"""One small sample in every format, as the format's own writer lays it out."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

U64_MAX = 2**64 - 1


@dataclass(frozen=True)
class Written:
    """A sample in some format, and the events that its reader must find."""

    paths: list[Path]
    event_ids: list[int]
    xyz: list[np.ndarray]


class Hits:
    """Three events of 4, 1 and 6 hits on two particles and noise."""

    event_ids = (7, 3, 1000)
    counts = (4, 1, 6)
    barcodes = ((1, 0, 5, 0, 0), (1, 0, 6, 0, 0))  # pv, sv, part, gen, subpart

    def __init__(self):
        rng = np.random.default_rng(7)
        points = rng.uniform(-900, 900, size=(sum(self.counts), 3)).astype(np.float32)
        self.xyz = np.split(points, np.cumsum(self.counts)[:-1])
        # -1 is noise; else a row of the particles.
        self.particle = [np.array([0, 1, -1, 0]), np.array([1]), np.arange(6) % 3 - 1]
        self.vertex = np.array([[0.0, 0.5, -3.0], [1.0, 0.0, 20.0]], dtype=np.float32)
        self.momentum = np.array([[3.0, 4.0, 0.5], [0.5, 0.0, 2.0]], dtype=np.float32)
        self.charge = np.array([1.0, -1.0], dtype=np.float32)

    def column(self, axis):
        return ak.Array([points[:, axis] for points in self.xyz])

    def per_event(self, values):
        """The same particles in every event."""
        return ak.Array([np.asarray(values)] * len(self.counts))


@pytest.fixture(scope="session")
def hits():
    return Hits()


def write_ttree(path, tree, columns):
    with uproot.recreate(path) as file:
        file.mktree(tree, {k: ak.Array(v).type.content for k, v in columns.items()})
        file[tree].extend(columns)


def write_csv(path, header, rows):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    text = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


def jagged_ttree(hits, folder):
    columns = {"event": np.array(hits.event_ids)}
    columns |= {f"sp_{axis}": hits.column(i) for i, axis in enumerate("xyz")}
    write_ttree(folder / "events.root", "events", columns)
    return [folder / "events.root"]


def jagged_rntuple(hits, folder):
    path = folder / "events.root"
    points = ak.zip({axis: hits.column(i) for i, axis in enumerate("xyz")})
    with uproot.recreate(path) as file:
        file["events"] = {"event": np.array(hits.event_ids), "sp": points}
    return [path]


def acts_flat(hits, folder, *, is_old=False, form="ttree"):
    """ACTS' RootSpacePointWriter; before 2025 it had no second measurement."""
    n_points = sum(hits.counts)
    x, y, z = np.concatenate(hits.xyz).T
    columns = {
        "event_id": np.repeat(hits.event_ids, hits.counts).astype(np.uint32),
        "measurement_id": np.arange(n_points, dtype=np.uint64),
        "geometry_id": np.full(n_points, 2**60 + 1, dtype=np.uint64),
        "x": x,
        "y": y,
        "z": z,
        "r": np.hypot(x, y),
        "var_r": np.ones(n_points, dtype=np.float32),
        "var_z": np.ones(n_points, dtype=np.float32),
    }
    if not is_old:
        no_second = np.full(n_points, U64_MAX, dtype=np.uint64)
        columns |= {"measurement_id_2": no_second, "geometry_id_2": no_second}
        columns |= {"t": np.zeros(n_points, dtype=np.float32)}
    path = folder / "spacepoints.root"
    if form == "ttree":
        write_ttree(path, "spacepoints", columns)
    else:
        with uproot.recreate(path) as file:
            file["spacepoints"] = columns
    return [path]


def acts_flat_with_truth(hits, folder):
    """Measurements are numbered in each event; the last point has two of them."""
    (path,) = acts_flat(hits, folder)
    numbers, second = [], []
    for n_points in hits.counts:
        numbers += range(n_points)
        second += [U64_MAX] * (n_points - 1) + [n_points]
    with uproot.open(path) as file:
        columns = file["spacepoints"].arrays(library="np")
    columns["measurement_id"] = np.array(numbers, dtype=np.uint64)
    columns["measurement_id_2"] = np.array(second, dtype=np.uint64)
    write_ttree(path, "spacepoints", columns)
    parts = ("vertex_primary", "vertex_secondary", "particle", "generation")
    parts += ("sub_particle",)
    rows = [[*p, p[-1]] for p in hits.particle]  # the last measurement once more
    barcodes = [[] if r < 0 else [hits.barcodes[r]] for each in rows for r in each]
    measurements = {"event_nr": np.repeat(hits.event_ids, [len(r) for r in rows])}
    particles = {"event_id": np.array(hits.event_ids[::-1], dtype=np.uint32)}
    for index, part in enumerate(parts):
        own = ak.Array([[b[index] for b in each] for each in barcodes])
        measurements[f"particles_{part}"] = ak.values_astype(own, np.uint32)
        particles[part] = hits.per_event(
            np.array([b[index] for b in hits.barcodes], dtype=np.uint32)
        )
    for axis, name in enumerate("xyz"):
        particles[f"v{name}"] = hits.per_event(hits.vertex[:, axis])
        particles[f"p{name}"] = hits.per_event(hits.momentum[:, axis])
    particles["q"] = hits.per_event(hits.charge)
    write_ttree(folder / "measurements.root", "measurements", measurements)
    write_ttree(folder / "particles.root", "particles", particles)
    return [path]


def acts_csv(hits, folder, *, is_old=False):
    """ACTS' Csv writers. The last hit of each event is a strip of two measurements."""
    paths = []
    for event_id, xyz, particle in zip(
        hits.event_ids, hits.xyz, hits.particle, strict=True
    ):
        path = folder / f"event{event_id:09d}-spacepoint.csv"
        n = len(xyz)
        first = np.arange(n) * 2
        if is_old:
            header = "measurement_id,x,y,z,var_r,var_z"
            rows = [(m, *p, 0.1, 0.2) for m, p in zip(first, xyz, strict=True)]
        else:
            header = "measurement_id_1,measurement_id_2,geometry_id_1,geometry_id_2"
            header += ",x,y,z,t,var_r,var_z"
            second = [U64_MAX] * (n - 1) + [first[-1] + 1]
            rows = [
                (m, s, 2**60, U64_MAX, *p, 0.0, 0.1, 0.2)
                for m, s, p in zip(first, second, xyz, strict=True)
            ]
        write_csv(path, header, rows)
        acts_csv_truth(hits, folder, event_id, particle, first, is_old=is_old)
        paths.append(path)
    return paths


def acts_csv_truth(hits, folder, event_id, particle, measurements, *, is_old):
    prefix = folder / f"event{event_id:09d}"
    whole = [sum(p << s for p, s in zip(b, (52, 40, 24, 16, 0), strict=True))
             for b in hits.barcodes]  # fmt: skip
    parts = ("pv", "sv", "part", "gen", "subpart")
    names = "particle_id" if is_old else ",".join(f"particle_id_{p}" for p in parts)
    ids = [(n,) for n in whole] if is_old else hits.barcodes
    # Hits in another order than the measurements, one of each particle and of noise's.
    on = np.flatnonzero(particle >= 0)
    hit_of = {int(row): index for index, row in enumerate(on[::-1])}
    write_csv(
        Path(f"{prefix}-hits.csv"),
        f"{names},geometry_id,tx,ty,tz",
        [(*ids[particle[row]], 2**60, 0.0, 0.0, 0.0) for row in on[::-1]],
    )
    links = [(measurements[row], hit_of[int(row)]) for row in on]
    if particle[-1] >= 0:  # the second measurement of the strip
        links.append((measurements[-1] + 1, hit_of[len(particle) - 1]))
    write_csv(
        Path(f"{prefix}-measurement-simhit-map.csv"), "measurement_id,hit_id", links
    )
    rows = zip(ids, hits.vertex, hits.momentum, hits.charge, strict=True)
    write_csv(
        Path(f"{prefix}-particles.csv"),
        f"{names},particle_type,process,vx,vy,vz,vt,px,py,pz,m,q",
        [(*i, 211, 0, *v, 0.0, *p, 0.14, q) for i, v, p, q in rows],
    )


def trackml(hits, folder, *, suffix=".csv"):
    """Files of the TrackML challenge; their truth is in another order."""
    paths = []
    for event_id, xyz, particle in zip(
        hits.event_ids, hits.xyz, hits.particle, strict=True
    ):
        prefix = f"event{event_id:09d}"
        path = folder / f"{prefix}-hits{suffix}"
        numbers = range(1, len(xyz) + 1)
        write_csv(
            path,
            "hit_id,x,y,z,volume_id,layer_id,module_id",
            [(n, *p, 7, 2, 1) for n, p in zip(numbers, xyz, strict=True)],
        )
        ids = [0 if row < 0 else 2**58 + 1 + int(row) for row in particle]
        truth = [
            (n, i, 0, 0, 0, 0, 0, 0, 0.1) for n, i in zip(numbers, ids, strict=True)
        ]
        write_csv(
            folder / f"{prefix}-truth{suffix}",
            "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight",
            truth[::-1],
        )
        rows = zip(hits.vertex, hits.momentum, hits.charge, strict=True)
        write_csv(
            folder / f"{prefix}-particles{suffix}",
            "particle_id,vx,vy,vz,px,py,pz,q,nhits",
            [(2**58 + 1 + i, *v, *p, q, 9) for i, (v, p, q) in enumerate(rows)],
        )
        paths.append(path)
    return paths


def gnn4itk_columns(hits):
    def lists(kind):
        return ak.values_astype(ak.local_index(hits.column(0)), kind)

    columns = {"run_number": np.full(3, 5), "event_number": np.array(hits.event_ids)}
    columns |= {f"SP{a}": ak.values_astype(hits.column(i), np.float64)
                for i, a in enumerate("xyz")}  # fmt: skip
    columns["SPCL1_index"] = lists(np.int32)
    columns["SPCL2_index"] = ak.full_like(columns["SPCL1_index"], -1)
    return columns


def gnn4itk(hits, folder):
    """C arrays with counters, as DumpObjects writes them: ``SPx[nSP]/D``."""
    path = folder / "dump.root"
    columns = gnn4itk_columns(hits)
    members = {name[2:]: columns[name] for name in columns if name.startswith("SP")}
    points = ak.zip(members)
    with uproot.recreate(path) as file:
        file.mktree(
            "GNN4ITk",
            {
                "run_number": "int64",
                "event_number": "uint64",
                "SP": points.type.content,
            },
            counter_name=lambda counted: "n" + counted,
            field_name=lambda outer, inner: outer + inner,
        )
        file["GNN4ITk"].extend(
            {
                "run_number": columns["run_number"],
                "event_number": columns["event_number"].astype(np.uint64),
                "SP": points,
            }
        )
    return [path]


def gnn4itk_with_truth(hits, folder):
    """The same columns in an RNTuple: uproot cannot write vector<vector> in a TTree."""
    path = folder / "dump.root"
    # Clusters counted from one, as in old dumps; noise has no link, and the first
    # cluster has a second one, of a particle that is nowhere else.
    columns = gnn4itk_columns(hits)
    columns["SPCL1_index"] = columns["SPCL1_index"] + 1
    links = [[[] if row < 0 else [10 + int(row)] for row in p] for p in hits.particle]
    links[0][0] = [10, 99]
    barcode = ak.values_astype(ak.Array(links), np.int32)
    columns |= {
        "CLindex": columns["SPCL1_index"],
        "CLparticleLink_barcode": barcode,
        "CLparticleLink_eventIndex": ak.full_like(barcode, 2),
        "Part_event_number": hits.per_event(np.full(2, 2, dtype=np.int32)),
        "Part_barcode": hits.per_event(np.array([10, 11], dtype=np.int32)),
        "Part_charge": hits.per_event(hits.charge),
    }
    for axis, name in enumerate("xyz"):
        columns[f"Part_v{name}"] = hits.per_event(hits.vertex[:, axis])
        columns[f"Part_p{name}"] = hits.per_event(hits.momentum[:, axis] * 1000)
    with uproot.recreate(path) as file:
        file["GNN4ITk"] = columns
    return [path]


def edm4hep_columns(hits):
    """Collections of podio: a list of records each."""
    columns = [ak.values_astype(hits.column(i), np.float64) for i in range(3)]
    axes = dict(zip("xyz", columns, strict=True))
    zeros = ak.zeros_like(axes["x"])
    members = ("cellID", "type", "quality", "time", "eDep", "eDepError")
    plane = ak.zip(
        dict.fromkeys(members, zeros) | {"position": ak.zip(axes)}, depth_limit=2
    )
    simulated = ak.zip(
        {"cellID": zeros, "pathLength": zeros, "position": ak.zip(axes)}, depth_limit=2
    )
    return {
        "EventHeader": ak.zip({"eventNumber": ak.Array([[i] for i in hits.event_ids])}),
        "SimHits": simulated,
        "InnerHits": plane[:, :1],
        "TrackerHits": plane[:, 1:],
    }


def edm4hep_rntuple(hits, folder):
    path = folder / "edm4hep.root"
    with uproot.recreate(path) as file:
        file["events"] = edm4hep_columns(hits)
    return [path]


def object_ids(pairs_by_event):
    """podio::ObjectID: where a reference leads."""
    records = [
        [{"index": index, "collectionID": number} for index, number in pairs]
        for pairs in pairs_by_event
    ]
    return ak.enforce_type(
        ak.Array(records), "var * {index: int32, collectionID: uint32}"
    )


NEW_REFERENCES = ("_{}_from", "_{}_to", "_{}_particle")


def collection_type_info(ids):
    info = [{"name": name, "collectionID": number} for name, number in ids.items()]
    return {"events___CollectionTypeInfo": ak.Array([info])}


def names_and_ids(ids):
    """As podio wrote them to RNTuples until 1.3."""
    numbers = ak.values_astype(ak.Array([list(ids.values())]), np.uint32)
    return {
        "events_collectionNames": ak.Array([list(ids)]),
        "events___idTable": numbers,
    }


def collection_id_table(ids):
    """The members of podio's class, as it wrote them before."""
    return {"events___idTable": ak.Array([{"m_names": list(ids),
            "m_collectionIDs": list(ids.values())}])}  # fmt: skip


def edm4hep_with_truth(
    hits, folder, *, names=NEW_REFERENCES, metadata=collection_type_info
):
    """A link for each hit that is no noise, to the simulated hit of the same row."""
    ids = {"InnerHits": 4_000_000_001, "TrackerHits": 7, "SimHits": 3, "MCParticles": 9}
    where = [("InnerHits", 0), *(("TrackerHits", row) for row in range(9))]
    source, target, particle = names
    rows = [np.flatnonzero(p >= 0)[::-1].tolist() for p in hits.particle]
    particles = {
        "generatorStatus": hits.per_event(np.ones(2, dtype=np.int32)),
        "charge": hits.per_event(hits.charge),
    }
    for name, values in (("vertex", hits.vertex), ("momentum", hits.momentum)):
        axes = {a: hits.per_event(values[:, i]) for i, a in enumerate("xyz")}
        particles[name] = ak.zip(axes)
    links = ak.Array([[{"weight": 1.0}] * len(each) for each in rows])
    columns = edm4hep_columns(hits) | {
        "MCParticles": ak.zip(particles, depth_limit=2),
        "Links": links,
        source.format("Links"): object_ids(
            [[(where[r][1], ids[where[r][0]]) for r in each] for each in rows]
        ),
        target.format("Links"): object_ids(
            [[(row, ids["SimHits"]) for row in each] for each in rows]
        ),
        particle.format("SimHits"): object_ids(
            [[(int(row), ids["MCParticles"]) for row in p] for p in hits.particle]
        ),
    }
    path = folder / "edm4hep.root"
    with uproot.recreate(path) as file:
        file["events"] = columns
        file["podio_metadata"] = metadata(ids)
    return [path]


def colliderml(hits, folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = [[0 if r < 0 else 2**60 + 1 + int(r) for r in p] for p in hits.particle]
    table = {"event_id": pa.array(hits.event_ids, pa.uint32())}
    for prefix in ("", "true_"):
        for axis, name in enumerate("xyz"):
            lists = hits.column(axis).to_list()
            table[prefix + name] = pa.array(lists, pa.list_(pa.float32()))
    table["particle_id"] = pa.array(ids, pa.list_(pa.uint64()))
    path = folder / "tracker_hits.parquet"
    pq.write_table(pa.table(table), path, row_group_size=2)
    particles = {
        "event_id": table["event_id"],
        "particle_id": pa.array([[2**60 + 1, 2**60 + 2]] * 3, pa.list_(pa.uint64())),
        "charge": pa.array([hits.charge.tolist()] * 3, pa.list_(pa.float32())),
    }
    for axis, name in enumerate("xyz"):
        for prefix, values in (("v", hits.vertex), ("p", hits.momentum)):
            column = [values[:, axis].tolist()] * 3
            particles[prefix + name] = pa.array(column, pa.list_(pa.float32()))
    pq.write_table(pa.table(particles), folder / "particles.parquet")
    return [path]


def parquet(hits, folder, *, as_records=False):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "events.parquet"
    table = {"event": pa.array(hits.event_ids, pa.int64())}
    if as_records:
        points = ak.zip({axis: hits.column(i) for i, axis in enumerate("xyz")})
        record = pa.struct([(axis, pa.float32()) for axis in "xyz"])
        table["sp"] = pa.array(points.to_list(), pa.list_(record))
    else:
        for axis, name in enumerate("xyz"):
            lists = hits.column(axis).to_list()
            table[f"sp_{name}"] = pa.array(lists, pa.list_(pa.float32()))
    pq.write_table(pa.table(table), path, row_group_size=2)
    return [path]


def npz(hits, folder):
    path = folder / "events.npz"
    splits = np.concatenate(([0], np.cumsum(hits.counts)))
    np.savez(
        path,
        xyz=np.concatenate(hits.xyz),
        row_splits=splits,
        event_ids=np.array(hits.event_ids),
    )
    return [path]


WRITERS = {
    "jagged TTree": ("jagged", jagged_ttree),
    "jagged RNTuple": ("jagged", jagged_rntuple),
    "ACTS TTree": ("flat", acts_flat),
    "old ACTS TTree": ("flat", lambda h, f: acts_flat(h, f, is_old=True)),
    "ACTS RNTuple": ("flat", lambda h, f: acts_flat(h, f, form="rntuple")),
    "ACTS csv": ("acts-csv", acts_csv),
    "old ACTS csv": ("acts-csv", lambda h, f: acts_csv(h, f, is_old=True)),
    "TrackML csv": ("trackml", trackml),
    "TrackML csv.gz": ("trackml", lambda h, f: trackml(h, f, suffix=".csv.gz")),
    "GNN4ITk": ("gnn4itk", gnn4itk),
    "EDM4hep RNTuple": ("edm4hep", edm4hep_rntuple),
    "ColliderML": ("colliderml", colliderml),
    "parquet": ("parquet", parquet),
    "parquet records": ("parquet", lambda h, f: parquet(h, f, as_records=True)),
    "npz": ("numpy", npz),
}
OLD_REFERENCES = ("{}#0", "{}#1", "{}#0")
TRUTH_WRITERS = {
    "ACTS TTrees": acts_flat_with_truth,
    "ACTS csv": acts_csv,
    "old ACTS csv": lambda h, f: acts_csv(h, f, is_old=True),
    "TrackML csv": trackml,
    "TrackML csv.gz": lambda h, f: trackml(h, f, suffix=".csv.gz"),
    "GNN4ITk": gnn4itk_with_truth,
    "ColliderML": colliderml,
    "EDM4hep": edm4hep_with_truth,
    "old EDM4hep": lambda h, f: edm4hep_with_truth(
        h, f, names=OLD_REFERENCES, metadata=collection_id_table
    ),
    "EDM4hep of podio 1.3": lambda h, f: edm4hep_with_truth(
        h, f, metadata=names_and_ids
    ),
}


@pytest.fixture(scope="session", params=WRITERS)
def written(request, hits, tmp_path_factory):
    """The name of a format, and the sample in it."""
    name, write = WRITERS[request.param]
    paths = write(hits, tmp_path_factory.mktemp("events"))
    return name, Written(paths, list(hits.event_ids), hits.xyz)


@pytest.fixture(scope="session", params=TRUTH_WRITERS)
def written_with_truth(request, hits, tmp_path_factory):
    """The sample in a format that has truth."""
    return TRUTH_WRITERS[request.param](hits, tmp_path_factory.mktemp("truth"))


@pytest.fixture
def written_acts(hits, tmp_path):
    """Space points of ACTS, with the files of their truth beside."""
    return acts_flat_with_truth(hits, tmp_path)[0]
