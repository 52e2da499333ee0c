"""Releases of servers, by what a client sees of their differences.

A release is named as its container is: ``24.10`` is Triton 2.51. The facts are those of
the release branches ``rYY.MM`` of the repositories server and core of
triton-inference-server; `TRITON_CHANGES` names the file beside each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sonic_base import ConfigError, nearest_names

__all__ = ["DEFAULT_PROFILE", "PROFILES", "Profile", "profile_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one server behaves; the defaults are those of Triton 24.10.

    `dataclasses.replace` makes another one, such as a Triton that was started with
    ``--allow-client-shm=true``.
    """

    name: str = "24.10"
    server: str = "triton"
    version: str = "2.51.0"

    extensions: tuple[str, ...] = (
        "classification",
        "sequence",
        "model_repository",
        "model_repository(unload_dependents)",
        "schedule_policy",
        "model_configuration",
        "system_shared_memory",
        "cuda_shared_memory",
        "binary_tensor_data",
        "parameters",
        "statistics",
    )
    """Triton's (``src/server.cc`` of core), without ``trace`` and ``logging``, which
    the mock does not have."""

    unserved: frozenset[str] = frozenset()
    """Calls that are not known, by gRPC's name: UNIMPLEMENTED, and 404 over HTTP."""

    client_shared_memory: bool = False
    """Whether clients may register regions: files in ``/dev/shm`` of the server's user,
    which they can then read and write through its models. Triton lets them up to 26.03,
    and later if started with ``--allow-client-shm=true``; the mock never unasked."""

    repeated_outputs: bool = True
    """Whether a request may name an output twice; it gets it once."""

    typed_contents: bool = False
    """Whether gRPC answers carry typed ``contents`` in place of raw ones."""

    max_http_input_bytes: int | None = None
    """Limit of JSON and of a raw or JSON input over HTTP (``--http-max-input-size``);
    binary tensors after the JSON are not limited. None for no limit."""

    limits_http_json: bool = False
    """Whether that limit holds for the JSON as a whole, too."""

    limits_decompressed: bool = False
    """Whether it holds for a compressed body, binary tensors included."""

    max_json_depth: int | None = None
    """A value in as many nested arrays of ``data``, or more, is refused."""

    limits_ensembles: bool = False
    """Whether an ensemble may have ``max_inflight_requests``."""

    load_time_metric: bool = False
    """Whether the metrics tell how long models took to load."""

    latency_histograms: bool = False
    """Whether they have histograms (``--metrics-config histogram_latencies=true``)."""

    @property
    def has_binary_tensors(self) -> bool:
        """Whether tensors may follow the JSON as binary data over HTTP."""
        return "binary_tensor_data" in self.extensions


# Any: a field of `Profile`.
TRITON_CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("24.11", {"load_time_metric": True}),  # core src/metrics.cc
    ("25.05", {"max_json_depth": 100}),  # server src/common.h, src/http_server.cc
    ("25.06", {"max_http_input_bytes": 1 << 26}),  # server src/http_server.cc
    ("25.10", {"limits_http_json": True}),  # server src/http_server.cc
    ("26.01", {"limits_decompressed": True}),  # server src/data_compressor.h
    # From 25.11 to 26.03 the limit was one of each request of the ensemble.
    ("26.04", {"limits_ensembles": True}),  # core src/ensemble_scheduler
    ("26.05", {"repeated_outputs": False}),  # core src/infer_request.cc
)
"""What changed in which release. Headers with names of Triton's own parameters, which
26.05 refuses to forward to a model, are not here: the mock forwards none."""

# ``TRITON_VERSION`` of server.
_TRITON_VERSIONS = {
    **{f"24.{10 + n}": f"2.{51 + n}.0" for n in range(3)},
    **{f"25.{1 + n:02}": f"2.{54 + n}.0" for n in range(6)},
    "25.07": "2.59.1",
    **{f"25.{8 + n:02}": f"2.{60 + n}.0" for n in range(5)},
    **{f"26.{1 + n:02}": f"2.{65 + n}.0" for n in range(8)},
}


def _triton(release: str) -> Profile:
    changes: dict[str, Any] = {}  # Any: as above
    for since, fields in TRITON_CHANGES:
        if since <= release:  # of the form YY.MM
            changes |= fields
    return Profile(name=release, version=_TRITON_VERSIONS[release], **changes)


DEFAULT_PROFILE = _triton("24.10")

MLSERVER = Profile(
    name="mlserver",
    server="mlserver",
    version="1.7.1",
    extensions=(),
    unserved=frozenset(
        {
            "ModelConfig",
            "ModelStatistics",
            *(
                f"{kind}SharedMemory{verb}"
                for kind in ("System", "Cuda")
                for verb in ("Status", "Register", "Unregister")
            ),
        }
    ),
)
"""SeldonIO's MLServer, as far as its answers differ: no binary tensors over HTTP, no
configuration, no statistics."""

PROFILES = {
    **{release: _triton(release) for release in _TRITON_VERSIONS},
    MLSERVER.name: MLSERVER,
}
"""The profiles by name."""


def profile_of(name: str | Profile) -> Profile:
    """Return the profile of this name; a profile is returned as it is.

    Raises
    ------
    ConfigError
        If there is none of this name.
    """
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise ConfigError(f"unknown profile {name!r}, {nearest_names(name, PROFILES)}")
    return PROFILES[name]
