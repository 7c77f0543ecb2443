"""How far each part of a model moves the outputs when it alone computes in int8."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from operator import eq

import torch
from torch import Tensor

from bertslim.methods.quantize.grid import Scheme
from bertslim.methods.quantize.observe import Rows, evaluating
from bertslim.methods.quantize.simulate import simulated
from bertslim.methods.quantize.units import restricted, units
from bertslim.model.modeling import SlimBertForMaskedLM, SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from bertslim.model.signature import OUTPUTS


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What one unit costs by itself.

    Attributes:
        path: Of a linear layer, of an attention for its inner products, or of the word embeddings.
        error: Root mean square of what it adds to the model's outputs, over real tokens.
    """

    path: str
    error: float


def sensitivities(
    model: SlimBertPreTrainedModel, quantization: Quantization, scheme: Scheme, rows: Rows
) -> tuple[Sensitivity, ...]:
    """Quantize each unit alone; return what that does to the outputs, the worst first.

    The rows are run over once for each unit: some dozens are enough.
    """
    alone = {
        unit: restricted(model, quantization, partial(eq, unit))
        for unit in units(model, quantization)
    }
    squares, count = dict.fromkeys(alone, 0.0), 0
    with evaluating(model):
        for batch in rows.batches(model, "quantising one product at a time"):
            expected = real_outputs(model, batch)
            count += len(expected)
            for unit, only in alone.items():
                with simulated(model, only, scheme):
                    error = real_outputs(model, batch) - expected
                squares[unit] += float(error.square().sum())
    found = [Sensitivity(unit, (total / count) ** 0.5) for unit, total in squares.items()]
    return tuple(sorted(found, key=lambda s: -s.error))


def real_outputs(model: SlimBertPreTrainedModel, batch: Mapping[str, Tensor]) -> Tensor:
    """Return all that a model says about what is not padding, in one row of numbers.

    Of a masked language model these are the states: what it makes of them is too wide to keep.
    """
    speaker = model.encoder if isinstance(model, SlimBertForMaskedLM) else model
    real, outputs = batch["attention_mask"].bool(), speaker(**batch)
    found = []
    for name in OUTPUTS:
        values = outputs.get(name)
        if values is not None:
            per_token = values.ndim == 3 or name in ("start_logits", "end_logits")
            found.append((values[real] if per_token else values).flatten().float())
    return torch.cat(found)
