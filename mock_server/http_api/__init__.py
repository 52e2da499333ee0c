"""KServe v2 over HTTP: JSON and binary tensors to and from `InferenceRequest`."""
