"""From a model to an ONNX graph, by writing the nodes down: no tracing, no pattern matching."""
