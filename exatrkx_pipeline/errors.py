"""Errors of the pipeline; both are `ValueError`, for callers that know no more."""


class WeightsError(ValueError):
    """A weights directory is missing, incomplete, or does not fit this version."""


class PipelineConfigError(ValueError):
    """A size, cut or name in a pipeline's configuration is out of its range."""
