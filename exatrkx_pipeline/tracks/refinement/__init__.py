"""Track candidates compared with helices: split, joined, extended, selected.

A graph network judges edges one by one; a fit shows better whether a chain of them is
one particle's path. Only space points are needed, no geometry.
"""

from exatrkx_pipeline.tracks.refinement.refine import refine_tracks

__all__ = ["refine_tracks"]
