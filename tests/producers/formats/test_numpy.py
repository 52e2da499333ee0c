"""Files of numpy: every order of bytes and of axes is read, or refused in one line."""

import io

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from producers import SchemaError, UnreadableFileError, open_events

XYZ = np.arange(300.0).reshape(100, 3)
SPLITS = np.array([0, 10, 10, 60, 100])


@pytest.fixture(params=["npy", "npz", "compressed npz"])
def write(tmp_path, request):
    """Write positions; in an archive they are of four events."""

    def run(xyz):
        path = tmp_path / "events"
        with path.open("wb") as file:
            if request.param == "npy":
                np.save(file, xyz)
            else:
                save = np.savez if request.param == "npz" else np.savez_compressed
                save(file, xyz=xyz, row_splits=SPLITS)
        return path

    return run


@pytest.mark.parametrize(
    "array",
    [
        np.ascontiguousarray(XYZ.T).T,
        np.asfortranarray(XYZ.astype(np.float32)),
        XYZ.astype(">f8"),
        np.asfortranarray(XYZ.astype(">f4")),
        XYZ.astype(np.float16),
        XYZ.astype(">i2"),
        np.asfortranarray(XYZ.astype(np.uint64)),
        np.repeat(XYZ, 2, axis=0)[::2],
    ],
    ids=lambda array: f"{array.dtype.str}-{'F' if array.flags.f_contiguous else 'C'}",
)
def test_any_order_of_bytes_and_axes_is_read(write, array):
    path = write(array)

    whole = np.concatenate([chunk.xyz for chunk in open_events(path)])
    one_by_one = np.concatenate(
        [chunk.xyz for chunk in open_events(path, chunk_size=1)]
    )
    assert_array_equal(whole, XYZ)
    assert_array_equal(one_by_one, XYZ)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_part_of_the_events_is_read(tmp_path, order):
    path = tmp_path / "events.npz"
    np.savez(path, xyz=np.asarray(XYZ, order=order), row_splits=SPLITS)

    (chunk,) = open_events(path).between(2, 3)

    assert_array_equal(chunk.xyz, XYZ[10:60])


@pytest.mark.parametrize("order", ["C", "F"])
def test_no_rows_are_an_empty_event(tmp_path, order):
    path = tmp_path / "events.npy"
    np.save(path, np.empty((0, 3), order=order))

    (chunk,) = open_events(path)

    assert (len(chunk), len(chunk.xyz)) == (1, 0)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.array(1.0), r"expected shape \(n_space_points, 3\), got \(\)"),
        (np.zeros(3), r"expected shape \(n_space_points, 3\), got \(3,\)"),
        (XYZ.T, r"expected shape \(n_space_points, 3\), got \(3, 100\)"),
        (np.array([[None] * 3]), "expected an array of numbers, got object"),
        (np.zeros(3, [("x", "f4")]), r"expected an array of numbers, got \[\('x'"),
        (np.zeros(3, [("轨", "f4")]), "expected an array of numbers, got records"),
        (np.zeros((2, 3), complex), "expected an array of numbers, got complex128"),
        (np.zeros((2, 3), bool), "expected an array of numbers, got bool"),
        (np.full((2, 3), "x"), "expected an array of numbers, got <U1"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_what_is_no_list_of_positions_is_refused(write, array, complaint):
    path = write(array)

    with pytest.raises(SchemaError, match=f"events: .*{complaint}"):
        open_events(path)


@pytest.mark.parametrize("n_rows", [101, 2**40, 2**62, 10**30, -1])
def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path, n_rows):
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (n_rows, 3)}
    np.lib.format.write_array_header_1_0(buffer, header)
    npy = buffer.getvalue() + XYZ.tobytes()
    (tmp_path / "events.npy").write_bytes(npy)

    with pytest.raises(UnreadableFileError, match="truncated numpy file: an array of"):
        open_events(tmp_path / "events.npy")


@pytest.mark.parametrize(
    "header", ["{'descr': '<f8', 'shape': (1, 3)", "(((((", "[" * 200, "\0", "'"]
)
def test_a_damaged_header_is_one_line(tmp_path, header):
    text = header.encode().ljust(118) + b"\n"
    path = tmp_path / "events.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text)

    with pytest.raises(UnreadableFileError, match="damaged numpy file") as caught:
        open_events(path)

    assert "\n" not in str(caught.value)
