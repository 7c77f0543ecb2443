"""TensorRT on the GPU in this machine."""

from functools import partial

from bertslim.runtime.tensorrt.engine import build as build_for
from bertslim.runtime.tensorrt.engine import kernels as kernels_for
from bertslim.runtime.tensorrt.flavours import TENSORRT

build = partial(build_for, TENSORRT)
kernels = partial(kernels_for, TENSORRT)
