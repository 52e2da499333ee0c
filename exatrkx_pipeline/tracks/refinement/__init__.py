"""Track candidates held against helices: split, joined, extended, selected.

A graph network judges edges; whether a chain of them is one particle's path is plainer
to see for a fit. Space points alone are needed, no geometry.
"""

from exatrkx_pipeline.tracks.refinement.refine import refine_tracks

__all__ = ["refine_tracks"]
