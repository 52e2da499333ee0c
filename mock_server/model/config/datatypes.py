"""Names of datatypes: KServe's, and those of ``ModelConfig``."""

from tritonclient.grpc import model_config_pb2

_Enum = model_config_pb2.DataType


def config_type(datatype: str) -> int:
    """``TYPE_FP32`` for ``FP32``, ``TYPE_STRING`` for ``BYTES``: its number."""
    name = "STRING" if datatype == "BYTES" else datatype
    number: int = _Enum.Value(f"TYPE_{name}")
    return number


def datatype(config_type: int) -> str:
    """KServe's name of a datatype of a configuration."""
    name = str(_Enum.Name(config_type)).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name
