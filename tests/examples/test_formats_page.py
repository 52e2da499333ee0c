"""What docs/formats.md says of formats is so, and its commands run."""

import gzip
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import awkward as ak
import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

import sonic_tracking
from mock_server import MockServer, Model, TensorSpec
from producers.formats.registry import EVENT_FORMATS, TRACK_FORMATS, TRUTH_FORMATS
from sonic_tracking.main import app

pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
pq = pytest.importorskip("pyarrow.parquet")

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "formats.md").read_text()
XYZ = np.array([[32.0, 1.0, 2.0], [72.0, 2.0, 4.0], [116.0, 3.0, 7.0]], np.float32)
NAMES = ("x", "y", "z")
SCALES = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}
MODEL = Model(
    "exatrkx",
    [TensorSpec("FEATURES", "FP32", (-1, 3))],
    [TensorSpec("LABELS", "INT64", (-1,))],
    lambda tensors: {"LABELS": np.zeros(len(tensors["FEATURES"]), np.int64)},
    parameters=SCALES,
)


OWN_FILE = PAGE.partition("## My own ROOT file\n")[2].partition("\n## ")[0]


REST = PAGE.replace(OWN_FILE, "")


def blocks(language, text=REST):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def table_of(heading):
    """Rows of the table under a heading, by their first cell."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n##")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): row[2:-1] for row in rows if "--format" not in row[1]}


def lists(kind=np.float32):
    """Two events of the same three points, by axis."""
    return {n: ak.Array([XYZ[:, i].astype(kind)] * 2) for i, n in enumerate(NAMES)}


def write_tree(path, tree, columns, form="ttree"):
    columns = {name: ak.Array(values) for name, values in columns.items()}
    types = {name: values.type.content for name, values in columns.items()}
    with uproot.recreate(path) as file:
        (file.mktree if form == "ttree" else file.mkrntuple)(tree, types)
        file[tree].extend(columns)


def write_csv(path, header, rows):
    text = "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_root_files():
    event = {"event": np.array([4, 5])}
    prefixed = {f"sp_{name}": values for name, values in lists().items()}
    write_tree("events.root", "events", event | prefixed)
    renamed = {f"hit_{name}": values for name, values in lists().items()}
    write_tree("hits.root", "Hits", {"eventNumber": event["event"]} | renamed)
    rows = {name: np.tile(XYZ[:, i], 2) for i, name in enumerate(NAMES)}
    numbers = np.repeat([4, 5], 3)
    ids = {"event_id": numbers.astype(np.uint32), "measurement_id": np.arange(6)}
    write_tree("spacepoints.root", "spacepoints", ids | rows)
    write_tree("rays.root", "Rays", {"Event": numbers} | rows)
    indices = {"SPCL1_index": [[0, 1, 2]] * 2, "SPCL2_index": [[-1, -1, -1]] * 2}
    points = {f"SP{name}": values for name, values in lists(np.float64).items()}
    write_tree("dump.root", "GNN4ITk", {"event_number": [4, 5]} | indices | points)
    zeros = ak.zeros_like(lists()["x"])
    members = ("cellID", "type", "quality", "time", "eDep", "eDepError")
    position = ak.zip(lists(np.float64))
    hits = dict.fromkeys(members, zeros) | {"position": position}
    plane = ak.zip(hits, depth_limit=2)
    write_tree("edm4hep.root", "events", {"TrackerHits": plane}, form="rntuple")


def write_other_files():
    for number in (4, 5):
        prefix = f"event{number:09d}"
        write_csv(
            Path(f"{prefix}-spacepoint.csv"),
            "measurement_id,x,y,z,var_r,var_z",
            [(i, *point, 0.1, 0.2) for i, point in enumerate(XYZ)],
        )
        write_csv(
            Path(f"{prefix}-hits.csv.gz"),
            "hit_id,x,y,z,volume_id,layer_id,module_id",
            [(i + 1, *point, 8, 2, 1) for i, point in enumerate(XYZ)],
        )
    for number in (1, 2):
        np.savetxt(f"evt_{number}.csv", XYZ / 1000, delimiter=",")
    columns = {name: values.to_list() for name, values in lists().items()}
    hits = {"event_id": [4, 5], "true_x": columns["x"], "particle_id": [[1, 1, 1]] * 2}
    pq.write_table(pa.table(hits | columns), "tracker_hits.parquet")
    prefixed = {f"sp_{name}": values for name, values in columns.items()}
    pq.write_table(pa.table({"event": [4, 5]} | prefixed), "events.parquet")
    np.savez("events.npz", xyz=np.tile(XYZ, (2, 1)), row_splits=np.array([0, 3, 6]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a small file of each format, as the page calls them."""
    monkeypatch.chdir(tmp_path)
    write_root_files()
    write_other_files()
    (columns,) = blocks("toml")
    (tmp_path / "columns.toml").write_text(columns)
    (tmp_path / "rays.toml").write_text(
        '[columns]\nevent = "Event"\ntree = "Rays"\nx = "x"\ny = "y"\nz = "z"\n'
    )
    return tmp_path


