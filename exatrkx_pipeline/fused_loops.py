"""The former place of `compiled`; import it from `machine_code`."""

from exatrkx_pipeline.machine_code import compiled

__all__ = ["compiled"]
