"""TensorRT and TensorRT-RTX: built anywhere where they can be, run on an NVIDIA GPU only."""
