"""Models in other frameworks: awkward arrays, coffea, dask-awkward, dask workers."""
