"""TensorRT-RTX: runs on the GPU in this machine, and builds for others too."""

from functools import partial

from bertslim.runtime.tensorrt.engine import build as build_for
from bertslim.runtime.tensorrt.engine import kernels as kernels_for
from bertslim.runtime.tensorrt.flavours import RTX

build = partial(build_for, RTX)
kernels = partial(kernels_for, RTX)
