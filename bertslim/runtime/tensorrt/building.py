"""From an ONNX graph, which sets the precision, to an engine for one shape and kind of GPU."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bertslim.errors import SettingsError, UnavailableError
from bertslim.runtime.graphs import refuse_foreign
from bertslim.runtime.tensorrt import api
from bertslim.runtime.tensorrt.driver import find_device
from bertslim.runtime.tensorrt.flavours import RTX, Flavour, load_flavour
from bertslim.runtime.tensorrt.layers import Layer, find_dump, parse_layers
from bertslim.runtime.tensorrt.refusals import (
    build_refusal,
    no_device,
    parser_refusal,
    warnings_of,
)

Shape = tuple[int, int]
"""(batch, length)."""


@dataclass(frozen=True, slots=True)
class Built:
    """An engine, and what was learnt while it was built; a GPU is needed only to run it."""

    plan: bytes
    """The engine as TensorRT stores it. Its bytes may differ from build to build."""
    dump: str
    """TensorRT's list of layers, as text."""
    seconds: float
    weights_bytes: int | None
    """Of the weights on the device; None if the log does not tell."""
    activation_bytes: int | None
    """Of everything else on the device."""
    warnings: tuple[str, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What the engine runs, in order; BertslimError if the list has an unknown form."""
        return parse_layers(self.dump)


def check_target(runtime: str, sm: str) -> None:
    """Refuse what cannot be built for on this machine, before there is a graph to build.

    Raises:
        SettingsError: If nothing is built for such a GPU.
        UnavailableError: If TensorRT is missing, or needs a GPU that is not here.
    """
    flavour = load_flavour(runtime)
    if flavour.builds_for_others:
        _capability(flavour, sm)
    else:
        find_device()


def build_ahead(graph: bytes, shape: Shape, sm: str, runtime: str = RTX) -> Built:
    """Build an engine without running it; TensorRT-RTX needs no GPU for that.

    Args:
        graph: ONNX, in the precision that is wanted: int64 `input_ids`, `attention_mask` and, where
            it has them, `token_type_ids`.
        shape: (batch, length), the only one that the engine takes.
        sm: Compute capability of the GPU without a dot, such as "75".
        runtime: "tensorrt-rtx", or "tensorrt", which builds for the GPU in this machine alone.

    Raises:
        SettingsError: If nothing is built for such a GPU.
        CheckpointError: If the graph cannot be read, or is no BERT's.
        UnavailableError: If TensorRT is missing, needs a GPU, or cannot build this for that GPU.
    """
    return build(load_flavour(runtime), graph, shape, sm)


def build(flavour: Flavour, graph: bytes, shape: Shape, sm: str) -> Built:
    """Build with a TensorRT that is loaded; see `build_ahead`."""
    with flavour.log.listening() as log:
        builder = _builder(flavour)
        strongly_typed = 1 << int(flavour.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(strongly_typed)
        # the parser owns weights of the network until it is compiled
        parser = flavour.module.OnnxParser(network, flavour.log.logger)
        if not parser.parse(graph):
            raise parser_refusal(flavour, _faults(parser))
        inputs = [network.get_input(i).name for i in range(network.num_inputs)]
        refuse_foreign(inputs, [network.get_output(i).name for i in range(network.num_outputs)])
        config = _config(flavour, builder, sm)
        config.add_optimization_profile(_profile(builder, inputs, shape))
        begin = time.perf_counter()
        plan = builder.build_serialized_network(network, config)
        seconds = time.perf_counter() - begin
    if plan is None:
        raise build_refusal(flavour, sm, log)
    texts = [line.text for line in log]
    return Built(
        plan=bytes(memoryview(plan)),
        dump=find_dump(texts),
        seconds=seconds,
        weights_bytes=_bytes_of("Total Weights Memory", texts),
        activation_bytes=_bytes_of("Total Activation Memory", texts),
        warnings=warnings_of(log),
    )


def known_targets(flavour: Flavour) -> tuple[str, ...]:
    """Compute capabilities that can be named, such as "75"; none where the GPU here decides."""
    if not flavour.builds_for_others:
        return ()
    names: Sequence[str] = list(flavour.module.ComputeCapability.__members__)
    return tuple(name.removeprefix("SM") for name in names if name.startswith("SM"))


def _builder(flavour: Flavour) -> api.Builder:
    try:
        return flavour.module.Builder(flavour.log.logger)
    except (TypeError, RuntimeError) as error:
        # full TensorRT's constructor returns nothing where there is no GPU
        raise no_device(flavour) from error


def _faults(parser: api.OnnxParser) -> list[str]:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return [f"node {e.node_name()}, operator: {e.node_operator()}: {e.desc()}" for e in errors]


def _config(flavour: Flavour, builder: api.Builder, sm: str) -> api.IBuilderConfig:
    config = builder.create_builder_config()
    config.profiling_verbosity = flavour.module.ProfilingVerbosity.DETAILED
    # fp32 means fp32
    config.clear_flag(flavour.module.BuilderFlag.TF32)
    if flavour.builds_for_others:
        config.num_compute_capabilities = 1
        config.set_compute_capability(_capability(flavour, sm), 0)
    return config


def _capability(flavour: Flavour, sm: str) -> api.Enum:
    known = known_targets(flavour)
    if sm in known:
        return getattr(flavour.module.ComputeCapability, f"SM{sm}")
    if sm.isdecimal() and int(sm) < int(known[0]):
        raise UnavailableError(
            f"{flavour.name} starts at SM{known[0]}, SM{sm} is older",
            "use full TensorRT on the GPU's machine; Volta (SM70) needs 10.0 to 10.4",
        )
    raise SettingsError(
        f"{flavour.name} does not build for SM{sm}", f"--sm takes one of {', '.join(known)}"
    )


def _profile(builder: api.Builder, inputs: Sequence[str], shape: Shape) -> api.IOptimizationProfile:
    profile = builder.create_optimization_profile()
    for name in inputs:
        profile.set_shape(name, shape, shape, shape)
    return profile


def _bytes_of(what: str, texts: Sequence[str]) -> int | None:
    found = (re.search(rf"{what}: (\d+) bytes", text) for text in texts)
    return next((int(match[1]) for match in found if match), None)
