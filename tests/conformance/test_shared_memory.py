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


def test_region_is_gone_once_unregistered(stub, memory, register):
    name = register(memory.name)

    stub.SystemSharedMemoryUnregister(
        service_pb2.SystemSharedMemoryUnregisterRequest(name=name)
    )

    assert failure(status, stub, name) == (
        "NOT_FOUND",
        f"Unable to find system shared memory region: '{name}'",
    )


def test_name_in_use_is_refused(memory, register):
    name = register(memory.name)

    assert failure(register, memory.name, name=name) == (
        "ALREADY_EXISTS",
        f"shared memory region '{name}' already in manager",
    )


def test_key_that_is_not_there(register):
    assert failure(register, "/nowhere_at_all") == (
        "INTERNAL",
        "Unable to open shared memory region: '/nowhere_at_all'",
    )


@pytest.mark.parametrize(("offset", "size"), [(0, 1 << 20), (1 << 20, 8)])
def test_region_beyond_the_memory(memory, register, offset, size):
    assert failure(
        register, memory.name, size=size, offset=offset, name="too large"
    ) == (
        "INVALID_ARGUMENT",
        "failed to register shared memory region 'too large': invalid args",
    )


def test_offset_must_be_that_of_a_page(memory, register):
    assert failure(register, memory.name, size=8, offset=16, name="odd") == (
        "INVALID_ARGUMENT",
        "failed to register shared memory region 'odd': unable to process address space"
        "Invalid argument",
    )


def test_unknown_region_may_be_unregistered(stub):
    stub.SystemSharedMemoryUnregister(
        service_pb2.SystemSharedMemoryUnregisterRequest(name="nowhere")
    )


def test_registration_over_http(http_call, http_json, memory):
    base = "/v2/systemsharedmemory/region/of_http"

    registered = http_json(f"{base}/register", {"key": memory.name, "byte_size": 64})
    listed = http_call("GET", f"{base}/status")
    unregistered = http_call("POST", f"{base}/unregister")

    assert (registered.status, registered.body) == (200, b"")
    assert listed.json == [
        {"name": "of_http", "key": memory.name, "offset": 0, "byte_size": 64}
    ]
    assert (unregistered.status, unregistered.body) == (200, b"")
    assert http_call("GET", f"{base}/status").error == (
        404,
        "Unable to find system shared memory region: 'of_http'",
    )


@pytest.mark.parametrize("missing", ["key", "byte_size"])
def test_registration_over_http_lacks_a_field(http_json, missing):
    value = {"key": "x", "byte_size": 8}
    del value[missing]

    answer = http_json("/v2/systemsharedmemory/region/r/register", value)

    assert answer.error == (
        400,
        f"Shared memory register request has no '{missing}' field",
    )


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
def test_unknown_region(grpc_ask, kind):
    parameters = slice_of("nowhere")
    request = (
        from_memory(**parameters)
        if kind == "input"
        else to_memory(grpc_ask, **parameters)
    )

    assert grpc_ask.send(request) == (
        "NOT_FOUND",
        "Unable to find shared memory region: 'nowhere'",
    )


def test_offset_beyond_the_region(grpc_ask, memory, register):
    name = register(memory.name)

    assert grpc_ask.send(from_memory(**slice_of(name, offset=999))) == (
        "INVALID_ARGUMENT",
        f"Invalid offset for shared memory region: '{name}'",
    )


def test_end_beyond_the_region(grpc_ask, memory, register):
    name = register(memory.name)

    assert grpc_ask.send(from_memory(**slice_of(name, offset=224))) == (
        "INVALID_ARGUMENT",
        f"Invalid offset + byte size for shared memory region: '{name}'",
    )


def test_size_other_than_that_of_the_tensor(grpc_ask, memory, register):
    name = register(memory.name)

    assert grpc_ask.send(from_memory(**slice_of(name, size=60))) == (
        "INVALID_ARGUMENT",
        "[request id: <id_unknown>] input byte size mismatch for input 'INPUT0' for "
        "model 'add_sub'. Expected 64, got 60",
    )


def test_region_too_small_for_the_output(grpc_ask, memory, register):
    name = register(memory.name)

    assert grpc_ask.send(to_memory(grpc_ask, **slice_of(name, size=8))) == (
        "INTERNAL",
        "shared memory size specified with the request for output 'OUTPUT0' (8 bytes) "
        "should be at least 64 bytes to hold the results",
    )


def test_region_without_a_size(grpc_ask, memory, register):
    name = register(memory.name)

    assert grpc_ask.send(from_memory(shared_memory_region=name)) == (
        "INVALID_ARGUMENT",
        "'shared_memory_byte_size' must be specified along with 'shared_memory_region' "
        "parameter for tensor 'INPUT0'",
    )


def test_offset_without_a_region(grpc_ask):
    assert grpc_ask.send(from_memory(shared_memory_offset=8)) == (
        "INVALID_ARGUMENT",
        "'shared_memory_offset' can not be specified without 'shared_memory_region' "
        "parameter for tensor 'INPUT0'",
    )


def test_classes_cannot_go_to_shared_memory(grpc_ask, memory, register):
    name = register(memory.name)

    assert grpc_ask.send(to_memory(grpc_ask, classification=1, **slice_of(name))) == (
        "INVALID_ARGUMENT",
        "output can't set both 'shared_memory_region' and 'classification'",
    )


def test_cuda_shared_memory_is_empty(stub, http_call):
    regions = stub.CudaSharedMemoryStatus(
        service_pb2.CudaSharedMemoryStatusRequest()
    ).regions

    assert dict(regions) == {}
    assert http_call("GET", "/v2/cudasharedmemory/status").json == []


def test_cuda_shared_memory_cannot_be_registered(stub, rpc_error):
    request = service_pb2.CudaSharedMemoryRegisterRequest(
        name="r", raw_handle=b"x" * 64, device_id=0, byte_size=8
    )

    assert rpc_error(stub.CudaSharedMemoryRegister, request) == (
        "INVALID_ARGUMENT",
        "failed to register shared memory region: invalid args",
    )
