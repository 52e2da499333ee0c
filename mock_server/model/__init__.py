"""Models as a user declares them: tensors, configuration, functions, backends."""
