"""int8 engines: they round as the graph says, and what is left in float is what was promised."""

import numpy as np
import pytest

from bertslim.graph.emit import write
from bertslim.runtime.agreement import compared, padded_batch
from bertslim.runtime.engine import build
from tests.runtime.worlds import (
    NEEDS_BF16,
    ON_CPU,
    SETTINGS,
    form_of,
    ranges,
    seen,
    small_bert,
    source_of,
)


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("runtime", ON_CPU)
def test_int8_is_near_the_model_and_not_the_model(runtime: str, products: bool) -> None:
    batch = padded_batch(small_bert().config, 6, 20, seed=0)
    expected = build("torch", "fp32", source_of(), SETTINGS).run(batch)
    engine = build(
        runtime, "int8", source_of(form_of(runtime, ranges(products=products))), SETTINGS
    )
    assert (engine.runtime, engine.precision) == (runtime, "int8")
    outputs = engine.run(batch)
    found = compared("int8", outputs, expected, batch)
    assert found.holds
    assert found.difference is not None
    assert found.difference > 1e-4
    np.testing.assert_array_equal(engine.run(batch)["logits"], outputs["logits"])
    engine.close()


@NEEDS_BF16
def test_what_int8_leaves_is_bf16_where_the_cpu_has_it() -> None:
    found = seen("openvino", "int8", write(small_bert(), form_of("openvino", ranges())))
    assert {k.precision for k in found if k.kind == "MVN"} == {"bf16"}


def test_what_int8_leaves_is_fp32_where_the_cpu_has_no_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openvino.Core.get_property", lambda *_: ["FP32", "INT8"])
    found = seen("openvino", "int8", write(small_bert(), form_of("openvino", ranges())))
    assert {kernel.precision for kernel in found if kernel.kind == "MVN"} == {"fp32"}
