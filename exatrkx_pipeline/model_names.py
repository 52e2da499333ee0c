"""Names of the served models, for programs that must start without loading torch."""

__all__ = ["ENSEMBLE_MODEL", "SERVED_MODELS", "WHOLE_MODELS"]

WHOLE_MODELS = ("exatrkx", "exatrkx_batch")
"""The whole pipeline in one model: those of `serving.catalogue.WHOLE`, in its order."""

ENSEMBLE_MODEL = "exatrkx_ensemble"
"""The pipeline as a chain of its steps, which only a real Triton runs."""

SERVED_MODELS = (*WHOLE_MODELS, ENSEMBLE_MODEL)
