"""Paths, patterns, lists of files and URLs."""

import builtins
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from producers import (
    InputNotFoundError,
    NoEventsError,
    UnreadableFileError,
    open_events,
)
from producers.io import locations
from sonic_client import ConfigError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.root", "a.root", "c.csv"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_pattern_gives_its_files_sorted(folder):
    assert locations(folder / "*.root") == (folder / "a.root", folder / "b.root")


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(folder):
    (folder / "run[1].root").touch()

    assert locations(folder / "run[1].root") == (folder / "run[1].root",)


def test_a_pattern_without_files_is_an_error(folder):
    with pytest.raises(InputNotFoundError, match=r"x\*\.root: no such file"):
        locations(folder / "x*.root")


@pytest.mark.parametrize("prefix", ["", "@"])
def test_a_list_names_files_relative_to_itself(folder, prefix):
    listing = folder / "files.txt"
    listing.write_text("# the sample\n\nb.root\n  *.csv \nhttps://host/x.root\n")

    found = locations(f"{prefix}{listing}")

    assert found == (folder / "b.root", folder / "c.csv", "https://host/x.root")


def test_an_empty_list_is_no_input(folder):
    (folder / "files.txt").write_text("# nothing\n")

    with pytest.raises(NoEventsError, match="no input files"):
        locations(folder / "files.txt")


def test_a_list_that_is_not_there_is_named(folder):
    with pytest.raises(InputNotFoundError, match=r"none\.txt: no such file"):
        locations(f"@{folder / 'none.txt'}")


def test_a_file_that_a_pattern_gives_again_is_refused(folder):
    with pytest.raises(ConfigError, match=r"a\.root: given twice"):
        locations([folder / "a.root", folder / "*.root"])


def events_of(source):
    return [event for chunk in source for event in chunk]


def in_memory(path):
    url = f"memory://{path.name}"
    with fsspec.open(url, "wb") as file:
        file.write(path.read_bytes())
    return url


def test_a_url_is_read_through_fsspec(write_tree, sample):
    url = in_memory(write_tree())

    events = events_of(open_events(url))

    assert [event.event_id for event in events] == list(sample.event_ids)
    assert events[0].source == url
    assert events[0].xyz.tolist() == sample.xyz[0].tolist()


class InRanges(BaseHTTPRequestHandler):
    """Gives the ranges of one file that it is asked for."""

    content = b""

    def do_GET(self):
        last = len(self.content) - 1
        span = self.headers.get("Range", f"bytes=0-{last}").removeprefix("bytes=")
        first, end = (int(each) for each in span.split("-"))
        part = self.content[first : end + 1]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Accept-Ranges", "bytes")
        where = f"bytes {first}-{first + len(part) - 1}/{len(self.content)}"
        self.send_header("Content-Range", where)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def http_url():
    """Serve a file by HTTP, as a storage does; return its URL."""
    servers = []

    def serve(path):
        handler = type("Handler", (InRanges,), {"content": path.read_bytes()})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/{path.name}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_file_behind_http_is_read(write_tree, sample, http_url):
    pytest.importorskip("aiohttp", reason="needs the extra http")
    url = http_url(write_tree())

    events = events_of(open_events(url))

    assert [event.event_id for event in events] == list(sample.event_ids)
    assert events[2].xyz.tolist() == sample.xyz[2].tolist()


def test_a_url_that_leads_nowhere_is_named():
    with pytest.raises(UnreadableFileError, match=r"memory://none\.root: no such file"):
        open_events("memory://none.root")


def test_an_unknown_protocol_is_named():
    with pytest.raises(ConfigError, match=r"nope://host/x\.root: .*nope"):
        open_events("nope://host/x.root")


def test_a_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] in ("fsspec_xrootd", "aiohttp", "XRootD"):
            raise ImportError(f"no module {name}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ConfigError, match=r"needs the package fsspec-xrootd"):
        open_events("root://host//x.root")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(UnreadableFileError, match="is a folder"):
        locations(Path(tmp_path))
