"""Written by `sonic repository`; the work is done in the installed package."""

from exatrkx_pipeline.serving.python_backend import python_model

TritonPythonModel = python_model("exatrkx")
