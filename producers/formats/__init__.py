"""The file formats, one folder each, and what a user calls to read and write them.

A folder has ``events.py``, ``truth.py`` and ``tracks.py``, as far as the format holds
them, and describes itself as a `Format`; `producers.formats.registry` lists all.
"""
