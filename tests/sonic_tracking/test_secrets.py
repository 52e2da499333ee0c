"""No output of a job holds a token, whatever form it has there."""

import asyncio
import base64
import copy
import dataclasses
import gzip
import io
import json
import logging
import os
import pickle
import pprint
import socketserver
import subprocess
import sys
import threading
import traceback
import zipfile
import zlib
from contextlib import suppress
from functools import partial
from urllib.parse import quote

import cramjam
import numpy as np
import pytest
import uproot

import sonic_tracking
from mock_server import FaultPlan, MockServer, Model, TensorSpec
from sonic_base import ConfigError
from sonic_client import Client, ClientConfig, Request, ServerConfig, SonicError
from sonic_client.transport import transport_for
from sonic_tracking.jobs.connection import tracking_server

# With characters that JSON, URLs and base64 write in another way.
TOKEN = 'canary/7f3a+Qz9"xW8=='
SCALES = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}
SECTORS = Model(
    "exatrkx",
    [TensorSpec("FEATURES", "FP32", (-1, 3))],
    [TensorSpec("LABELS", "INT64", (-1,))],
    lambda t: {"LABELS": np.floor((t["FEATURES"][:, 1] + 1.0) * 20).astype(np.int64)},
    parameters=SCALES,
)
GUARDED = FaultPlan().require_token(TOKEN)


def echoes(secret):
    """Forms in which servers show what they refuse."""
    shifted = (base64.b64encode(f"{' ' * n}{secret}".encode()).decode() for n in (0, 1))
    return [
        f"Jwt is expired: Bearer {secret}",
        json.dumps({"authorization": secret}),
        json.dumps(secret).replace("/", "\\/"),
        f"denied: ?access_token={quote(secret, safe='')}",
        *shifted,
    ]


ECHO = "; ".join(echoes(TOKEN))


def found_in(data):
    """The forms in which the token is in these bytes, or in what they compress."""
    forms = {TOKEN, json.dumps(TOKEN)[1:-1], quote(TOKEN), quote(TOKEN, safe="")}
    forms |= {form.replace("/", "\\/") for form in forms}
    for n in range(3):
        encoded = base64.b64encode(b" " * n + TOKEN.encode()).decode()[4:-4]
        forms |= {encoded, encoded.translate(str.maketrans("+/", "-_"))}
    return [form for form in forms for part in unpacked(data) if form.encode() in part]


def unpacked(data):
    """The bytes, and all that zip, gzip, zlib and zstd have compressed in them."""
    yield data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from map(archive.read, archive.namelist())
    ways = (
        (b"\x1f\x8b\x08", lambda part: zlib.decompressobj(31).decompress(part)),
        (b"\x78", lambda part: zlib.decompressobj().decompress(part)),
        (b"\x28\xb5\x2f\xfd", lambda part: bytes(cramjam.zstd.decompress(part))),
    )
    for magic, unpack in ways:
        start = data.find(magic)
        while start >= 0:
            with suppress(zlib.error, cramjam.DecompressionError):
                yield unpack(data[start:])
            start = data.find(magic, start + 1)


def texts_of(thing):
    """All that a log, a debugger or another process could be given of an object."""
    shown = [repr(thing), str(thing), f"{thing}", pprint.pformat(thing)]
    shown += [repr(getattr(thing, "__dict__", "")), repr(copy.copy(thing))]
    shown.append(repr(copy.deepcopy(thing)))
    if dataclasses.is_dataclass(thing):
        shown.append(repr(dataclasses.asdict(thing)))
    pickles = (pickle.dumps(thing, n) for n in range(2, pickle.HIGHEST_PROTOCOL + 1))
    return [*(text.encode() for text in shown), *pickles]


