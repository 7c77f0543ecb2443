"""One engine on the GPU: its memory, its stream, and what is put on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertslim.errors import UnavailableError
from bertslim.runtime.engine import Array, Batch, Outputs, chosen_inputs
from bertslim.runtime.tensorrt import api, driver
from bertslim.runtime.tensorrt.building import Built, Shape
from bertslim.runtime.tensorrt.flavours import Flavour
from bertslim.runtime.tensorrt.log import Line
from bertslim.runtime.tensorrt.memory import Buffer, Cuda
from bertslim.runtime.tensorrt.refusals import errors_of


@dataclass(frozen=True, slots=True)
class Slot:
    """An input or output, on both sides."""

    name: str
    host: Array
    device: Buffer


class Session:
    """Runs batches of one shape.

    The steps of a run are apart, since timing puts events between them: `fill`, `upload`, `launch`,
    `download`, and `stream.synchronize` before `results`.
    """

    def __init__(self, flavour: Flavour, cuda: Cuda, built: Built, shape: Shape) -> None:
        """Load an engine.

        Raises:
            UnavailableError: If it cannot run here, with what TensorRT says.
        """
        self.cuda = cuda
        self.stream = cuda.stream()
        self._runtime = flavour.module.Runtime(flavour.log.logger)
        with flavour.log.listening() as log:
            engine = self._runtime.deserialize_cuda_engine(built.plan)
            context = _context(flavour, engine) if engine else None
        if engine is None or context is None:
            raise _refusal(f"{flavour.name} cannot load the engine", log)
        self._log = flavour.log
        self._engine, self._context = engine, context
        self.inputs, self.outputs = self._slots(flavour, shape)
        # whatever lies in fresh memory is no row of the word table
        self.upload()
        self._graph: driver.Graph | None = None
        self.not_captured = ""
        """Why the last attempt made no CUDA graph; empty if it made one, or there was none."""

    def run(self, batch: Batch) -> Outputs:
        """Run a batch of exactly this session's shape."""
        self.fill(batch)
        self.upload()
        self.launch()
        self.download()
        self.stream.synchronize()
        return self.results()

    def fill(self, batch: Batch) -> None:
        """Put a batch into the memory that is uploaded."""
        chosen = chosen_inputs(batch, [slot.name for slot in self.inputs])
        for slot in self.inputs:
            slot.host[...] = chosen[slot.name]

    def upload(self) -> None:
        """Copy the inputs to the device."""
        for slot in self.inputs:
            self.cuda.upload(slot.device, slot.host, self.stream)

    def launch(self) -> None:
        """Put the engine on the stream."""
        if self._graph:
            self._graph.launch(self.stream.handle)
        else:
            self._enqueue()

    def download(self) -> None:
        """Copy the outputs from the device."""
        for slot in self.outputs:
            self.cuda.download(slot.host, slot.device, self.stream)

    def results(self) -> Outputs:
        """Return what was downloaded."""
        return {slot.name: slot.host.astype(np.float32) for slot in self.outputs}

    @property
    def captured(self) -> bool:
        """Whether the engine is launched as a CUDA graph."""
        return self._graph is not None

    def capture(self) -> None:
        """Turn the engine into a CUDA graph, where that can be done."""
        if self.captured:
            return
        # the first run may still allocate, which cannot be captured
        self._enqueue()
        self.stream.synchronize()
        try:
            self._refuse_if_not_capturable()
            self._graph = driver.capture(self.stream.handle, self._enqueue)
            self.not_captured = ""
        except UnavailableError as error:
            self.not_captured = str(error)

    def release(self) -> None:
        """Go back to enqueueing the engine itself."""
        self.stream.synchronize()
        if self._graph:
            self._graph.close()
        self._graph = None

    def close(self) -> None:
        """Give everything back."""
        self.release()
        del self._context, self._engine, self._runtime, self.inputs, self.outputs

    def _enqueue(self) -> None:
        self._insist(self._context.execute_async_v3(self.stream.handle), "run")

    def _insist(self, done: bool, what: str) -> None:
        if not done:
            raise _refusal(f"the engine does not {what}", tuple(self._log.recent))

    def _refuse_if_not_capturable(self) -> None:
        asked = getattr(self._context, "is_stream_capturable", None)
        if asked and not asked(self.stream.handle):
            raise UnavailableError("TensorRT says that the engine cannot be captured")

    def _slots(self, flavour: Flavour, shape: Shape) -> tuple[list[Slot], list[Slot]]:
        """Take memory for all tensors, of the types that the engine says, and tell it where."""
        is_input = flavour.module.TensorIOMode.INPUT
        inputs: list[Slot] = []
        outputs: list[Slot] = []
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        # shapes of outputs are known once those of all inputs are
        for name in sorted(names, key=lambda n: self._engine.get_tensor_mode(n) != is_input):
            if self._engine.get_tensor_mode(name) == is_input:
                self._insist(self._context.set_input_shape(name, shape), f"take {name} {shape}")
                inputs.append(self._slot(flavour, name))
            else:
                outputs.append(self._slot(flavour, name))
        return inputs, outputs

    def _slot(self, flavour: Flavour, name: str) -> Slot:
        dtype = flavour.module.nptype(self._engine.get_tensor_dtype(name))
        host = self.cuda.pinned(tuple(self._context.get_tensor_shape(name)), dtype)
        host[...] = 0
        device = self.cuda.buffer(host.nbytes)
        self._insist(self._context.set_tensor_address(name, device.address), f"take {name}")
        return Slot(name, host, device)


def _context(flavour: Flavour, engine: api.ICudaEngine) -> api.IExecutionContext | None:
    """Make a context; TensorRT-RTX compiles for the shape now, and not beside the first runs."""
    strategy: Any = getattr(flavour.module, "DynamicShapesKernelSpecializationStrategy", None)
    if strategy is None or not hasattr(engine, "create_runtime_config"):
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = strategy.EAGER
    return engine.create_execution_context(config)


def _refusal(what: str, log: Sequence[Line]) -> UnavailableError:
    said = "; ".join(errors_of(log)) or "TensorRT says nothing"
    return UnavailableError(f"{what}: {said}", "it runs on the kind of GPU it was built for")
