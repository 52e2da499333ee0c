import logging
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from exatrkx_pipeline.errors import WeightsError
from exatrkx_pipeline.weights.storage import (
    CONFIG_FILE,
    TENSOR_FILE,
    bundled_names,
    bundled_weights,
    load_weights,
    read_weights_config,
    record_range,
    save_weights,
    weights_files,
    weights_id_of,
)
from sonic_base.input_range import InputRange


@pytest.fixture
def weights(tmp_path, small_pipeline):
    return save_weights(
        tmp_path / "weights",
        small_pipeline,
        training={"seed": 1},
        scores={"efficiency": 0.5},
    )


def edit(weights, change):
    file = weights / CONFIG_FILE
    document = tomllib.loads(file.read_text())
    change(document)
    file.write_text(tomli_w.dumps(document))


def test_loaded_weights_give_the_same_labels(weights, small_pipeline, features):
    event = features(200)

    loaded = load_weights(weights)

    np.testing.assert_array_equal(loaded.labels(event), small_pipeline.labels(event))
    assert loaded.config == small_pipeline.config
    assert loaded.weights_id == read_weights_config(weights)["weights_id"]


def test_another_cut_is_another_weights_id(weights):
    before = load_weights(weights).weights_id

    edit(weights, lambda d: d["pipeline"]["filter"].update(filter_cut=0.123))

    assert load_weights(weights).weights_id != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["pipeline"]["features"].pop("scales"), "features.*scales"),
        (lambda d: d["pipeline"]["features"].update(scales=[1.0, 0.0, 1.0]), "scale"),
        (lambda d: d["pipeline"]["features"].update(names=["z", "phi", "r"]), "names"),
        (lambda d: d["pipeline"]["gnn"].update(hidden=32), "gnn does not fit"),
        (lambda d: d["pipeline"]["gnn"].update(hiden=32), "gnn: unknown key 'hiden'"),
        (lambda d: d["pipeline"]["graph"].update(r_val=-1.0), "r_val"),
        (lambda d: d.pop("pipeline"), "lacks pipeline"),
        (lambda d: d.update(format_version=99), "format_version 1, got 99"),
        (lambda d: d.update(tensors_sha256="0" * 64), "expected sha256 0000"),
    ],
    ids=[
        "no scale", "zero scale", "other columns", "other size", "typo", "radius",
        "no table", "other format", "other tensors",
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_is_refused(weights, change, message):
    edit(weights, change)

    with pytest.raises(WeightsError, match=message) as raised:
        load_weights(weights)
    assert str(weights) in str(raised.value)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(
        WeightsError, match=r"nowhere: no file config\.toml.* generic_pu0"
    ):
        load_weights(tmp_path / "nowhere")


def test_missing_tensors_are_named(weights):
    (weights / TENSOR_FILE).unlink()

    with pytest.raises(WeightsError, match=r"no readable model\.safetensors"):
        load_weights(weights)


def test_a_truncated_tensor_file_is_refused(weights):
    file = weights / TENSOR_FILE
    file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(WeightsError, match="expected sha256"):
        load_weights(weights)


@pytest.mark.parametrize("name", ["generic_pu0", "generic_pileup"])
def test_bundled_weights_load_and_say_how_they_were_made(name):
    document = read_weights_config(name)

    pipeline = load_weights(name)

    assert pipeline.weights_id == document["weights_id"]
    assert pipeline.input_range.to_mapping() == document["input_range"]
    assert document["training"]["seed"] >= 0
    assert document["scores"]["efficiency"]["value"] >= 0.95


def test_bundled_weights_are_small_enough_to_commit():
    folders = map(bundled_weights, bundled_names())
    size = sum(file.stat().st_size for folder in folders for file in folder.iterdir())

    assert size < 20e6


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ValueError, match=f"device '{device}'"):
        load_weights(bundled_weights(), device=device)


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("name", ["generic", "generic_pu0", "generic_pileup"])
def test_bundled_weights_are_found_by_name(name, kind):
    pipeline = load_weights(kind(name))

    assert pipeline.weights_id == load_weights(bundled_weights(name)).weights_id