def test_every_command_reads_both_events(folder, monkeypatch):
    (commands,) = blocks("bash")
    outputs = []

    with MockServer([MODEL]) as server:
        where = urlsplit(server.url)
        monkeypatch.setenv("SONIC_LOCAL_BALANCER_HOST", str(where.hostname))
        monkeypatch.setenv("SONIC_LOCAL_BALANCER_PORT", str(where.port))
        for line in commands.splitlines():
            result = CliRunner().invoke(app, shlex.split(line)[1:])
            assert result.exit_code == 0, (line, result.output)
            assert "2 in 2 events" in result.stdout, line
            outputs.append(shlex.split(line)[shlex.split(line).index("-o") + 1])

    assert len(set(outputs)) == len(EVENT_FORMATS) + 2  # two of them by mapping
    assert all((folder / name).exists() for name in outputs)


def test_the_block_of_python_runs(folder, capsys):
    (code,) = blocks("python")

    exec(compile(code, "docs/formats.md", "exec"), {})

    assert capsys.readouterr().out == "hits.root [4 5] (6, 3)\n"


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("Space points", EVENT_FORMATS),
        ("Truth", TRUTH_FORMATS),
        ("Tracks", TRACK_FORMATS),
    ],
)
def test_the_tables_have_every_format(heading, known):
    assert sorted(table_of(heading)) == sorted(known)


def test_suffixes_are_those_of_the_formats():
    suffixes = {name: cells[0] for name, cells in table_of("Tracks").items()}

    for name, each in TRACK_FORMATS.items():
        assert tuple(re.findall(r"`(.*?)`", suffixes[name])) == each.suffixes


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """Events of the sample with their truth, in cm, under the names of the page."""
    monkeypatch.chdir(tmp_path)
    sample = Path(sonic_tracking.__file__).parent / "sample"
    with uproot.open(sample / "events.root") as file:
        events = file["events"].arrays(entry_stop=3)
    with uproot.open(sample / "truth.root") as file:
        of_points = file["sp_truth"].arrays(entry_stop=3)
        particles = file["particles"].arrays(entry_stop=3)
    hits = {f"hit_{a}": events[f"sp_{a}"] * np.float32(0.1) for a in NAMES}
    hits |= {"hit_charge": ak.ones_like(hits["hit_x"])}
    hits |= {"hit_particle_id": of_points["sp_particle_id"]}
    mc = {"mc_id": particles["part_particle_id"], "mc_q": particles["part_q"]}
    mc |= {f"mc_p{a}": particles[f"part_p{a}"] for a in NAMES}
    mc |= {f"mc_v{a}": particles[f"part_v{a}"] * np.float32(0.1) for a in NAMES}
    with uproot.recreate("mine.root") as file:
        tables = {"Hits": hits, "MC": mc, "header": {"eventNumber": events["event"]}}
        for tree, columns in tables.items():
            file.mktree(tree, {k: v.type.content for k, v in columns.items()})
            file[tree].extend(columns)


def test_the_way_from_an_unknown_file_to_tracks_is_as_the_page_says(own_file):
    first, track, compare, again = (b.strip() for b in blocks("bash", OWN_FILE))
    refused_track, refused_truth = blocks("text", OWN_FILE)
    (columns,) = blocks("toml", OWN_FILE)

    def run(line):
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        return result.exit_code, result.stderr, result.stdout

    status, of_points, _ = run(first)
    assert (status, of_points.split()) == (1, refused_track.split())
    text = of_points[of_points.index("[columns]") :]
    Path("mine.toml").write_text(text.replace('unit = "mm"', 'unit = "cm"'))
    status, stderr, _ = run(track)
    assert status == 0, stderr
    status, of_truth, _ = run(compare)
    assert (status, of_truth.split()) == (1, refused_truth.split())
    text = of_truth[of_truth.index("[truth]") :].replace('unit = "mm"', 'unit = "cm"')
    Path("mine.toml").write_text(f"{Path('mine.toml').read_text()}\n{text}")
    status, stderr, stdout = run(again)
    assert status == 0, stderr

    assert Path("mine.toml").read_text() == columns
    found = re.search(r"efficiency \(double majority\) +(\S+)", stdout)
    assert float(found[1]) > 0.95
