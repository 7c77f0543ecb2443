"""Which engines a checkpoint is run as."""

import pytest

from bertslim.runtime.engine import EngineSettings
from bertslim.runtime.plan import Cell, Plan
from bertslim.runtime.shape import Shape
from bertslim.runtime.timing import Budget
from bertslim.store.deployment import Deployment

INT8 = Deployment("openvino", "int8", (), 0.1)
OWN = (Cell("openvino", "int8"),)


def plan(*, any_runtime: bool = False, any_precision: bool = False, **changes: object) -> Plan:
    settings: dict[str, object] = {
        "runtimes": ("torch", "openvino"),
        "precisions": ("fp32",),
        "batch_sizes": (1, 8),
        "lengths": (16, "task"),
        "engine": EngineSettings(1),
        "budget": Budget(0, 0, 1),
        "seed": 0,
    }
    return Plan(**settings | changes, any_runtime=any_runtime, any_precision=any_precision)


def test_a_checkpoint_runs_on_everything_in_everything() -> None:
    asked = plan(precisions=("fp32", "bf16"))
    assert asked.cells(None) == (
        Cell("torch", "fp32"),
        Cell("torch", "bf16"),
        Cell("openvino", "fp32"),
        Cell("openvino", "bf16"),
    )


@pytest.mark.parametrize(
    "asked",
    [
        plan(any_precision=True),
        plan(precisions=("fp32", "int8")),
        plan(runtimes=("torch",), precisions=("int8",), any_runtime=True),
        plan(runtimes=("torch",), any_runtime=True, any_precision=True),
    ],
)
def test_a_deployment_runs_as_what_it_is(asked: Plan) -> None:
    assert asked.cells(INT8) == OWN


@pytest.mark.parametrize(
    "asked",
    [
        plan(),
        plan(runtimes=("torch",), any_precision=True),
        plan(any_runtime=True),
    ],
)
def test_what_was_asked_for_and_is_something_else_is_refused(asked: Plan) -> None:
    cells = asked.cells(INT8)
    assert {cell.refusal for cell in cells} == {"made for openvino int8"}
    assert [(cell.runtime, cell.precision) for cell in cells] == [
        (runtime, precision) for runtime in asked.runtimes for precision in asked.precisions
    ]


def test_a_deployment_remembers_the_gpu_that_it_is_for() -> None:
    deployment = Deployment("tensorrt-rtx", "int8", (), 0.1, {"sm": "86"})
    (cell,) = plan(any_runtime=True, any_precision=True).cells(deployment)
    assert cell == Cell("tensorrt-rtx", "int8", sm="86")


def test_shapes_are_every_size_with_every_length() -> None:
    shapes = plan().shapes()
    assert shapes == [Shape(1, 16), Shape(1, "task"), Shape(8, 16), Shape(8, "task")]
    assert [str(shape) for shape in shapes[:2]] == ["1 x 16 tokens", "1 x task rows"]
    assert shapes[-1].title == "batch 8 x task"
