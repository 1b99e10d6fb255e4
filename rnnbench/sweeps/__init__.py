"""Sweeps: a file that names axes becomes trials, Dask runs them, each is stored in one file."""
