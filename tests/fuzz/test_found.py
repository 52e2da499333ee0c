"""Files that the fuzzer found: each was once a traceback, or the end of the process."""

from pathlib import Path

import numpy as np
import pytest

from exatrkx_pipeline import WeightsError, load_weights
from exatrkx_pipeline.training import read_recipe
from exatrkx_pipeline.weights.importing import _read_gnn
from mock_server.core.sources import load_repository
from mock_server.errors import ConfigurationError
from mock_server.model.config import model_of_text
from producers import (
    ColumnMapping,
    InputNotFoundError,
    TruthEvents,
    UnequalEventsError,
    UnreadableFileError,
    open_events,
)
from producers.formats.particles import particles_from
from producers.simulation.generators import read_hepmc3
from sonic_base import ConfigError, SonicError
from sonic_client.servers.checks import check_pinned_model
from tests.fuzz.samples import METADATA, PIN, RECIPE, SAMPLES

FOUND = Path(__file__).with_name("found")


def read(name):
    for chunk in open_events(FOUND / name):
        chunk.xyz.sum()


@pytest.mark.parametrize(
    "name",
    [
        "rntuple-footer.root",
        "rntuple-fewer-entries.root",
        "rntuple-lengths.root",
        "edm4hep-lengths.root",
        "column-name.parquet",
    ],
)
def test_a_damaged_file_of_events_is_one_line(name):
    with pytest.raises(UnreadableFileError, match=f"{name}: .*damaged") as caught:
        read(name)

    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_metadata_of_parquet_that_contradict_themselves_do_not_end_the_process():
    read("histogram.parquet")  # they are those of a column that is not read


def test_columns_of_truth_that_contradict_each_other_are_named():
    with pytest.raises(UnreadableFileError, match="the lengths of its lists are wrong"):
        list(TruthEvents(FOUND / "gnn4itk-lengths.root"))


def test_columns_of_particles_of_unequal_length_are_named():
    ids = np.zeros(2, np.uint64)

    with pytest.raises(UnequalEventsError, match=r"f: columns of particles .*: 2, 3"):
        particles_from("f", ids, [np.zeros(2)] * 6 + [np.zeros(3)])


def test_a_damaged_archive_of_tensors_is_one_line():
    with pytest.raises(WeightsError, match=r"archive\.pt: damaged archive"):
        _read_gnn(FOUND / "archive.pt", 1)


def flipped(content, position):
    changed = bytearray(content)
    changed[position] ^= 0x10
    return bytes(changed)


@pytest.mark.parametrize(
    "sample",
    [
        "events, own rntuple",
        "events, parquet",
        "events, compressed npz",
        "events, TrackML csv.gz",
        "truth, GNN4ITk",
        "tracks, parquet",
        "cassette",
        "part",
        "checkpoint",
    ],
)
def test_a_flipped_bit_anywhere_is_read_or_refused(tmp_path, sample):
    make, read = SAMPLES[sample]
    make(tmp_path)
    lines = []
    for path in [each for each in tmp_path.rglob("*") if each.suffix != ".txt"]:
        if path.is_dir():
            continue
        content = path.read_bytes()
        for position in range(0, len(content), len(content) // 40 + 1):
            path.write_bytes(flipped(content, position))
            try:
                read(tmp_path)
            except SonicError as error:
                lines.append(str(error))
        path.write_bytes(content)

    assert lines
    assert not [line for line in lines if "\n" in line]


DEEP = {
    "arrays": f"a = {'[' * 5000}",
    "keys": f"{'.'.join(['a'] * 500)} = 1",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_tables_nested_too_deep_are_no_toml_file(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match="not a TOML file"):
        ColumnMapping.from_toml(path)
    with pytest.raises(ConfigError, match="not a TOML file"):
        read_recipe(path, events=(), truth=())
    with pytest.raises(WeightsError, match="not a TOML file"):
        load_weights(tmp_path)


def test_names_in_files_may_be_too_long(tmp_path):
    name = "x" * 5000
    (tmp_path / "files.txt").write_text(name)
    recipe = RECIPE.replace("generic_pu0", name)
    (tmp_path / "recipe.toml").write_text(recipe)

    with pytest.raises(InputNotFoundError, match="no such file"):
        open_events(tmp_path / "files.txt")
    with pytest.raises(WeightsError, match="no file config"):
        read_recipe(tmp_path / "recipe.toml", events=(), truth=())


def test_a_job_that_is_no_object_is_a_damaged_journal(tmp_path):
    make, read = SAMPLES["tracks, journal"]
    make(tmp_path)
    (tmp_path / "t.root.partial" / "job.json").write_text('["inputs"]')

    with pytest.raises(UnreadableFileError, match=r"job\.json: .*a JSON object"):
        read(tmp_path)


def test_a_configuration_that_is_no_text_or_impossible_is_refused(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.pbtxt").write_bytes(b'name: "\xff"')

    (model,) = load_repository(tmp_path)

    with pytest.raises(ConfigurationError, match="cannot read"):
        model.config()
    with pytest.raises(ConfigurationError, match="a tensor needs a name"):
        model_of_text('name: "m" input { data_type: TYPE_FP32 }', lambda x: x)


def test_a_pinned_model_of_an_unknown_datatype_is_refused(tmp_path):
    path = tmp_path / "config.pbtxt"
    path.write_text(PIN.replace("TYPE_FP32", "-1"))

    with pytest.raises(ConfigError, match=r"not a model configuration: .* value -1"):
        check_pinned_model(METADATA, path, server="grpc://a:1")


def test_a_count_in_the_footer_of_an_rntuple_cannot_keep_the_reader_busy():
    with pytest.raises(UnreadableFileError, match="checksum of its footer is wrong"):
        read("rntuple-endless.root")


def test_a_negative_number_of_entries_is_damage():
    with pytest.raises(UnreadableFileError, match=r"negative-entries\.root: .*damaged"):
        read("negative-entries.root")


def test_names_and_ids_of_collections_of_unequal_number_are_refused():
    with pytest.raises(SonicError, match=r"edm4hep-names\.root: .*unequal lengths"):
        list(TruthEvents(FOUND / "edm4hep-names.root"))


def test_a_damaged_hepmc3_file_does_not_end_the_process(tmp_path):
    pytest.importorskip("pyhepmc", reason="pyhepmc is not installed")
    path = tmp_path / "e.hepmc3"
    SAMPLES["hepmc3"].make(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"HepMC::", b"HepXX::"))

    with pytest.raises(ConfigError, match=r"e\.hepmc3: not a HepMC3 file"):
        list(read_hepmc3((path,)))
