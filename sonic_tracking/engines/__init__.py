"""Servers that this machine can run: what `sonic serve` and a client's fallback start.

Each module is one engine; importing the package loads none of them.
"""
