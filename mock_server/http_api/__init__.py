"""KServe v2 over HTTP/REST: a translation of the same core that gRPC speaks to."""
