"""The peak memory of a process that loads an engine and runs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bertslim.errors import UnavailableError
from bertslim.graph.emit import emit
from bertslim.model.loading import load_model
from bertslim.runtime import footprint
from bertslim.runtime.agreement import full_batch
from bertslim.runtime.footprint import Job, measure, peak_bytes, resident_peak
from bertslim.store.checkpoint import open_checkpoint

MEGABYTE = 10**6


def test_the_peak_is_read_from_what_the_kernel_says() -> None:
    status = "Name:\tpython\nVmPeak:\t  999999 kB\nVmHWM:\t    1688 kB\nVmRSS:\t   1000 kB\n"
    assert resident_peak(status) == 1688 * 1024


@pytest.fixture(scope="module")
def graph(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("graph") / "model.onnx"
    file.write_bytes(emit(load_model(open_checkpoint(tiny))).SerializeToString())
    return file


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_process_of_its_own_is_measured(runtime: str, tiny: Path, graph: Path) -> None:
    batch = full_batch(load_model(open_checkpoint(tiny)).config, 2, 8, seed=0)
    model = tiny if runtime == "torch" else graph
    # an interpreter with numpy alone takes some 30 MB
    (peak,) = peak_bytes(Job(runtime, "fp32", 1, str(model)), [[batch, batch]])
    assert 20 * MEGABYTE < peak < 2000 * MEGABYTE


def test_engines_of_graphs_are_loaded_without_torch() -> None:
    modules = ("footprint", "onnxruntime_", "openvino_")
    script = "".join(f"import bertslim.runtime.{module};" for module in modules)
    script += "import sys; sys.exit(','.join({'torch', 'transformers'} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_passes_are_run_twice_from_small_to_large_and_the_peak_is_read_after_each(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Engine:
        def run(self, batch: dict[str, np.ndarray]) -> None:
            seen.append({name: values.tolist() for name, values in batch.items()})
            (tmp_path / "status").write_text(f"VmHWM: {len(seen)} kB\n")

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        measure(Path(command[-1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    (tmp_path / "status").touch()
    monkeypatch.setattr(footprint, "STATUS", tmp_path / "status")
    monkeypatch.setattr(footprint, "_engine", lambda _: Engine())
    monkeypatch.setattr(footprint.subprocess, "run", run)
    large, small, tiny = ([[n] * size] for n, size in ((1, 3), (2, 2), (3, 1)))
    passes = [
        [{"input_ids": np.array(ids), "attention_mask": np.ones((1, 1))} for ids in batches]
        for batches in ([large], [tiny, small])
    ]
    assert peak_bytes(Job("onnxruntime", "fp32", 1, str(graph)), passes) == [6 * 1024, 4 * 1024]
    assert [batch["input_ids"] for batch in seen] == [tiny, small, tiny, small, large, large]
    assert seen[0]["attention_mask"] == [[1.0]]


def test_a_process_that_fails_is_explained(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    job = Job("onnxruntime", "fp32", 1, str(tmp_path / "model.onnx"))
    with pytest.raises(UnavailableError, match=r"the process ended with code 1: .*model.onnx"):
        peak_bytes(job, [])


def test_a_system_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "STATUS", tmp_path / "none")
    with pytest.raises(UnavailableError, match="none, which tells how much memory"):
        peak_bytes(Job("onnxruntime", "fp32", 1, "model.onnx"), [])
