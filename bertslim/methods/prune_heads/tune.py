"""What is left of a model is set anew, so that it computes what the whole one computed.

Layer by layer, from the embeddings up, by linear least squares: nothing is trained.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bertslim.console import track
from bertslim.errors import DataError
from bertslim.methods.prune_heads.evidence import Evidence
from bertslim.methods.prune_heads.least_squares import Map, Sums, best_of, projection, scaling
from bertslim.methods.prune_heads.parts import Part, channels_of, output_of, parts_of
from bertslim.methods.prune_heads.passes import frozen, labelled_batches
from bertslim.model.layers import attention_bias
from bertslim.model.modeling import SlimBertPreTrainedModel

Form = Literal["scales", "projections"]

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridges to choose from, relative to the mean square of an input."""
HELD_OUT = 5
"""One example in so many is not fitted to, but chosen by."""
ROUNDING = 1e-6
"""A share of the variance that sums in fp32 cannot tell from none."""
TOKENS = 2**17
"""Most tokens to look at, padding included: their states stay in memory, of both models."""


@dataclass(frozen=True, slots=True)
class Residual:
    """How far a part is from what the whole model makes of the same place, on held-out rows.

    Attributes:
        layer: Number of the layer.
        kind: "heads" or "ffn".
        before: Mean square of the difference, as a share of the variance, without tuning.
        after: The same with it.
        ridge: The one that was chosen; None if the weights are best as they were.
    """

    layer: int
    kind: str
    before: float
    after: float
    ridge: float | None


@dataclass(slots=True, eq=False)
class Batch:
    """Some examples on their way up through both models.

    Attributes:
        whole: States of the whole model, (examples, tokens, hidden).
        slim: Those of the pruned one.
        mask: (examples, tokens), 1 for what is not padding.
        held_out: (examples,), True for those that are not fitted to.
    """

    whole: Tensor
    slim: Tensor
    mask: Tensor
    held_out: Tensor


@torch.no_grad()
def tune(
    slim: SlimBertPreTrainedModel, whole: SlimBertPreTrainedModel, evidence: Evidence, form: Form
) -> list[Residual]:
    """Let what is left of a model take over the work of what was cut.

    Every output projection reads what the pruned model computes below it, as it is after tuning,
    and is fitted to what the norm behind it reads in the whole model: the sum with the residual,
    so that it also makes up for what the residual has lost. (The paper's code fits to a model that
    is pruned half as much.) Padding does not count, and where the model goes on with the first
    token alone, only that one does.

    Args:
        slim: The pruned model; its output projections are changed.
        whole: What it was cut from.
        evidence: Examples; labels are not looked at.
        form: Whether each unit gets a factor, as in the paper, or the projections are set anew.

    Returns:
        What was gained, part by part.

    Raises:
        DataError: If there are too few examples to hold some out.
    """
    residuals = []
    with frozen(slim), frozen(whole):
        batches = list(_embedded(whole, evidence))
        for part in track(parts_of(whole.config), "least squares"):
            sums = _sums(part, slim, whole, batches)
            residuals.append(_fit(part, slim, sums, form))
            for batch in batches:
                batch.slim = _next(slim, part, batch.slim, batch.mask)
    return residuals


def _embedded(whole: SlimBertPreTrainedModel, evidence: Evidence) -> Iterator[Batch]:
    """Yield the states that both models begin with; the order of examples is a random one."""
    if len(evidence.data) < HELD_OUT:
        raise DataError(
            f"{len(evidence.data)} training examples are too few to hold some out",
            "give more training data, or --tune none",
        )
    seen = tokens = 0
    for inputs, _ in labelled_batches(whole, evidence, "embedding"):
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        x = whole.encoder.embeddings(ids, inputs.get("token_type_ids"), None, None)
        numbers = torch.arange(seen, seen + len(ids), device=ids.device)
        yield Batch(x, x, mask, numbers % HELD_OUT == HELD_OUT - 1)
        seen, tokens = seen + len(ids), tokens + ids.numel()
        if tokens >= TOKENS:
            return