def texts_of_error(error):
    """The same of an error and its causes; and its traceback with all variables."""
    with_locals = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    texts = []
    # The first frame is the test's own, which knows the token.
    for frame in list(with_locals.stack)[1:]:
        texts.append(repr(frame.locals).encode())
    errors = [error]
    while errors:
        each = errors.pop()
        texts += [repr(x).encode() for x in (each, each.args, vars(each))]
        texts += [str(each).encode(), pickle.dumps(each)]
        errors += filter(None, (each.__cause__, each.__context__))
    return texts


def texts_in(folder, *, but=()):
    return [
        file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file not in but
    ]


def assert_hidden(texts):
    assert [form for text in texts for form in found_in(text)] == []


def test_the_search_finds_a_token_in_every_form():
    with io.BytesIO() as file:
        np.savez_compressed(file, a=np.frombuffer(TOKEN.encode(), np.uint8))
        archive = file.getvalue()
    packed = [
        archive,
        b"head" + gzip.compress(TOKEN.encode()),
        b"head" + zlib.compress(TOKEN.encode()) + b"tail",
        b"head" + bytes(cramjam.zstd.compress(TOKEN.encode())),
    ]

    for text in (*(each.encode() for each in echoes(TOKEN)), *packed):
        assert found_in(text), text


def write_access(folder, way, url):
    """Keep the token where a job is told to find it; return the job's options."""
    file = folder / "token"
    file.write_text(TOKEN)
    if way == "file":
        return ["--server", url, "--token-file", file]
    if way == "variable":
        return ["--server", url, "--token-env", "SONIC_TEST_TOKEN"]
    entry = (
        f"token = {json.dumps(TOKEN)}"
        if way == "toml"
        else f"headers = {{ Authorization = {json.dumps('Bearer ' + TOKEN)} }}"
    )
    file.write_text(
        f'[client]\n[[client.servers]]\nurl = "{url}"\n{entry}\n',
    )
    return ["--client-config", file]


WAYS = ("file", "variable", "toml", "header")
SCHEMES = ("grpc", "http")


