"""What int8 and fp16 need to know of a recurrent model: its weights tell, no text has to be read.

A state of an LSTM is o * tanh(c), so it lies between -1 and 1, whatever the text. Only states, and
how two of them compare, go into the other products.
"""

import torch
from torch import Tensor, nn

from bertslim.methods.quantize.half import LARGEST, weight_faults
from bertslim.model.lstm.layers import BiLstm, Embeddings
from bertslim.model.lstm.modeling import (
    SlimLstmForSequenceClassification,
    SlimLstmPreTrainedModel,
)
from bertslim.model.quantization import Quantization, Range

STATES = Range(-1.0, 1.0)
COMPARED = Range(-1.0, 2.0)
"""[a; b; a * b; |a - b|] of two vectors of states."""

LAST = ("pooling.score", "classifier.output")
"""Products with few outputs, which nothing after them makes good: they stay in float."""


def known_ranges(model: SlimLstmPreTrainedModel) -> Quantization:
    """Return which projections are int8 and where their inputs lie; the table of words is int8."""
    pairs = model.config.pairs and isinstance(model, SlimLstmForSequenceClassification)
    classified = COMPARED if pairs else STATES
    return Quantization(
        {
            path: classified if path.startswith("classifier.") else STATES
            for path, module in model.named_modules()
            if isinstance(module, nn.Linear) and path not in LAST
        }
    )


@torch.no_grad()
def beyond_half(model: SlimLstmPreTrainedModel) -> dict[str, str]:
    """Return the modules that may leave the range of fp16 on some text, and why.

    |W x + b| <= max over rows of sum |w| * reach + |b|, where the tables reach their largest value,
    states 1, and what compares two of them 2.
    """
    faults = weight_faults(model)
    reach = 1.0
    for path, module in model.named_modules():
        if isinstance(module, Embeddings):
            peak = reach = _embedded(module)
        elif isinstance(module, BiLstm):
            peak, reach = _gates(module, reach), 1.0
        elif isinstance(module, nn.Linear):
            peak = _sums(module.weight, max(reach, COMPARED.high), module.bias)
            reach = peak if path == "classifier.dense" else 1.0
        else:
            continue
        if peak > LARGEST:
            faults.setdefault(path, f"its values may reach {peak:.3g}; fp16 ends at {LARGEST:g}")
    return faults


def _embedded(embeddings: Embeddings) -> float:
    words = _peak(embeddings.words.weight)
    if not embeddings.spelt:
        return words
    convolution, characters = embeddings.convolution, _peak(embeddings.characters.weight)
    return max(words, _sums(convolution.weight.flatten(1), characters, convolution.bias))


def _gates(layer: BiLstm, reach: float) -> float:
    """All sums in front of the gates; the weights are (2, 4 hidden, inputs or hidden)."""
    of_inputs = layer.input_weight.abs().sum(-1) * reach
    sums = of_inputs + layer.state_weight.abs().sum(-1) + layer.biases().abs()
    return float(sums.max())


def _sums(weight: Tensor, reach: float, bias: Tensor | None) -> float:
    """Of W x + b with W (out, in)."""
    sums = weight.abs().sum(-1) * reach
    return float((sums if bias is None else sums + bias.abs()).max())


def _peak(tensor: Tensor) -> float:
    return float(tensor.abs().max())
