"""System shared memory: registration, inputs and outputs in it, errors. No CUDA."""

import uuid
from multiprocessing import shared_memory

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

ROW = np.arange(16, dtype=np.int32).reshape(1, 16)
PAGE = 4096
GOOD = {"INPUT0": ROW, "INPUT1": ROW}


@pytest.fixture
def memory():
    """Two pages of shared memory, ROW at the start of both."""
    made = shared_memory.SharedMemory(create=True, size=2 * PAGE)
    made.buf[PAGE : PAGE + 64] = ROW.tobytes()
    made.buf[:64] = ROW.tobytes()
    yield made
    made.close()
    made.unlink()


@pytest.fixture
def register(stub):
    """Register a region under a name of its own; all go at the end."""
    names = []

    def ask(key, size=256, offset=0, name=None):
        name = name or f"region {uuid.uuid4()}"
        names.append(name)
        stub.SystemSharedMemoryRegister(
            service_pb2.SystemSharedMemoryRegisterRequest(
                name=name, key=key, offset=offset, byte_size=size
            ),
            timeout=20,
        )
        return name

    yield ask
    for name in names:
        stub.SystemSharedMemoryUnregister(
            service_pb2.SystemSharedMemoryUnregisterRequest(name=name)
        )


def failure(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, **options)
    return error.value.code().name, error.value.details()


def status(stub, name=""):
    request = service_pb2.SystemSharedMemoryStatusRequest(name=name)
    return stub.SystemSharedMemoryStatus(request).regions


def slice_of(region, size=64, offset=0):
    return {
        "shared_memory_region": region,
        "shared_memory_byte_size": size,
        **({"shared_memory_offset": offset} if offset else {}),
    }


def with_parameters(tensor, parameters):
    for key, value in parameters.items():
        kind = "string_param" if isinstance(value, str) else "int64_param"
        setattr(tensor.parameters[key], kind, value)


def from_memory(**parameters):
    """Request whose first input lies in shared memory."""
    request = service_pb2.ModelInferRequest(model_name="add_sub")
    first = request.inputs.add(name="INPUT0", datatype="INT32", shape=[1, 16])
    with_parameters(first, parameters)
    request.inputs.add(name="INPUT1", datatype="INT32", shape=[1, 16])
    request.raw_input_contents.append(ROW.tobytes())
    return request


def to_memory(grpc_ask, **parameters):
    """Request whose one output goes to shared memory."""
    request = grpc_ask.request("add_sub", GOOD)
    with_parameters(request.outputs.add(name="OUTPUT0"), parameters)
    return request


def test_region_is_listed_once_registered(stub, memory, register):
    name = register("/" + memory.name, offset=PAGE, size=128)

    region = status(stub, name)[name]

    assert (region.name, region.key) == (name, "/" + memory.name)
    assert (region.offset, region.byte_size) == (PAGE, 128)
    assert name in status(stub)


def test_key_may_lack_its_slash(stub, memory, register):
    name = register(memory.name)

    assert status(stub, name)[name].key == memory.name


def test_region_is_gone_once_unregistered(stub, memory, register, refused):
    name = register(memory.name)

    stub.SystemSharedMemoryUnregister(
        service_pb2.SystemSharedMemoryUnregisterRequest(name=name)
    )

    assert failure(status, stub, name) == refused("NOT_FOUND", f"unable to find {name}")


def test_name_in_use_is_refused(memory, register, refused):
    name = register(memory.name)

    assert failure(register, memory.name, name=name) == refused(
        "ALREADY_EXISTS", f"region {name} already"
    )


def test_key_that_is_not_there(register, refused):
    assert failure(register, "/nowhere_at_all") == refused(
        "INTERNAL", "unable to open nowhere_at_all"
    )


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 1 << 20), (1 << 20, 8), (16, 8)],
    ids=["too-large", "beyond", "within-a-page"],
)
def test_region_that_cannot_be_mapped(memory, register, refused, offset, size):
    found = failure(register, memory.name, size=size, offset=offset, name="wrong")

    assert found == refused("INVALID_ARGUMENT", "failed to register region wrong")


def test_unknown_region_may_be_unregistered(stub):
    stub.SystemSharedMemoryUnregister(
        service_pb2.SystemSharedMemoryUnregisterRequest(name="nowhere")
    )


def test_registration_over_http(http_call, http_json, memory, refused):
    base = "/v2/systemsharedmemory/region/of_http"

    registered = http_json(f"{base}/register", {"key": memory.name, "byte_size": 64})
    listed = http_call("GET", f"{base}/status")
    unregistered = http_call("POST", f"{base}/unregister")

    assert (registered.status, registered.body) == (200, b"")
    assert listed.json == [
        {"name": "of_http", "key": memory.name, "offset": 0, "byte_size": 64}
    ]
    assert (unregistered.status, unregistered.body) == (200, b"")
    assert http_call("GET", f"{base}/status").error == refused(404, "of_http")


