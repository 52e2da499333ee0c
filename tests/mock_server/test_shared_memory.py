import mmap
import os
import stat
from multiprocessing import shared_memory as posix
from pathlib import Path

import grpc
import pytest

from mock_server import ModelError
from mock_server.wire.inference import SharedMemorySlice
from mock_server.wire.shared_memory import SharedMemory

PAGE = mmap.ALLOCATIONGRANULARITY


@pytest.fixture
def block():
    """Two pages of shared memory."""
    made = posix.SharedMemory(create=True, size=2 * PAGE)
    yield made
    made.close()
    made.unlink()


@pytest.fixture
def registered(block):
    """The second page, as region `r`."""
    memory = SharedMemory()
    memory.register("r", f"/{block.name}", PAGE, PAGE)
    yield memory
    memory.unregister()


def test_region_is_read_and_written_where_it_lies(registered, block):
    block.buf[PAGE + 8 : PAGE + 11] = b"abc"

    registered.write(SharedMemorySlice("r", 16, 8), b"xyz")

    assert registered.read(SharedMemorySlice("r", 8, 3)) == b"abc"
    assert bytes(block.buf[PAGE + 16 : PAGE + 20]) == b"xyz\0"


@pytest.mark.parametrize(
    ("offset", "byte_size", "text"),
    [
        (PAGE, 1, "Invalid offset for shared memory region: 'r'"),
        (-4, 8, "Invalid offset for shared memory region: 'r'"),
        (8, PAGE, "Invalid offset + byte size for shared memory region: 'r'"),
        (0, -1, "Invalid offset + byte size for shared memory region: 'r'"),
    ],
    ids=["beyond", "before", "too-long", "negative"],
)
def test_slice_outside_of_its_region_is_refused(registered, offset, byte_size, text):
    with pytest.raises(ModelError) as error:
        registered.read(SharedMemorySlice("r", offset, byte_size))

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.message == text


@pytest.mark.parametrize(
    ("offset", "byte_size", "end"),
    [
        (0, 2 * PAGE + 1, "invalid args"),
        (8, 8, "unable to process address space"),
        (0, 0, "unable to process address space"),
    ],
    ids=["too-long", "within-a-page", "empty"],
)
def test_region_that_cannot_be_mapped_is_refused(block, offset, byte_size, end):
    with pytest.raises(ModelError) as error:
        SharedMemory().register("q", block.name, offset, byte_size)

    assert error.value.message == (
        f"failed to register shared memory region 'q': {end}"
    )


def of_another_kind(place, tmp_path, kind):
    """Put something at a path in /dev/shm; return what must not change."""
    victim = tmp_path / "victim"
    victim.write_bytes(bytes(2 * PAGE))
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.write_bytes(bytes(2 * PAGE))
        os.chown(place, 12345, -1)
    return victim


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "of another user"])
def test_only_a_file_of_this_user_is_opened(tmp_path, kind):
    if kind == "of another user" and os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    place = Path("/dev/shm") / f"sonic-test-{os.getpid()}"
    of_another_kind(place, tmp_path, kind)
    try:
        with pytest.raises(ModelError) as error:
            SharedMemory().register("r", place.name, 0, PAGE)
    finally:
        place.rmdir() if stat.S_ISDIR(place.lstat().st_mode) else place.unlink()

    assert error.value.message == (
        f"Unable to open shared memory region: '{place.name}'"
    )


@pytest.mark.parametrize(
    "key", ["", "/", ".", "..", "a/../b", "../tmp/a", "a\0b", "\ud800"]
)
def test_a_key_names_an_object_and_no_path(key):
    with pytest.raises(ModelError, match="Unable to open shared memory region"):
        SharedMemory().register("r", key, 0, PAGE)


def test_an_object_that_became_shorter_is_an_error_and_not_the_end(block):
    memory = SharedMemory()
    memory.register("r", block.name, 0, 2 * PAGE)
    os.truncate(Path("/dev/shm") / block.name, PAGE)

    for use in (
        lambda: memory.read(SharedMemorySlice("r", PAGE - 4, 8)),
        lambda: memory.write(SharedMemorySlice("r", PAGE - 4, 8), bytes(8)),
    ):
        with pytest.raises(ModelError) as error:
            use()
        assert error.value.message == (
            "shared memory region 'r' is shorter than it was registered"
        )
    assert (Path("/dev/shm") / block.name).stat().st_size == PAGE
    memory.unregister()


def test_unregistered_regions_hold_no_descriptor(block):
    before = len(list(Path("/dev/fd").iterdir()))
    memory = SharedMemory()

    for _ in range(10):
        memory.register("r", block.name, 0, PAGE)
        memory.unregister("r")
    memory.unregister("r")  # unknown by now, and no error

    assert memory.status() == []
    assert len(list(Path("/dev/fd").iterdir())) == before