def url_of(server, scheme):
    return server.url if scheme == "grpc" else server.http_url


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Keep the token, outside of the job's folder; return the job's options."""
    folder = tmp_path / "kept"
    folder.mkdir()
    monkeypatch.setenv("SONIC_TEST_TOKEN", TOKEN)
    return partial(write_access, folder)


@pytest.fixture
def job_folder(sonic, tmp_path, monkeypatch):
    folder = tmp_path / "job"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("way", WAYS)
def test_a_job_that_succeeds_keeps_its_token(
    sonic, sample, keep, job_folder, caplog, way, scheme
):
    caplog.set_level(logging.DEBUG)
    with MockServer([SECTORS], http_port=0, faults=GUARDED) as server:
        access = keep(way, url_of(server, scheme))
        result = sonic(
            *("track", sample / "events.root", *access, "--max-events", 3),
            *("-o", "tracks.root", "--json", "job.json"),
        )

    assert result.exit_code == 0, result.output
    assert_hidden([result.output.encode(), caplog.text.encode(), *texts_in(job_folder)])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_shows_the_token_in_its_refusal_is_not_quoted(
    sonic, sample, keep, job_folder, caplog, way, scheme
):
    caplog.set_level(logging.DEBUG)
    refusal = FaultPlan().on(after=1).refuse("UNAUTHENTICATED", ECHO)
    with MockServer([SECTORS], http_port=0, faults=refusal) as server:
        access = keep(way, url_of(server, scheme))
        result = sonic(
            *("track", sample / "events.root", *access, "--on-failure", "skip"),
            *("-o", "tracks.root", "--json", "job.json", "--max-events", 3),
        )

    assert result.exit_code == 0, result.output
    with uproot.open("tracks.root") as file:
        errors = file["failures"].arrays().to_list()
    assert any("***" in str(error) for error in errors)
    assert_hidden([result.output.encode(), caplog.text.encode(), *texts_in(job_folder)])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("way", WAYS)
def test_no_error_holds_the_token(sample, keep, job_folder, scheme, way):
    refusal = FaultPlan().on(rpc=None).refuse("UNAUTHENTICATED", ECHO)
    names = {"--server": "server", "--client-config": "client_config"}
    names |= {"--token-file": "token_file", "--token-env": "token_env"}
    with MockServer([SECTORS], http_port=0, faults=refusal) as server:
        words = keep(way, url_of(server, scheme))
        options = {names[k]: v for k, v in zip(words[::2], words[1::2], strict=True)}

        with pytest.raises(SonicError) as denied:
            sonic_tracking.track(sample / "events.root", **options)

    assert "***" in str(denied.value)
    assert_hidden(texts_of_error(denied.value))


class RepeatHeaders(socketserver.StreamRequestHandler):
    """Answers with the header lines that it received, not quite as HTTP."""

    def handle(self):
        lines = [
            line.replace(b": ", b" ") for line in iter(self.rfile.readline, b"\r\n")
        ]
        answer = b"HTTP/1.1 200 OK\r\n" + b"".join(sorted(lines[1:], reverse=True))
        self.wfile.write(answer.replace(b"authorization", b"z") + b"\r\n")


def test_an_answer_that_is_not_http_is_not_quoted():
    with socketserver.TCPServer(("127.0.0.1", 0), RepeatHeaders) as server:
        threading.Thread(target=server.handle_request).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        config = ServerConfig(url=url, headers={"Authorization": f"Bearer {TOKEN}"})

        error = asyncio.run(probe(config))

    assert "***" in error.details
    assert_hidden(texts_of_error(error))


async def probe(server):
    transport = transport_for(server)
    await transport.open()
    try:
        await transport.probe(timeout_s=10.0)
    except SonicError as error:
        return error
    finally:
        await transport.close()


RUN = """
import atexit, faulthandler, logging, sys
logging.basicConfig(level=logging.DEBUG)
atexit.register(faulthandler.dump_traceback)
from sonic_tracking.main import app
sys.argv[0] = "sonic"
app()
"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_job_in_development_mode_that_loses_its_server_shows_nothing(
    sample, keep, job_folder, scheme
):
    """Logs at DEBUG of every library, asyncio's own among them; and all stacks."""
    plan = GUARDED.on(after=1).drop_connection()
    with MockServer([SECTORS], http_port=0, faults=plan) as server:
        options = keep("toml", url_of(server, scheme))
        job = subprocess.run(
            [sys.executable, "-c", RUN, "track",
             sample / "events.root", *options, "-o", "tracks.root", "--deadline", "1",
             "--json", "job.json"],
            capture_output=True, check=False, timeout=60,
            env={**os.environ, "SONIC_DEBUG": "1", "PYTHONASYNCIODEBUG": "1"},
        )  # fmt: skip

    assert job.returncode == 1
    assert b"Traceback" in job.stderr
    assert b"DEBUG" in job.stderr
    assert (job_folder / "tracks.root.partial").exists()
    assert_hidden([job.stdout, job.stderr, *texts_in(job_folder)])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_commands_that_ask_servers_show_no_token(sonic, keep, job_folder, scheme):
    refusal = FaultPlan().on(rpc=None).refuse("UNAUTHENTICATED", ECHO)
    with (
        MockServer([SECTORS], http_port=0, faults=refusal) as denying,
        MockServer([SECTORS], http_port=0, faults=GUARDED) as server,
    ):
        both = url_of(denying, scheme), url_of(server, scheme)
        file = keep("file", "")[3]
        access = ("--token-file", file)
        results = [sonic("servers", *both, *access, "--json")]
        for url in both:
            described = ("describe", "exatrkx", "--server", url, *access)
            results += [sonic(*described), sonic(*described, "--call")]

    assert [result.exit_code for result in results] == [1, 1, 1, 0, 0]
    assert_hidden([result.output.encode() for result in results])


