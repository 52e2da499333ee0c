"""The jobs of the application, one function each; public at the root of the package."""