def _sums(
    part: Part,
    slim: SlimBertPreTrainedModel,
    whole: SlimBertPreTrainedModel,
    batches: Sequence[Batch],
) -> tuple[Sums, Sums]:
    """Add up the rows to fit to and those held out; the whole model's states go one part up."""
    linear = output_of(slim, part)
    size, device = (linear.in_features, linear.out_features), linear.weight.device
    fitted, held_out = Sums.empty(*size, device), Sums.empty(*size, device)
    for batch in batches:
        _, _, wanted = _computed(whole, part, batch.whole, batch.mask)
        a, x, _ = _computed(slim, part, batch.slim, batch.mask)
        batch.whole = _norm(whole, part)(wanted)
        real = batch.mask[:, : x.shape[1]].bool()  # (examples, targets)
        for sums, rows in ((fitted, ~batch.held_out), (held_out, batch.held_out)):
            chosen = real & rows[:, None]
            sums.add(a[chosen], (wanted - x)[chosen])
    return fitted, held_out


def _fit(
    part: Part, slim: SlimBertPreTrainedModel, sums: tuple[Sums, Sums], form: Form
) -> Residual:
    """Set an output projection anew; the ridge is chosen on held-out rows, then all rows count."""
    fitted, held_out = sums
    linear, channels = output_of(slim, part), channels_of(slim.config, part)
    before = Map(linear.weight.T.double(), linear.bias.double())
    # the norm multiplies its outputs by gamma
    importance = _norm(slim, part).weight.double().square()
    spread = held_out.spread(importance) or 1.0
    error = held_out.error(before, importance) / spread
    if error < ROUNDING:
        return Residual(part.layer, part.kind, error, error, None)

    def solved(rows: Sums, ridge: float) -> Map:
        if form == "scales":
            return scaling(rows, before, ridge, channels)
        return projection(rows, before, ridge)

    tried = {ridge: solved(fitted, ridge) for ridge in RIDGES}
    best = best_of([before, *tried.values()], held_out, importance)
    ridge = next((ridge for ridge, found in tried.items() if found is best), None)
    if ridge is not None:
        final = solved(fitted + held_out, ridge)
        linear.weight.copy_(final.weight.T)
        linear.bias.copy_(final.bias)
    left = held_out.error(best, importance) / spread
    return Residual(part.layer, part.kind, error, left, ridge)


def _next(model: SlimBertPreTrainedModel, part: Part, states: Tensor, mask: Tensor) -> Tensor:
    """Return the states behind a part."""
    _, _, wanted = _computed(model, part, states, mask)
    behind: Tensor = _norm(model, part)(wanted)
    return behind


def _computed(
    model: SlimBertPreTrainedModel, part: Part, states: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a part of a model.

    Args:
        model: The model.
        part: The part.
        states: What it reads, (examples, tokens, hidden).
        mask: (examples, tokens).

    Returns:
        Of the tokens that the layer goes on with: what the output projection reads; the residual;
        and their sum with what the part adds, which the norm reads.
    """
    layer: Any = model.encoder.layers[part.layer]
    if part.kind == "ffn":
        with _input_of(layer.ffn.output) as seen:
            added = layer.ffn(states, None)
        return seen[0], states, states + added
    narrow = model.first_token_only and part.layer == model.config.num_hidden_layers - 1
    x = states[:, :1] if narrow else states
    window = None if narrow else model.encoder.windows[part.layer]
    with _input_of(layer.attention.output) as seen:
        added, _ = layer.attention(x, states, attention_bias(mask, window, states), None, False)
    # an attention without heads projects nothing
    contexts = seen[0] if seen else x.new_zeros(*x.shape[:2], 0)
    return contexts, x, x + added


@contextmanager
def _input_of(linear: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a module is given."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0])

    handle = linear.register_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def _norm(model: SlimBertPreTrainedModel, part: Part) -> nn.LayerNorm:
    """Return the norm behind a part."""
    layer: Any = model.encoder.layers[part.layer]
    norm: nn.LayerNorm = layer.attention_norm if part.kind == "heads" else layer.ffn_norm
    return norm