def test_a_recording_keeps_no_token(job_folder):
    with (
        MockServer([SECTORS]) as server,
        sonic_tracking.record(server.url, ["exatrkx"], "cassette") as recording,
    ):
        config = ClientConfig(
            servers=ServerConfig(
                url=recording.url, token=TOKEN, headers={"x-api-key": TOKEN}
            ),
            model_name="exatrkx",
        )
        with Client(config) as client:
            client.infer({"FEATURES": np.ones((4, 3), np.float32)})
        shown = [repr(recording), repr(recording.rows())]

    assert len(texts_in(job_folder)) > 1
    assert_hidden([*(text.encode() for text in shown), *texts_in(job_folder)])


def test_metrics_and_spans_show_no_token():
    prometheus = pytest.importorskip("prometheus_client")
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
        InMemorySpanExporter,
    )

    from sonic_client.report.opentelemetry import TracingObserver
    from sonic_client.report.prometheus import PrometheusObserver

    registry, spans = prometheus.CollectorRegistry(), InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    observers = [
        PrometheusObserver(registry=registry),
        TracingObserver(provider.get_tracer("test")),
    ]
    refusal = FaultPlan().on(after=1).refuse("UNAUTHENTICATED", ECHO)
    with MockServer([SECTORS], http_port=0, faults=refusal) as server:
        config = ClientConfig(
            servers=ServerConfig(url=server.url, token=TOKEN), model_name="exatrkx"
        )
        with Client(config, observers=observers) as client:
            features = {"FEATURES": np.ones((4, 3), np.float32)}
            outcomes = list(client.map(Request(n, features) for n in range(3)))
            summary = client.summary()

    shown = [span.to_json() for span in spans.get_finished_spans()]
    assert len(shown) == 3
    shown += [repr(outcomes), repr(summary), json.dumps(summary.to_dict())]
    shown += [repr(client), repr(vars(client))]
    assert_hidden(
        [prometheus.generate_latest(registry), *(text.encode() for text in shown)]
    )


def provide(secret):
    return secret


