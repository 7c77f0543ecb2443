"""Post-training quantization: which ranges int8 needs, found by running the model on real text."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from bertslim.methods.quantize.grid import Scheme
from bertslim.methods.quantize.histogram import Histogram
from bertslim.methods.quantize.observe import Rows, linear_layers, observe
from bertslim.methods.quantize.smooth import Channels, smoothing_factors
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.configuration import layer_widths
from bertslim.model.modeling import SlimBertForMaskedLM, SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization, Range

Histograms = defaultdict[str, Histogram]
"""By the path of a linear layer."""


@dataclass(frozen=True, slots=True)
class Quantize:
    """Settings of `quantize`.

    Attributes:
        calibration: How ranges are chosen.
        products: Whether the products inside the attentions compute in int8 as well.
        smooth: Whether channels may be divided by factors that go into the weights; the rows are
            then run over twice.
        scheme: Of activations.
    """

    calibration: Calibration
    products: bool
    smooth: bool
    scheme: Scheme


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What was seen.

    Attributes:
        examples: Rows.
        peaks: By the paths of `Quantization.inputs`, the largest magnitude before clipping.
    """

    examples: int
    peaks: Mapping[str, float]


def quantize(
    model: SlimBertPreTrainedModel, settings: Quantize, rows: Rows
) -> tuple[Quantization, CalibrationReport]:
    """Calibrate a model: find the ranges of all that will be int8.

    Args:
        model: It is left as it is.
        settings: How.
        rows: What is typical for what the model will read.

    Raises:
        CheckpointError: If the model computes what is not a finite number.
    """
    inputs: Histograms = defaultdict(Histogram)
    outputs: Histograms = defaultdict(Histogram)
    factors = smoothing(model, settings, rows) if settings.smooth else {}

    def see_input(path: str, x: Tensor) -> None:
        inputs[path].add(x / factors[path] if path in factors else x)

    def see_output(path: str, y: Tensor) -> None:
        outputs[path].add(y)

    leaders = observe(model, rows, see_input, see_output if settings.products else None)
    range_of = partial(settings.calibration.range_of, scheme=settings.scheme)
    ranges = {leader: range_of(h) for leader, h in inputs.items()}
    products = {path: range_of(h) for path, h in outputs.items()}
    quantization = Quantization(
        inputs={path: ranges[leader] for path, leader in leaders.items()},
        products={path: scaled_query(model, path, found) for path, found in products.items()},
        smoothing={p: tuple(factors[o].tolist()) for p, o in leaders.items() if o in factors},
        embedding=quantizes_table(model),
    )
    peaks = {path: inputs[leader].peak for path, leader in leaders.items()}
    return quantization, CalibrationReport(len(rows.encoded), peaks)


def quantizes_table(model: SlimBertPreTrainedModel) -> bool:
    """Whether the table of words can be int8: that of a masked LM is also what scores the words."""
    return not isinstance(model, SlimBertForMaskedLM)


def smoothing(model: SlimBertPreTrainedModel, settings: Quantize, rows: Rows) -> dict[str, Tensor]:
    """Return s, (in,), for the inputs that smoothing serves, by the first layer that takes each."""
    seen: defaultdict[str, Channels] = defaultdict(Channels)
    leaders = observe(
        model, rows, lambda path, x: seen[path].add(x), description="looking for outliers"
    )
    layers = linear_layers(model)
    groups = {
        leader: [layers[path] for path, owner in leaders.items() if owner == leader]
        for leader in seen
    }
    return smoothing_factors(seen, groups, settings.calibration, settings.scheme)


def scaled_query(model: SlimBertPreTrainedModel, path: str, found: Range) -> Range:
    """Return the range of Q / sqrt(d): where graphs divide, in the query's weights; others stay."""
    if not path.endswith(".query"):
        return found
    factor = layer_widths(model.config)[0].head_dim ** -0.5
    return Range(found.low * factor, found.high * factor)
