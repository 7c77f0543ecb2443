"""Where there is no GPU: nothing runs, what can be built is built, and the reason is said."""

import numpy as np
import pytest

from bertslim.errors import UnavailableError
from bertslim.graph.emit import emit
from bertslim.runtime import tensorrt_rtx_
from bertslim.runtime.engine import EngineSettings, Source, build
from bertslim.runtime.tensorrt.building import build_ahead
from bertslim.runtime.tensorrt.driver import capture, cuda_version, find_device
from bertslim.runtime.tensorrt.engine import notes_on, usual_shape
from bertslim.runtime.tensorrt.flavours import RTX, load_flavour
from bertslim.runtime.tensorrt.memory import Buffer, Stream, open_cuda
from bertslim.runtime.tensorrt.session import Session
from tests.runtime.tensorrt.worlds import FP16, SHAPE, TURING, builds, random_model

pytestmark = pytest.mark.no_gpu
SETTINGS = EngineSettings(threads=1)


def test_there_is_no_device() -> None:
    with pytest.raises(UnavailableError, match=r"^no CUDA device: "):
        find_device()
    with pytest.raises(UnavailableError, match=r"^no CUDA device: "):
        capture(0, lambda: None)


def test_there_is_no_memory_on_a_device() -> None:
    with pytest.raises(UnavailableError, match="nothing here can use the GPU's memory") as caught:
        open_cuda()
    assert "pycuda: " in str(caught.value)
    assert "torch: it is not built for CUDA, or sees no device" in str(caught.value)


@builds
def test_an_engine_to_run_is_refused_before_a_graph_is_asked_for() -> None:
    def never(runtime: str, precision: str) -> bytes:
        raise AssertionError(f"{runtime} {precision} was written in vain")

    with pytest.raises(UnavailableError, match=r"^no CUDA device: "):
        build(RTX, "fp16", Source(random_model(), never), SETTINGS)


@builds
def test_engines_are_built_ahead_all_the_same() -> None:
    built = build_ahead(emit(random_model(), FP16).SerializeToString(), SHAPE, TURING)
    assert len(built.plan) > 0
    assert built.seconds > 0
    assert built.weights_bytes is not None
    assert built.activation_bytes is not None
    assert len(built.layers) > 0


@builds
def test_every_build_has_its_own_log_whatever_else_is_alive() -> None:
    """TensorRT ignores a second logger as long as anything lives that was given the first."""
    flavour = load_flavour(RTX)
    runtime = flavour.module.Runtime(flavour.log.logger)
    model = random_model(num_hidden_layers=1)
    with pytest.raises(UnavailableError, match="builds no fp32 matrix products"):
        build_ahead(emit(model).SerializeToString(), SHAPE, TURING)
    builts = [build_ahead(emit(model, FP16).SerializeToString(), SHAPE, TURING) for _ in range(2)]
    assert len(builts[0].layers) == len(builts[1].layers) > 0
    assert [built.warnings for built in builts] == [(), ()]
    del runtime


class HostOnly:
    """Memory of the host, so that a session gets as far as TensorRT's own refusal."""

    name = "host"

    def stream(self) -> Stream:
        return Stream(0, None, lambda: None)

    def buffer(self, size: int) -> Buffer:
        memory = np.empty(size, np.uint8)
        return Buffer(memory.ctypes.data, memory)


@builds
def test_tensorrt_says_why_it_cannot_load_an_engine() -> None:
    built = build_ahead(emit(random_model(), FP16).SerializeToString(), SHAPE, TURING)
    with pytest.raises(UnavailableError, match=r"cannot load the engine: .*CUDA driver") as caught:
        Session(load_flavour(RTX), HostOnly(), built, SHAPE)
    assert caught.value.hint == "it runs on the kind of GPU it was built for"


@builds
def test_kernels_are_told_for_the_oldest_gpu_of_the_precision() -> None:
    model = random_model(num_hidden_layers=1)
    for form_of, precision in ((emit(model), "fp32"), (emit(model, FP16), "fp16")):
        kernels = tensorrt_rtx_.kernels(form_of.SerializeToString(), precision, SETTINGS)
        (product,) = (k for k in kernels if "bert.layers.0.ffn.output/matmul" in k.nodes)
        assert product.precision == precision
    turing = EngineSettings(threads=1, shapes=(SHAPE,), sm=TURING)
    with pytest.raises(UnavailableError, match="builds no fp32 matrix products for SM75"):
        tensorrt_rtx_.kernels(emit(model).SerializeToString(), "fp32", turing)


def test_the_usual_shape_ends_where_the_model_does() -> None:
    assert usual_shape(emit(random_model()).SerializeToString()) == (8, 128)
    short = random_model(max_position_embeddings=40)
    assert usual_shape(emit(short).SerializeToString()) == (8, 40)


def test_volta_has_no_int8_tensor_cores() -> None:
    (note,) = notes_on("70", "int8")
    assert "no int8 tensor cores" in note
    assert notes_on("70", "fp16") == notes_on("75", "int8") == ()


def test_versions_of_cuda() -> None:
    assert (cuda_version(12040), cuda_version(13000)) == ("12.4", "13.0")
