"""What a client calls a version, and which versions a policy serves."""

import re
from collections.abc import Iterable

from tritonclient.grpc import model_config_pb2

from mock_server.errors import invalid


def version_number(text: str) -> int | None:
    """Version asked for, None for any; read as C++ ``std::stol`` reads it.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT if it is no number, or negative.
    """
    if not text:
        return None
    match = re.match(r"\s*([+-]?\d+)", text)
    if match is None or not -(2**63) <= int(match[1]) < 2**63:
        raise invalid(
            f"failed to get model version from specified version string '{text}' "
            "(details: stol), version should be an integral value > 0"
        )
    if int(match[1]) < 0:
        raise invalid(
            f"invalid model version specified '{text}' , version should be an integral "
            "value > 0"
        )
    return int(match[1])


def served_versions(
    policy: model_config_pb2.ModelVersionPolicy, present: Iterable[int]
) -> list[int]:
    """Versions that a policy chooses of those which are there, ascending."""
    versions = sorted(present)
    match policy.WhichOneof("policy_choice"):
        case "all":
            return versions
        case "specific":
            return [v for v in versions if v in set(policy.specific.versions)]
        case _:
            return versions[-max(1, policy.latest.num_versions) :]
