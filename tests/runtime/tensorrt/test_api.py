"""What the protocols promise exists in the TensorRT-RTX that is installed."""

import inspect

import pytest

from bertslim.runtime.tensorrt import api
from bertslim.runtime.tensorrt.flavours import RTX, load_flavour
from tests.runtime.tensorrt.worlds import builds

PROTOCOLS = {
    name: protocol
    for name, protocol in inspect.getmembers(api, inspect.isclass)
    if getattr(protocol, "_is_protocol", False) and name != "Protocol"
}


def members(protocol: type) -> set[str]:
    names = {*vars(protocol), *inspect.get_annotations(protocol)}
    return {name for name in names if not name.startswith("_")}


@builds
@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"Module"}))
def test_every_method_is_there(name: str) -> None:
    there = dir(getattr(load_flavour(RTX).module, name))
    assert members(PROTOCOLS[name]) - set(there) == set()


@builds
def test_every_name_of_the_module_is_there() -> None:
    module = load_flavour(RTX).module
    assert members(PROTOCOLS["Module"]) - set(dir(module)) == set()
    assert hasattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    assert hasattr(module.BuilderFlag, "TF32")
    assert hasattr(module.ProfilingVerbosity, "DETAILED")
    assert hasattr(module.TensorIOMode, "INPUT")
    assert hasattr(module.DynamicShapesKernelSpecializationStrategy, "EAGER")


def test_the_protocols_are_what_was_meant_to_be_checked() -> None:
    assert {"Builder", "OnnxParser", "ICudaEngine", "IExecutionContext", "Module"} <= set(PROTOCOLS)
    assert "execute_async_v3" in members(PROTOCOLS["IExecutionContext"])
    assert "num_io_tensors" in members(PROTOCOLS["ICudaEngine"])
