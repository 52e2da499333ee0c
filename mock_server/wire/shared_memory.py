"""Regions of POSIX shared memory that clients have registered.

Checks and texts: ``src/shared_memory_manager.cc`` of triton-inference-server/server.

A client names an object of the whole machine, which others may have made. It is opened
only if it is a file of this user and no link, and is never mapped: an object that its
owner makes shorter would end this process with SIGBUS at the next access, while
`os.pread` and `os.pwrite` give less.
"""

import mmap
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc

from mock_server.errors import ModelError, internal, invalid
from mock_server.wire.inference import SharedMemorySlice

_DIRECTORY = Path("/dev/shm")  # where Linux keeps POSIX shared memory


@dataclass(frozen=True, slots=True)
class Region:
    """A registered region, as the client described it."""

    name: str
    key: str
    """Name of the POSIX object."""
    offset: int
    """Bytes, from the start of the object."""
    byte_size: int
    descriptor: int


class SharedMemory:
    """Registered regions by name; may be used from any thread.

    Parameters
    ----------
    is_allowed : bool
        Whether clients may register regions: by default since Triton 26.04, they may
        not (``kClientShmDisabledErrorStr`` in ``src/common.h`` of server, r26.04).
    """

    def __init__(self, *, is_allowed: bool = True) -> None:
        self._is_allowed = is_allowed
        self._lock = threading.Lock()
        self._regions: dict[str, Region] = {}

    def check_allowed(self) -> None:
        """Refuse to register or unregister a region of any memory.

        Raises
        ------
        ModelError
            UNIMPLEMENTED if clients may not.
        """
        if not self._is_allowed:
            raise ModelError(
                grpc.StatusCode.UNIMPLEMENTED,
                "Client shared memory is disabled. Start the server with "
                "'--allow-client-shm=true' to enable.",
            )

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Open a region.

        Raises
        ------
        ModelError
            ALREADY_EXISTS for a name in use; INTERNAL if there is no such object;
            INVALID_ARGUMENT if the region does not lie within it.
        """
        with self._lock:
            if name in self._regions:
                raise ModelError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"shared memory region '{name}' already in manager",
                )
            descriptor = _open(name, key, offset, byte_size)
            self._regions[name] = Region(name, key, offset, byte_size, descriptor)

    def unregister(self, name: str = "") -> None:
        """Close a region, all of them if no name is given; none if it is unknown."""
        with self._lock:
            names = [name] if name else list(self._regions)
            for each in names:
                region = self._regions.pop(each, None)
                if region is not None:
                    os.close(region.descriptor)

    def status(self, name: str = "") -> list[Region]:
        """Region of this name; all of them, by name, if none is given.

        Raises
        ------
        ModelError
            NOT_FOUND for an unknown name.
        """
        with self._lock:
            if not name:
                return [self._regions[each] for each in sorted(self._regions)]
            if name not in self._regions:
                raise _not_found("system ", name)
            return [self._regions[name]]

    def cuda_status(self, name: str = "") -> None:
        """Find no region of GPU memory.

        Raises
        ------
        ModelError
            NOT_FOUND if one is named, because there is no GPU.
        """
        if name:
            raise _not_found("cuda ", name)

    def read(self, location: SharedMemorySlice) -> bytes:
        """Copy of the bytes at this location.

        Raises
        ------
        ModelError
            NOT_FOUND for an unknown region; INVALID_ARGUMENT if the location does not
            lie within it, or no longer does.
        """
        with self._lock:
            region = self._find(location)
            start = region.offset + location.offset
            data = os.pread(region.descriptor, location.byte_size, start)
        if len(data) < location.byte_size:
            raise _too_short(location)
        return data

    def write(self, location: SharedMemorySlice, data: bytes) -> None:
        """Copy `data`, at most ``location.byte_size`` bytes, to this location.

        Raises
        ------
        ModelError
            As `read` does.
        """
        with self._lock:
            region = self._find(location)
            end = region.offset + location.offset + len(data)
            # Writing beyond the end would make the object longer.
            if os.fstat(region.descriptor).st_size < end:
                raise _too_short(location)
            n_written = os.pwrite(region.descriptor, data, end - len(data))
        if n_written < len(data):
            raise _too_short(location)

    def check(self, location: SharedMemorySlice) -> None:
        """Raise what `read` would."""
        with self._lock:
            self._find(location)

    def _find(self, location: SharedMemorySlice) -> Region:
        region = self._regions.get(location.region)
        if region is None:
            raise _not_found("", location.region)
        if not 0 <= location.offset < region.byte_size:
            raise invalid(
                f"Invalid offset for shared memory region: '{location.region}'"
            )
        end = location.offset + location.byte_size
        if location.byte_size < 1 or end > region.byte_size:
            raise invalid(
                "Invalid offset + byte size for shared memory region: "
                f"'{location.region}'"
            )
        return region


def _not_found(kind: str, name: str) -> ModelError:
    return ModelError(
        grpc.StatusCode.NOT_FOUND,
        f"Unable to find {kind}shared memory region: '{name}'",
    )


def _too_short(location: SharedMemorySlice) -> ModelError:
    return invalid(
        f"shared memory region '{location.region}' is shorter than it was registered"
    )


def _open(name: str, key: str, offset: int, byte_size: int) -> int:
    """Return the descriptor of the object with this key, which has the region."""
    object_name = key.removeprefix("/")
    refusal = internal(f"Unable to open shared memory region: '{key}'")
    if object_name in ("", ".", "..") or "/" in object_name or "\0" in object_name:
        raise refusal
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(_DIRECTORY / object_name, flags)
    except (OSError, ValueError):  # such as a surrogate in the name
        raise refusal from None
    try:
        found = os.fstat(descriptor)
        is_own_file = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if is_own_file:
            _check_place(name, offset, byte_size, found.st_size)
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise refusal


def _check_place(name: str, offset: int, byte_size: int, object_size: int) -> None:
    problem = f"failed to register shared memory region '{name}': "
    if offset < 0 or byte_size < 0 or offset + byte_size > object_size:
        raise invalid(problem + "invalid args")
    if byte_size == 0 or offset % mmap.ALLOCATIONGRANULARITY:
        raise invalid(problem + "unable to process address space")
