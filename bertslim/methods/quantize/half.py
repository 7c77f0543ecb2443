"""What of a model does not fit into fp16: its weights, and what it computes on real text."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bertslim.methods.quantize.observe import Rows, broken, evaluating
from bertslim.model.layers import Attention
from bertslim.model.modeling import SlimBertPreTrainedModel

LARGEST = 65504.0
"""Of fp16,"""
LEAST = 2.0**-25
"""and what becomes 0 there, if it is not larger."""

HEADROOM = 2.0
"""Other texts go further than those that were seen: what comes this close counts as beyond."""


@dataclass(frozen=True, slots=True)
class HalfReport:
    """What fp16 cannot hold; reasons by the paths of modules.

    Attributes:
        islands: Linear layers, and LayerNorms with the sums that they take, that fp32 helps.
        beyond: Values that go from module to module, which fp32 inside of one does not help: the
            model needs bf16 or fp32.
    """

    islands: Mapping[str, str]
    beyond: Mapping[str, str]

    @property
    def products(self) -> tuple[str, ...]:
        """Those of the islands that multiply with weights.

        TensorRT has no such product in fp32 for Turing (SM75): a model with one of them needs
        another GPU there, or full fp32 from a runtime that has it.
        """
        return tuple(path for path in self.islands if not path.endswith("norm"))


Peaks = defaultdict[str, float]
"""Largest magnitude by path."""


def half_islands(model: SlimBertPreTrainedModel, rows: Rows) -> HalfReport:
    """Find the modules whose weights or values leave the range of fp16.

    Padding counts: what is infinite there spoils the tokens that attend past it.

    Args:
        model: It is left as it is.
        rows: Typical for what it will read.

    Raises:
        CheckpointError: If the model computes what is not a finite number even in fp32.
    """
    inside, between = activation_peaks(model, rows)
    computing = {p for p, m in model.named_modules() if isinstance(m, nn.Linear | nn.LayerNorm)}
    weights = weight_faults(model)
    islands = {path: why for path, why in weights.items() if path in computing}
    beyond = {path: why for path, why in weights.items() if path not in computing}
    return HalfReport(
        islands={**activation_faults(inside), **islands},
        beyond={**activation_faults(between), **beyond},
    )


def weight_faults(model: nn.Module) -> dict[str, str]:
    """Return the modules with a tensor that fp16 makes infinite, or all zeros, and why."""
    faults = {}
    for name, tensor in model.named_parameters():
        path, _, kind = name.rpartition(".")
        peak = float(tensor.detach().abs().max()) if tensor.numel() else 0.0
        if peak > LARGEST:
            faults[path] = f"its {kind} reaches {peak:.3g}; fp16 ends at {LARGEST:g}"
        elif 0 < peak <= LEAST:
            faults[path] = f"its {kind} is at most {peak:.3g}, which is 0 in fp16"
    return faults


def activation_faults(peaks: Mapping[str, float]) -> dict[str, str]:
    """Return where values come close to the end of fp16 or go beyond, and how far.

    Raises:
        CheckpointError: If some are not finite.
    """
    for path, peak in peaks.items():
        if not math.isfinite(peak):
            raise broken(path, f"values up to {peak}")
    return {
        path: f"its values reach {peak:.3g}; fp16 ends at {LARGEST:g}"
        for path, peak in peaks.items()
        if peak > LARGEST / HEADROOM
    }


def activation_peaks(model: SlimBertPreTrainedModel, rows: Rows) -> tuple[Peaks, Peaks]:
    """Return the largest magnitudes inside of modules, and between them.

    Inside are what a linear layer makes and the sum that a LayerNorm takes; between them is what
    norms, activations and embeddings make, and an attention's scores.
    """
    inside, between = Peaks(float), Peaks(float)
    attentions = [path for path, m in model.named_modules() if isinstance(m, Attention)]
    with evaluating(model), _watched(model, inside, between):
        for batch in rows.batches(model, "looking for what exceeds fp16"):
            scores = model(**batch, output_attention_scores=True).attention_scores
            for path, found in zip(attentions, scores, strict=True):
                _see(between, path, found)
    return inside, between


@contextmanager
def _watched(model: nn.Module, inside: Peaks, between: Peaks) -> Iterator[None]:
    handles = []
    for path, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            see = partial(_see_first, inside, path)
            handles.append(module.register_forward_pre_hook(see))
        passes = isinstance(module, nn.Dropout | nn.Identity)
        if next(module.children(), None) is None and not passes:
            made = inside if isinstance(module, nn.Linear) else between
            handles.append(module.register_forward_hook(partial(_see_made, made, path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _see_first(peaks: Peaks, path: str, _: nn.Module, inputs: tuple[Tensor]) -> None:
    _see(peaks, path, inputs[0])


def _see_made(peaks: Peaks, path: str, _: nn.Module, __: object, y: Tensor) -> None:
    _see(peaks, path, y)


def _see(peaks: Peaks, path: str, x: Tensor) -> None:
    if x.numel():
        # torch's maximum, for Python's loses NaN
        peaks[path] = float(torch.maximum(x.abs().max().cpu(), torch.tensor(peaks[path])))