@pytest.mark.parametrize(
    "access",
    [
        {"token": TOKEN},
        {"headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"headers": {"x-api-key": TOKEN}},
    ],
    ids=["token", "header", "key"],
)
def test_a_configuration_holds_its_token_in_no_text_and_no_pickle(access):
    server = ServerConfig(url="localhost:1", **access)
    config = ClientConfig(servers=server, model_name="m")

    texts = [*texts_of(server), *texts_of(config), *texts_of(Client(config))]

    assert_hidden(texts)
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_function_that_gives_the_token_does_not_show_its_arguments():
    server = ServerConfig(url="localhost:1", token=partial(provide, TOKEN))

    assert_hidden([repr(server).encode()])


UNPICKLE = """
import pickle, sys
(server,) = pickle.load(sys.stdin.buffer).servers
print(server.token and server.token.reveal(), dict(server.headers))
"""


def unpickled_elsewhere(data):
    return subprocess.run(
        [sys.executable, "-c", UNPICKLE], input=data, capture_output=True, check=False
    )


def test_a_token_given_in_python_reaches_another_process_of_this_machine():
    server = ServerConfig(url="localhost:1", token=TOKEN, headers={"x-group": "it"})
    config = ClientConfig(servers=server, model_name="m")

    there = unpickled_elsewhere(pickle.dumps(config))

    assert there.stdout.decode().strip() == f"{TOKEN} {{'x-group': 'it'}}"


PICKLE = """
import pickle, sys
from sonic_client import ClientConfig, ServerConfig
server = ServerConfig(url="localhost:1", token=sys.stdin.read())
sys.stdout.buffer.write(pickle.dumps(ClientConfig(servers=server, model_name="m")))
"""


def test_a_pickle_that_outlives_its_process_has_lost_the_token():
    made = subprocess.run(
        [sys.executable, "-c", PICKLE],
        input=TOKEN.encode(), capture_output=True, check=True,
    )  # fmt: skip

    (server,) = pickle.loads(made.stdout).servers

    with pytest.raises(ConfigError, match=r"never pickled.*token_file or token_env"):
        server.token.reveal()


def test_of_a_token_in_a_file_the_place_is_pickled(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(
        f'[client]\nmodel_name = "m"\n[[client.servers]]\nurl = "localhost:1"\n'
        f'headers = {{ x-api-key = "{TOKEN[:12]}" }}\ntoken = "{TOKEN[:12]}"\n'
    )
    data = pickle.dumps(ClientConfig.from_toml(file))
    file.write_text(file.read_text().replace(TOKEN[:12], "renewed"))

    (server,) = pickle.loads(data).servers

    assert server.token.reveal() == server.headers["x-api-key"] == "renewed"
    assert file.name.encode() in data


@pytest.mark.parametrize(
    "entry",
    [
        'url = "nonsense://h:1"\ntoken = "{}"',
        'url = "localhost:1"\ntoken = ["{}"]',
        'url = "localhost:1"\ntoken = "{}"\nwrong = 1',
        'url = "localhost:1"\ntoken = "{}"\ntls = 1',
        'url = "localhost:1"\ntoken = "{}\\nsecond line"',
        'url = "localhost:1"\ntoken = "{}"\n\xff',
        'url = "localhost:1"\ntoken = "{}"\nwrong',
        'url = {{ token = "{}" }}',
    ],
)
def test_a_wrong_setting_is_refused_without_a_token(tmp_path, entry):
    file = tmp_path / "job.toml"
    text = f'[client]\nmodel_name = "m"\n[[client.servers]]\n{entry.format("7f3a9Qz")}'
    file.write_bytes(text.encode("latin-1"))

    def start():
        Client(ClientConfig.from_toml(file)).__enter__()

    with pytest.raises(ConfigError) as refusal:
        start()

    assert [each for each in texts_of_error(refusal.value) if b"7f3a9Qz" in each] == []


@pytest.mark.parametrize(
    "url",
    [
        "grpc://me:canary@h:1",
        "me:canary@h:1",
        "http://h:1/?token=canary",
        "x://c:anary@h",
    ],
)
def test_a_url_with_a_password_is_refused_without_it(url):
    with pytest.raises(ConfigError) as refusal:
        ServerConfig(url=url)

    assert "anary" not in str(refusal.value)
    assert "***" in str(refusal.value)


def test_workers_of_a_job_get_the_token_and_show_none(sonic, sample, keep, job_folder):
    pytest.importorskip("distributed", reason="needs the extra dask")
    with MockServer([SECTORS], http_port=0, faults=GUARDED) as server:
        result = sonic(
            *("track", sample / "events.root", *keep("toml", server.url)),
            *("-o", "tracks.root", "--json", "job.json", "--workers", 1),
        )

    assert result.exit_code == 0, result.output
    assert json.loads((job_folder / "job.json").read_text())["events"] == 20
    assert_hidden([result.output.encode(), *texts_in(job_folder)])


def test_the_token_of_a_server_that_is_started_is_shown_nowhere(tmp_path):
    from sonic_tracking.engines.settings import EngineSettings
    from sonic_tracking.engines.triton_command import TritonOptions
    from sonic_tracking.jobs.serve import token_in

    file = tmp_path / "token"
    file.write_text(TOKEN)

    token = token_in(file)

    settings = EngineSettings(models=("exatrkx",), token=token)
    assert_hidden([*texts_of(settings), *texts_of(TritonOptions(token=token))])


def test_nobody_else_of_this_machine_can_use_the_server_of_a_job():
    with tracking_server(None) as own:
        denied = sonic_tracking.servers(own.url)
        config = ServerConfig(url=own.url, token=own.token)
        with Client(ClientConfig(servers=config, model_name="exatrkx")) as client:
            served = client.metadata.name

    assert [report.state for report in denied] == ["denied"]
    assert served == "exatrkx"