def test_a_directory_comes_before_bundled_weights_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "generic_pileup").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(WeightsError, match=r"generic_pileup: no file config\.toml"):
        load_weights(Path("generic_pileup"))


@pytest.fixture
def known() -> InputRange:
    """A range; which one does not matter here."""
    return InputRange.from_mapping(
        read_weights_config("generic_pu0")["input_range"], where="here"
    )


def test_weights_that_record_no_range_load_with_one_warning(weights, caplog):
    pipeline = load_weights(weights)

    assert pipeline.input_range is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "`sonic weights measure` records it" in record.message


def test_recording_the_range_changes_no_id_and_no_tensor(weights, known, caplog):
    before = read_weights_config(weights)
    tensors = (weights / TENSOR_FILE).read_bytes()

    record_range(weights, known)

    after = read_weights_config(weights)
    assert after.pop("input_range") == known.to_mapping()
    assert after == before
    assert (weights / TENSOR_FILE).read_bytes() == tensors
    loaded = load_weights(weights)
    assert loaded.input_range == known
    assert loaded.weights_id == before["weights_id"]
    assert caplog.records == []


def test_a_wrong_range_is_named_with_its_place(weights, known):
    record_range(weights, replace(known, n_events=3))
    text = (weights / CONFIG_FILE).read_text()
    (weights / CONFIG_FILE).write_text(text.replace("n_events = 3", 'n_events = "x"'))

    with pytest.raises(WeightsError, match=r"\[input_range\]: invalid literal"):
        load_weights(weights)


def write_set(folder, *members):
    folder.mkdir()
    document = {"format_version": 1, "members": list(members)}
    (folder / CONFIG_FILE).write_text(tomli_w.dumps(document))
    return folder


def test_a_set_of_weights_hands_denser_events_on(weights, tmp_path):
    folder = write_set(
        tmp_path / "both",
        {"weights": weights.name, "up_to_density": 5.0},
        {"weights": "generic_pu0", "up_to_density": 30.0},
        {"weights": "generic_pileup"},
    )

    first = load_weights(folder)

    assert first.denser.above == 5.0
    second = first.denser.pipeline
    assert second.weights_id == load_weights("generic_pu0").weights_id
    assert second.denser.above == 30.0
    assert second.denser.pipeline.denser is None
    assert first.weights_id == weights_id_of(folder) != weights_id_of(weights)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([{"weights": "a"}, {"weights": "b"}], "up_to_density must rise, got"),
        ([{"weights": "nowhere"}], r"nowhere: no file config\.toml"),
        ([{"name": "a"}], "unknown key 'name'"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused(tmp_path, members, said):
    with pytest.raises(WeightsError, match=said):
        load_weights(write_set(tmp_path / "set", *members))


def test_members_of_a_set_must_take_the_same_features(weights, tmp_path):
    config = weights / CONFIG_FILE
    config.write_text(config.read_text().replace("1000.0", "900.0"))
    folder = write_set(
        tmp_path / "both",
        {"weights": "generic_pu0", "up_to_density": 5.0},
        {"weights": weights.name},
    )

    with pytest.raises(WeightsError, match="generic_pu0 take other features"):
        load_weights(folder)


def test_only_a_set_of_bundled_weights_can_be_copied(weights, tmp_path):
    folder = write_set(tmp_path / "one", {"weights": weights.name})

    assert weights_files("generic") == [bundled_weights() / CONFIG_FILE]
    with pytest.raises(WeightsError, match="only if its members are bundled"):
        weights_files(folder)


def test_a_set_has_no_range_of_its_own(known):
    with pytest.raises(WeightsError, match="measure its members"):
        record_range("generic", known)


def test_unknown_bundled_weights_are_refused_with_the_nearest_names():
    with pytest.raises(WeightsError, match="nearest: 'generic_pu0'"):
        bundled_weights("generic_pu")
