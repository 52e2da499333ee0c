"""Tracking on a dask cluster: parts of the input as tasks, merged in input order."""
