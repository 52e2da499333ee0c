"""An archive cannot take far more memory than its file has bytes."""

import json
import zipfile

import numpy as np
import pytest

from mock_server import Model, TensorSpec
from mock_server.cassette import Cassette, CassetteError
from mock_server.cassette import folder as cassette_folder
from mock_server.model.config import config_of
from producers import UnreadableFileError, open_events
from producers.io.npz import read_npz
from sonic_base import files
from sonic_client.message.cache import _read

N_BYTES = 2**20


@pytest.fixture(autouse=True)
def low_limit(monkeypatch):
    monkeypatch.setattr(files, "PLAIN_BYTES", N_BYTES // 2)


def bomb(path):
    np.savez_compressed(path, **{"r0.o0": np.zeros(N_BYTES, np.uint8)})
    return path


def cassette_in(folder):
    specs = [TensorSpec(name, "FP32", (-1,)) for name in "XY"]
    model = Model("m", specs[:1], specs[1:], dict)
    Cassette.create(folder, {"m": (config_of(model), "1")})
    return folder


def test_arrays_of_zeros_are_refused_before_they_are_read(tmp_path):
    with pytest.raises(UnreadableFileError, match="bytes would become 10"):
        read_npz(bomb(tmp_path / "x.npz"))


def test_arrays_that_compress_as_usual_are_read(tmp_path):
    numbers = np.random.default_rng(1).integers(0, 9, N_BYTES, np.uint8)
    np.savez_compressed(tmp_path / "x.npz", numbers=numbers)

    assert read_npz(tmp_path / "x.npz")["numbers"].tolist() == numbers.tolist()


def test_members_that_overlap_count_once_for_the_file(tmp_path):
    """Each claims the same compressed bytes, as in the bombs of D. Fifield."""
    path = bomb(tmp_path / "x.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist.extend(archive.filelist * 9)
        archive._didModify = True

    with pytest.raises(UnreadableFileError, match="bytes would become 10"):
        read_npz(path)


def test_events_with_a_bomb_for_offsets_are_refused(tmp_path):
    path = tmp_path / "events.npz"
    splits = np.zeros(N_BYTES // 8, np.int64)
    np.savez_compressed(path, xyz=np.zeros((3, 3), np.float32), row_splits=splits)

    with pytest.raises(UnreadableFileError, match="bytes would become 10"):
        open_events(path)


def test_a_cassette_of_zeros_is_refused(tmp_path):
    folder = cassette_in(tmp_path / "cassette")
    key = "a" * 64
    bomb(folder / "answers" / f"{key}.npz")
    answer = {"code": "OK", "text": "", "outputs": [["Y", "FP32", [N_BYTES // 4]]]}
    line = {"model": "m", "key": key, "shapes": "", "responses": [answer]}
    (folder / "exchanges.jsonl").write_text(json.dumps(line) + "\n")

    with pytest.raises(CassetteError, match="bytes would become 10"):
        Cassette.load(folder)


@pytest.mark.parametrize("name", ["exchanges.jsonl", "cassette.json"])
def test_a_file_of_a_cassette_without_an_end_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(cassette_folder, "MAX_TEXT", 10_000)
    folder = cassette_in(tmp_path / "cassette")
    with (folder / name).open("wb") as file:
        file.truncate(2**40)

    with pytest.raises(CassetteError, match="a text of more than 10000 characters"):
        Cassette.load(folder)


def test_a_kept_answer_of_zeros_is_not_read(tmp_path):
    assert _read(bomb(tmp_path / "x.npz")) is None
