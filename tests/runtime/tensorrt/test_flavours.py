"""What counts as an installed TensorRT."""

import sys
from pathlib import Path

import pytest

from bertslim.errors import UnavailableError
from bertslim.runtime.tensorrt.flavours import RTX, TENSORRT, load_flavour
from tests.runtime.tensorrt.worlds import builds

BROKEN = 'raise ImportError("libnvinfer.so.10: cannot open shared object file")'
WEAKLY_TYPED = """
__version__ = "8.6.1"
class Builder: ...
class NetworkDefinitionCreationFlag:
    EXPLICIT_BATCH = 0
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from first, and no TensorRT imported so far."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    yield tmp_path
    sys.modules.pop("tensorrt", None)


@builds
def test_tensorrt_rtx_builds_for_others() -> None:
    flavour = load_flavour(RTX)
    assert flavour.builds_for_others
    assert flavour.name == f"TensorRT-RTX {flavour.version}"


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UnavailableError, match="the package tensorrt is not installed") as caught:
        load_flavour(TENSORRT)
    assert caught.value.hint == "pip install 'bertslim[tensorrt]'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BROKEN, "TensorRT cannot be loaded: libnvinfer.so.10"),
        ("", "what Python finds as tensorrt is not TensorRT"),
        (WEAKLY_TYPED, "TensorRT 8.6.1 cannot be held to a graph's precision"),
    ],
)
def test_a_package_that_does_not_serve(packages: Path, content: str, message: str) -> None:
    (packages / "tensorrt.py").write_text(content)
    with pytest.raises(UnavailableError, match=message):
        load_flavour(TENSORRT)


def test_a_folder_that_stubs_left_behind(packages: Path) -> None:
    (packages / "tensorrt").mkdir()
    with pytest.raises(UnavailableError, match="what Python finds as tensorrt is not TensorRT"):
        load_flavour(TENSORRT)
