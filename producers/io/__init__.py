"""Files, whatever is in them: where they are, and how they are read and written.

ROOT files and their tables, parquet files, csv tables, URLs, reading ahead, outputs
that are written whole or not at all, and the journal of an unfinished output.
"""

from producers.io.iteration import iterating
from producers.io.journal import job_of, new_partial_folder, partial_folder
from producers.io.location import Location, PathLike, locations
from producers.io.memory import candidate_arrays
from producers.io.npz import read_npz
from producers.io.output import (
    check_output,
    output_errors,
    picture_format,
    whole_file,
    write_picture,
    write_whole,
)
from producers.io.perf_analyzer import PerfAnalyzerWriter
from producers.io.root_writer import RootForm, RootWriter

__all__ = [
    "Location",
    "PathLike",
    "PerfAnalyzerWriter",
    "RootForm",
    "RootWriter",
    "candidate_arrays",
    "check_output",
    "iterating",
    "job_of",
    "locations",
    "new_partial_folder",
    "output_errors",
    "partial_folder",
    "picture_format",
    "read_npz",
    "whole_file",
    "write_picture",
    "write_whole",
]
