"""Loops compiled to machine code by numba; they know neither torch nor networks.

`stages` chooses whether torch or these kernels compute. ``docs/kernels.md`` explains
how they are built.
"""
