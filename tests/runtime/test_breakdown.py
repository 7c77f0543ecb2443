"""Where the time goes, by what the nodes of a kernel do."""

import pytest

from bertslim.runtime.breakdown import group_of, times_by_group
from bertslim.runtime.kernels import Kernel

LAYER = "bert.layers.0"


def kernel(*nodes: str, milliseconds: float | None = 1.0) -> Kernel:
    return Kernel("k", "Any", "fp32", nodes, milliseconds)


@pytest.mark.parametrize(
    ("nodes", "group"),
    [
        ([f"{LAYER}.ffn.intermediate/matmul", f"{LAYER}.ffn.activation/gelu"], "GEMM"),
        ([f"{LAYER}.attention/scores", f"{LAYER}.attention/softmax"], "attention"),
        # ONNX Runtime's operator multiplies with the weights too
        ([f"{LAYER}.attention/attention", f"{LAYER}.attention.query/matmul"], "attention"),
        ([f"{LAYER}.attention_norm/residual", f"{LAYER}.attention_norm/norm"], "norm"),
        ([f"{LAYER}.attention.query/heads"], "other"),
        ([], "other"),
    ],
)
def test_a_kernel_is_what_its_nodes_do(nodes: list[str], group: str) -> None:
    assert group_of(kernel(*nodes)) == group


def test_times_are_summed_up_and_no_group_is_left_out() -> None:
    kernels = [
        kernel("a/matmul", milliseconds=2.0),
        kernel("b/matmul", milliseconds=3.0),
        kernel("a/bias", milliseconds=None),
        kernel("c/transpose", milliseconds=0.5),
    ]
    assert times_by_group(kernels) == {"GEMM": 5.0, "attention": 0.0, "norm": 0.0, "other": 0.5}


def test_without_times_there_is_nothing_to_break_down() -> None:
    assert times_by_group([kernel("a/matmul", milliseconds=None)]) == {}
    assert times_by_group([]) == {}
