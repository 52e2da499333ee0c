import mmap
from multiprocessing import shared_memory as posix
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

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
        (8, 8, "unable to process address spaceInvalid argument"),
        (0, 0, "unable to process address spaceInvalid argument"),
    ],
    ids=["too-long", "within-a-page", "empty"],
)
def test_region_that_cannot_be_mapped_is_refused(block, offset, byte_size, end):
    with pytest.raises(ModelError) as error:
        SharedMemory().register("q", block.name, offset, byte_size)

    assert error.value.message == (
        f"failed to register shared memory region 'q': {end}"
    )


def test_object_that_is_not_there_is_an_internal_error():
    with pytest.raises(ModelError) as error:
        SharedMemory().register("q", "/a/b", 0, 8)

    assert error.value.code is grpc.StatusCode.INTERNAL
    assert error.value.message == "Unable to open shared memory region: '/a/b'"


def test_name_is_registered_once(registered, block):
    with pytest.raises(ModelError) as error:
        registered.register("r", block.name, 0, 8)

    assert error.value.code is grpc.StatusCode.ALREADY_EXISTS


def test_unregistered_regions_hold_no_descriptor(block):
    before = len(list(Path("/dev/fd").iterdir()))
    memory = SharedMemory()

    for _ in range(10):
        memory.register("r", block.name, 0, PAGE)
        memory.unregister("r")
    memory.unregister("r")  # unknown by now, and no error

    assert memory.status() == []
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_tensors_pass_through_shared_memory(serve, connect, double, block):
    client = connect(serve(double))
    client.register_system_shared_memory("r", block.name, 2 * PAGE)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    block.buf[: array.nbytes] = array.tobytes()
    x, y = InferInput("X", [2, 3], "FP32"), InferRequestedOutput("Y")
    x.set_shared_memory("r", array.nbytes)
    y.set_shared_memory("r", array.nbytes, offset=PAGE)

    response = client.infer("double", [x], outputs=[y]).get_response()

    assert list(response.raw_output_contents) == [b""]
    answer = bytes(block.buf[PAGE : PAGE + array.nbytes])
    assert answer == (2 * array).tobytes()


def test_output_that_does_not_fit_is_an_error(serve, connect, double, tensor, block):
    client = connect(serve(double))
    client.register_system_shared_memory("r", block.name, PAGE)
    y = InferRequestedOutput("Y")
    y.set_shared_memory("r", 8)

    with pytest.raises(InferenceServerException) as error:
        client.infer("double", [tensor("X", np.ones((1, 3), np.float32))], outputs=[y])

    assert error.value.message() == (
        "shared memory size specified with the request for output 'Y' (8 bytes) should "
        "be at least 12 bytes to hold the results"
    )
