"""Compression: what is written can be read, and what it saves is counted."""

import gzip
import zlib

import pytest

from sonic_client import CompressionReport
from sonic_client.transport.payload import CompressionMeter, compressed

TEXT = b"space point " * 1000


@pytest.mark.parametrize(
    ("compression", "read"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)]
)
def test_the_standard_library_reads_what_is_written(compression, read):
    assert read(compressed(TEXT, compression)) == TEXT


def test_what_is_saved_and_spent_is_counted():
    meter = CompressionMeter("gzip")

    squeezed = [meter.compress(TEXT) for _ in range(3)]

    report = meter.report
    assert (report.n_messages, report.plain_bytes) == (3, 36_000)
    assert report.wire_bytes == sum(map(len, squeezed))
    assert report.saved_fraction > 0.9
    assert report.spent_s > 0.0


def test_a_sample_is_the_first_message_and_every_64th():
    meter = CompressionMeter("deflate")

    for _ in range(129):
        meter.sample(TEXT)

    assert meter.report.n_messages == 3


def test_without_compression_nothing_is_done():
    meter = CompressionMeter("none")

    meter.sample(TEXT)

    assert meter.compress(TEXT) is TEXT
    assert meter.report == CompressionReport()
