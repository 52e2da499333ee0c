"""Errors of the pipeline; both are also `ValueError`."""

from sonic_base import ConfigError, SonicError


class WeightsError(SonicError, ValueError):
    """A weights directory is missing, incomplete, or does not fit this version."""


class PipelineConfigError(ConfigError):
    """A size, cut or name in a pipeline's configuration is out of its range."""
