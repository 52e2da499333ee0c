"""Clients, configurations and errors cross to dask workers and process pools."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    AsyncClient,
    Client,
    ClientConfig,
    ModelNotFoundError,
    ServerConfig,
    TlsConfig,
)

X = [Served("X", "FP32", (-1,))]
INPUTS = {"X": np.ones(3, np.float32)}


@pytest.fixture
def config():
    with MockServer([Model("echo", X, X, dict)]) as server:
        yield ClientConfig(
            servers=ServerConfig(url=server.url, headers={"x-group": "it"}, token="t"),
            model_name="echo",
        )


def use(client):
    with client:
        return client.infer(INPUTS)["X"].tolist()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_pickles_with_its_configuration(config, kind):
    copy = pickle.loads(pickle.dumps(kind(config)))

    assert copy.config == config


def test_an_open_client_arrives_unopened_and_can_be_opened(config):
    with Client(config) as client:
        client.infer(INPUTS)
        copy = pickle.loads(pickle.dumps(client))

        assert use(copy) == [1.0, 1.0, 1.0]
        assert client.infer(INPUTS)["X"].tolist() == [1.0, 1.0, 1.0]


def test_a_worker_process_builds_its_own_client(config):
    with (
        Client(config) as client,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
    ):
        client.infer(INPUTS)

        assert pool.submit(use, client).result() == [1.0, 1.0, 1.0]


def test_an_error_in_a_worker_arrives_as_what_it_was(config):
    unknown = ClientConfig(servers=config.servers, model_name="nix")

    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(ModelNotFoundError, match="'nix' is not found") as error,
    ):
        pool.submit(use, Client(unknown)).result()

    assert error.value.server == config.servers[0].url


def test_a_server_with_all_its_settings_pickles(tmp_path):
    server = ServerConfig(
        url="grpcs://h:1",
        headers={"X-Group": "it"},
        token_file=tmp_path / "token",
        tls=TlsConfig(roots=tmp_path / "roots.pem"),
        compression="gzip",
        shared_memory="auto",
    )

    assert pickle.loads(pickle.dumps(server)) == server
