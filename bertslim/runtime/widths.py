"""How long the parts of a layer take on a runtime, by their widths."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Literal, TypeVar

import numpy as np
import torch

from bertslim.model.configuration import LayerWidths, SlimBertConfig, layer_widths, with_widths
from bertslim.model.modeling import (
    SlimBertForSequenceClassification,
    SlimBertModel,
    SlimBertPreTrainedModel,
)
from bertslim.runtime.engine import Batch, Engine
from bertslim.runtime.timing import Budget, time_rounds

Name = TypeVar("Name")
Kind = Literal["heads", "ffn"]

DEPTH = 4
"""Layers of a probe, all alike: of several the time of one is told better."""
STEPS = 4
"""Widths that are tried besides none, evenly spaced; straight lines lead from one to the next."""
WORDS = 1000
"""Vocabulary of a probe: to look a word up among more of them takes no longer."""
TURNS = Budget(seconds=0.5, warm_up=2, least_rounds=9)


@dataclass(frozen=True, slots=True)
class Probe:
    """A model that is there to be timed: one part of each layer in some width, the other whole.

    Attributes:
        kind: Which part.
        width: Heads, or FFN units, that it has.
        last: Whether it is one layer that goes on with the first token alone, as a classifier's
            last one does, and not several that go on with all.
    """

    kind: Kind
    width: int
    last: bool


def probes(config: SlimBertConfig, *, last: bool) -> list[Probe]:
    """List what has to be timed to know what each width of a part takes."""
    whole = _whole(config)
    found = []
    kinds: tuple[tuple[Kind, int], ...] = (
        ("heads", whole.heads),
        ("ffn", whole.intermediate_size),
    )
    for kind, width in kinds:
        steps = np.unique(np.linspace(0, width, STEPS + 1).round().astype(int))
        found += [Probe(kind, int(step), last) for step in steps]
    return found


def probe_model(config: SlimBertConfig, probe: Probe) -> SlimBertPreTrainedModel:
    """Make a model of such a width, with any weights."""
    widths = _whole(config)
    if probe.kind == "heads":
        widths = replace(widths, heads=probe.width, kv_heads=probe.width)
    else:
        widths = replace(widths, intermediate_size=probe.width)
    small = with_widths(config, [widths] * (1 if probe.last else DEPTH))
    small.vocab_size = min(WORDS, config.vocab_size)
    made = SlimBertForSequenceClassification if probe.last else SlimBertModel
    small.architectures = [made.__name__]
    torch.manual_seed(0)
    model: SlimBertPreTrainedModel = made(small)
    model.train(mode=False)
    return model


def part_times(
    times: Mapping[Probe, float], kind: Kind, *, last: bool
) -> tuple[list[int], list[float]]:
    """Return what a layer's part takes by its width: what it adds to a layer without it."""
    found = {p.width: time for p, time in times.items() if (p.kind, p.last) == (kind, last)}
    layers = 1 if last else DEPTH
    widths = sorted(found)
    return widths, [(found[width] - found[widths[0]]) / layers for width in widths]


def milliseconds(engines: Mapping[Name, Engine], batch: Batch) -> dict[Name, float]:
    """Time engines on one batch, in turns; return the median of each."""
    runs = {name: partial(engine.run, batch) for name, engine in engines.items()}
    return {name: median(times) for name, times in time_rounds(runs, TURNS).items()}


def _whole(config: SlimBertConfig) -> LayerWidths:
    """Return the widest of a model's layers, with keys and values for every head."""
    layers = layer_widths(config)
    heads = max(layer.heads for layer in layers)
    units = max(layer.intermediate_size for layer in layers)
    return LayerWidths(heads, heads, config.head_dim, units, None)
