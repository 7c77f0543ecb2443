"""CUDA memory, streams and events: by pycuda where it is installed, otherwise by torch.

pycuda comes as source and compiles for minutes; torch is there anyway, so nobody has to.
"""

import atexit
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bertslim.errors import UnavailableError
from bertslim.runtime.engine import Array


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory on the device, which lasts as long as this object."""

    address: int
    owner: Any
    """The library's own object."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Work that the device does in order."""

    handle: int
    """The driver's own, as TensorRT and CUDA graphs take it."""
    owner: Any
    synchronize: Callable[[], None]
    """Wait until all of it is done."""


class Event(Protocol):
    """A moment on a stream."""

    def record(self, stream: Stream) -> None:
        """Put it on the stream."""
        ...

    def has_passed(self) -> bool:
        """Whether the device got there."""
        ...

    def wait(self) -> None:
        """Sleep until it did."""
        ...

    def milliseconds_since(self, earlier: Any) -> float:
        """Time between two events that have passed."""
        ...


class Cuda(Protocol):
    """What an engine needs of CUDA."""

    name: str

    def buffer(self, size: int) -> Buffer:
        """Take memory on the device, in bytes."""
        ...

    def pinned(self, shape: Sequence[int], dtype: type[np.generic]) -> Array:
        """Take memory on the host that the device copies from and to by itself."""
        ...

    def stream(self) -> Stream:
        """Make a stream."""
        ...

    def event(self) -> Event:
        """Make an event."""
        ...

    def upload(self, target: Buffer, source: Array, stream: Stream) -> None:
        """Copy pinned memory to the device."""
        ...

    def download(self, target: Array, source: Buffer, stream: Stream) -> None:
        """Copy from the device to pinned memory."""
        ...


def open_cuda() -> Cuda:
    """Take the library that is there.

    Raises:
        UnavailableError: If neither pycuda nor torch can use the GPU.
    """
    reasons = []
    for library in (PyCuda, TorchCuda):
        try:
            return library()
        except (ImportError, RuntimeError) as error:
            reasons.append(f"{library.name}: {str(error).splitlines()[0]}")
    raise UnavailableError(
        f"nothing here can use the GPU's memory ({'; '.join(reasons)})",
        "install torch for CUDA, or pip install pycuda",
    )


class PyCuda:
    """By pycuda, in the context that TensorRT uses too."""

    name = "pycuda"

    def __init__(self) -> None:
        self._driver = importlib.import_module("pycuda.driver")
        try:
            self._driver.init()
            context = self._driver.Device(0).retain_primary_context()
        except self._driver.Error as error:
            raise RuntimeError(str(error)) from error
        context.push()
        # pycuda aborts the process if it still has a context at the end
        atexit.register(context.pop)

    def buffer(self, size: int) -> Buffer:
        """Take memory on the device, in bytes."""
        memory = self._driver.mem_alloc(size)
        return Buffer(int(memory), memory)

    def pinned(self, shape: Sequence[int], dtype: type[np.generic]) -> Array:
        """Take memory on the host that the device copies from and to by itself."""
        array: Array = self._driver.pagelocked_empty(tuple(shape), dtype)
        return array

    def stream(self) -> Stream:
        """Make a stream."""
        stream = self._driver.Stream()
        return Stream(stream.handle, stream, stream.synchronize)

    def event(self) -> "PyCudaEvent":
        """Make an event."""
        return PyCudaEvent(self._driver.Event(self._driver.event_flags.BLOCKING_SYNC))

    def upload(self, target: Buffer, source: Array, stream: Stream) -> None:
        """Copy pinned memory to the device."""
        self._driver.memcpy_htod_async(target.owner, source, stream.owner)

    def download(self, target: Array, source: Buffer, stream: Stream) -> None:
        """Copy from the device to pinned memory."""
        self._driver.memcpy_dtoh_async(target, source.owner, stream.owner)


class PyCudaEvent:
    """An event of pycuda's."""

    def __init__(self, event: Any) -> None:
        self._event = event

    def record(self, stream: Stream) -> None:
        """Put it on the stream."""
        self._event.record(stream.owner)

    def has_passed(self) -> bool:
        """Whether the device got there."""
        return bool(self._event.query())

    def wait(self) -> None:
        """Sleep until it did."""
        self._event.synchronize()

    def milliseconds_since(self, earlier: "PyCudaEvent") -> float:
        """Time between two events that have passed."""
        return float(self._event.time_since(earlier._event))


class TorchCuda:
    """By torch, which uses the same context."""

    name = "torch"

    def __init__(self) -> None:
        self._torch = importlib.import_module("torch")
        if not self._torch.cuda.is_available():
            raise RuntimeError("it is not built for CUDA, or sees no device")
        self._torch.cuda.init()

    def buffer(self, size: int) -> Buffer:
        """Take memory on the device, in bytes."""
        memory = self._torch.empty(size, dtype=self._torch.uint8, device="cuda")
        return Buffer(memory.data_ptr(), memory)

    def pinned(self, shape: Sequence[int], dtype: type[np.generic]) -> Array:
        """Take memory on the host that the device copies from and to by itself."""
        kind = self._torch.from_numpy(np.empty(0, dtype)).dtype
        array: Array = self._torch.empty(tuple(shape), dtype=kind, pin_memory=True).numpy()
        return array

    def stream(self) -> Stream:
        """Make a stream."""
        stream = self._torch.cuda.Stream()
        return Stream(stream.cuda_stream, stream, stream.synchronize)

    def event(self) -> "TorchEvent":
        """Make an event."""
        return TorchEvent(self._torch.cuda.Event(enable_timing=True, blocking=True))

    def upload(self, target: Buffer, source: Array, stream: Stream) -> None:
        """Copy pinned memory to the device."""
        with self._torch.cuda.stream(stream.owner):
            target.owner.copy_(self._bytes(source), non_blocking=True)

    def download(self, target: Array, source: Buffer, stream: Stream) -> None:
        """Copy from the device to pinned memory."""
        with self._torch.cuda.stream(stream.owner):
            self._bytes(target).copy_(source.owner, non_blocking=True)

    def _bytes(self, array: Array) -> Any:
        """Return the same memory as bytes."""
        return self._torch.from_numpy(array.reshape(-1).view(np.uint8))


class TorchEvent:
    """An event of torch's."""

    def __init__(self, event: Any) -> None:
        self._event = event

    def record(self, stream: Stream) -> None:
        """Put it on the stream."""
        self._event.record(stream.owner)

    def has_passed(self) -> bool:
        """Whether the device got there."""
        return bool(self._event.query())

    def wait(self) -> None:
        """Sleep until it did."""
        self._event.synchronize()

    def milliseconds_since(self, earlier: "TorchEvent") -> float:
        """Time between two events that have passed."""
        return float(earlier._event.elapsed_time(self._event))
