"""What the CUDA driver does without any package: tell which GPU is here, and capture graphs.

pycuda has no CUDA graphs, and torch's want its own allocator; streams of both are the driver's.
"""

import ctypes
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bertslim.errors import UnavailableError

LIBRARY = "nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1"
NO_DEVICE = "no CUDA device"
"""What the message begins with where there is none."""

# of cuda.h
SUCCESS = 0
MAJOR, MINOR = 75, 76
CAPTURE_THREAD_LOCAL = 1
NAME_LENGTH = 256

VOLTA = "70"


@dataclass(frozen=True, slots=True)
class Device:
    """The GPU that engines run on: the first one that is visible."""

    name: str
    sm: str
    """Compute capability without the dot, such as "75"."""
    cuda: str
    """Latest version of CUDA that its driver knows, such as "12.4"."""


class Graph:
    """Work on a stream, captured once and launched as a whole."""

    def __init__(self, driver: Any, executable: ctypes.c_void_p) -> None:
        self._driver = driver
        self._executable = executable

    def launch(self, stream: int) -> None:
        """Put the work on a stream."""
        _check(self._driver, "cuGraphLaunch", self._executable, ctypes.c_void_p(stream))

    def close(self) -> None:
        """Give the graph back to the driver."""
        _check(self._driver, "cuGraphExecDestroy", self._executable)


def find_device() -> Device:
    """Ask the driver for the first GPU.

    Raises:
        UnavailableError: If there is no driver or no GPU, with what the driver says.
    """
    driver = _driver()
    _check(driver, "cuInit", 0)
    count, device, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    _check(driver, "cuDeviceGetCount", ctypes.byref(count))
    if count.value == 0:
        raise UnavailableError(f"{NO_DEVICE}: the driver sees none")
    _check(driver, "cuDeviceGet", ctypes.byref(device), 0)
    _check(driver, "cuDriverGetVersion", ctypes.byref(version))
    name = ctypes.create_string_buffer(NAME_LENGTH)
    _check(driver, "cuDeviceGetName", name, NAME_LENGTH, device)
    sm = "".join(str(_attribute(driver, device, number)) for number in (MAJOR, MINOR))
    return Device(name.value.decode(), sm, cuda_version(version.value))


def cuda_version(number: int) -> str:
    """Read the driver's way to write a version: 12040 is 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def capture(stream: int, work: Callable[[], None]) -> Graph:
    """Capture what `work` puts on a stream, instead of running it.

    Raises:
        UnavailableError: If something in it cannot be captured.
    """
    driver, handle = _driver(), ctypes.c_void_p(stream)
    graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
    _check(driver, "cuStreamBeginCapture_v2", handle, CAPTURE_THREAD_LOCAL)
    try:
        work()
    finally:
        # a capture that is left open would hold the stream for ever
        ended = driver.cuStreamEndCapture(handle, ctypes.byref(graph))
    _refuse_failure(driver, "cuStreamEndCapture", ended)
    flags = ctypes.c_ulonglong(0)
    _check(driver, "cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, flags)
    _check(driver, "cuGraphDestroy", graph)
    return Graph(driver, executable)


def _driver() -> Any:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        message = f"{NO_DEVICE}: the driver's library {LIBRARY} is not installed"
        raise UnavailableError(message, "run this where the NVIDIA GPU is") from error


def _attribute(driver: Any, device: ctypes.c_int, number: int) -> int:
    value = ctypes.c_int()
    _check(driver, "cuDeviceGetAttribute", ctypes.byref(value), number, device)
    return value.value


def _check(driver: Any, function: str, *arguments: Any) -> None:
    _refuse_failure(driver, function, getattr(driver, function)(*arguments))


def _refuse_failure(driver: Any, function: str, code: int) -> None:
    if code != SUCCESS:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(code, ctypes.byref(text))
        said = (text.value or b"unknown").decode()
        what = NO_DEVICE if function == "cuInit" else "the CUDA driver refuses"
        raise UnavailableError(f"{what}: {function} says {said!r} (error {code})")