@pytest.mark.parametrize("missing", ["key", "byte_size"])
def test_registration_over_http_lacks_a_field(http_json, refused, missing):
    value = {"key": "x", "byte_size": 8}
    del value[missing]

    answer = http_json("/v2/systemsharedmemory/region/r/register", value)

    assert answer.error == refused(400, f"register request no {missing} field")


def test_input_is_read_from_shared_memory(grpc_ask, memory, register):
    answer = grpc_ask.send(from_memory(**slice_of(register(memory.name))))

    assert answer.tensor("OUTPUT0").data == (2 * ROW).tobytes()


def test_offset_counts_from_the_start_of_the_region(grpc_ask, memory, register):
    memory.buf[PAGE + 64 : PAGE + 128] = (3 * ROW).tobytes()
    name = register(memory.name, size=2 * PAGE)

    answer = grpc_ask.send(from_memory(**slice_of(name, offset=PAGE + 64)))

    assert answer.tensor("OUTPUT0").data == (4 * ROW).tobytes()


def test_output_is_written_to_shared_memory(stub, grpc_ask, memory, register):
    name = register(memory.name)
    request = to_memory(grpc_ask, **slice_of(name, size=100, offset=128))

    response = stub.ModelInfer(request)

    (output,) = response.outputs
    assert list(response.raw_output_contents) == [b""]
    assert dict(output.parameters) == {}
    assert bytes(memory.buf[128:192]) == (2 * ROW).tobytes()


def test_shared_memory_over_http(http_json, memory, register):
    name = register(memory.name)
    sent = {
        "inputs": [
            {
                "name": each,
                "datatype": "INT32",
                "shape": [1, 16],
                "parameters": slice_of(name),
            }
            for each in GOOD
        ],
        "outputs": [{"name": "OUTPUT0", "parameters": slice_of(name, offset=64)}],
    }

    answer = http_json("/v2/models/add_sub/infer", sent)

    assert answer.headers["content-type"] == "application/json"
    (output,) = answer.json["outputs"]
    assert output == {"name": "OUTPUT0", "datatype": "INT32", "shape": [1, 16]}
    assert bytes(memory.buf[64:128]) == (2 * ROW).tobytes()


def test_input_with_data_in_both_is_that_of_the_message(grpc_ask, memory, register):
    request = from_memory(**slice_of(register(memory.name)))
    request.raw_input_contents.insert(0, bytes(64))

    answer = grpc_ask.send(request)

    assert answer.tensor("OUTPUT0").data == ROW.tobytes()


@pytest.mark.parametrize("kind", ["input", "output"])
def test_unknown_region(grpc_ask, refused, kind):
    parameters = slice_of("nowhere")
    request = (
        from_memory(**parameters)
        if kind == "input"
        else to_memory(grpc_ask, **parameters)
    )

    assert grpc_ask.send(request) == refused("NOT_FOUND", "unable to find nowhere")


@pytest.mark.parametrize(
    ("size", "offset", "words"),
    [
        (64, 999, "invalid offset region"),
        (64, 224, "invalid offset + byte size region"),
        (60, 0, "size INPUT0 expected 64 got 60"),
    ],
)
def test_input_that_does_not_lie_in_its_region(
    grpc_ask, memory, register, refused, size, offset, words
):
    name = register(memory.name)

    assert grpc_ask.send(from_memory(**slice_of(name, size, offset))) == refused(
        "INVALID_ARGUMENT", words
    )


def test_region_too_small_for_the_output(grpc_ask, memory, register, refused):
    name = register(memory.name)

    assert grpc_ask.send(to_memory(grpc_ask, **slice_of(name, size=8))) == refused(
        "INTERNAL", "OUTPUT0 8 bytes at least 64"
    )


def test_parameters_that_do_not_belong_together(grpc_ask, memory, register, refused):
    name = register(memory.name)

    for request, words in (
        (from_memory(shared_memory_region=name), "byte_size INPUT0"),
        (from_memory(shared_memory_offset=8), "shared_memory_region INPUT0"),
        (
            to_memory(grpc_ask, classification=1, **slice_of(name)),
            "output shared_memory_region classification",
        ),
    ):
        assert grpc_ask.send(request) == refused("INVALID_ARGUMENT", words)


def test_cuda_shared_memory_is_empty(stub, http_call):
    regions = stub.CudaSharedMemoryStatus(
        service_pb2.CudaSharedMemoryStatusRequest()
    ).regions

    assert dict(regions) == {}
    assert http_call("GET", "/v2/cudasharedmemory/status").json == []


def test_cuda_shared_memory_cannot_be_registered(stub, rpc_error, refused):
    request = service_pb2.CudaSharedMemoryRegisterRequest(
        name="r", raw_handle=b"x" * 64, device_id=0, byte_size=8
    )

    assert rpc_error(stub.CudaSharedMemoryRegister, request) == refused(
        "INVALID_ARGUMENT", "failed to register"
    )
